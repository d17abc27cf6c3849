# SPDX-License-Identifier: GPL-2.0-or-later
"""Commits against a real kernel: what is configured is there, what is removed is gone as it was
before rtr came, and nothing is ever half-applied, whatever fails in between."""
import difflib
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from router import CliError, cli_socket, program, startup
from test_cli_pty import Terminal
from topo import router_lines, sh, wait_for

# What a kernel says about time, not about configuration.
VOLATILE = {"valid_life_time", "preferred_life_time", "cache", "expires", "hoplimit", "tentative", "pref"}
LINK = ("ifname", "mtu", "address", "ifalias", "master", "group", "altnames", "flags")
INJECTED = "injected"


def clean(value):
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items() if k not in VOLATILE}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return value


def kernel(node):
    """Links, addresses, routes and the sysctls that rtr may write, as comparable text."""
    links = [{k: link.get(k) for k in LINK} for link in node.ip_json("link", "show")]
    for link in links:
        if link["group"] != "default":
            del link["address"]  # ours: the kernel chose it at random
    state = {"links": links,
             "addrs": {link["ifname"]: [a for a in clean(link.get("addr_info", [])) if a["scope"] != "link"]
                       for link in node.ip_json("addr", "show")}}
    for family in ("-4", "-6"):
        routes = node.ip_json(family, "route", "show", "table", "all")
        # IPv6 link-local and multicast routes come with the link, those of the box's own addresses
        # after duplicate address detection: in their own time.
        state[family] = sorted(json.dumps(clean(r), sort_keys=True) for r in routes
                               if not str(r.get("dst", "")).startswith(("fe80", "ff00", "multicast"))
                               and (family == "-4" or r.get("type") not in ("local", "anycast")))
    state["sysctl"] = node.run("sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding").stdout
    return json.dumps(state, sort_keys=True, indent=1)


def same(r1, state, what):
    """The kernel comes to hold `state`; what differs is told otherwise."""
    try:
        wait_for(lambda: kernel(r1) == state, what=what)
    except AssertionError as e:
        diff = difflib.unified_diff(state.splitlines(), kernel(r1).splitlines(), "wanted", "is", n=1)
        raise AssertionError("\n".join([str(e), *diff, r1.cli("show kernel drift"), r1.cli("show logging")])) from None


def base_lines(topo):
    return ["hostname r1", *router_lines(topo.spec, "r1")]


@pytest.fixture
def r1(routers):
    topo = routers("basic")
    topo.r1.topo = topo
    wait_for(lambda: settled(topo.r1), what="the empty configuration")
    return topo.r1


def test_static_router_forwards_both_families(r1):
    r1.config(base_lines(r1.topo))
    # Until its addresses are known to be unique it cannot ask for neighbours.
    r1.wait_addresses()
    for dest in ["198.51.100.1", "2001:db8:100::1", "203.0.113.10", "2001:db8:203::10"]:
        r1.topo.lan.ping(dest)


def test_removing_everything_leaves_the_kernel_as_it_was(r1):
    before = kernel(r1)
    r1.config([*base_lines(r1.topo), "interface eth0", "mtu 1400", "description lan side",
               "mac-address 0200.0000.0001", "interface Loopback1", "ip address 192.0.2.1/32",
               "interface BVI1", "ip address 10.77.0.1/24", "no ip routing"])
    assert "10.77.0.1" in kernel(r1) and "lan side" in kernel(r1)
    r1.config(["no hostname", "ip routing", "no ip route", "no ipv6 route", "no interface eth0",
               "no interface eth1", "no interface Loopback1", "no interface BVI1"])
    assert kernel(r1) == before


def test_what_others_made_is_left_alone(r1):
    r1.ip("addr", "add", "10.50.0.1/24", "dev", "eth0")
    r1.ip("link", "set", "eth0", "up")
    r1.ip("route", "add", "10.60.0.0/16", "via", "10.50.0.2")
    r1.config(["interface eth0", "ip address 10.51.0.1/24", "exit", "ip route 10.61.0.0/16 10.51.0.2"])
    r1.config(["no ip route", "interface eth0", "no ip address"])
    assert "10.50.0.1/24" in r1.addresses("eth0")
    assert "10.51.0.1/24" not in r1.addresses("eth0")
    assert "10.60.0.0/16 via 10.50.0.2" in r1.ip("route").stdout


def test_primary_changes_without_losing_the_secondaries(r1):
    r1.config(["interface eth0", "ip address 10.0.1.1/24", "ip address 10.0.1.5/24 secondary",
               "ip address 10.0.2.1/24 secondary"])
    r1.config(["interface eth0", "ip address 10.0.1.9/24"])
    assert "10.0.1.1/24" not in r1.addresses("eth0")
    lines = [x.strip() for x in r1.ip("-4", "addr", "show", "dev", "eth0").stdout.splitlines() if "inet " in x]
    assert "10.0.1.9/24" in lines[0] and "secondary" not in lines[0]
    assert any("10.0.1.5/24" in x and "secondary" in x for x in lines)
    assert any("10.0.2.1/24" in x for x in lines)


def test_floating_static_takes_over_and_returns(r1):
    r1.config([*base_lines(r1.topo), "ip route 203.0.113.0 255.255.255.0 198.51.100.1",
               "ip route 203.0.113.0 255.255.255.0 10.0.1.10 200"])
    out = r1.ip("route", "show", "203.0.113.0/24").stdout
    assert "metric 16777216" in out and f"metric {200 << 24}" in out
    assert r1.json("show ip route get 203.0.113.9")["nexthops"][0]["via"] == "198.51.100.1"
    assert r1.cli("show ip route get 203.0.113.9").endswith(" table main\n")
    # The table shows the one that is used; JSON has both.
    assert r1.cli("show ip route").count("203.0.113.0/24") == 1
    both = [r for r in r1.json("show ip route") if r["prefix"] == "203.0.113.0/24"]
    assert [(r["distance"], r["best"]) for r in both] == [(1, True), (200, False)]
    assert r1.cli("show ipv6 route").count("fe80::/64") == 2
    r1.config(["interface eth1", "shutdown"])
    wait_for(lambda: r1.json("show ip route get 203.0.113.9")["nexthops"][0].get("via") == "10.0.1.10",
             what="the floating static")
    r1.config(["interface eth1", "no shutdown"])
    wait_for(lambda: r1.json("show ip route get 203.0.113.9")["nexthops"][0].get("via") == "198.51.100.1",
             what="the better static again")


def test_recursive_and_ecmp_statics(r1):
    r1.config([*base_lines(r1.topo), "ip route 203.0.113.0/24 198.51.100.1", "ip route 10.8.0.0/16 203.0.113.10",
               "ip route 10.9.0.0/16 198.51.100.1 weight 3", "ip route 10.9.0.0/16 198.51.100.7",
               "ipv6 route 2001:db8:9::/48 2001:db8:100::1", "ipv6 route 2001:db8:9::/48 2001:db8:100::7"])
    assert "via 198.51.100.1 dev eth1" in r1.ip("route", "show", "10.8.0.0/16").stdout
    r1.config(["ip route 10.7.0.0/16 198.51.100.1 7 name seven tag 77"])
    out = r1.cli("show ip route 10.7.0.0/16")
    assert "distance 7" in out and "Tag 77" in out and "Name seven" in out
    out = r1.ip("route", "show", "10.9.0.0/16").stdout
    assert re.search(r"via 198.51.100.1 dev eth1 weight 3", out) and "198.51.100.7" in out
    assert r1.ip("-6", "route", "show", "2001:db8:9::/48").stdout.count("nexthop") == 2
    r1.config(["no ip route 10.9.0.0/16 198.51.100.7", "no ipv6 route 2001:db8:9::/48 2001:db8:100::7"])
    assert "nexthop" not in r1.ip("route", "show", "10.9.0.0/16").stdout
    assert "nexthop" not in r1.ip("-6", "route", "show", "2001:db8:9::/48").stdout


def test_restart_with_nothing_changed_writes_nothing(r1):
    r1.config([*base_lines(r1.topo), "interface eth0", "mtu 1400", "interface Loopback1",
               "ip address 192.0.2.1/32", "interface BVI1", "ip address 10.77.0.1/24"])
    state = kernel(r1)
    for _ in range(2):
        r1.restart()
        version = r1.json("show version")
        assert version["kernel_writes"] == 0 and not version["degraded"]
        assert r1.json("show kernel drift")["missing"] == []
    assert kernel(r1) == state


def test_kernel_refusal_is_told_and_undone(r1):
    r1.ip("link", "add", "br7", "type", "bridge")
    r1.config(["interface eth0", "ip address 10.0.1.1/24"])
    state, running = kernel(r1), r1.cli("show running-config")
    with pytest.raises(CliError) as e:
        r1.cli("configure candidate", "interface eth0", "ip address 10.0.9.1/24 secondary",
               "interface BVI1", "interface br7", "bridge-group 1", "interface eth1", "ip address 10.4.0.1/24", "commit", "abort")
    assert "Can not enslave a bridge to a bridge" in e.value.output, e.value.output
    assert "Nothing was changed" in e.value.output
    assert kernel(r1) == state and r1.cli("show running-config") == running


# Each: what stands before, what the commit adds or takes away.
SCENARIOS = {
    "addresses": (["interface eth0", "ip address 10.0.1.1/24", "ip address 10.0.1.2/24 secondary"],
                  ["interface eth0", "no ip address 10.0.1.1/24", "ip address 10.0.1.7/24",
                   "ipv6 address 2001:db8:1::7/64", "mtu 1400", "description changed",
                   "interface eth1", "ip address 198.51.100.2/24"]),
    "links": (["interface Loopback2", "ip address 192.0.2.2/32"],
              ["interface Loopback1", "ip address 192.0.2.1/32", "interface BVI1",
               "ip address 10.77.0.1/24", "interface eth1", "bridge-group 1", "exit",
               "no interface Loopback2", "no ip routing"]),
    "routes": (["interface eth0", "ip address 10.0.1.1/24", "exit", "ip route 10.1.0.0/16 10.0.1.10",
                "ip route 10.2.0.0/16 10.0.1.10", "ipv6 route 2001:db8:5::/48 Null0"],
               ["no ip route 10.1.0.0/16", "ip route 10.2.0.0/16 10.0.1.11",
                "ip route 10.3.0.0/16 10.0.1.10", "ip route 10.4.0.0/16 blackhole",
                "no ipv6 route 2001:db8:5::/48 Null0", "ipv6 route 2001:db8:6::/48 unreachable"]),
}


def settled(r1):
    """The kernel holds what runs, and no commit is under way."""
    drift = r1.json("show kernel drift")
    return drift["missing"] == [] and not drift["committing"]


def start_saved(topo):
    """rtrd with what was saved before, as after a boot."""
    topo.r1.start()
    wait_for(lambda: settled(topo.r1), what="the base configuration")


@pytest.fixture(params=sorted(SCENARIOS))
def scenario(request, topology):
    """The router with the scenario's base as its startup configuration, and the number of kernel
    writes that the base and the change take."""
    topo = topology("basic")
    base, change = SCENARIOS[request.param]
    start_saved(topo)
    topo.r1.config(base)
    topo.r1.cli("write memory")
    writes = topo.r1.json("show version")["kernel_writes"]
    old = kernel(topo.r1)
    batch(topo.r1, change)
    n = topo.r1.json("show version")["kernel_writes"] - writes
    new = kernel(topo.r1)
    assert n >= 4 and old != new
    reset(topo)
    return topo, change, n, old, new


def batch(r1, lines, check=True):
    """One transaction."""
    return r1.cli("configure candidate", *lines, "commit", "end", check=check)


def reset(topo):
    """Back to a kernel without anything of ours, as after a reboot."""
    batch(topo.r1, ["no interface eth0", "no interface eth1", "no interface Loopback1",
                    "no interface Loopback2", "no interface BVI1", "no ip route", "no ipv6 route",
                    "ip routing"])
    topo.r1.stop()
    os.unlink(f"/run/rtr/{topo.r1.instance}/running")


@pytest.mark.seconds(240)
def test_a_failure_at_any_write_changes_nothing(scenario, monkeypatch):
    topo, change, n, old, new = scenario
    for k in range(1, n + 1):
        start_saved(topo)
        topo.r1.stop()
        # A restart writes nothing, so the k-th write of this process is the k-th of the commit.
        monkeypatch.setenv("RTR_FAULT", f"fail:{k}")
        topo.r1.start()
        monkeypatch.delenv("RTR_FAULT")
        assert topo.r1.json("show version")["kernel_writes"] == 0
        state, running = kernel(topo.r1), topo.r1.cli("show running-config")
        assert state == old
        out = batch(topo.r1, change, check=False)
        if "Commit complete" in out:
            assert kernel(topo.r1) == new  # the kernel had done by itself what the write was for
            reset(topo)
            continue
        assert INJECTED in out and "Nothing was changed" in out, f"write {k}: {out}"
        assert kernel(topo.r1) == state, f"write {k}"
        assert topo.r1.cli("show running-config") == running
        assert not topo.r1.json("show version")["degraded"]
        reset(topo)


@pytest.mark.seconds(240)
def test_kill_at_any_write_ends_old_or_new(scenario, monkeypatch):
    topo, change, n, old, new = scenario
    for k in range(1, n + 1):
        start_saved(topo)
        topo.r1.stop()
        monkeypatch.setenv("RTR_FAULT", f"kill:{k}")
        topo.r1.start()
        monkeypatch.delenv("RTR_FAULT")
        out = batch(topo.r1, change, check=False)
        if "Commit complete" in out:
            assert kernel(topo.r1) == new
            reset(topo)
            continue
        # The parent brings it back; within a second the kernel is one of the two.
        wait_for(lambda: settled(topo.r1), timeout=1.5,
                 what="one of the two configurations")
        assert "interrupted" in topo.r1.cli("show logging"), f"write {k}: {out}"
        assert kernel(topo.r1) == old, f"write {k}: not published, so it must be the old one"
        reset(topo)


def test_foreign_hands_are_repaired(r1):
    r1.config([*base_lines(r1.topo)])
    state = kernel(r1)
    for damage in (["addr", "del", "10.0.1.1/24", "dev", "eth0"],
                   ["route", "del", "default", "metric", "16777216"],
                   ["link", "set", "eth1", "down"],
                   ["addr", "flush", "dev", "eth1"]):
        r1.ip(*damage)
        same(r1, state, f"repair of {' '.join(damage)}")
    assert "REPAIR" in r1.cli("show logging")


def test_interface_that_comes_and_goes(r1):
    r1.config(["interface eth7", "ip address 10.7.0.1/24", "mtu 1300", "exit",
               "ip route 10.70.0.0/16 10.7.0.2"])
    r1.ip("link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
    r1.ip("link", "set", "eth8", "up")
    wait_for(lambda: "10.70.0.0/16" in r1.ip("route").stdout, what="address and route on the new link")
    assert "mtu 1300" in r1.ip("link", "show", "eth7").stdout
    r1.ip("link", "del", "eth7")
    assert "10.70.0.0/16" not in r1.ip("route").stdout
    assert not r1.json("show version")["degraded"]
    assert "10.7.0.1" in r1.cli("show running-config")


@pytest.mark.seconds(120)
def test_sighup_swaps_configurations_without_loss(routers):
    topo = routers("basic")
    r1 = topo.r1
    path = Path(startup(r1.folder))
    r1.config([*base_lines(topo), "ip route 10.90.0.0/16 198.51.100.1"])
    r1.cli("write memory")
    one = path.read_text()
    r1.config(["no ip route 10.90.0.0/16 198.51.100.1", "ip route 10.91.0.0/16 198.51.100.1",
               "interface Loopback5", "ip address 192.0.2.5/32"])
    r1.cli("write memory")
    two = path.read_text()
    revision = r1.json("show version")["revision"]
    ping = topo.lan.popen("ping", "-n", "-i", "0.002", "-q", "203.0.113.10", stdout=subprocess.PIPE)
    rounds = int(os.environ.get("RTR_SIGHUPS", "1000"))
    for i in range(rounds):
        # A file is replaced, never written over: rtrd may read it at any moment.
        after = path.with_suffix(".next")
        after.write_text(one if i % 2 == 0 else two)
        after.chmod(0o644)
        os.rename(after, path)
        r1.sighup()
        revision += 1
        wait_for(lambda: r1.json("show version")["revision"] == revision, what=f"reload {i}", interval=0.002)
    ping.send_signal(signal.SIGINT)
    out = ping.communicate()[0]
    sent, got = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    assert sent > rounds and got >= sent - 1, out  # the last may be on its way when ping is stopped
    assert r1.json("show kernel drift")["missing"] == []


def test_bad_startup_file_changes_nothing_and_names_the_line(routers):
    topo = routers("basic")
    r1 = topo.r1
    path = Path(startup(r1.folder))
    r1.config(base_lines(topo))
    r1.cli("write memory")
    state, good = kernel(r1), path.read_text()
    for bad, why in ((good.replace("hostname", "hostnam"), "hostnam: there is no such knob"),
                     (good[:len(good) // 2], "syntax error"),
                     ("", "empty"),
                     ("interface = ( { name = \"eth0\"; mtu = 5; } );", "5 is out of range 68-65535"),
                     ("\x00\x01garbage", "")):
        path.write_text(bad)
        r1.sighup()
        wait_for(lambda: r1.json("show reload")["last"]["good"] is False, what="the refusal")
        assert why in r1.json("show reload")["last"]["text"]
        assert kernel(r1) == state
        path.write_text(good)
        r1.sighup()
        wait_for(lambda: r1.json("show reload")["last"]["good"] is True, what="the good file again")


def test_commit_confirmed_goes_back_even_after_kill9(r1):
    r1.config(base_lines(r1.topo))
    state = kernel(r1)
    r1.cli("configure candidate", "interface eth0", "ip address 10.0.9.1/24 secondary",
           "commit confirmed 1", "end")
    assert "10.0.9.1/24" in r1.addresses("eth0")
    with pytest.raises(CliError, match="a confirmed commit waits"):
        r1.config(["hostname other"])
    with pytest.raises(CliError, match="waits for its confirmation"):
        r1.cli("write memory")
    # A further one keeps the first way back.
    out = r1.cli("configure candidate", "hostname second", "commit confirmed 5", "end")
    assert "Going back in" in out
    assert "A change by root waits for its confirmation; going back in " in r1.cli("show commit")
    # Revisions are written a moment later; one that equals the newest is not kept again.
    wait_for(lambda: r1.json("show archive")[0]["comment"] == "candidate", what="its revision")
    # What a save leaves that is killed halfway goes with the next start; a copy of the operator's stays.
    path = startup(r1.folder)
    for name in (f"{path}~rtr-a1B2c3", f"{path}.backup"):
        Path(name).write_text("")
    r1.kill9(r1.daemon_pid())
    wait_for(lambda: r1.cli("show version", check=False).startswith("rtr "), what="rtrd again")
    assert Path(f"{path}.backup").exists() and not Path(f"{path}~rtr-a1B2c3").exists()
    assert "10.0.9.1/24" in r1.addresses("eth0")
    waits = r1.json("show commit")
    assert waits["pending"] is True and waits["user"] == "root" and 0 < waits["seconds_left"] <= 300
    r1.cli("commit abort")
    wait_for(lambda: kernel(r1) == state, what="the configuration before")
    wait_for(lambda: r1.json("show archive")[0]["comment"] == "reverted", what="the revision of it")
    assert "hostname r1" in r1.cli("show running-config")
    assert r1.json("show commit") == {"pending": False, "user": None, "seconds_left": None}
    assert r1.cli("show commit") == "No change waits for a confirmation.\n"
    r1.config(["hostname other"])


def hang_up(terminal):
    if terminal.fd is not None:
        terminal.close()
        terminal.fd = None


@pytest.fixture
def terminal(r1, tmp_path):
    """A person at r1's console."""
    made = []

    def make(*args):
        where = SimpleNamespace(folder=str(tmp_path), sock=cli_socket(r1.instance))
        made.append(Terminal(where, *args))
        made[-1].expect("r1#|rtr#")
        return made[-1]

    yield make
    for t in made:
        hang_up(t)


def test_candidate_is_one_and_can_be_rebased(r1, terminal):
    t = terminal()
    t.type("configure candidate\r").expect(r"config\*\)#")
    t.type("hostname held\r").expect(r"config\*\)#")
    with pytest.raises(CliError, match="holds the candidate"):
        r1.cli("configure candidate")
    # Somebody else's change meanwhile makes the candidate stale; rebase keeps both.
    r1.config(["interface eth1", "description theirs"])
    t.type("commit\r").expect("changed since")
    t.type("rebase\r").expect(r"config\*\)#")
    t.type("show candidate diff\r").expect(r"\+hostname held")
    t.type("commit\r").expect("Commit complete")
    t.type("end\r").expect("held#")
    running = r1.cli("show running-config")
    assert "description theirs" in running and "hostname held" in running


def test_terminal_width_wraps_the_words_of_help(terminal):
    t = terminal()
    t.type("terminal width 20\r").expect("#")
    t.type("c?").expect(r"clear  commit  \s*\n\s*configure  copy")


def test_candidate_is_given_up_at_a_hang_up(r1, terminal):
    t = terminal()
    t.type("configure candidate\r").expect(r"config\*\)#")
    t.type("hostname lost\r").expect(r"config\*\)#")
    hang_up(t)
    wait_for(lambda: "hung up; 1 lines" in r1.cli("show logging"), what="the log line")
    assert "lost" not in r1.cli("show running-config")
    r1.cli("configure candidate", "end")


def test_save_reload_rollback(r1, tmp_path):
    r1.config(["hostname one"])
    r1.cli("write memory")
    r1.config(["hostname two"])
    assert "hostname two" in r1.cli("show running-config")
    out = r1.cli("show archive config differences 2")
    assert "-hostname one" in out and "+hostname two" in out
    r1.cli("rollback 2")
    assert "hostname one" in r1.cli("show running-config")
    r1.config(["hostname three"])
    r1.cli("reload")
    wait_for(lambda: "hostname one" in r1.cli("show running-config"), what="the startup configuration")


def test_an_operator_who_leaves_in_the_middle_harms_nobody(r1):
    r1.config(["hostname one", *(f"ip route 10.9.{i}.0/24 Null0" for i in range(50))])
    r1.config(["no ip route"])
    pid = r1.daemon_pid()
    for delay in (0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.02, 0.03):
        p = r1.popen(program("rtrctl"), "-N", r1.instance, "-c", "rollback 2")
        try:
            p.wait(delay)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        r1.config([f"hostname after{int(delay * 1000)}", "no ip route"])
    assert r1.daemon_pid() == pid and r1.json("show kernel drift")["missing"] == []


@pytest.mark.seconds(120)
def test_ten_thousand_routes_in_one_commit(r1, tmp_path):
    lines = [f"ip route 10.{100 + i // 256}.{i % 256}.0 255.255.255.0 10.0.1.10" for i in range(10000)]
    r1.config(["interface eth0", "ip address 10.0.1.1/24"])
    text = "\n".join(["configure terminal", *lines, "end", "show ip route summary | json"])
    path = tmp_path / "routes"
    path.write_text(text + "\n")
    out = sh("sh", "-c", f"{program('rtrctl')} -N {r1.instance} < {path}").stdout
    assert json.loads(out)["static"] == 10000
    proto = r1.ip_json("route", "show", "10.101.1.0/24")[0]["protocol"]
    assert r1.ip("-4", "route", "show", "proto", proto).stdout.count("\n") == 10000
    # One faulty line among them and nothing of it is taken.
    before = r1.cli("show running-config | count")
    path.write_text("\n".join(["configure terminal", "hostname half", "ip route 10.0.0.1/8 Null0", "end"]) + "\n")
    p = sh("sh", "-c", f"{program('rtrctl')} -N {r1.instance} < {path}", check=False)
    assert p.returncode and "nothing of it was applied" in p.stdout + p.stderr
    assert r1.cli("show running-config | count") == before


def test_rtrd_t_checks_without_root(r1):
    # The run's own /run: other users may not pass through pytest's folders.
    folder = Path(f"/run/{r1.instance}-check")
    folder.mkdir(mode=0o755)
    good = folder / "good.conf"
    good.write_text('hostname = "a"; interface = ( { name = "eth0"; ip_address = ( { addr = "10.0.0.1/24"; } ); } );\n')
    bad = folder / "bad.conf"
    bad.write_text('interface = ( { name = "eth0"; ip_address = ( { addr = "10.0.0.0/24"; } ); } );\n')
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    assert sh(*as_nobody, program("rtrd"), "-t", str(good)).returncode == 0
    p = sh(*as_nobody, program("rtrd"), "-t", str(bad), check=False)
    assert p.returncode == 3 and "10.0.0.0" in p.stdout + p.stderr
