/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/policy_impl.h"

#include "domain.h"
#include "nat/nat_policy.h"
#include "system/global.h"
#include "txn/txn.h"

#include <stdlib.h>
#include <string.h>

/* The policy of the running model; rebuilt when that, or the hour, has changed. */
static const struct policy *running;

void build_error(struct build *b, const struct rec *rec, const char *fmt, ...)
{
	struct strbuf text = STRBUF_INIT;
	va_list ap;

	b->failed = true;
	if (!b->c)
		return;
	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	check_error(b->c, rec, "%s", strbuf_str(&text));
	strbuf_fini(&text);
}

/* ---- time ranges ---- */

bool trange_active(const struct trange *t, time_t now)
{
	const struct recvec *v = rec_kids(&t->rec, &trange_period_type);
	const struct trange_period *p;

	if ((SCH_HAS(t, start) && now < t->start.at) || (SCH_HAS(t, end) && now >= t->end.at))
		return false;
	recvec_foreach(v, p) {
		if (trange_periodic_in(&p->when, now))
			return true;
	}
	return !v->len;
}

static void sooner(time_t at, time_t now, time_t *next)
{
	if (at > now && (!*next || at < *next))
		*next = at;
}

time_t trange_next(const struct trange *t, time_t now)
{
	const struct recvec *v = rec_kids(&t->rec, &trange_period_type);
	const struct trange_period *p;
	time_t next = 0;

	if (SCH_HAS(t, start))
		sooner(t->start.at, now, &next);
	if (SCH_HAS(t, end))
		sooner(t->end.at, now, &next);
	recvec_foreach(v, p) {
		sooner(trange_periodic_next(&p->when, now), now, &next);
	}
	return next;
}

time_t policy_next_change(const struct policy *p, time_t now)
{
	const struct recvec *v = rec_kids(p->model, &trange_type);
	const struct trange *t;
	time_t next = 0;

	recvec_foreach(v, t) {
		sooner(trange_next(t, now), now, &next);
	}
	return next;
}

/* True when each time range is in force now as it was when the policy was built. */
static bool same_hour(const struct policy_impl *p, time_t now)
{
	const struct recvec *v = rec_kids(p->pub.model, &trange_type);
	const struct trange *t;

	recvec_foreach(v, t) {
		if (trange_active(t, now) != trange_active(t, p->built))
			return false;
	}
	return true;
}

/* ---- building ---- */

/* The last one built: check, the plans of those who write rules and who asks for what runs want
 * that of the same model one after the other. */
static const struct policy *latest;

const struct policy *policy_ref(const struct policy *p)
{
	if (p)
		((struct policy *)(uintptr_t)p)->refs++;
	return p;
}

const struct policy *policy_unref(const struct policy *p)
{
	struct policy_impl *i = (struct policy_impl *)(uintptr_t)p;

	if (!i || --i->pub.refs)
		return NULL;
	zones_free(&i->pub);
	free((void *)(uintptr_t)i->pub.syn);
	nat_policy_unref(i->pub.nat);
	pol_aliases_unref(i->pub.aliases);
	for (size_t k = 0; k < i->pub.n_lists; k++)
		pol_list_unref(i->pub.lists[k]);
	free((void *)(uintptr_t)i->pub.lists);
	groups_free(i->nets, i->n_nets);
	groups_free(i->svcs, i->n_svcs);
	free(i->slot);
	rec_unref((struct rec *)(uintptr_t)i->pub.model);
	free(i);
	return NULL;
}

static const struct pol_list *list_of(void *arg, uint8_t family, const char *name)
{
	return policy_list(arg, family, name);
}

static void build_nat(struct build *b)
{
	unsigned errors = b->c ? b->c->n_errors : 0;
	struct nat_lookup look = { .list = list_of,
				   .arg = &b->p->pub,
				   .aliases = b->p->pub.aliases };

	b->p->pub.nat = nat_policy_build(b->model, b->old ? b->old->pub.nat : NULL, &look, b->c);
	b->failed |= b->c && b->c->n_errors != errors;
}

static void build_syn(struct build *b)
{
	const struct recvec *v = rec_kids(b->model, &syn_conf_type);
	struct pol_syn *out = xcalloc(v->len, sizeof(*out));

	for (size_t i = 0; i < v->len; i++) {
		const struct syn_conf *s = (const void *)v->v[i];

		out[i] = (struct pol_syn){
			.addr = s->addr, .port = s->port, .mss = s->mss, .rec = &s->rec
		};
	}
	b->p->pub.syn = out;
	b->p->pub.n_syn = v->len;
}

static bool is_stateful(const struct policy *p)
{
	for (size_t i = 0; i < p->n_ifaces; i++) {
		const struct pol_iface *f = &p->ifaces[i];

		if (f->in4 || f->in6 || f->out4 || f->out6)
			return true;
	}
	return p->n_zones || p->nat || p->host_sessions || p->n_syn;
}

static bool is_of(const struct policy *p, const struct rec *model, time_t now,
		  const struct pol_aliases *aliases)
{
	return p && p->model == model && same_hour((const void *)p, now) &&
	       nat_policy_fresh(p->nat) && pol_aliases_same(p->aliases, aliases);
}

const struct policy *policy_build(const struct rec *model, const struct policy *old, time_t now,
				  struct check *c)
{
	const struct policy_impl *before = (const void *)old;
	const struct global *g = (const void *)model;
	struct build b = { .model = model, .old = before, .c = c, .now = now };
	const struct pol_aliases *aliases = pol_aliases_of(model);

	if (is_of(old, model, now, aliases))
		return policy_ref(old);
	if (!c && is_of(latest, model, now, aliases))
		return policy_ref(latest);
	b.p = xcalloc(1, sizeof(*b.p));
	b.p->built = now;
	b.p->pub.refs = 1;
	b.p->pub.revision = old ? old->revision + 1 : 1;
	b.p->pub.model = rec_ref(model);
	b.p->pub.aliases = pol_aliases_ref(aliases);
	b.p->pub.martians = !SCH_HAS(g, martian_filter) || g->martian_filter;
	b.p->pub.host_sessions = g->host_sessions;
	build_syn(&b);
	build_groups(&b);
	build_lists(&b);
	build_nat(&b);
	build_zones(&b);
	build_pairs(&b);
	build_locals(&b);
	b.p->pub.stateful = is_stateful(&b.p->pub);
	if (b.failed)
		return policy_unref(&b.p->pub);
	policy_unref(latest);
	return latest = policy_ref(&b.p->pub);
}

/* Asked for each connection of a table that is shown: looked at anew when something it is made of
 * may have changed, the model, links and addresses, or the second. */
const struct policy *policy_running(void)
{
	static uint64_t generation;
	static time_t second;
	time_t now = time(NULL);
	const struct policy *p;

	if (!txn_running())
		return NULL;
	if (running && running->model == txn_running() && generation == pol_links_generation() &&
	    second == now)
		return running;
	p = policy_build(txn_running(), running, now, NULL);
	policy_unref(running);
	running = p;
	generation = pol_links_generation();
	second = now;
	return p;
}

void policy_forget(void)
{
	running = policy_unref(running);
	latest = policy_unref(latest);
	pol_aliases_forget();
}
