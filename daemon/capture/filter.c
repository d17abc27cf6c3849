/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/filter.h"

#include <ctype.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Words of an expression; the most that its length allows would be 256. */
#define MAX_WORDS 256

_Static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "one layout");

struct words {
	uint16_t at[MAX_WORDS], end[MAX_WORDS];
	size_t n;
};

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || strchr("_.:-/\\", c);
}

static void split(const char *s, struct words *w)
{
	size_t i = 0;

	w->n = 0;
	while (s[i] && w->n < MAX_WORDS) {
		if (isspace((unsigned char)s[i])) {
			i++;
			continue;
		}
		w->at[w->n] = (uint16_t)i;
		if (is_word_char(s[i])) {
			while (s[i] && is_word_char(s[i]))
				i++;
		} else {
			/* && || == != <= >= << >> stay together. */
			i++;
			if (s[i] && strchr("&|=<>", s[i]) && strchr("&|=!<>", s[i - 1]))
				i++;
		}
		w->end[w->n++] = (uint16_t)i;
	}
}

static bool has_vlan(const char *s, const struct words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->end[i] - w->at[i] == 4 && !memcmp(s + w->at[i], "vlan", 4))
			return true;
	}
	return false;
}

static int compile(pcap_t *p, const char *text, struct bpf_program *ret)
{
	return pcap_compile(p, ret, text, 1, PCAP_NETMASK_UNKNOWN);
}

/* Can the first n words be the beginning of an expression? Tried with what may come next. */
static bool viable(pcap_t *p, const char *text, const struct words *w, size_t n)
{
	static const char *const next[] = {
		"",
		" ip",
		" 1",
		" 10.0.0.1",
		" 10.0.0.0/8",
		" ::1",
		" ::/0",
		" port 1",
		" tcp",
		" host 10.0.0.1",
		" 1-2",
		" host ::1",
		" 0]=0",
		"]=0",
		"=0",
		" 0:1]=0",
		" 1]=0",
		" 0:0:0:0:0:1",
		" arp",
		" chain 6",
		" proto 6",
		" multicast",
		" host 0:0:0:0:0:1",
	};
	static const char closing[] = "))))))))))))))))))))))))))))))))";
	size_t open = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[w->at[i]] == '(')
			open++;
		else if (text[w->at[i]] == ')' && open)
			open--;
	}
	/* With a comparison behind the parentheses, too: they may be of arithmetic. */
	for (size_t k = 0; k < 2 * ARRAY_LEN(next); k++) {
		struct bpf_program prog;
		char *t = xasprintf("%.*s%s%.*s%s", (int)w->end[n - 1], text, next[k / 2],
				    (int)MIN(open, sizeof(closing) - 1), closing,
				    k % 2 ? "=0" : "");
		bool ok = !compile(p, t, &prog);

		free(t);
		if (ok) {
			pcap_freecode(&prog);
			return true;
		}
	}
	return false;
}

/* libpcap says what is wrong, not where: the first word that nothing can follow. */
static void explain(pcap_t *p, const char *text, const struct words *w, char err[FILTER_ERROR])
{
	char why[160];
	const char *short_why = why;
	size_t bad = 0;

	rtr_strlcpy(why, pcap_geterr(p), sizeof(why));
	if (!strncmp(why, "can't parse filter expression: ", 31))
		short_why = why + 31;
	while (bad < w->n && viable(p, text, w, bad + 1))
		bad++;
	if (bad == w->n)
		snprintf(err, FILTER_ERROR, "the filter ends too early: %s", short_why);
	else
		snprintf(err, FILTER_ERROR, "the filter is wrong at character %u, \"%.*s\": %s",
			 w->at[bad] + 1u, (int)MIN(w->end[bad] - w->at[bad], 40), text + w->at[bad],
			 short_why);
}

/* Before the expression: packets of the other direction end here. */
static size_t put_direction(struct sock_filter *b, enum filter_dir dir)
{
	bool out = dir == FILTER_OUT;
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, out, !out),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	if (dir == FILTER_BOTH)
		return 0;
	memcpy(b, code, sizeof(code));
	return ARRAY_LEN(code);
}

int filter_compile(struct filter *f, const char *text, int dlt, uint32_t snap, enum filter_dir dir,
		   char err[FILTER_ERROR])
{
	const struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, snap);
	struct bpf_program prog = { 0 };
	struct words w;
	pcap_t *p;
	bool user;
	size_t n;

	*f = (struct filter){ 0 };
	if (!strcmp(text, "any"))
		text = "";
	split(text, &w);
	p = pcap_open_dead(dlt, (int)snap);
	if (!p) {
		rtr_strlcpy(err, "no memory for the filter", FILTER_ERROR);
		return -EINVAL;
	}
	if (compile(p, text, &prog)) {
		explain(p, text, &w, err);
		pcap_close(p);
		return -EINVAL;
	}
	pcap_close(p);
	user = has_vlan(text, &w);
	f->kernel = xcalloc(3 + MAX(prog.bf_len, 1u), sizeof(*f->kernel));
	n = put_direction(f->kernel, dir);
	if (user) {
		f->kernel[n++] = all;
		f->user = prog;
	} else {
		memcpy(f->kernel + n, prog.bf_insns, prog.bf_len * sizeof(*f->kernel));
		n += prog.bf_len;
		pcap_freecode(&prog);
	}
	f->n_kernel = n;
	if (n > BPF_MAXINSNS) {
		snprintf(err, FILTER_ERROR, "the filter has %zu instructions, at most %u are taken",
			 n, BPF_MAXINSNS);
		filter_free(f);
		return -EINVAL;
	}
	return 0;
}

void filter_free(struct filter *f)
{
	free(f->kernel);
	if (f->user.bf_insns)
		pcap_freecode(&f->user);
	*f = (struct filter){ 0 };
}

bool filter_matches(const struct filter *f, const uint8_t *data, uint32_t have, uint32_t size)
{
	return !f->user.bf_insns || bpf_filter(f->user.bf_insns, data, size, have);
}
