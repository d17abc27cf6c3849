/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what libpcap asks libc for names, in libc's place: a capture filter never waits for a name
 * server and opens no file. Hosts have no names; services have those of this table.
 * The program's own getaddrinfo is found before libc's by every library that it uses.
 * Owns: nothing. Threads: any. Failure: EAI_NONAME, which libpcap turns into "unknown host".
 */
#include "util.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint16_t port;
	bool tcp, udp;
} services[] = {
	{ "ftp", 21, true, false },           { "ssh", 22, true, false },
	{ "telnet", 23, true, false },        { "smtp", 25, true, false },
	{ "domain", 53, true, true },         { "bootps", 67, false, true },
	{ "bootpc", 68, false, true },        { "tftp", 69, false, true },
	{ "http", 80, true, false },          { "pop3", 110, true, false },
	{ "ntp", 123, false, true },          { "imap", 143, true, false },
	{ "snmp", 161, false, true },         { "bgp", 179, true, false },
	{ "ldap", 389, true, false },         { "https", 443, true, true },
	{ "isakmp", 500, false, true },       { "syslog", 514, false, true },
	{ "imaps", 993, true, false },        { "radius", 1812, false, true },
	{ "sip", 5060, true, true },          { "ipsec-nat-t", 4500, false, true },
	{ "bfd-control", 3784, false, true },
};

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **res)
{
	struct made {
		struct addrinfo ai;
		struct sockaddr_in sin;
	} * m;
	bool udp = hints && hints->ai_protocol == IPPROTO_UDP;
	size_t i = 0;

	while (i < ARRAY_LEN(services) &&
	       (node || !service || strcmp(services[i].name, service) != 0))
		i++;
	if (i == ARRAY_LEN(services) || !(udp ? services[i].udp : services[i].tcp))
		return EAI_NONAME;
	/* In one piece: libc's freeaddrinfo frees it. */
	m = xcalloc(1, sizeof(*m));
	m->sin = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(services[i].port) };
	m->ai = (struct addrinfo){ .ai_family = AF_INET,
				   .ai_socktype = hints ? hints->ai_socktype : 0,
				   .ai_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
				   .ai_addrlen = sizeof(m->sin),
				   .ai_addr = (struct sockaddr *)&m->sin };
	*res = &m->ai;
	return 0;
}
