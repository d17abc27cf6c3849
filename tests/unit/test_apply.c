/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plans of links, addresses, sysctls and static routes against a real kernel in a network
 * namespace: a model is applied and iproute2 tells what came of it; a second apply writes nothing;
 * an empty model brings back what was before; and with a failure at every single write in turn.
 */
#include "cli/session.h"
#include "kernel/apply.h"
#include "kernel/baseline.h"
#include "kernel/nlq.h"
#include "kernel/probe.h"
#include "kernel/shadow.h"
#include "schema/edit.h"
#include "strbuf.h"
#include "txn/txn.h"
#include "../lib/check_main.h"
#include "../lib/netns.h"

static struct event_base *base;
static const struct domain *const *domains;
static size_t n_domains;
static const struct domain *nft;

static void ready(void *arg)
{
	*(bool *)arg = true;
}

static void start(void)
{
	bool is_ready = false;

	ck_assert_int_eq(nlq_init(base), 0);
	ck_assert_int_eq(shadow_init(base, "main", ready, &is_ready), 0);
	ck_assert_int_eq(baseline_init(NULL), 0);
	ck_assert_int_eq(apply_init(base, domains, n_domains), 0);
	while (!is_ready)
		event_base_loop(base, EVLOOP_ONCE);
	session_init(base);
	for (size_t i = 0; i < n_domains; i++) {
		if (!strcmp(domains[i]->name, "nft"))
			nft = domains[i];
	}
	/* Of all domains this one holds a socket that its plan needs. */
	ck_assert_int_eq(nft->init(), 0);
}

static void setup(void)
{
	netns_enter();
	/* What a host usually has: IPv6 without waiting for duplicates, some links, all down. */
	ck_assert(sh("ip link set lo up; ip link add v0 type veth peer name v1;"
		     "ip link add w0 type veth peer name w1; ip link set v1 up; ip link set w1 up;"
		     "ip link set v1 addrgenmode none; ip link set w1 addrgenmode none"));
	base = event_base_new();
	ck_assert_ptr_null(domains_sort(&domains, &n_domains));
	ck_assert_ptr_null(schema_init(domains, n_domains));
	start();
}

static void stop(void)
{
	nft->fini();
	apply_fini();
	baseline_fini();
	shadow_fini();
	nlq_fini();
}

static void teardown(void)
{
	stop();
	schema_fini();
	event_base_free(base);
}

/* A model from the lines that an operator would type. */
static struct rec *model(const char *text)
{
	struct rec *root = model_new();
	struct editor e;
	char *copy = xstrdup(text), *rest = copy, *line;

	editor_init(&e, root);
	while ((line = strsep(&rest, "\n"))) {
		struct edit_error err = { 0 };
		bool changed;

		if (!strcmp(line, "exit"))
			editor_top(&e);
		if (!*line || !strcmp(line, "exit"))
			continue;
		ck_assert_msg(!editor_line(&e, line, &changed, &err), "\"%s\": %s", line,
			      strbuf_str(&err.text));
		edit_error_fini(&err);
	}
	rec_unref(root);
	root = rec_ref(e.root);
	editor_fini(&e);
	free(copy);
	return root;
}

static struct {
	bool done;
	unsigned n_errors;
	uint64_t n_writes;
	char text[2000];
} res;

static void applied(void *arg, const struct apply_result *r)
{
	res.done = true;
	res.n_errors = r->n_errors;
	res.n_writes = r->n_writes;
	rtr_strlcpy(res.text, r->text, sizeof(res.text));
}

static void run(const struct rec *want, enum apply_mode mode)
{
	res.done = false;
	ck_assert_int_eq(apply_start(want, mode, applied, NULL), 0);
	while (!res.done)
		event_base_loop(base, EVLOOP_ONCE);
}

static void run_good(const struct rec *want)
{
	run(want, APPLY_COMMIT);
	ck_assert_msg(!res.n_errors, "%s", res.text);
}

/* The kernel tells of a lost carrier up to a second later. */
static void wait_up(const char *name, bool up)
{
	for (int k = 0; k < 300; k++) {
		const struct shadow_link *l;

		shadow_drain();
		l = shadow_link_by_name(name);
		if (l && shadow_link_is_up(l) == up)
			return;
		usleep(10000);
	}
	ck_abort_msg("%s is not %s", name, up ? "up" : "down");
}

/* The peers of v0 and w0 are up: once these are, so is the carrier, a moment later. What hangs on
 * it is then planned again, as rtrd does. */
static void apply_text(const char *text)
{
	static const char *const names[] = { "v0", "w0" };
	struct rec *m = model(text);
	bool again = false;

	run_good(m);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct shadow_link *l = shadow_link_by_name(names[i]);

		if (!l || !(l->flags & IFF_UP) || shadow_link_is_up(l))
			continue;
		wait_up(names[i], true);
		again = true;
	}
	if (again)
		run_good(m);
	rec_unref(m);
}

/* Once more, from the shadow as it is and from a fresh one: nothing to write. */
static void check_settled(const char *text)
{
	struct rec *m = model(text);
	struct strbuf diff = STRBUF_INIT;

	apply_diff(m, &diff);
	ck_assert_str_eq(strbuf_str(&diff), "");
	shadow_resync();
	while (!shadow_synced())
		event_base_loop(base, EVLOOP_ONCE);
	run_good(m);
	ck_assert_uint_eq(res.n_writes, 0);
	strbuf_fini(&diff);
	rec_unref(m);
}

/* ---- the kernel as text ---- */

static char *output(const char *cmd)
{
	char path[] = "/tmp/rtr-apply-XXXXXX", *text = NULL;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	sh("{ %s; } >%s 2>&1", cmd, path);
	ck_assert_int_eq(rtr_file_read(path, 1 << 22, &text, NULL), 0);
	unlink(path);
	return text;
}

/* Everything that apply may touch. Lines that count time or grow by use are left out. */
static char *kernel_state(void)
{
	return output(
		"ip -o link show | sed 's/^[0-9]*: //; s/qdisc [a-z]*//' | grep -v ^[vw]1 | sort;"
		"ip -o -4 addr show | sed 's/^[0-9]*: //';"
		"ip -o -6 addr show scope global | sed 's/^[0-9]*: //' | sort;"
		"ip -4 route show table all | sort; ip -6 route show table main | grep -v ^fe80 | sort;"
		"cd /proc/sys/net; for s in promote_secondaries send_redirects accept_redirects"
		" forwarding accept_ra autoconf disable_ipv6 keep_addr_on_down addr_gen_mode"
		" ignore_routes_with_linkdown; do grep -s . ipv[46]/conf/*/$s; done;"
		"cat ipv4/ip_forward");
}

/* The lines that only one of the two has. */
static char *difference(const char *a, const char *b)
{
	char pa[] = "/tmp/rtr-a-XXXXXX", pb[] = "/tmp/rtr-b-XXXXXX", *cmd, *out;
	int fa = mkstemp(pa), fb = mkstemp(pb);

	ck_assert(write(fa, a, strlen(a)) >= 0 && write(fb, b, strlen(b)) >= 0);
	close(fa);
	close(fb);
	cmd = xasprintf("diff %s %s | head -c 3000", pa, pb);
	out = output(cmd);
	free(cmd);
	unlink(pa);
	unlink(pb);
	return out;
}

static void check_same(const char *before, const char *after, const char *what)
{
	if (strcmp(before, after))
		ck_abort_msg("%s:\n%s", what, difference(before, after));
}

static void check_state(const char *before, const char *what)
{
	char *now = kernel_state();

	check_same(before, now, what);
	free(now);
}

/* ---- tests ---- */

#define V0 "interface v0\n"
#define W0 "interface w0\n"

static const char full[] =
	"interface Loopback7\nip address 10.9.9.7 255.255.255.255\n"
	"interface BVI1\nip address 10.2.0.1 255.255.255.0\nipv6 address fd02::1/64\n"
	"interface w0\nbridge-group 1\n"
	"interface v0\n"
	"description to the south\n"
	"mtu 1400\n"
	"mac-address 0200.0000.0007\n"
	"no ip redirects\n"
	"ip address 10.0.0.1 255.255.255.0\n"
	"ip address 10.0.0.2 255.255.255.0 secondary\n"
	"ip address 10.1.0.1/16 secondary\n"
	"ipv6 address fd00::1/64\n"
	"ipv6 address fd01::/64 eui-64\n"
	"ipv6 address fe80::77 link-local\n"
	"exit\n"
	"ip route 192.168.0.0 255.255.0.0 10.0.0.9\n"
	"ip route 192.168.1.0 255.255.255.0 10.0.0.9 weight 3\n"
	"ip route 192.168.1.0 255.255.255.0 10.1.0.9\n"
	"ip route 192.168.1.0 255.255.255.0 Null0 200\n"
	"ip route 192.168.2.0 255.255.255.0 192.168.1.1\n"
	"ip route 192.168.3.0 255.255.255.0 v0\n"
	"ip route 192.168.4.0 255.255.255.0 v0 172.16.0.1\n"
	"ip route 192.168.5.0 255.255.255.0 prohibit\n"
	"ip route 192.168.6.0 255.255.255.0 203.0.113.1\n" /* leads nowhere */
	"ipv6 route fd10::/32 fd00::9\n"
	"ipv6 route fd11::/32 fd00::9\n"
	"ipv6 route fd11::/32 fd00::8 weight 2\n"
	"ipv6 route fd12::/32 v0 fe80::1\n"
	"ipv6 route fd13::/32 unreachable\n"
	"ipv6 route fd14::/32 v0\n";

START_TEST(everything)
{
	apply_text(full);
	check_settled(full);
	ck_assert(sh("ip link show v0 | grep -q 'mtu 1400.* state UP'"));
	ck_assert(sh("ip link show v0 | grep -q 'alias to the south'"));
	ck_assert(sh("ip link show v0 | grep -qi 'link/ether 02:00:00:00:00:07'"));
	ck_assert(sh("ip link show Loopback7 | grep -q 'altname rtr.main.Loopback7'"));
	ck_assert(sh("ip -o link show w0 | grep -q 'master BVI1.* state UP'"));
	ck_assert(sh("ip -o -4 addr show v0 | head -1 | grep -q 10.0.0.1/24"));
	ck_assert(sh("[ $(ip -o -4 addr show v0 | wc -l) = 3 ]"));
	ck_assert(sh("ip -o -6 addr show v0 | grep -q fd01::ff:fe00:7/64"));
	ck_assert(sh("[ $(ip -o -6 addr show v0 scope link | wc -l) = 1 ]"));
	ck_assert(sh("ip -o -6 addr show v0 scope link | grep -q fe80::77/64"));
	ck_assert(sh("ip -4 route show 192.168.0.0/16 | grep -q 'via 10.0.0.9 dev v0 proto 98 "
		     "metric 16777216'"));
	ck_assert(sh("ip -4 route show 192.168.1.0/24 | grep -q 'via 10.0.0.9 dev v0 weight 3'"));
	ck_assert(sh("ip -4 route show 192.168.1.0/24 | grep -q 'via 10.1.0.9 dev v0 weight 1'"));
	ck_assert(sh("ip -4 route show 192.168.1.0/24 | grep -q 'blackhole.*metric 3355443200'"));
	ck_assert(sh("[ $(ip -4 route show 192.168.2.0/24 | grep -c 'via 10..*dev v0') = 2 ]"));
	ck_assert(sh("ip -4 route show 192.168.3.0/24 | grep -q 'dev v0 proto 98 scope link'"));
	ck_assert(sh("ip -4 route show 192.168.4.0/24 | grep -q '172.16.0.1 dev v0.*onlink'"));
	ck_assert(sh("ip -4 route show 192.168.5.0/24 | grep -q prohibit"));
	ck_assert(sh("[ -z \"$(ip -4 route show 192.168.6.0/24)\" ]"));
	ck_assert(sh("[ $(ip -6 route show fd11::/32 | grep -c via) = 2 ]"));
	ck_assert(sh("ip -6 route show fd12::/32 | grep -q 'via fe80::1 dev v0'"));
	ck_assert(sh("ip -6 route | grep -q '^unreachable fd13::/32.*metric 16777216'"));
	ck_assert(sh("grep -q 1 /proc/sys/net/ipv4/ip_forward"));
	ck_assert(sh("grep -q 0 /proc/sys/net/ipv4/conf/v0/send_redirects"));
}
END_TEST

/* Each line alone, and away again: the kernel is as before. ip_forward alone stays: routing is on
 * by default. */
static const char *const lines[] = {
	V0 "mtu 1300",
	V0 "mac-address 0200.0000.0009",
	V0 "description x y",
	V0 "no ip redirects",
	V0 "ip address 10.0.0.1 255.255.255.0",
	V0 "ip address 10.0.0.0 255.255.255.254",
	V0 "ip address 10.0.0.1 255.255.255.255",
	V0 "ipv6 address fd00::1/64",
	V0 "ipv6 address fd00::/64 eui-64",
	V0 "ipv6 address fe80::5 link-local",
	V0 "ipv6 enable",
	V0 "shutdown",
	"interface BVI7",
	"interface BVI7\nip address 10.0.0.1/24\ninterface w0\nbridge-group 7",
	"interface Loopback3\nip address 10.0.0.1/32\nipv6 address fd00::1/128",
	"interface Loopback0\nip address 10.0.0.1/32",
	"ip route 10.0.0.0 255.0.0.0 Null0",
	"ipv6 route fd00::/8 Null0",
};

START_TEST(one_line_and_back)
{
	char *before;

	apply_text(""); /* routing */
	before = kernel_state();
	apply_text(lines[_i]);
	check_settled(lines[_i]);
	apply_text("");
	check_settled("");
	check_state(before, lines[_i]);
	ck_assert_ptr_null(baseline_get("link 2 v0 mtu"));
	free(before);
}
END_TEST

START_TEST(all_and_back)
{
	char *before;

	apply_text("");
	before = kernel_state();
	apply_text(full);
	apply_text("");
	check_settled("");
	check_state(before, "all lines");
	free(before);
}
END_TEST

/* From one model to another, without the empty one between. */
static const char *const steps[] = {
	V0 "ip address 10.0.0.1/24\nip address 10.0.0.2/24 secondary\n"
	   "ip address 10.1.0.1/24 secondary",
	V0 "ip address 10.0.0.2/24", /* promoted */
	V0 "ip address 10.0.0.3/24\nip address 10.0.0.2/24 secondary",
	V0 "ip address 10.1.0.1/24\nip address 10.0.0.2/24 secondary",
	V0 "ip address 10.1.0.1/16\nip address 10.0.0.2/24 secondary", /* another length */
	W0 "ip address 10.1.0.1/16",                                   /* another link */
	W0 "ipv6 address fd00::1/64",
	W0 "ipv6 address fd00::1/48",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 fd00::2",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 fd00::2\n"
	   "ipv6 route fd10::/32 fd00::3",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 fd00::3",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 Null0",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 w0",
	W0 "ipv6 address fd00::1/48\nexit\nipv6 route fd10::/32 fd00::3\n"
	   "ipv6 route fd10::/32 fd00::4 weight 7",
	W0 "ip address 10.0.0.1/24\nexit\nip route 10.9.0.0 255.255.0.0 10.0.0.2\n"
	   "ip route 10.9.0.0 255.255.0.0 10.0.0.3",
	W0 "ip address 10.0.0.1/24\nexit\nip route 10.9.0.0 255.255.0.0 10.0.0.2",
	W0 "ip address 10.0.0.1/24\nexit\nip route 10.9.0.0 255.255.0.0 Null0",
	W0 "ip address 10.0.0.1/24\nexit\nip route 10.9.0.0 255.255.0.0 w0 10",
	W0 "ip address 10.0.0.1/24\nexit\nip route 10.9.0.0 255.255.0.0 w0 10.0.0.7",
	"interface BVI1\n" W0 "bridge-group 1",
	"interface BVI2\n" W0 "bridge-group 2",
	W0 "description alone",
};

START_TEST(from_one_to_the_next)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		apply_text(steps[i]);
		check_settled(steps[i]);
	}
	/* And the first against a fresh kernel gives what it gave after the last. */
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		char *a, *b;

		apply_text(steps[i]);
		a = output("ip -o -4 addr show up; ip -4 route; ip -6 route show proto 98 | sort");
		apply_text("");
		apply_text(steps[i]);
		b = output("ip -o -4 addr show up; ip -4 route; ip -6 route show proto 98 | sort");
		check_same(a, b, steps[i]);
		free(a);
		free(b);
	}
}
END_TEST

START_TEST(foreigners_stay)
{
	static const char show[] =
		"ip -o addr show | grep -e 172.16 -e fdff -e label; ip route show | grep -e 172.17;"
		"ip -6 route show | grep fdfe; ip -o link show br9; ip -o link show v1";
	char *before, *after;

	ck_assert(sh("ip link set v0 up; ip link set w0 up; ip addr add 172.16.0.1/24 dev v0;"
		     "ip addr add 172.16.0.2/24 dev v0; ip -6 addr add fdff::1/64 dev v0 nodad;"
		     "ip route add 172.17.0.0/24 via 172.16.0.9; ip link add br9 type bridge;"
		     "ip -6 route add fdfe::/64 via fdff::9 proto 186; ip link set w0 master br9"));
	before = output(show);
	apply_text(V0 "ip address 10.0.0.1/24\nip address 172.16.0.3/24 secondary\n"
		      "ip address 172.16.0.1/24 secondary\nipv6 address fd00::1/64\nexit\n"
		      "ip route 172.17.1.0 255.255.255.0 172.16.0.9\n" W0 "description y\n"
		      "mtu 1400\n");
	ck_assert(sh("ip link show w0 | grep -q 'master br9'"));
	ck_assert(sh("ip route show 172.17.1.0/24 | grep -q 'via 172.16.0.9'"));
	apply_text("");
	after = output(show);
	check_same(before, after, "foreigners");
	free(before);
	free(after);
}
END_TEST

/* Interfaces come and go under an unchanged model. */
START_TEST(links_come_and_go)
{
	static const char text[] = "interface late0\nip address 10.5.0.1/24\nmtu 1300\nexit\n" W0
				   "ip address 10.6.0.1/24\nexit\n"
				   "ip route 192.168.0.0 255.255.0.0 10.5.0.9\n"
				   "ip route 192.168.0.0 255.255.0.0 10.6.0.9 50\n"
				   "ip route 192.168.8.0 255.255.255.0 late0\n";

	apply_text(text);
	check_settled(text);
	ck_assert(sh("ip route show 192.168.0.0/16 | grep -q 'via 10.6.0.9'"));
	ck_assert(sh("ip link add late0 type veth peer name late1; ip link set late1 up"));
	shadow_drain();
	apply_text(text);
	wait_up("late0", true);
	apply_text(text);
	check_settled(text);
	ck_assert(sh("ip link show late0 | grep -q 'mtu 1300'"));
	ck_assert(sh("ip route show 192.168.0.0/16 | grep -q 'via 10.5.0.9.* metric 16777216'"));
	/* Without carrier: the route goes, as when the link goes. */
	ck_assert(sh("ip link set late1 down"));
	wait_up("late0", false);
	apply_text(text);
	ck_assert(sh("! ip route show 192.168.0.0/16 | grep -q 'via 10.5.0.9'"));
	check_settled(text);
	ck_assert(sh("ip link set late1 up"));
	wait_up("late0", true);
	apply_text(text);
	ck_assert(sh("ip route show 192.168.0.0/16 | grep -q 'via 10.5.0.9'"));
	ck_assert(sh("ip link del late0"));
	shadow_drain();
	apply_text(text);
	check_settled(text);
}
END_TEST

/* What somebody else changed of ours is set right. */
START_TEST(drift_is_repaired)
{
	char *before;

	apply_text(full);
	before = kernel_state();
	ck_assert(sh("ip addr del 10.0.0.1/24 dev v0; ip link set v0 mtu 1350; ip link del BVI1;"
		     "ip route del 192.168.5.0/24; ip -6 route flush fd11::/32;"
		     "ip link set v0 alias zz; sysctl -qw net.ipv4.ip_forward=0;"
		     "ip link del Loopback7; ip route add 10.77.0.0/16 via 10.0.0.9 proto 98;"
		     "ip addr add 10.78.0.1/16 dev v0"));
	ck_assert(sh("ip addr del 10.78.0.1/16 dev v0; ip link set v0 down"));
	wait_up("v0", false);
	apply_text(full);
	check_settled(full);
	/* MAC addresses of bridges are made anew. */
	{
		char *now = kernel_state(), *a, *b;

		a = strstr(before, "ipv4/conf/all");
		b = strstr(now, "ipv4/conf/all");
		check_same(a, b, "sysctls");
		free(now);
	}
	free(before);
}
END_TEST

START_TEST(driver_refuses)
{
	struct rec *m = model(V0 "mtu 65535\nip address 10.0.0.1/24");
	struct rec *bad = model("interface v1\nmtu 1290\nip address 10.0.0.1/24\n" V0
				"bridge-group 5\ninterface BVI5\n"
				"interface Loopback9\nip address 127.0.0.1/8");
	char *before;

	apply_text("");
	before = kernel_state();
	/* Somebody holds the name of a bridge that we need. */
	ck_assert(sh("ip link add BVI5 type veth peer name bvi5p"));
	shadow_drain();
	run(bad, APPLY_COMMIT);
	ck_assert_uint_eq(res.n_errors, 1);
	ck_assert_msg(strstr(res.text, "BVI5 exists and is not what BVI5 needs"), "%s", res.text);
	run(bad, APPLY_REPAIR);
	ck_assert_uint_ge(res.n_errors, 1);
	ck_assert(sh("ip addr show v1 | grep -q 10.0.0.1/24"));
	ck_assert(sh("ip link del BVI5"));
	shadow_drain();
	rec_unref(bad);
	apply_text("");
	check_state(before, "refused");
	free(before);
	rec_unref(m);
}
END_TEST

/* A failure at the N-th write, for every N; then back: the kernel is as before. */
START_TEST(fault_at_every_write)
{
	struct rec *m = model(full), *none = model("");
	uint64_t total, failed = 0;
	char *before;

	/* Up beforehand: the number of writes must not hang on when a carrier is told of. */
	ck_assert(sh("ip link set v0 up; ip link set w0 up"));
	wait_up("v0", true);
	wait_up("w0", true);
	run_good(none);
	before = kernel_state();
	run_good(m);
	total = res.n_writes;
	ck_assert_uint_gt(total, 40);
	run_good(none);
	for (uint64_t n = 1; n <= total; n++) {
		nlq_set_fault(NLQ_FAULT_FAIL, n);
		run(m, APPLY_COMMIT);
		nlq_set_fault(NLQ_FAULT_NONE, 0);
		failed += res.n_errors > 0;
		if (res.n_errors)
			ck_assert_msg(strstr(res.text, "injected"), "%s", res.text);
		run_good(none);
		check_state(before, res.text);
	}
	/* Each counts: the write is wanted again after it failed. */
	ck_assert_uint_eq(failed, total);
	/* Repair goes on past a failure. */
	nlq_set_fault(NLQ_FAULT_FAIL, 5);
	run(m, APPLY_REPAIR);
	nlq_set_fault(NLQ_FAULT_NONE, 0);
	ck_assert_uint_eq(res.n_errors, 1);
	run_good(m);
	ck_assert_uint_ge(res.n_writes, 1);
	run_good(none);
	rec_unref(m);
	rec_unref(none);
	free(before);
}
END_TEST

/* A restart finds what is there and touches nothing. */
START_TEST(restart_adopts)
{
	apply_text(full);
	stop();
	start();
	check_settled(full);
	apply_text("");
	ck_assert(sh("! ip link show BVI1 2>/dev/null"));
	ck_assert(sh("! ip link show Loopback7 2>/dev/null"));
	ck_assert(sh("[ -z \"$(ip route show proto 98)\" ]"));
}
END_TEST

/* ---- check ---- */

#define A24   "ip address 10.0.0.1 255.255.255.0\n"
#define ROUTE "ip route 192.168.0.0 255.255.0.0 "

static const struct {
	const char *text;
	unsigned n_errors;
	const char *says; /* NULL: nothing at all */
} checks[] = {
	{ V0 A24 W0 "ip address 10.0.1.1/24\n", 0, NULL },
	{ V0 A24 W0 "ip address 10.0.0.2/24\n", 1, "10.0.0.0/24 overlaps with v0" },
	{ V0 A24 W0 "ip address 10.0.0.130/25\n", 1, "10.0.0.128/25 overlaps with v0" },
	{ V0 A24 W0 "ip address 10.0.0.1/24\n", 1, "10.0.0.1 is on v0 too" },
	{ V0 A24 W0 "ip address 10.0.0.2/24\nshutdown\n", 0, "while it is shut down" },
	{ V0 A24 "ip address 10.0.0.2/24 secondary\n", 0, NULL },
	{ V0 A24 "ip address 10.1.0.2/24\n", 0, NULL }, /* takes the place of the first */
	{ V0 "ip address 10.1.0.2/24 secondary\n", 1, "no primary" },
	{ V0 "ip address 10.0.0.0/24\n", 1, "the network's own" },
	{ V0 "ip address 10.0.0.255/24\n", 1, "broadcast" },
	{ V0 "ip address 10.0.0.0/31\n", 0, NULL },
	{ V0 "ip address 10.0.0.255/32\n", 0, NULL },
	{ V0 "ip address 224.0.0.1/24\n", 1, "multicast" },
	{ V0 "ip address 127.0.0.2/8\n", 1, "loopback" },
	{ V0 "ip address 0.0.0.1/24\n", 1, "reserved" },
	{ V0 "ip address 250.0.0.1/24\n", 1, "reserved" },
	{ "interface Loopback0\nip address 127.9.0.1/32\n", 0, NULL },
	{ V0 "ipv6 address fd00::1/64\n" W0 "ipv6 address fd00::2/64\n", 1, "overlaps" },
	{ V0 "ipv6 address ff02::1/64\n", 1, "multicast" },
	{ V0 "ipv6 address ::ffff:1.2.3.4/96\n", 1, "IPv4-mapped" },
	{ V0 "ipv6 address fe80::1/64\n", 1, "link-local" },
	{ V0 "ipv6 address fd00::1 link-local\n", 1, "fe80::/10" },
	{ V0 "ipv6 address fd00::/48 eui-64\n", 1, "/64" },
	{ V0 "mtu 1200\nipv6 enable\n", 1, "1280" },
	{ V0 "mtu 1200\n", 0, "all IPv6 off" },
	{ V0 "mtu 65535\n", 0, NULL },
	{ V0 "encapsulation dot1Q 5\n", 1, "no subinterface" },
	{ "interface v0.5\n", 0, "comes to life with" },
	{ "interface zz9\n", 0, "does not exist now" },
	{ V0 "bridge-group 3\n", 1, "no interface BVI3" },
	{ "interface BVI3\n" V0 "bridge-group 3\n", 0, NULL },
	{ "interface BVI3\n" V0 A24 "bridge-group 3\n", 1, "has no addresses" },
	{ "interface BVI3\ninterface BVI4\nbridge-group 3\n", 1, "cannot be the port" },
	{ "interface Loopback0\nshutdown\n", 1, "needs Loopback0" },
	{ "interface Loopback0\nmac-address 0200.0000.0001\n", 1, "MAC" },
	{ ROUTE "10.0.0.1\n" V0 A24, 1, "this router's own, on v0" },
	{ ROUTE "10.0.0.2\n" V0 A24, 0, NULL },
	{ ROUTE "224.0.0.5\n", 1, "cannot be a next hop" },
	{ ROUTE "Loopback0\n", 1, "Null0 discards" },
	{ ROUTE "BVI9\n", 1, "no interface BVI9" },
	{ ROUTE "zz9\n", 0, "installed when it appears" },
	{ ROUTE "Null0\n" ROUTE "10.0.0.2\n", 1, "a discarding route shares" },
	{ ROUTE "Null0 250\n" ROUTE "10.0.0.2\n" V0 A24, 0, NULL },
	{ ROUTE "10.9.0.2\n" V0 A24, 0, "in no connected network" },
	{ "ip route 224.0.0.0 240.0.0.0 10.0.0.2\n", 1, "multicast" },
	{ "ipv6 route fd00::/8 fe80::1\n", 1, "needs its interface" },
	{ "ipv6 route fd00::/8 v0 fe80::1\n", 0, NULL },
	{ "ipv6 route fd00::/8 v0\nipv6 route fd00::/8 w0\n", 1, "need next hops" },
};

START_TEST(check_says)
{
	struct rec *none = model(""), *m = model(checks[_i].text);
	struct strbuf text = STRBUF_INIT;
	unsigned n = txn_check(none, m, 0, &text);

	ck_assert_msg(n == checks[_i].n_errors, "%s: %u errors: %s", checks[_i].text, n,
		      strbuf_str(&text));
	if (checks[_i].says)
		ck_assert_msg(strstr(strbuf_str(&text), checks[_i].says), "%s: %s", checks[_i].text,
			      strbuf_str(&text));
	else
		ck_assert_str_eq(strbuf_str(&text), "");
	strbuf_fini(&text);
	rec_unref(none);
	rec_unref(m);
}
END_TEST

START_TEST(check_vlans)
{
	struct rec *none = model("");
	struct rec *m = model("interface v0.5\nencapsulation dot1Q 5\n"
			      "interface v0.6\nencapsulation dot1Q 5\nmtu 9000\n"
			      "interface zz.7\nencapsulation dot1Q 7\n");
	struct strbuf text = STRBUF_INIT;
	unsigned n = txn_check(none, m, 0, &text);

	ck_assert_ptr_nonnull(strstr(strbuf_str(&text), "dot1Q 5 is on v0.5 already"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&text), "larger than that of v0"));
	ck_assert_ptr_nonnull(strstr(strbuf_str(&text), "zz.7 waits for it"));
	if (!probe_link_kind("vlan")) {
		ck_assert_ptr_nonnull(strstr(strbuf_str(&text), "802.1Q"));
		n -= 3;
	}
	ck_assert_uint_eq(n, 2);
	/* Without a box to ask there is no opinion about it. */
	strbuf_reset(&text);
	ck_assert_uint_eq(txn_check(none, m, TXN_CHECK_OFFLINE, &text), 1);
	strbuf_fini(&text);
	rec_unref(none);
	rec_unref(m);
}
END_TEST

/* Asking leaves no trace, and knows what iproute2 finds out. */
START_TEST(probes)
{
	ck_assert(probe_link_kind("bridge"));
	ck_assert(probe_link_kind("veth"));
	ck_assert(!probe_link_kind("no_such_kind"));
	ck_assert(probe_link_kind("dummy") == sh("ip link add d0 type dummy 2>/dev/null"));
	ck_assert(sh("[ $(ip -o link | grep -c -v -e lo: -e d0: -e [vw][01]@) = 0 ]"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("apply");
	TCase *t = tcase_create("apply");

	netns_or_skip();
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, everything);
	tcase_add_loop_test(t, one_line_and_back, 0, ARRAY_LEN(lines));
	tcase_add_test(t, all_and_back);
	tcase_add_test(t, from_one_to_the_next);
	tcase_add_test(t, foreigners_stay);
	tcase_add_test(t, links_come_and_go);
	tcase_add_test(t, drift_is_repaired);
	tcase_add_test(t, driver_refuses);
	tcase_add_test(t, fault_at_every_write);
	tcase_add_test(t, restart_adopts);
	tcase_add_loop_test(t, check_says, 0, ARRAY_LEN(checks));
	tcase_add_test(t, check_vlans);
	tcase_add_test(t, probes);
	suite_add_tcase(s, t);
	return s;
}

CHECK_MAIN(suite)
