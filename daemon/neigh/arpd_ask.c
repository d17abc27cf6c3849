/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "neigh/arpd_ask.h"

#include "neigh/arpd_frame.h"
#include "system/helper.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct ask {
	bool used;
	uint32_t serial;
	int fd;
	uint8_t family, target[16];
} asks[ASK_MAX];
static unsigned next;

static struct ask *find(uint32_t serial)
{
	for (unsigned i = 0; i < ASK_MAX; i++) {
		if (asks[i].used && asks[i].serial == serial)
			return &asks[i];
	}
	return NULL;
}

static void forget(struct ask *a)
{
	if (a->used)
		close(a->fd);
	a->used = false;
}

static uint16_t protocol(uint8_t family)
{
	return family == AF_INET ? ETH_P_ARP : ETH_P_IPV6;
}

static struct ask *begin(const struct arpd_req *q)
{
	struct sock_filter code[ARPD_ANSWER_FILTER];
	struct sock_fprog prog = { .filter = code };
	struct ask *a = &asks[next++ % ASK_MAX];
	int fd;

	prog.len = (unsigned short)arpd_answer_filter(code, q->family, q->addr);
	forget(a);
	/* On all links: he may be on another one than he should. */
	fd = helper_open(0, protocol(q->family), &prog);
	if (fd < 0)
		return NULL;
	*a = (struct ask){ .used = true, .serial = q->serial, .fd = fd, .family = q->family };
	memcpy(a->target, q->addr, sizeof(a->target));
	return a;
}

void ask_question(const struct arpd_req *q)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = q->ifindex,
				  .sll_protocol = htons(protocol(q->family)),
				  .sll_halen = 6 };
	struct ask *a = find(q->serial);
	uint8_t frame[ARPD_NA_SIZE];
	size_t size;

	a = a ? a : begin(q);
	if (!a)
		return;
	size = arpd_question_write(frame, q->mac, a->family, q->sender, a->target);
	memcpy(to.sll_addr, frame, 6);
	(void)!sendto(a->fd, frame, size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

void ask_end(uint32_t serial)
{
	struct ask *a = find(serial);

	if (a)
		forget(a);
}

static void answered(const struct ask *a, int ifindex, const uint8_t mac[6])
{
	struct arpd_event e = { .kind = ARPD_ANSWER, .ifindex = ifindex, .serial = a->serial };

	memcpy(e.mac, mac, sizeof(e.mac));
	(void)!send(HELPER_RTRD_FD, &e, sizeof(e), MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool ask_frames(int fd)
{
	const struct ask *a = NULL;

	for (unsigned i = 0; i < ASK_MAX; i++) {
		if (asks[i].used && asks[i].fd == fd)
			a = &asks[i];
	}
	for (unsigned i = 0; a && i < HELPER_TURN; i++) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		uint8_t frame[512], mac[6];
		ssize_t n = recvfrom(fd, frame, sizeof(frame), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &len);

		if (n < 0)
			break;
		if (arpd_answer_read(frame, (size_t)n, a->family, a->target, mac))
			answered(a, from.sll_ifindex, mac);
	}
	return a;
}
