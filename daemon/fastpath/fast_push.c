/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy on its way to rtr-fastpath. A commit is in the kernel first; then the blob goes out,
 * first packets are judged by it (taken), all flows are judged again (swept), and the commit ends.
 * Whatever the running policy becomes by itself - hours, links, addresses - goes the same way.
 *
 * XDP forwards known flows whatever rtr-fastpath does. So as soon as a policy changes and nobody is
 * there to judge these again, or does not answer in time, rtrd's word in the control map
 * (fast_gate.c) gives everything to the kernel, until they have been.
 */
#include "cli/command.h"
#include "fastpath/fast_policy.h"
#include "fastpath/fastpath.h"
#include "kernel/shadow.h"
#include "system/fdpass.h"
#include "txn/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* 10,000 lines are built in 0.1 s. */
#define TAKE_MS 1000
/* A million flows are judged again in about a second; a commit waits no longer than this. */
#define SWEEP_MS 3000
/* A start takes half a second, most of it the kernel's verifier. */
#define START_MS 5000

#define ON_ITS_WAY "policy: on its way to the fast plane"

static struct {
	const struct policy *made_of; /* reference: what the blob was made of ... */
	uint64_t links;               /* ... and of which links; none when nobody ... */
	bool wanted;                  /* ... wants the fast plane */
	struct fast_blob blob;
	uint32_t tag, before;        /* the number of the blob; below ours */
	char refused[FASTPATH_TEXT]; /* "": not */
	/* Of this tag, by the process that runs. */
	bool sent, taken, swept;
	bool serving;  /* that has taken some policy */
	bool sweeping; /* ... and judges flows by it now: the next one has to wait */
	struct event *ev_late;
	void (*done)(const char *text); /* of a commit that waits */
} k;

static int ifindex_of(void *arg, const char *name)
{
	const struct shadow_link *l = shadow_link_by_name(name);

	return l ? l->ifindex : 0;
}

/* ---- what is wanted ---- */

static void done(const char *text)
{
	void (*fn)(const char *text) = k.done;

	k.done = NULL;
	if (k.ev_late)
		event_del(k.ev_late);
	if (fn)
		fn(text);
}

static void refuse(const char *why)
{
	rtr_strlcpy(k.refused, why, sizeof(k.refused));
	fast_word(true);
	fast_gate_closed();
}

static void replace(const struct fast_blob *b)
{
	free(k.blob.v);
	k.blob = *b;
	k.tag++;
	k.sent = k.taken = k.swept = false;
	/* No interface comes back before this one is taken. */
	if (*k.refused)
		rtr_strlcpy(k.refused, ON_ITS_WAY, sizeof(k.refused));
}

static bool same_blob(const struct fast_blob *b)
{
	return k.blob.v && k.blob.len == b->len && !memcmp(k.blob.v, b->v, b->len);
}

void fast_push_look(void)
{
	struct fast_policy_conf conf = { .ifindex = ifindex_of };
	const struct policy *p = policy_running();
	bool wanted = fast_wanted(txn_running());
	struct fast_blob b = { 0 };
	const char *why;

	if (!p || (p == k.made_of && k.links == pol_links_generation() && k.wanted == wanted))
		return;
	policy_unref(k.made_of);
	k.made_of = policy_ref(p);
	k.links = pol_links_generation();
	k.wanted = wanted;
	if (!wanted) {
		/* Nobody needs it. What XDP may still be at is judged by nothing that is in force.
		 */
		replace(&b);
		*k.refused = '\0';
		fast_word(true);
		return;
	}
	why = fast_policy_refuses(p);
	if (!why && !fast_policy_compile(p, &conf, &b))
		why = "policy: too large for the fast plane";
	if (why) {
		replace(&b);
		refuse(why);
		done("");
		return;
	}
	if (same_blob(&b)) {
		free(b.v);
		return;
	}
	replace(&b);
	/* The first one is that of the journal, which flows were judged by before rtrd began. */
	if (!fast_seen()->ready && k.tag - k.before > 1)
		fast_word(true);
}

const char *fast_push_against(void)
{
	if (*k.refused)
		return k.refused;
	return k.serving ? "" : ON_ITS_WAY;
}

bool fast_push_awaited(void)
{
	return !*k.refused && !k.serving;
}

bool fast_push_serving(void)
{
	return k.serving;
}

/* ---- sending ---- */

static int memfd_of(const struct fast_blob *b)
{
	int fd = memfd_create("rtr-policy", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < b->len;) {
		ssize_t n = write(fd, b->v + at, b->len - at);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)n;
	}
	return fd;
}

static void late_in(unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (int)(ms % 1000) * 1000 };

	event_add(k.ev_late, &tv);
}

bool fast_push_send(int sock)
{
	struct fastpath_req q = { .op = FASTPATH_POLICY,
				  .u.policy = { .size = k.blob.len, .tag = k.tag } };
	int fd;

	if (k.sent || !k.blob.v || !fast_seen()->ready)
		return true;
	fd = memfd_of(&k.blob);
	if (fd < 0)
		return true; /* no memory: looked at again with the next change, the word is set */
	k.sent = fd_send(sock, &q, sizeof(q), fd) == sizeof(q);
	close(fd);
	if (k.sent)
		late_in(TAKE_MS);
	return k.sent;
}

/* ---- answers ---- */

/* The kernel has the policy in any case; what is late is XDP's obedience. */
static void on_late(evutil_socket_t fd, short what, void *arg)
{
	if (k.taken || k.sweeping) {
		done("note: the fast plane still re-checks its flows\n");
		if (!k.taken)
			late_in(SWEEP_MS);
		return;
	}
	if (!k.sent) {
		done("note: the fast plane still starts\n");
		return;
	}
	/* A new process finds flows that were judged by what it shall take. */
	if (k.serving)
		fast_word(true);
	done("warning: the fast plane does not answer: packets take the kernel plane\n");
}

static void swept(const struct fastpath_event *e)
{
	char text[100] = "";

	k.swept = true;
	fast_gate_open();
	if (e->u.policy.judged)
		snprintf(text, sizeof(text),
			 "note: fast plane: %llu flows re-checked, %llu ended\n",
			 (unsigned long long)e->u.policy.judged,
			 (unsigned long long)e->u.policy.ended);
	done(text);
}

bool fast_push_answer(const struct fastpath_event *e)
{
	bool open = !*fast_push_against();

	/* A policy of the rtrd before us. */
	if (e->u.policy.tag - k.before - 1 >= k.tag - k.before)
		return false;
	if (e->u.policy.what == FASTPATH_J_TAKEN)
		k.serving = k.sweeping = true;
	else if (e->u.policy.what == FASTPATH_J_SWEPT)
		k.sweeping = false;
	if (e->u.policy.tag != k.tag)
		return open == !!*fast_push_against();
	switch (e->u.policy.what) {
	case FASTPATH_J_TAKEN:
		k.taken = true;
		*k.refused = '\0';
		if (k.done)
			late_in(SWEEP_MS);
		else
			event_del(k.ev_late);
		break;
	case FASTPATH_J_SWEPT:
		swept(e);
		break;
	case FASTPATH_J_REFUSED:
		refuse(e->u.policy.text);
		done("");
		return true;
	}
	return open == !!*fast_push_against();
}

bool fast_push_swept(void)
{
	return k.swept;
}

void fast_push_gone(void)
{
	k.sent = k.taken = k.swept = k.serving = k.sweeping = false;
	done("");
}

/* ---- a commit ---- */

bool fast_push_after(void (*fn)(const char *text))
{
	fast_push_look();
	fast_talk();
	if (!k.sent || k.swept || !k.serving)
		return false;
	k.done = fn;
	return true;
}

bool fast_push_started(void (*fn)(const char *text))
{
	if (*k.refused || !k.blob.v)
		return false;
	k.done = fn;
	if (!k.sent)
		late_in(START_MS);
	return true;
}

bool fast_push_waits(void)
{
	return k.done;
}

int fast_push_init(void)
{
	/* rtr-fastpath may have been told of others by a process before. */
	k.tag = k.before = (uint32_t)(rtr_now_ns() / NSEC_PER_MSEC);
	k.ev_late = evtimer_new(cmd_base(), on_late, NULL);
	return k.ev_late ? 0 : -ENOMEM;
}

void fast_push_fini(void)
{
	if (k.ev_late)
		event_free(k.ev_late);
	k.ev_late = NULL;
	free(k.blob.v);
	k.blob = (struct fast_blob){ 0 };
	k.made_of = policy_unref(k.made_of);
}
