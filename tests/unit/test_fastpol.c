/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fast plane's judge against the daemon's: random configurations are built, compiled for the
 * fast plane and judged by both for random packets. What a worker says must be what policy_eval
 * says, or "the kernel", and that where and only where one of the listed reasons holds.
 */
#include "../lib/check_main.h"
#include "../lib/nat_gen.h"
#include "../lib/policy_gen.h"

#include "domain.h"
#include "fastpath/fast_policy.h"
#include "firewall/fw.h"
#include "nat/nat_policy.h"
#include "nat_way.h"
#include "pol.h"
#include "rtr/drop.h"
#include "rtr/fastpath.h"
#include "schema/schema.h"
#include "txn/txn.h"

#include <arpa/inet.h>

#ifdef __SANITIZE_ADDRESS__
#define POLICIES 200
#else
#define POLICIES 1000
#endif
#define PACKETS 100

/* Why a flow is the kernel's. */
#define WHYS(X)                                                                                    \
	X(FIRST, "no TCP SYN, no UDP")                                                             \
	X(URPF, "reverse path")                                                                    \
	X(EFFECT, "line that logs, limits or names a helper")                                      \
	X(REJECT, "reject")                                                                        \
	X(PASS, "pass class")                                                                      \
	X(LOG, "class that logs")                                                                  \
	X(GUARD, "NAT: of no connection, to a port of the fast plane")                             \
	X(ROTARY, "NAT: rotary pool")                                                              \
	X(POOL, "NAT: hairpin by an address that has no pool")                                     \
	X(INWARD, "NAT: from outside to an inside address that no line translates")

enum why {
	NOT_KERNEL,
#define X(id, text) WHY_##id,
	WHYS(X)
#undef X
		WHY__MAX
};

static const struct domain *const *domains;
static size_t n_domains;
static struct editor ed;
static struct {
	const struct policy *pol, *old;
	struct fp_pol *fp, *old_fp;
	uint32_t n_past_kept, n_past_ended;
	uint32_t n_packets, n_permit, n_drop, n_exact, n_pool, n_share, n_kernel[WHY__MAX];
} k;

static void set_up(void)
{
	struct rec *root;

	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	root = model_new();
	editor_init(&ed, root);
	rec_unref(root);
	gen_seed = test_seed;
}

static void tear_down(void)
{
	k.fp = fp_pol_free(k.fp);
	k.old_fp = fp_pol_free(k.old_fp);
	k.pol = policy_unref(k.pol);
	k.old = policy_unref(k.old);
	editor_fini(&ed);
	schema_fini();
}

/* ---- one policy ---- */

static int ifindex_of(void *arg, const char *name)
{
	return name[0] == 'e' && !name[2] ? name[1] - '0' + 1 : 0;
}

static struct fast_blob compile(const struct policy *p)
{
	struct fast_policy_conf conf = { .ifindex = ifindex_of };
	struct fast_blob b = { 0 };

	ck_assert(fast_policy_compile(p, &conf, &b));
	return b;
}

/* RTR_TEST_BLOBS=DIR: seeds of tests/fuzz/fuzz_fastpol.c. */
static void keep(const struct fast_blob *b)
{
	const char *dir = getenv("RTR_TEST_BLOBS");
	static unsigned n;
	char *path;

	if (!dir)
		return;
	path = xasprintf("%s/blob%u", dir, n++);
	ck_assert(!rtr_file_swap(path, b->v, b->len, 0644));
	free(path);
}

static void load(const struct policy *p)
{
	struct fast_blob b = compile(p);
	char text[FASTPATH_TEXT];

	keep(&b);
	fp_pol_free(k.old_fp);
	k.old_fp = k.fp;
	k.fp = NULL;
	ck_assert_msg(!fp_pol_new(b.v, b.len, 2, k.old_fp, &k.fp, text), "%s", text);
	fp_pol_renumber(k.fp, 7);
	ck_assert_uint_eq(fp_pol_generation(k.fp), 7);
	ck_assert_int_eq(fp_pol_stateful(k.fp), p->stateful);
	free(b.v);
}

/* True when the lines may stand together. */
static bool configure(const char *lines)
{
	struct rec *root = model_new();
	struct strbuf b = STRBUF_INIT;
	struct check c = { .offline = true, .sink = &b };
	char *copy = xstrdup(lines), *save = NULL;

	editor_fini(&ed);
	editor_init(&ed, root);
	rec_unref(root);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error e;
		bool changed;
		int r = editor_line(&ed, l, &changed, &e);

		ck_assert_msg(!r, "%s: %s", l, strbuf_str(&e.text));
		edit_error_fini(&e);
	}
	free(copy);
	c.old = c.new = ed.root;
	policy_unref(k.old);
	k.old = k.pol;
	k.pol = policy_build(ed.root, NULL, time(NULL), &c);
	strbuf_fini(&b);
	if (k.pol)
		load(k.pol);
	return k.pol;
}

/* ---- both judges ---- */

static bool route(void *arg, const struct pol_packet *p, const struct rtr_addr *dst,
		  char oif[IFNAMSIZ], bool *local)
{
	unsigned net = dst->family == AF_INET ? dst->b[1] : dst->b[3];

	*local = false;
	snprintf(oif, IFNAMSIZ, "e%u", net % N_IFACES);
	return true;
}

static bool urpf(void *arg, const struct pol_iface *i, const struct rtr_addr *src)
{
	return true;
}

/* As the zones see it. */
static struct pol_packet routed;

static void note_step(void *arg, enum pol_stage st, const struct pol_packet *p)
{
	if (st == POL_ST_ZONE)
		routed = *p;
}

static const struct pol_world world = { .route = route, .urpf = urpf, .step = note_step };

static struct fp_pol_key key_of(const struct pol_packet *p)
{
	struct fp_pol_key key = { .family = p->family,
				  .proto = p->proto,
				  .tcp_flags = p->tcp_flags,
				  .dscp = p->dscp,
				  .ttl = p->ttl,
				  .len = p->len,
				  .sport_be = htons(p->sport),
				  .dport_be = htons(p->dport),
				  .ifindex = (unsigned)ifindex_of(NULL, p->iif) };

	memcpy(key.src, p->src.b, rtr_family_size(p->family));
	memcpy(key.dst, p->dst.b, rtr_family_size(p->family));
	return key;
}

static enum fp_pol_act judge_by(const struct fp_pol *fp, const struct fp_pol_key *key,
				const struct pol_packet *p, struct fp_pol_state *st)
{
	enum fp_pol_act act = fp_pol_in(fp, key, st);
	struct rtr_addr dst = { .family = p->family };
	char oif[IFNAMSIZ];
	bool local;

	if (act != FP_POL_PERMIT)
		return act;
	memcpy(dst.b, st->dst, rtr_family_size(p->family));
	route(NULL, p, &dst, oif, &local);
	return fp_pol_out(fp, key, (unsigned)ifindex_of(NULL, oif), st);
}

static enum fp_pol_act judge(const struct pol_packet *p, struct fp_pol_state *st)
{
	struct fp_pol_key key = key_of(p);

	return judge_by(k.fp, &key, p, st);
}

static bool has_urpf(const char *name, uint8_t family)
{
	const struct pol_iface *i = policy_iface(k.pol, name);

	return i && (family == AF_INET6 ? i->urpf6 : i->urpf4) != POL_URPF_OFF;
}

static bool has_effect(const struct pol_rule *r)
{
	return r->log || r->limit.rate || r->limit.conns || r->helper;
}

static enum why why_list(const struct pol_step *s)
{
	const struct pol_rule *r = s->rule;

	if (!s->ran || !r)
		return NOT_KERNEL;
	if (r->action == POL_REJECT)
		return WHY_REJECT;
	return has_effect(r) ? WHY_EFFECT : NOT_KERNEL;
}

/* Did a line of the class that was asked, whatever it said, do more than to say it? */
static bool class_has_effect(const struct pol_class *c)
{
	for (size_t i = 0; i < c->n_matches; i++) {
		const struct pol_list *l = routed.family == AF_INET6 ? c->matches[i].list6
								     : c->matches[i].list4;
		const struct pol_rule *r = l ? pol_list_match(l, &routed) : NULL;

		if (r && has_effect(r))
			return true;
		if ((r && r->action == POL_PERMIT) != c->match_all)
			break;
	}
	return false;
}

static enum why why_zone(const struct pol_verdict *v)
{
	const struct pol_pair *pair = policy_pair(k.pol, v->zone_in, v->zone_out);
	const struct pol_step *s = &v->step[POL_ST_ZONE];

	for (size_t i = 0; s->ran && pair && i < pair->n_classes; i++) {
		if (class_has_effect(&pair->classes[i]))
			return WHY_EFFECT;
		if (s->cls == &pair->classes[i])
			break;
	}
	if (!s->ran || !s->cls)
		return NOT_KERNEL;
	if (s->cls->action == POL_PASS)
		return WHY_PASS;
	if (s->cls->action == POL_REJECT)
		return WHY_REJECT;
	return s->cls->log ? WHY_LOG : NOT_KERNEL;
}

static bool is_first(const struct pol_packet *p)
{
	return p->proto == IPPROTO_UDP || (p->proto == IPPROTO_TCP && p->tcp_flags == SYN);
}

static enum why why_dnat(const struct pol_packet *p, const struct pol_verdict *v)
{
	const struct nat_family *f;

	if (!k.pol->nat)
		return NOT_KERNEL;
	if (nat_guarded(k.pol->nat, p))
		return WHY_GUARD;
	f = &k.pol->nat->f[nat_fam(p->family)];
	for (size_t i = 0; v->dnat.on && i < f->n_rotaries; i++) {
		if (f->rotaries[i].rec == v->dnat.rec)
			return WHY_ROTARY;
	}
	return NOT_KERNEL;
}

static bool is_range(const struct pol_xlate *x)
{
	return x->on && x->port_lo != x->port_hi;
}

/* The number of the pool that has just these addresses; -1: there is none. */
static int find_pool(const struct pol_xlate *x)
{
	const struct fp_pol_pool *v;
	unsigned n = fp_pol_pools(k.fp, &v), size = rtr_family_size(x->lo.family);

	for (unsigned i = 0; i < n; i++) {
		if (!v[i].share && v[i].family == x->lo.family && !memcmp(v[i].lo, x->lo.b, size) &&
		    !memcmp(v[i].hi, x->hi.b, size))
			return (int)i;
	}
	return -1;
}

static bool is_inward(const struct pol_packet *p, const struct pol_verdict *v)
{
	const struct nat_policy *nat = k.pol->nat;

	return nat && !v->dnat.on && !v->snat.on &&
	       nat_side_of(nat, p->family, p->iif) == NAT_OUTSIDE &&
	       nat_side_of(nat, p->family, v->oif) == NAT_INSIDE;
}

/* The first reason on the packet's way. */
static enum why why_kernel(const struct pol_packet *p, const struct pol_verdict *v)
{
	enum why w;

	if (has_urpf(p->iif, p->family))
		return WHY_URPF;
	if (v->stage == POL_ST_MARTIAN)
		return NOT_KERNEL;
	if (k.pol->stateful && !is_first(p))
		return WHY_FIRST;
	w = why_list(&v->step[POL_ST_IN]);
	if (w || v->stage == POL_ST_IN)
		return w;
	w = why_dnat(p, v);
	if (w || v->stage <= POL_ST_ROUTE)
		return w;
	if (has_urpf(v->oif, p->family))
		return WHY_URPF;
	w = why_zone(v);
	if (!w)
		w = why_list(&v->step[POL_ST_OUT]);
	if (w || v->action != POL_PERMIT)
		return w;
	if (is_inward(p, v))
		return WHY_INWARD;
	return is_range(&v->snat) && !v->snat.fast.hi && find_pool(&v->snat) < 0 ? WHY_POOL
										 : NOT_KERNEL;
}

static uint32_t id_of(const struct pol_step *s)
{
	return s->cls ? s->cls->id : s->rule ? s->rule->id : 0;
}

/* Both planes cut shares alike: their own ports, of one address. */
static bool same_share(const struct fp_pol_xlate *got, const struct pol_xlate *want)
{
	struct nat_ports ports;
	uint8_t addr[16];

	k.n_share++;
	return got->kind == FP_XL_POOL &&
	       !fp_nat_share(fp_pol_nat(k.fp), got->pool, got->host, addr, &ports) &&
	       !memcmp(addr, want->lo.b, rtr_family_size(want->lo.family)) &&
	       ports.lo == want->fast.lo && ports.hi == want->fast.hi;
}

/* a: what is translated. */
static bool same_xlate(const struct fp_pol_xlate *got, const struct pol_xlate *want,
		       struct rtr_addr a)
{
	if (!want->on)
		return got->kind == FP_XL_NONE;
	if (want->fast.hi)
		return same_share(got, want);
	if (is_range(want)) {
		k.n_pool++;
		return got->kind == FP_XL_POOL && (int)got->pool == find_pool(want);
	}
	k.n_exact++;
	nat_xlate_addr(want, &a);
	return got->kind == FP_XL_EXACT && ntohs(got->port_be) == want->port_lo &&
	       !memcmp(got->addr, a.b, rtr_family_size(a.family));
}

/* What is translated would leak as it is, what is not would not. */
static void leaks_as_translated(const struct pol_packet *p, const char *oif,
				const struct fp_pol_state *st)
{
	const struct nat_policy *nat = k.pol->nat;
	struct fp_pol_key key = key_of(p);
	bool outward = nat && nat_side_of(nat, p->family, p->iif) == NAT_INSIDE &&
		       nat_side_of(nat, p->family, oif) == NAT_OUTSIDE;

	if (st->dnat.kind == FP_XL_NONE)
		ck_assert_int_eq(fp_pol_leaks(k.fp, &key, (unsigned)ifindex_of(NULL, oif)),
				 outward && st->snat.kind != FP_XL_NONE);
}

/* What each packet has to pass is what first ones have to pass first. */
static void source_as_first(const struct pol_packet *p, const struct pol_verdict *v)
{
	struct fp_pol_key key = key_of(p);
	enum fp_pol_act want = FP_POL_PERMIT;
	uint8_t drop = RTR_DROP_NONE;

	if (has_urpf(p->iif, p->family))
		want = FP_POL_KERNEL;
	else if (v->stage == POL_ST_MARTIAN)
		want = FP_POL_DROP;
	ck_assert_int_eq(fp_pol_source(k.fp, &key, &drop), want);
	ck_assert_int_eq(drop != RTR_DROP_NONE, want == FP_POL_DROP);
}

static void compare(const struct pol_packet *p, const char *conf)
{
	char a[RTR_ADDR_STRLEN], b[RTR_ADDR_STRLEN];
	struct fp_pol_state st;
	enum fp_pol_act want, got = judge(p, &st);
	struct pol_verdict v;
	enum why why;

	policy_eval(k.pol, p, &world, &v);
	source_as_first(p, &v);
	why = why_kernel(p, &v);
	want = why ? FP_POL_KERNEL : v.action == POL_PERMIT ? FP_POL_PERMIT : FP_POL_DROP;
	if (got != want)
		puts(conf);
	ck_assert_msg(got == want,
		      "%s proto %u %s %u -> %s %u flags %#x ttl %u dscp %u len %u\n"
		      "the judge: action %d stage %d (%s) oif %s, so %d (why %d); workers: %d",
		      p->iif, p->proto, rtr_addr_str(&p->src, a), p->sport,
		      rtr_addr_str(&p->dst, b), p->dport, p->tcp_flags, p->ttl, p->dscp, p->len,
		      v.action, v.stage, v.step[v.stage].why, v.oif, want, why, got);
	if (got == FP_POL_PERMIT) {
		ck_assert_uint_eq(st.id[0], id_of(&v.step[POL_ST_IN]));
		ck_assert_uint_eq(st.id[1], id_of(&v.step[POL_ST_ZONE]));
		ck_assert_uint_eq(st.id[2], id_of(&v.step[POL_ST_OUT]));
		if (!same_xlate(&st.dnat, &v.dnat, p->dst) ||
		    !same_xlate(&st.snat, &v.snat, p->src)) {
			puts(conf);
			ck_abort_msg("%s proto %u %s %u -> %s %u: dnat %d, not %d %s; snat %d, not "
				     "%d",
				     p->iif, p->proto, rtr_addr_str(&p->src, a), p->sport,
				     rtr_addr_str(&p->dst, b), p->dport, st.dnat.kind, v.dnat.on,
				     v.oif, st.snat.kind, v.snat.on);
		}
		leaks_as_translated(p, v.oif, &st);
	}
	k.n_packets++;
	k.n_permit += got == FP_POL_PERMIT;
	k.n_drop += got == FP_POL_DROP;
	k.n_kernel[why]++;
}

/* A flow of the policy before, judged again: as the daemon judges the kernel's. */
static void compare_past(const struct pol_packet *pkt, const char *conf)
{
	struct fp_pol_key key = key_of(pkt);
	struct fp_pol_state st, was;
	struct pol_packet p = *pkt;
	struct pol_past past;
	struct pol_verdict v;
	enum fp_pol_act got, want;

	if (!k.old_fp || !is_first(pkt) || judge_by(k.old_fp, &key, pkt, &was) != FP_POL_PERMIT)
		return;
	key.past = true;
	key.old = k.old_fp;
	memcpy(key.old_id, was.id, sizeof(key.old_id));
	got = judge_by(k.fp, &key, pkt, &st);
	past = (struct pol_past){ k.old, was.id[0], was.id[1], was.id[2] };
	p.past = &past;
	policy_eval(k.pol, &p, &world, &v);
	want = v.action == POL_PERMIT || v.action == POL_PASS ? FP_POL_PERMIT : FP_POL_DROP;
	if (has_urpf(p.iif, p.family) || (v.stage > POL_ST_ROUTE && has_urpf(v.oif, p.family)))
		want = FP_POL_KERNEL;
	if (got != want)
		puts(conf);
	ck_assert_msg(got == want, "past: %d, not %d; stage %d (%s)", got, want, v.stage,
		      v.step[v.stage].why);
	k.n_past_kept += got == FP_POL_PERMIT;
	k.n_past_ended += got == FP_POL_DROP;
}

static const char *const why_texts[] = { "",
#define X(id, text) text,
					 WHYS(X)
#undef X
};

static void report(void)
{
	printf("%u packets: %u permitted, %u dropped; translated: %u to one address, %u by a pool, "
	       "%u by shares; the kernel's:\n",
	       k.n_packets, k.n_permit, k.n_drop, k.n_exact, k.n_pool, k.n_share);
	for (unsigned i = 1; i < WHY__MAX; i++)
		printf("  %6u %s\n", k.n_kernel[i], why_texts[i]);
}

static unsigned n_packets(void)
{
	return getenv("RTR_TEST_LONG") ? 10 * PACKETS : PACKETS;
}

START_TEST(workers_judge_as_the_daemon)
{
	for (unsigned i = 0; i < POLICIES; i++) {
		char *first = configuration(), *conf = xstrdup(first);

		/* Every other one has a list that differs a little from that before: the others
		 * share their classifiers. */
		ck_assert(configure(conf));
		if (i % 2) {
			free(conf);
			conf = xasprintf("%sip access-list extended A%u\n permit udp any any\n",
					 first, below(4));
			ck_assert(configure(conf));
		}
		free(first);
		for (unsigned n = 0; n < n_packets(); n++) {
			unsigned in;
			struct pol_packet p = packet(&in);

			p.len = (uint16_t)(40 + below(100));
			if (p.proto == IPPROTO_TCP && below(8))
				p.tcp_flags = SYN;
			if (p.tcp_flags == SYN)
				p.state = POL_NEW;
			compare(&p, conf);
			compare_past(&p, conf);
		}
		free(conf);
	}
	report();
	printf("judged again: %u kept, %u ended\n", k.n_past_kept, k.n_past_ended);
	for (unsigned i = 1; i <= WHY_LOG; i++)
		ck_assert_uint_gt(k.n_kernel[i], 0);
	ck_assert_uint_gt(k.n_past_kept, k.n_packets / 100);
	ck_assert_uint_gt(k.n_past_ended, k.n_packets / 100);
	ck_assert_uint_gt(k.n_permit, k.n_packets / 20);
	ck_assert_uint_gt(k.n_drop, k.n_packets / 20);
}
END_TEST

#define ZONES(action)                                                                              \
	"zone security Z0\nzone security Z1\n"                                                     \
	"policy-map type inspect P\n class type inspect class-default\n  " action "\n"             \
	"zone-pair security Z0-Z1 source Z0 destination Z1\n service-policy type inspect P\n"      \
	"interface e0\n zone-member security Z0\ninterface e1\n zone-member security Z1\n"

/* A limit holds wherever the line lets a connection in. */
START_TEST(class_lines_have_effects)
{
	static const char *const actions[] = { "permit", "deny" };
	struct fp_pol_state st;
	struct pol_packet p = { .family = AF_INET,
				.proto = IPPROTO_UDP,
				.state = POL_NEW,
				.ttl = 64,
				.len = 40,
				.iif = "e0",
				.src = { .family = AF_INET, .b = { 10, 0, 0, 2 } },
				.dst = { .family = AF_INET, .b = { 10, 1, 0, 2 } } };
	char conf[512];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(conf, sizeof(conf),
			 "ip access-list extended A\n %s udp any any%s\n"
			 "class-map type inspect match-any C\n match access-group name A\n"
			 "policy-map type inspect P\n class type inspect C\n  inspect\n"
			 " class type inspect class-default\n  inspect\n"
			 "zone security Z0\nzone security Z1\n"
			 "zone-pair security Z source Z0 destination Z1\n"
			 " service-policy type inspect P\n"
			 "interface e0\n zone-member security Z0\n"
			 "interface e1\n zone-member security Z1\n",
			 actions[i == 2],
			 i == 2 ? " log"
			 : i    ? " limit-connections 2"
				: "");
		ck_assert(configure(conf));
		ck_assert_int_eq(judge(&p, &st), i ? FP_POL_KERNEL : FP_POL_PERMIT);
	}
}
END_TEST

/* A connection that lives stays when its first packet would pass now, also without state. */
START_TEST(lives_on_by_pass)
{
	struct pol_packet p = { .family = AF_INET,
				.proto = IPPROTO_TCP,
				.tcp_flags = SYN,
				.state = POL_NEW,
				.ttl = 64,
				.len = 40,
				.iif = "e0",
				.src = { .family = AF_INET, .b = { 10, 0, 0, 2 } },
				.dst = { .family = AF_INET, .b = { 10, 1, 0, 2 } } };
	struct fp_pol_key key = key_of(&p);
	struct fp_pol_state was, st;

	ck_assert(configure(ZONES("inspect")));
	ck_assert_int_eq(judge(&p, &was), FP_POL_PERMIT);
	ck_assert(configure(ZONES("pass")));
	ck_assert_int_eq(judge(&p, &st), FP_POL_KERNEL);
	key.past = true;
	key.old = k.old_fp;
	memcpy(key.old_id, was.id, sizeof(key.old_id));
	ck_assert_int_eq(judge_by(k.fp, &key, &p, &st), FP_POL_PERMIT);
	ck_assert(configure(ZONES("drop")));
	key.old = k.old_fp;
	ck_assert_int_eq(judge_by(k.fp, &key, &p, &st), FP_POL_DROP);
}
END_TEST

/* NAT alone, and NAT behind lists and zones. */
START_TEST(workers_translate_as_the_daemon)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < POLICIES; i++) {
		char *nat = nat_configuration(), *filter = i % 4 ? xstrdup("") : configuration();
		char *conf = xasprintf("%s%s", filter, nat);

		if (!configure(conf))
			refused++;
		for (unsigned n = 0; k.pol && n < n_packets(); n++) {
			unsigned in;
			struct pol_packet p = nat_packet(&in);

			p.len = 60;
			compare(&p, conf);
		}
		free(conf);
		free(filter);
		free(nat);
	}
	report();
	printf("%u configurations refused\n", refused);
	for (unsigned i = WHY_GUARD; i < WHY__MAX; i++)
		ck_assert_uint_gt(k.n_kernel[i], 0);
	ck_assert_uint_gt(k.n_exact, k.n_packets / 50);
	ck_assert_uint_gt(k.n_pool, k.n_packets / 50);
	ck_assert_uint_gt(k.n_share, k.n_packets / 500);
	ck_assert_uint_lt(refused, POLICIES / 2);
}
END_TEST

#define MAPPING                                                                                    \
	"ip access-list extended L\n permit ip any any\n"                                          \
	"interface e0\n ip nat inside\n dataplane auto\ninterface e1\n ip nat outside\n"           \
	"ip nat pool P 20.1.0.4 20.1.0.5 prefix-length 24\n"                                       \
	"ip nat inside source list L pool P overload\n"

static uint64_t pool_identity(void)
{
	const struct fp_pol_pool *v;

	ck_assert_uint_gt(fp_pol_pools(k.fp, &v), 0);
	return v[0].identity;
}

/* From interface e1 or e0 to 20.1.0.last, a port. */
static struct fp_pol_key to_pool(bool inside, uint8_t last, uint16_t port)
{
	return (struct fp_pol_key){ .family = AF_INET,
				    .proto = IPPROTO_UDP,
				    .ttl = 64,
				    .len = 60,
				    .src = { inside ? 10 : 20, inside ? 0 : 1, 7, 7 },
				    .dst = { 20, 1, 0, last },
				    .sport_be = htons(999),
				    .dport_be = htons(port),
				    .ifindex = (unsigned)ifindex_of(NULL, inside ? "e0" : "e1") };
}

static bool asks(bool inside, uint8_t last, uint16_t port)
{
	struct fp_pol_key key = to_pool(inside, last, port);

	return fp_pol_mapped(k.fp, &key);
}

/* Who comes in by the mapping of another host, and as what. */
START_TEST(mappings)
{
	const struct fp_pol_claim *claims;
	struct fp_pol_state st;
	struct fp_pol_key key;

	ck_assert(configure(MAPPING));
	ck_assert(!asks(true, 4, 12000) && !asks(false, 4, 12000));
	ck_assert_uint_eq(fp_pol_claims(k.fp, &claims), 0);
	ck_assert(configure(MAPPING "ip nat settings mapping endpoint-independent\n"));
	ck_assert(asks(true, 4, 12000) && !asks(false, 4, 12000));
	ck_assert(configure(MAPPING "ip nat settings mapping endpoint-independent\n"
				    "ip nat settings filtering endpoint-independent\n"));
	ck_assert(asks(true, 4, 12000) && asks(false, 5, 12000));
	ck_assert(!asks(false, 4, 10239) && !asks(false, 4, 40960) && !asks(false, 6, 12000));
	for (unsigned inside = 0; inside < 2; inside++) {
		key = to_pool(inside, 4, 12000);
		ck_assert_int_eq(fp_pol_in(k.fp, &key, &st), FP_POL_KERNEL);
		key.mapped = true;
		key.inside_port_be = htons(777);
		memcpy(key.inside, (uint8_t[]){ 10, 0, 0, 9 }, 4);
		ck_assert_int_eq(fp_pol_in(k.fp, &key, &st), FP_POL_PERMIT);
		ck_assert_mem_eq(st.dst, key.inside, 16);
		ck_assert_uint_eq(ntohs(st.dport_be), 777);
		ck_assert_int_eq(fp_pol_out(k.fp, &key, (unsigned)ifindex_of(NULL, "e0"), &st),
				 FP_POL_PERMIT);
		ck_assert_int_eq(st.snat.kind, inside ? FP_XL_POOL : FP_XL_NONE);
	}
	ck_assert_uint_eq(fp_pol_claims(k.fp, &claims), 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(claims[i].kind, FP_POL_CLAIM_PORTS);
		ck_assert_uint_eq(claims[i].proto, i % 2 ? IPPROTO_UDP : IPPROTO_TCP);
		ck_assert_uint_eq(claims[i].first[3], 4 + i / 2);
		ck_assert_mem_eq(claims[i].last, claims[i].first, 16);
		ck_assert(claims[i].lo == 10240 && claims[i].hi == 40959);
	}
	ck_assert(configure(MAPPING "ip nat pool P 20.1.0.0 20.1.3.255 prefix-length 16\n"
				    "ip nat settings mapping endpoint-independent\n"));
	ck_assert_uint_eq(fp_pol_claims(k.fp, &claims), 1);
	ck_assert_uint_eq(claims[0].kind, FP_POL_CLAIM_ALL);
	ck_assert_uint_eq(claims[0].last[2], 3);
}
END_TEST

#define TWO_POOLS                                                                                  \
	"ip access-list extended A\n permit ip 10.0.0.0 0.0.255.255 20.0.0.0 0.255.255.255\n"      \
	"ip access-list extended B\n permit ip 10.1.0.0 0.0.255.255 any\n"                         \
	"interface e0\n ip nat inside\n dataplane auto\ninterface e1\n ip nat outside\n"           \
	"ip nat pool PA 20.1.0.4 20.1.0.5 prefix-length 24\n"                                      \
	"ip nat pool PB 20.1.0.8 20.1.0.9 prefix-length 24\n"                                      \
	"ip nat inside source list A pool PA overload\n"                                           \
	"ip nat inside source list B pool PB overload\n"                                           \
	"ip nat settings mapping endpoint-independent\n"
/* C has an address by each uplink. */
#define TWO_UPLINKS                                                                                \
	TWO_POOLS                                                                                  \
	"ip access-list extended C\n permit ip 10.3.0.0 0.0.255.255 any\n"                         \
	"interface e1\n ip address 20.1.0.20 255.255.255.0\n"                                      \
	"interface e2\n ip address 20.2.0.30 255.255.255.0\n ip nat outside\n"                     \
	"ip nat inside source list C interface e1 overload\n"                                      \
	"ip nat inside source list C interface e2 overload\n"

/* Mappings and blocks of ports stay over a forward whose port is none of the fast plane's. */
START_TEST(forward_keeps_the_pool)
{
	uint64_t was;

	ck_assert(configure(MAPPING));
	was = pool_identity();
	ck_assert(configure(MAPPING "ip nat inside source static tcp 10.0.0.9 80 20.1.0.4 80\n"));
	ck_assert_uint_eq(pool_identity(), was);
	ck_assert(
		configure(MAPPING "ip nat inside source static tcp 10.0.0.9 80 20.1.0.4 20000\n"));
	ck_assert_uint_ne(pool_identity(), was);
}
END_TEST

/* The pool that 10.net.7.7 is seen with when it asks for the mapping at 20.1.0.last of 10.0.0.9. */
static unsigned seen_with(uint8_t net, uint8_t last)
{
	struct fp_pol_key key = to_pool(true, last, 12000);
	const struct fp_pol_pool *pools;
	struct fp_pol_state st;

	key.src[1] = net;
	key.dst[1] = last == 30 ? 2 : 1;
	key.mapped = true;
	key.inside_port_be = htons(777);
	memcpy(key.inside, (uint8_t[]){ 10, 0, 0, 9 }, 4);
	ck_assert_int_eq(fp_pol_in(k.fp, &key, &st), FP_POL_PERMIT);
	ck_assert_int_eq(fp_pol_out(k.fp, &key, (unsigned)ifindex_of(NULL, "e0"), &st),
			 FP_POL_PERMIT);
	ck_assert_int_eq(st.snat.kind, FP_XL_POOL);
	ck_assert_uint_lt(st.snat.pool, fp_pol_pools(k.fp, &pools));
	return pools[st.snat.pool].lo[3];
}

/* RFC 4787 REQ-1, REQ-9: inside hosts see each other with what everybody sees them. */
START_TEST(hairpin_keeps_the_pool)
{
	ck_assert(configure(TWO_POOLS));
	for (unsigned last = 4; last <= 8; last += 4) {
		ck_assert_uint_eq(seen_with(0, (uint8_t)last), 4);
		ck_assert_uint_eq(seen_with(1, (uint8_t)last), 8);
		/* Of no list: it has none of its own. */
		ck_assert_uint_eq(seen_with(2, (uint8_t)last), last);
	}
	ck_assert(configure(TWO_UPLINKS));
	ck_assert_uint_eq(seen_with(3, 4), 20);
	ck_assert_uint_eq(seen_with(3, 20), 20);
	ck_assert_uint_eq(seen_with(3, 30), 30);
	ck_assert_uint_eq(seen_with(0, 30), 4);
}
END_TEST

/* Each interface's size holds, whether a packet comes or goes by it. */
START_TEST(segment_sizes)
{
	static const struct {
		const char *in, *out;
		uint16_t max[2];
		bool path[2];
	} want[] = {
		{ "e0", "e1", { 1200, 0 }, { true, false } },
		{ "e1", "e0", { 1200, 0 }, { true, false } },
		{ "e1", "e2", { 1100, 1300 }, { true, false } },
		{ "e0", "e2", { 1100, 1300 }, { false, false } },
		{ "e0", "e0", { 1200, 0 }, { false, false } },
		{ "e1", "e1", { 0, 0 }, { true, false } },
	};

	ck_assert(configure(MAPPING "interface e0\n ip tcp adjust-mss 1200\n"
				    "interface e1\n ip tcp adjust-mss auto\n"
				    "interface e2\n ip tcp adjust-mss 1100\n"
				    " ipv6 tcp adjust-mss 1300\n"));
	for (unsigned i = 0; i < ARRAY_LEN(want); i++)
		for (unsigned v6 = 0; v6 < 2; v6++) {
			struct fp_pol_mss m = fp_pol_mss(k.fp, v6 ? AF_INET6 : AF_INET,
							 (unsigned)ifindex_of(NULL, want[i].in),
							 (unsigned)ifindex_of(NULL, want[i].out));

			ck_assert_uint_eq(m.max, want[i].max[v6]);
			ck_assert_int_eq(m.path, want[i].path[v6]);
		}
}
END_TEST

static struct fp_pol_key vrf_key(const char *in, const char *vrf, uint16_t dport)
{
	return (struct fp_pol_key){ .family = AF_INET,
				    .proto = IPPROTO_UDP,
				    .ttl = 64,
				    .len = 100,
				    .sport_be = htons(5),
				    .dport_be = htons(dport),
				    .src = { 10, 1 },
				    .dst = { 10, 2 },
				    .ifindex = (unsigned)ifindex_of(NULL, in),
				    .vrf = vrf ? (unsigned)ifindex_of(NULL, vrf) : 0 };
}

static enum fp_pol_act by_vrf(const char *in, const char *vrf, uint16_t dport, const char *out,
			      struct fp_pol_state *st)
{
	struct fp_pol_key key = vrf_key(in, vrf, dport);
	enum fp_pol_act act = fp_pol_in(k.fp, &key, st);

	return act == FP_POL_PERMIT ? fp_pol_out(k.fp, &key, (unsigned)ifindex_of(NULL, out), st)
				    : act;
}

/* Lists see the member of a VRF that a packet came by; behind the route it came by the VRF. */
START_TEST(members_of_vrfs)
{
	struct fp_pol_state st;
	struct fp_pol_key key;
	uint8_t why;

	ck_assert(configure("ip access-list extended A\n permit udp any any eq 7\n"
			    "zone security Z\n"
			    "interface e0\n ip access-group A in\n zone-member security Z\n"
			    "interface e1\n zone-member security Z\n"
			    "interface e2\n ip tcp adjust-mss 1100\n"));
	ck_assert_int_eq(by_vrf("e0", NULL, 7, "e1", &st), FP_POL_PERMIT);
	ck_assert_int_eq(by_vrf("e0", "e5", 8, "e1", &st), FP_POL_DROP);
	ck_assert_int_eq(st.drop, RTR_DROP_ACL_DEFAULT);
	/* In no zone, whatever its member is in. */
	ck_assert_int_eq(by_vrf("e0", "e5", 7, "e1", &st), FP_POL_DROP);
	ck_assert_int_eq(st.drop, RTR_DROP_ZONE_DENY);
	ck_assert_int_eq(by_vrf("e0", "e5", 7, "e3", &st), FP_POL_PERMIT);
	/* The VRF has lines of its own: all of it is the kernel's. */
	ck_assert_int_eq(by_vrf("e3", "e2", 7, "e4", &st), FP_POL_KERNEL);
	key = vrf_key("e3", "e2", 7);
	ck_assert_int_eq(fp_pol_source(k.fp, &key, &why), FP_POL_KERNEL);
	key.vrf = (unsigned)ifindex_of(NULL, "e5");
	ck_assert_int_eq(fp_pol_source(k.fp, &key, &why), FP_POL_PERMIT);
	/* A packet of a VRF is not from inside, wherever its member is. */
	ck_assert(configure(MAPPING));
	key = to_pool(true, 4, 12000);
	memcpy(key.dst, (uint8_t[]){ 20, 9, 9, 9 }, 4);
	ck_assert(fp_pol_leaks(k.fp, &key, (unsigned)ifindex_of(NULL, "e1")));
	key.vrf = (unsigned)ifindex_of(NULL, "e5");
	ck_assert(!fp_pol_leaks(k.fp, &key, (unsigned)ifindex_of(NULL, "e1")));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fastpol");
	TCase *t = tcase_create("fastpol");

	tcase_set_timeout(t, 600);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, workers_judge_as_the_daemon);
	tcase_add_test(t, class_lines_have_effects);
	tcase_add_test(t, lives_on_by_pass);
	tcase_add_test(t, workers_translate_as_the_daemon);
	tcase_add_test(t, mappings);
	tcase_add_test(t, forward_keeps_the_pool);
	tcase_add_test(t, hairpin_keeps_the_pool);
	tcase_add_test(t, segment_sizes);
	tcase_add_test(t, members_of_vrfs);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
