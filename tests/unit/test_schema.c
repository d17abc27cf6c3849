/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines in, model out, and back: through the editor, as text, as a file. */
#include "../lib/test_rows.h"
#include "schema/conffile.h"
#include "schema/edit.h"
#include "schema/text.h"
#include "../lib/check_main.h"

#include <string.h>

static const struct domain *const domains[] = { &t_domain };

static void setup(void)
{
	const char *bad = schema_init(domains, 1);

	ck_assert_msg(!bad, "%s", bad);
}

static struct rec *run(const char *lines, char **ret_err)
{
	struct rec *empty = model_new(), *root;
	char *copy = xstrdup(lines), *save = NULL;
	struct editor e;

	*ret_err = NULL;
	editor_init(&e, empty);
	rec_unref(empty);
	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		if (*l == '!')
			continue;
		if (!strcmp(l, "exit")) {
			editor_leave(&e);
			continue;
		}
		if (editor_line(&e, l, &changed, &err) && !*ret_err)
			*ret_err = xasprintf("%s: status %d col %u %s", l, err.status, err.col,
					     strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	root = rec_ref(e.root);
	editor_fini(&e);
	free(copy);
	return root;
}

static char *text_of(const struct rec *root)
{
	struct strbuf b = STRBUF_INIT;

	text_config(root, 0, &b);
	return strbuf_steal(&b);
}

static void expect(const char *in, const char *want)
{
	char *err, *got;
	struct rec *r = run(in, &err);

	ck_assert_msg(!err, "%s", err);
	got = text_of(r);
	ck_assert_str_eq(got, want);
	free(got);
	rec_unref(r);
}

START_TEST(lines)
{
	expect("int eth1\nip addr 10.0.0.1/24\nip address 10.0.1.1 255.255.255.0 sec\nmtu 1400\n"
	       "interface eth0\ndesc  to the  lan \nno ip redirects\nshut\nhostname r1",
	       "hostname r1\n!\ninterface eth0\n description to the  lan\n no ip redirects\n shutdown\n"
	       "!\ninterface eth1\n mtu 1400\n ip address 10.0.0.1 255.255.255.0\n"
	       " ip address 10.0.1.1 255.255.255.0 secondary\n!\nend\n");
}
END_TEST

START_TEST(a_new_primary_takes_the_old_ones_place)
{
	expect("interface eth0\nip address 10.0.0.1/24\nip address 10.0.0.2/24 secondary\n"
	       "ip address 10.0.0.9/24",
	       "!\ninterface eth0\n ip address 10.0.0.9 255.255.255.0\n"
	       " ip address 10.0.0.2 255.255.255.0 secondary\n!\nend\n");
	expect("interface eth0\nip address 10.0.0.1/24\nip address 10.0.0.2/24 secondary\n"
	       "ip address 10.0.0.2/24",
	       "!\ninterface eth0\n ip address 10.0.0.2 255.255.255.0\n!\nend\n");
}
END_TEST

START_TEST(acl_order_and_auto_key)
{
	expect("ip access-list extended A\npermit tcp any host 10.0.0.1 established\ndeny ip any any log\n"
	       "15 permit udp 10.0.0.0 0.255.255.255 any log ttl 4\nno 10\npermit icmp any 10.0.0.0/8",
	       "!\nip access-list extended A\n 15 permit udp 10.0.0.0 0.255.255.255 any ttl 4 log\n"
	       " 20 deny ip any any log\n 30 permit icmp any 10.0.0.0 0.255.255.255\n!\nend\n");
}
END_TEST

/* Typed again without a number a line stays one, among many, too; with a number it is another. */
START_TEST(acl_line_again)
{
	struct strbuf in = STRBUF_INIT;
	const struct rec *list;
	char *err;
	struct rec *r;

	expect("ip access-list extended A\npermit tcp any any log\npermit tcp any any\n"
	       "permit tcp any any log\nno 10\npermit tcp any any log\n5 permit tcp any any\n"
	       "permit tcp any any",
	       "!\nip access-list extended A\n 5 permit tcp any any\n 20 permit tcp any any\n"
	       " 30 permit tcp any any log\n!\nend\n");
	strbuf_adds(&in, "ip access-list extended A\n");
	for (unsigned i = 0; i < 600; i++)
		strbuf_addf(&in, "permit tcp any host 10.0.0.%u ttl %u\n", i % 100, 1 + i % 3);
	r = run(strbuf_str(&in), &err);
	list = rec_only(r, &t_acl_type);
	ck_assert_uint_eq(rec_kids(list, &t_ace_type)->len, 300);
	rec_unref(r);
	strbuf_fini(&in);
}
END_TEST

/* The matcher follows all ways that a line may go on, each with the values it has taken so far: of
 * those that end in nothing none is left in the one that counts. */
START_TEST(options_in_any_order)
{
	static const char *const options[] = { "established", "log", "ttl 4" };

	for (unsigned n = 0; n < 27; n++) {
		unsigned a = n / 9, b = n / 3 % 3, c = n % 3;
		char in[160];

		if (a == b || a == c || b == c)
			continue;
		snprintf(in, sizeof(in),
			 "ip access-list extended A\n7 permit tcp 10.0.0.0 0.0.0.255 host 10.0.0.1 "
			 "%s %s %s",
			 options[a], options[b], options[c]);
		expect(in, "!\nip access-list extended A\n 7 permit tcp 10.0.0.0 0.0.0.255 "
			   "host 10.0.0.1 established ttl 4 log\n!\nend\n");
	}
	expect("ip route 10.8.0.0/16 eth0 10.1.0.1 7 name x\nip route 10.8.0.0/16 10.1.0.1 name 7\n"
	       "ip route 10.8.0.0/16 name",
	       "ip route 10.8.0.0 255.255.0.0 10.1.0.1 name 7\n"
	       "ip route 10.8.0.0 255.255.0.0 name\n"
	       "ip route 10.8.0.0 255.255.0.0 eth0 10.1.0.1 7 name x\n!\nend\n");
}
END_TEST

START_TEST(words_in_any_case)
{
	expect("Hostname R1\nINTERFACE eth0\nDESC Of The LAN\nNo Ip Redirects\nSHUT\n"
	       "IP ACCESS-LIST Extended A\nPermit TCP Any HOST 10.0.0.1 Log TTL 4\nDENY ip aNY any",
	       "hostname R1\n!\ninterface eth0\n description Of The LAN\n no ip redirects\n"
	       " shutdown\n!\nip access-list extended A\n 10 permit tcp any host 10.0.0.1 ttl 4 log\n"
	       " 20 deny ip any any\n!\nend\n");
}
END_TEST

START_TEST(bgp_neighbours)
{
	expect("router bgp 65001\nneighbor 10.0.0.2 remote-as 65002\nneighbor 10.0.0.2 desc peer two\n"
	       "neighbor 10.0.0.2 shutdown\nneighbor 2001:db8::1 remote-as 1.0\n"
	       "no neighbor 10.0.0.2 shutdown\nbgp router-id 1.1.1.1",
	       "!\nrouter bgp 65001\n bgp router-id 1.1.1.1\n neighbor 10.0.0.2 remote-as 65002\n"
	       " neighbor 10.0.0.2 description peer two\n neighbor 2001:db8::1 remote-as 65536\n!\nend\n");
}
END_TEST

START_TEST(routes)
{
	expect("ip route 0.0.0.0 0.0.0.0 10.0.0.1\nip route 0.0.0.0/0 eth1 10.1.0.1 200 name backup\n"
	       "ip route 10.9.0.0/16 null0\nip route 10.8.0.0/16 eth0",
	       "ip route 0.0.0.0 0.0.0.0 10.0.0.1\nip route 0.0.0.0 0.0.0.0 eth1 10.1.0.1 200 name backup\n"
	       "ip route 10.8.0.0 255.255.0.0 eth0\nip route 10.9.0.0 255.255.0.0 Null0\n!\nend\n");
	expect("ip route 0.0.0.0/0 10.0.0.1\nip route 0.0.0.0/0 10.0.0.2\nip route 1.0.0.0/8 Null0\n"
	       "no ip route 0.0.0.0/0",
	       "ip route 1.0.0.0 255.0.0.0 Null0\n!\nend\n");
	expect("ip route 0.0.0.0/0 10.0.0.1\nip route 0.0.0.0/0 10.0.0.2\nno ip route 0.0.0.0/0 10.0.0.2",
	       "ip route 0.0.0.0 0.0.0.0 10.0.0.1\n!\nend\n");
	expect("ip route 0.0.0.0/0 eth0\nip route 0.0.0.0/0 eth0 10.0.0.2\nno ip route 0.0.0.0/0 eth0",
	       "ip route 0.0.0.0 0.0.0.0 eth0 10.0.0.2\n!\nend\n");
	expect("ip route 1.0.0.0/8 Null0\nip route 2.0.0.0/8 Null0\nno ip route", "!\nend\n");
}
END_TEST

START_TEST(defaults)
{
	expect("lines 24\nip routing", "!\nend\n");
	expect("lines 30\nno ip routing", "no ip routing\nlines 30\n!\nend\n");
	expect("lines 30\nno ip routing\ndefault lines\ndefault ip routing", "!\nend\n");
	expect("interface eth0\nno shutdown\nmtu 1500\nno mtu", "!\ninterface eth0\n!\nend\n");
	expect("interface eth0\nip address 10.0.0.1/24\nno ip address\nno interface eth0",
	       "!\nend\n");
}
END_TEST

static const struct {
	const char *in, *err;
} bad_lines[] = {
	{ "mtu 5", "mtu 5: status 3 col 0 " },
	{ "interface eth0\nmtu 5", "mtu 5: status 3 col 4 5 is out of range 68-65535" },
	{ "interface eth0\nmtu", "mtu: status 1 col 0 " },
	{ "interface eth0\nno", "no: status 1 col 0 " },
	{ "interface eth0\nip address 10.0.0.1 255.0.255.0",
	  "ip address 10.0.0.1 255.0.255.0: status 3 col 20 \"255.0.255.0\" is not a netmask" },
	{ "i", "i: status 2 col 0 " },
	{ "ip route 10.0.0.1/8 Null0",
	  "ip route 10.0.0.1/8 Null0: status 3 col 9 inconsistent address and mask: the network is 10.0.0.0/8" },
	{ "router bgp 1\nrouter bgp 2",
	  "router bgp 2: status 0 col 0 there can be only one, and there is: router bgp 1" },
	{ "router bgp 1\nneighbor 1.1.1.1 shutdown",
	  "neighbor 1.1.1.1 shutdown: status 0 col 0 not configured yet: neighbor" },
	{ "hostname caf\xe9", "hostname caf\xe9: status 3 col 9 \"caf\xe9\" is not a word (WORD)" },
	{ "interface eth0 x", "interface eth0 x: status 3 col 15 " },
	{ "ip access-list extended A\npermit ip 10.0.1.0 255.255.255.0 any",
	  "permit ip 10.0.1.0 255.255.255.0 any: status 3 col 19 \"255.255.255.0\" is a wildcard "
	  "of more than 256 ranges (it is a netmask)" },
	{ "ip access-list extended A\npermit ip 10.0.0.0 170.170.170.85 any",
	  "permit ip 10.0.0.0 170.170.170.85 any: status 3 col 19 \"170.170.170.85\" is a wildcard "
	  "of more than 256 ranges" },
};

START_TEST(refusals)
{
	char *err, *before, *after;
	struct rec *r = run(bad_lines[_i].in, &err);
	char *good = xstrdup(bad_lines[_i].in), *last = strrchr(good, '\n');
	struct rec *want;
	char *none;

	ck_assert_ptr_nonnull(err);
	ck_assert_str_eq(err, bad_lines[_i].err);
	free(err);
	*(last ? last : good) = '\0';
	want = run(good, &none);
	before = text_of(want);
	after = text_of(r);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	free(good);
	rec_unref(want);
	rec_unref(r);
}
END_TEST

/* ---- properties ---- */

static char *random_word(uint64_t *rng)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.#$%\\\"'";
	char buf[20];
	size_t n = 1 + test_rand(rng) % 18;

	for (size_t i = 0; i < n; i++)
		buf[i] = letters[test_rand(rng) % (sizeof(letters) - 1)];
	return xstrndup(buf, n);
}

static struct rtr_addr random_addr(uint64_t *rng, uint8_t family)
{
	struct rtr_addr a = { .family = family };

	/* Few values, so that keys meet. */
	for (unsigned i = 0; i < rtr_family_size(family); i++)
		a.b[i] = (uint8_t)(i && i + 1 < rtr_family_size(family) ? 0
									: 1 + test_rand(rng) % 9);
	return a;
}

static void random_value(uint64_t *rng, const struct sch_field *f, void *dst)
{
	const char *t = f->spec.type->name;
	uint8_t family = strchr(t, '6') ? AF_INET6 : AF_INET;

	if (f->spec.type->is_number) {
		val_set_number(f->spec.type, dst,
			       f->spec.lo + test_rand(rng) % (f->spec.hi - f->spec.lo + 1));
	} else if (!strcmp(t, "LINE")) {
		char *a = random_word(rng), *b = random_word(rng);

		*(char **)dst = xasprintf("%s  %s", a, b);
		free(a);
		free(b);
	} else if (f->spec.type->is_text) {
		*(char **)dst = random_word(rng);
	} else if (!strcmp(t, "IFNAME")) {
		snprintf(dst, IFNAMSIZ, "eth%u", (unsigned)(test_rand(rng) % 12));
	} else if (!strncmp(t, "ADDR", 4)) {
		*(struct rtr_addr *)dst = random_addr(
			rng, test_rand(rng) & 1 && !strcmp(t, "ADDR") ? AF_INET6 : family);
	} else if (!strncmp(t, "PREFIX", 6) || !strncmp(t, "IFADDR", 6)) {
		struct rtr_prefix p = { .addr = random_addr(rng, family),
					.len = (uint8_t)(test_rand(rng) % 33) };

		*(struct rtr_prefix *)dst = *t == 'P' ? rtr_prefix_network(p) : p;
	} else if (!strncmp(t, "ACL", 3)) {
		struct acl_addr a = { .addr = random_addr(rng, family), .wild.family = family };

		for (unsigned i = 0; i < 4; i++)
			a.wild.b[i] = test_rand(rng) % 3             ? 0
				      : i == 3 && test_rand(rng) % 3 ? 255
								     : 5;
		for (unsigned i = 0; i < 4; i++)
			a.addr.b[i] &= (uint8_t)~a.wild.b[i];
		*(struct acl_addr *)dst = a;
	} else {
		ck_assert_str_eq(t, "IPPROTO");
		*(uint8_t *)dst = (uint8_t)test_rand(rng);
	}
}

/* Fills a record at random: always the key and what the maker's line demands. */
static struct rec *random_rec(uint64_t *rng, const struct sch_type *t, struct rec *parent,
			      int depth)
{
	const struct sch_line *maker = t->row ? schema_maker(t) : NULL;
	struct rec *r = rec_new(t);

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct sch_field *f = &t->fields[i];

		if (f->choice)
			sch_set_uint(r, f, test_rand(rng) % f->choice->n_kids);
		else if (f->is_flag)
			sch_set_uint(r, f,
				     maker && maker->row->kind == SCH_K_LIST && !maker->row->creates
					     ? 1
					     : strcmp(f->name, "redirects") &&
						       strcmp(f->name, "ip_routing"));
		else
			random_value(rng, f, sch_at(r, f));
		rec_set_present(r, i, true);
	}
	for (unsigned i = 0; i < t->n_fields; i++) {
		struct rec *without = rec_ref(r);

		if (test_rand(rng) % 3)
			goto keep;
		rec_mut(&without);
		rec_clear_field(without, i);
		for (unsigned k = 0; k < t->n_key; k++) {
			if (t->key[k] == i)
				goto keep;
		}
		if (!maker || !text_missing(maker, without)) {
			rec_unref(r);
			r = without;
			continue;
		}
	keep:
		rec_unref(without);
	}
	/* A choice keeps only its own alternative's values: what text can say is what counts. */
	if (maker && maker->row->type == t && t->row->kind == SCH_K_LIST && t->n_key == 4) {
		struct t_route *rt = (void *)r;
		int nh = sch_field_find(t, "nexthop"), ifn = sch_field_find(t, "ifname");

		if (rt->via == 2)
			rec_clear_field(r, (unsigned)nh);
		if (rt->via != 1)
			rec_clear_field(r, (unsigned)ifn);
		else if (!(r->present >> ifn & 1)) {
			rtr_strlcpy(rt->ifname, "eth0", sizeof(rt->ifname));
			rec_set_present(r, (unsigned)ifn, true);
		}
		if (rt->via == 0 && !(r->present >> nh & 1)) {
			rt->nexthop = random_addr(rng, AF_INET);
			rec_set_present(r, (unsigned)nh, true);
		}
	}
	edit_normalise(r);
	/* Typed in any order a second primary would displace the first. */
	if (t == &t_addr4_type && rec_kids(parent, t)->len) {
		((struct t_addr4 *)(void *)r)->secondary = true;
		rec_set_present(r, 1, true);
	}
	for (unsigned k = 0; k < t->n_kids; k++) {
		size_t n = t->kids[k]->row->single ? test_rand(rng) % 2 : test_rand(rng) % 6;

		for (size_t i = 0; i < n; i++)
			random_rec(rng, t->kids[k], r, depth + 1);
	}
	return parent ? rec_put(parent, r) : r;
}

START_TEST(random_models_survive_text_and_file)
{
	uint64_t rng = test_seed + (uint64_t)_i * 7919 + 1;

	for (int i = 0; i < 100; i++) {
		struct rec *model = random_rec(&rng, &global_type, NULL, 0), *back;
		struct strbuf errs = STRBUF_INIT;
		char *text = text_of(model), *file = conffile_text(model, "test"), *err, *stop;

		stop = strstr(text, "!\nend\n");
		*stop = '\0';
		/* Global leaves are not inside a mode: the editor leaves it by itself. */
		back = run(text, &err);
		ck_assert_msg(!err, "%s\nin\n%s", err, text);
		if (!model_equal(model, back)) {
			char *again = text_of(back);

			ck_assert_str_eq(text, again);
			ck_abort_msg("same text, different model:\n%s", text);
		}
		rec_unref(back);
		ck_assert_msg(!conffile_parse("f", file, &back, &errs), "%s\nin\n%s",
			      strbuf_str(&errs), file);
		ck_assert_msg(model_equal(model, back), "file differs:\n%s", file);
		ck_assert(!conffile_hand_edited(file));
		file[strlen(file) - 1] ^= 1;
		ck_assert(conffile_hand_edited(file));
		rec_unref(back);
		rec_unref(model);
		strbuf_fini(&errs);
		free(text);
		free(file);
	}
}
END_TEST

/* Two random models that share names: the lines between them lead from one to the other. */
START_TEST(delta_leads_to_the_other)
{
	uint64_t rng = test_seed + (uint64_t)_i * 104729 + 3;

	for (int i = 0; i < 100; i++) {
		struct rec *a = random_rec(&rng, &global_type, NULL, 0);
		struct rec *b = random_rec(&rng, &global_type, NULL, 0);
		struct strbuf delta = STRBUF_INIT;
		char *copy, *save = NULL;
		struct editor e;

		text_delta(a, b, &delta);
		copy = strbuf_steal(&delta);
		editor_init(&e, a);
		for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
			struct edit_error err;
			bool changed;

			ck_assert_msg(!editor_line(&e, l, &changed, &err), "%s: %s", l,
				      strbuf_str(&err.text));
			edit_error_fini(&err);
		}
		if (!model_equal(e.root, b)) {
			char *got = text_of(e.root), *want = text_of(b);

			ck_assert_str_eq(got, want);
		}
		editor_fini(&e);
		text_delta(b, b, &delta);
		ck_assert_uint_eq(delta.len, 0);
		rec_unref(a);
		rec_unref(b);
		free(copy);
	}
}
END_TEST

static void count_change(void *arg, const struct model_change *c)
{
	(*(unsigned *)arg)++;
}

START_TEST(diff_costs_the_change)
{
	char *err, *text;
	struct strbuf b = STRBUF_INIT;
	struct rec *a = run("hostname a\ninterface eth0\nip address 10.0.0.1/24\nmtu 1400\n"
			    "ip route 1.0.0.0/8 Null0\nip route 2.0.0.0/8 Null0",
			    &err);
	struct rec *c;
	struct editor e;
	struct edit_error ee;
	bool changed;
	unsigned n = 0;

	editor_init(&e, a);
	ck_assert_int_eq(editor_line(&e, "hostname a", &changed, &ee), 0);
	ck_assert(!changed);
	ck_assert_ptr_eq(e.root, a);
	ck_assert_int_eq(editor_line(&e, "interface eth0", &changed, &ee), 0);
	ck_assert_int_eq(editor_line(&e, "mtu 1401", &changed, &ee), 0);
	ck_assert(changed);
	editor_line(&e, "ip address 10.0.0.2/24 secondary", &changed, &ee);
	editor_line(&e, "no ip route 1.0.0.0/8", &changed, &ee);
	c = rec_ref(e.root);
	model_diff(a, c, count_change, &n);
	ck_assert_uint_eq(n, 3);
	text_diff(a, c, 0, &b);
	text = strbuf_steal(&b);
	ck_assert_str_eq(text, " interface eth0\n- mtu 1400\n+ mtu 1401\n"
			       "+ ip address 10.0.0.2 255.255.255.0 secondary\n"
			       "-ip route 1.0.0.0 255.0.0.0 Null0\n");
	free(text);
	/* What did not change is shared. */
	ck_assert_ptr_eq(rec_kids(a, &t_route_type)->v[1], rec_kids(c, &t_route_type)->v[0]);
	rec_unref(c);
	editor_fini(&e);
	rec_unref(a);
}
END_TEST

static const struct {
	const char *in, *err;
} bad_files[] = {
	{ "hostname = 5;", "f:1: hostname: expected a word in quotes\n" },
	{ "\ninterface = ( { name = \"eth0\"; mtu = 5; } );",
	  "f:2: mtu: 5 is out of range 68-65535\n" },
	{ "interface = ( { mtu = 1500; } );", "f:1: interface: name is missing\n" },
	{ "interface = { };", "f:1: interface: expected ( { ... }, ... )\n" },
	{ "interface = ( { name = \"a\"; }, { name = \"a\"; } );",
	  "f:1: interface: the same key stands here twice\n" },
	{ "interfaces = ( );", "f:1: interfaces: there is no such knob in the configuration\n" },
	{ "interface = ( { name = \"eth0\"; shutdown = 1; } );",
	  "f:1: shutdown: expected true or false\n" },
	{ "ip_route = ( { dst = \"10.0.0.0/8\"; } );", "f:1: ip_route: via is missing\n" },
	{ "ip_route = ( { dst = \"10.0.0.0/8\"; via = \"x\"; } );",
	  "f:1: via: expected one of \"nexthop\", \"ifname\", \"Null0\"\n" },
	{ "hostname = \"a\"\nhostname = \"b\"", "f:2: duplicate setting name\n" },
	{ "hostname = \"a", "f:1: syntax error\n" },
};

START_TEST(wrong_files)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *r;

	ck_assert_int_ne(conffile_parse("f", bad_files[_i].in, &r, &errs), 0);
	ck_assert_str_eq(strbuf_str(&errs), bad_files[_i].err);
	strbuf_fini(&errs);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("schema");
	TCase *tc = tcase_create("schema");

	tcase_add_checked_fixture(tc, setup, schema_fini);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lines);
	tcase_add_test(tc, a_new_primary_takes_the_old_ones_place);
	tcase_add_test(tc, acl_order_and_auto_key);
	tcase_add_test(tc, acl_line_again);
	tcase_add_test(tc, options_in_any_order);
	tcase_add_test(tc, words_in_any_case);
	tcase_add_test(tc, bgp_neighbours);
	tcase_add_test(tc, routes);
	tcase_add_test(tc, defaults);
	tcase_add_loop_test(tc, refusals, 0, (int)ARRAY_LEN(bad_lines));
	tcase_add_loop_test(tc, random_models_survive_text_and_file, 0, 10);
	tcase_add_loop_test(tc, delta_leads_to_the_other, 0, 5);
	tcase_add_test(tc, diff_costs_the_change);
	tcase_add_loop_test(tc, wrong_files, 0, (int)ARRAY_LEN(bad_files));
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
