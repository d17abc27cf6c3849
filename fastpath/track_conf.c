/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's settings of connection tracking, which are those of the fast plane, too. */
#include "track_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DIR "/proc/sys/net/netfilter/nf_conntrack_"

/* -ENOENT: this kernel has none, or does not track here. */
static int number(const char *name, uint32_t *ret)
{
	char path[128], text[16];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), DIR "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	*ret = (uint32_t)strtoul(text, NULL, 10);
	return 0;
}

static bool flag(const char *name, bool otherwise)
{
	uint32_t v = otherwise;

	number(name, &v);
	return v;
}

void fp_track_conf_read(struct fp_track_conf *ret)
{
	static const char *const tcp[TCPT_T__MAX] = {
		[TCPT_S_SYN_SENT] = "tcp_timeout_syn_sent",
		[TCPT_S_SYN_RECV] = "tcp_timeout_syn_recv",
		[TCPT_S_ESTABLISHED] = "tcp_timeout_established",
		[TCPT_S_FIN_WAIT] = "tcp_timeout_fin_wait",
		[TCPT_S_CLOSE_WAIT] = "tcp_timeout_close_wait",
		[TCPT_S_LAST_ACK] = "tcp_timeout_last_ack",
		[TCPT_S_TIME_WAIT] = "tcp_timeout_time_wait",
		[TCPT_S_CLOSE] = "tcp_timeout_close",
		/* The kernel has one for both. */
		[TCPT_S_SYN_SENT2] = "tcp_timeout_syn_sent",
		[TCPT_T_RETRANS] = "tcp_timeout_max_retrans",
		[TCPT_T_UNACK] = "tcp_timeout_unacknowledged",
	};
	uint32_t retrans = fp_track_defaults.tcp.max_retrans;

	*ret = fp_track_defaults;
	for (unsigned i = 0; i < TCPT_T__MAX; i++)
		if (tcp[i])
			number(tcp[i], &ret->tcp.timeout_sec[i]);
	number("tcp_max_retrans", &retrans);
	ret->tcp.max_retrans = (uint8_t)MIN(retrans, UINT8_MAX);
	ret->tcp.liberal = flag("tcp_be_liberal", false);
	ret->tcp.ignore_invalid_rst = flag("tcp_ignore_invalid_rst", false);
	number("udp_timeout", &ret->udp_sec);
	number("udp_timeout_stream", &ret->udp_stream_sec);
}
