/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases, in memory and in <rundir>/leases: a header, then one record each. */
#include "auto/auto.h"
#include "system/log.h"
#include "system/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "rtrl\1"

struct record {
	char ifname[IFNAMSIZ];
	struct autod_event e;
	uint64_t bound_ns, expire_ns;
};

static struct lease *leases;
static bool loaded;

uint64_t auto_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static char *path_of(const char *name)
{
	const struct rtrd_args *a = parent_args();

	return a && a->run_dir ? xasprintf("%s/%s", a->run_dir, name) : NULL;
}

static struct lease **slot(const char *ifname)
{
	struct lease **pp = &leases;

	while (*pp && strcmp((*pp)->ifname, ifname))
		pp = &(*pp)->next;
	return pp;
}

static void add_record(const struct record *r)
{
	struct lease **pp;

	if (!memchr(r->ifname, '\0', sizeof(r->ifname)) || r->e.n_routes > AUTOD_ROUTES ||
	    r->e.n_dns > AUTOD_DNS || !memchr(r->e.domain, '\0', sizeof(r->e.domain)) ||
	    r->e.len > 32)
		return;
	pp = slot(r->ifname);
	if (!*pp)
		*pp = xcalloc(1, sizeof(**pp));
	rtr_strlcpy((*pp)->ifname, r->ifname, sizeof((*pp)->ifname));
	(*pp)->e = r->e;
	(*pp)->bound_ns = r->bound_ns;
	(*pp)->expire_ns = r->expire_ns;
}

static void load(void)
{
	char *path = path_of("leases"), magic[sizeof(MAGIC)];
	struct record r;
	FILE *f;

	loaded = true;
	f = path ? fopen(path, "re") : NULL;
	free(path);
	if (!f)
		return;
	if (fread(magic, sizeof(magic), 1, f) == 1 && !memcmp(magic, MAGIC, sizeof(magic))) {
		while (fread(&r, sizeof(r), 1, f) == 1)
			add_record(&r);
	}
	fclose(f);
}

/* Whole or not at all: a new file in the old one's place. */
static void write_file(const char *name, const void *data, size_t size)
{
	static struct log_limit limit;
	char *path = path_of(name), *tmp;
	bool good;
	int fd;

	if (!path)
		return;
	tmp = xasprintf("%s.new", path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	good = fd >= 0 && write(fd, data, size) == (ssize_t)size && !rename(tmp, path);
	if (!good)
		log_event_limited(&limit, 1, "DHCP", LOG_L_WARN, "FILE", "%s: %s", path,
				  strerror(errno));
	if (fd >= 0)
		close(fd);
	free(tmp);
	free(path);
}

static void save_leases(void)
{
	struct strbuf b = STRBUF_INIT;
	struct record r;

	strbuf_add(&b, MAGIC, sizeof(MAGIC));
	for (const struct lease *l = leases; l; l = l->next) {
		memset(&r, 0, sizeof(r)); /* padding too: it goes to a file */
		rtr_strlcpy(r.ifname, l->ifname, sizeof(r.ifname));
		r.e = l->e;
		r.bound_ns = l->bound_ns;
		r.expire_ns = l->expire_ns;
		strbuf_add(&b, (const char *)&r, sizeof(r));
	}
	write_file("leases", b.s, b.len);
	strbuf_fini(&b);
}

static void save_resolvers(void)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_adds(&b, "# by rtr, from DHCP\n");
	for (const struct lease *l = leases; l; l = l->next) {
		if (*l->e.domain)
			strbuf_addf(&b, "search %s\n", l->e.domain);
		for (unsigned i = 0; i < l->e.n_dns; i++)
			strbuf_addf(&b, "nameserver %u.%u.%u.%u\n", l->e.dns[i][0], l->e.dns[i][1],
				    l->e.dns[i][2], l->e.dns[i][3]);
	}
	write_file("resolv.conf", strbuf_str(&b), b.len);
	strbuf_fini(&b);
}

struct lease *lease_list(void)
{
	if (!loaded)
		load();
	return leases;
}

void lease_put(const char *ifname, const struct autod_event *e)
{
	struct record r = { .e = *e, .bound_ns = auto_now_ns() };

	lease_list();
	rtr_strlcpy(r.ifname, ifname, sizeof(r.ifname));
	r.expire_ns = e->lease_sec == UINT32_MAX ? UINT64_MAX
						 : r.bound_ns + e->lease_sec * NSEC_PER_SEC;
	r.e.n_routes = MIN(r.e.n_routes, (uint8_t)AUTOD_ROUTES);
	r.e.n_dns = MIN(r.e.n_dns, (uint8_t)AUTOD_DNS);
	r.e.domain[sizeof(r.e.domain) - 1] = '\0';
	add_record(&r);
	save_leases();
	save_resolvers();
}

bool lease_drop(const char *ifname)
{
	struct lease **pp, *l;

	lease_list();
	pp = slot(ifname);
	l = *pp;
	if (!l)
		return false;
	*pp = l->next;
	free(l);
	save_leases();
	save_resolvers();
	return true;
}

void lease_free_all(void)
{
	while (leases) {
		struct lease *l = leases;

		leases = l->next;
		free(l);
	}
	loaded = false;
}
