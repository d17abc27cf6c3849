/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diagnose neighbor: address, link, who answers where. */
#include "diag/diagnose.h"

#include "iface/iface.h"
#include "kernel/shadow.h"
#include "tracer/tracer.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

#define ECHO_TRIES 2
#define ECHO_MS    500

static const char *mac_text(const uint8_t m[6], char buf[20])
{
	snprintf(buf, 20, "%02x%02x.%02x%02x.%02x%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	return buf;
}

/* ---- who answered ---- */

static void pin_fix(struct diagnose *d, const uint8_t mac[6])
{
	char hop[RTR_ADDR_STRLEN], m[20];

	rtr_addr_str(&d->hop, hop);
	if (d->hop.family == AF_INET6)
		diag_fix(d, "ipv6 neighbor %s %s %s", hop, diag_link_name(d->hop_if),
			 mac_text(mac, m));
	else
		diag_fix(d, "arp %s %s arpa", hop, mac_text(mac, m));
}

static void nobody(struct diagnose *d, const char *hop, const struct whohas_answer *other)
{
	const char *here = diag_link_name(d->hop_if);
	char m[20];

	if (other) {
		diag_step(d, LAYER_LINK, DIAG_BAD, "%s answers as %s on %s, not on %s", hop,
			  mac_text(other->mac, m), diag_link_name(other->ifindex), here);
		diag_verdict(d, LAYER_LINK,
			     "%s is on the wrong link: another port or VLAN than %s's", hop, here);
		return;
	}
	diag_step(d, LAYER_NEIGHBOUR, DIAG_BAD, "nobody on any link says that he is %s", hop);
	diag_verdict(d, LAYER_NEIGHBOUR,
		     "no host on %s has the address %s: it is off, on another VLAN, or has another "
		     "address or mask",
		     here, hop);
}

static void two_hosts(struct diagnose *d, const char *hop, const struct whohas_answer *a,
		      const struct whohas_answer *b)
{
	char x[20], y[20];

	diag_step(d, LAYER_NEIGHBOUR, DIAG_BAD, "%s answers as %s and as %s", hop,
		  mac_text(a->mac, x), mac_text(b->mac, y));
	pin_fix(d, a->mac);
	diag_verdict(d, LAYER_NEIGHBOUR,
		     "two hosts on %s have the address %s; one needs another, or the right one has "
		     "to be named",
		     diag_link_name(d->hop_if), hop);
}

/* True when a static entry says something else than the host does. */
static bool wrong_entry(struct diagnose *d, const char *hop, const struct whohas_answer *a)
{
	const struct shadow_link *l = shadow_link_by_index(d->hop_if);
	const struct tracer_kernel *k = tracer_kernel();
	struct tracer_neigh n = { 0 };
	char x[20], y[20];

	if (l)
		k->neigh(k->arg, l->name, &d->hop, &n);
	if (!n.found || !n.has_mac || !memcmp(n.mac, a->mac, 6) || !(n.state & NUD_PERMANENT))
		return false;
	diag_step(d, LAYER_NEIGHBOUR, DIAG_BAD, "the static entry says %s, the host %s",
		  mac_text(n.mac, x), mac_text(a->mac, y));
	if (d->hop.family == AF_INET6)
		diag_fix(d, "no ipv6 neighbor %s %s", hop, diag_link_name(d->hop_if));
	else
		diag_fix(d, "no arp %s", hop);
	diag_verdict(d, LAYER_NEIGHBOUR, "the static entry of %s names another host", hop);
	return true;
}

static void on_answers(void *arg, const struct whohas_answer *v, size_t n)
{
	struct diagnose *d = arg;
	const struct whohas_answer *here[2] = { NULL, NULL }, *other = NULL;
	char hop[RTR_ADDR_STRLEN], m[20];

	rtr_addr_str(&d->hop, hop);
	for (size_t i = 0; i < n; i++) {
		if (v[i].ifindex != d->hop_if)
			other = &v[i];
		else if (!here[0])
			here[0] = &v[i];
		else
			here[1] = &v[i];
	}
	if (!here[0]) {
		nobody(d, hop, other);
		return;
	}
	if (here[1]) {
		two_hosts(d, hop, here[0], here[1]);
		return;
	}
	if (wrong_entry(d, hop, here[0]))
		return;
	diag_step(d, LAYER_NEIGHBOUR, DIAG_OK, "%s is %s on %s", hop, mac_text(here[0]->mac, m),
		  diag_link_name(d->hop_if));
	if (other)
		diag_step(d, LAYER_LINK, DIAG_NOTE, "%s answers on %s, too", hop,
			  diag_link_name(other->ifindex));
	d->then(d);
}

static void ask(struct diagnose *d, const struct rtr_addr *who, whohas_fn done)
{
	int e;

	d->who = whohas_free(d->who);
	d->who = whohas_new(cmd_base(), who, done, d, &e);
	if (!d->who)
		diag_verdict(d, LAYER_NONE, "neighbours cannot be asked: %s", strerror(-e));
}

void diag_neighbour_of_hop(struct diagnose *d, diag_step_fn then)
{
	const struct shadow_link *l = shadow_link_by_index(d->hop_if);

	d->then = then;
	if (l && l->flags & (IFF_NOARP | IFF_POINTOPOINT | IFF_LOOPBACK))
		then(d);
	else
		ask(d, &d->hop, on_answers);
}

/* ---- the command ---- */

static void on_echo(struct diagnose *d, enum probe_answer a, const struct rtr_addr *from,
		    unsigned mtu)
{
	if (a == PROBE_REPLY) {
		diag_step(d, LAYER_SERVICE, DIAG_OK, "%s answers echo requests", d->dst_text);
		diag_verdict(d, LAYER_NONE, "%s is there and answers", d->dst_text);
		return;
	}
	diag_step(d, LAYER_SERVICE, DIAG_BAD, "%s answers no echo request", d->dst_text);
	diag_verdict(d, LAYER_SERVICE,
		     "%s is there, and answers nothing but who it is: its own filter, or its mask "
		     "and gateway, send the answers elsewhere",
		     d->dst_text);
}

static void is_there(struct diagnose *d)
{
	diag_ping(d, ECHO_TRIES, ECHO_MS, 0, on_echo);
}

/* It is in no network of ours; does anybody have the address? */
static void on_strangers(void *arg, const struct whohas_answer *v, size_t n)
{
	struct diagnose *d = arg;
	char m[20], a[RTR_ADDR_STRLEN];
	const char *link;

	if (!n) {
		diag_verdict(d, LAYER_ADDRESS,
			     "%s is in none of the connected networks, and nobody has it: it is no "
			     "neighbour (diagnose path follows the route to it)",
			     d->dst_text);
		return;
	}
	link = diag_link_name(v[0].ifindex);
	diag_step(d, LAYER_ADDRESS, DIAG_BAD, "it answers as %s on %s", mac_text(v[0].mac, m),
		  link);
	rtr_addr_str(&d->dst, a);
	diag_fix(d, "%s %s/%u %s", diag_route_words(d), a, rtr_family_bits(d->dst.family), link);
	diag_verdict(
		d, LAYER_ADDRESS,
		"%s is on %s with an address of another network: its address or mask is wrong, "
		"or %s's; a route to it alone helps meanwhile",
		d->dst_text, link, link);
}

void diag_neighbour(struct diagnose *d)
{
	struct rtr_prefix net = { 0 };
	const struct shadow_link *l;

	if (diag_look_own(d, &d->dst))
		return;
	l = d->hop_if ? shadow_link_by_index(d->hop_if) : diag_connected(d, &d->dst, &net);
	if (!l && diag_look_configured(d, &d->dst))
		return;
	if (!l) {
		diag_step(d, LAYER_ADDRESS, DIAG_BAD, "no interface has a network with %s",
			  d->dst_text);
		ask(d, &d->dst, on_strangers);
		return;
	}
	net.addr = d->dst;
	if (net.len && rtr_prefix_host_is_special(&net)) {
		diag_verdict(d, LAYER_ADDRESS,
			     "%s is the network's own or its broadcast address, no host's",
			     d->dst_text);
		return;
	}
	d->hop = d->dst;
	d->hop_if = l->ifindex;
	if (!diag_look_link(d, l->ifindex))
		diag_neighbour_of_hop(d, is_there);
}
