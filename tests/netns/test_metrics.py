# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics for Prometheus: the format, that they are what the show commands print, and the bounds."""
import re
import socket
import subprocess

import pytest

from nssock import family, sock
from router import TOP, CliError, program
from test_drops import datagrams
from test_neigh_dad import scapy
from topo import router_lines, wait_for

SERIES = re.compile(r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.e+-]+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')


@pytest.fixture
def topo(routers):
    topo = routers("basic")
    topo.r1.config(router_lines(topo.spec, "r1"))
    return topo


def http(node, addr, request, port=9273, source=""):
    """The whole answer to the bytes of a request."""
    with sock(node, "tcp", source, 0, family(addr)) as s:
        s.connect((addr, port))
        s.sendall(request)
        out = b""
        while data := s.recv(65536):
            out += data
    return out.decode()


def scrape(node, addr="127.0.0.1", **kwargs):
    """{(name, labels): value}, after checking the format of every line."""
    head, body = http(node, addr, b"GET /metrics HTTP/1.1\r\nHost: r1\r\n\r\n", **kwargs).split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 ") and "Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
    out, name, seen = {}, "", set()
    for line in body.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in seen, f"{name} is told twice"
            seen.add(name)
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [name, "counter" if name.endswith("_total") else "gauge"]
        else:
            m = SERIES.fullmatch(line)
            assert m and m[1] == name, line
            key = (name, frozenset(LABEL.findall(m[2] or "")))
            assert key not in out, line
            out[key] = float(m[3])
    assert body.endswith("\n")
    return out


def rows(doc, steps):
    """(row, those around it, key) for each place that `rows` of the table leads to."""
    found = [(doc, [], "")]
    for step in filter(None, steps.split("/")):
        nxt = []
        for row, around, key in found:
            if step == "[]":
                nxt += [(e, [*around, e], key) for e in row]
            elif step == "{}":
                nxt += [(v, around, k) for k, v in row.items() if k != "total"]
            elif step in row:
                nxt.append((row[step], around, key))
        found = nxt
    return [(row, [*around, row], key) for row, around, key in found]


def look(row, path):
    for step in path.split("/") if path != "." else []:
        row = row.get(step) if isinstance(row, dict) else None
    return row


def expected(r1):
    """The same as a scrape, straight from the show commands."""
    out, docs = {}, {}
    for m in r1.json("show metrics"):
        if m["command"] not in docs:
            docs[m["command"]] = r1.json(m["command"])
        for row, around, at in rows(docs[m["command"]], m["rows"]):
            path, _, word = m["path"].partition("=")
            value = look(row, path)
            if value is None:
                continue
            value = float(value == word if word else value) * m["scale"]
            labels = []
            for spec in m["labels"].split():
                name, sep, what = re.match(r"(\w+)([=:])(.*)", spec).groups()
                text = what if sep == ":" else at if what == "@" else next(
                    (str(r[what]) for r in reversed(around) if isinstance(r, dict) and what in r), "")
                labels.append((name, text[:128].replace("\\", "\\\\").replace('"', '\\"')))
            out[(m["metric"], frozenset(labels))] = value
    return out


CONFIG = ["ip access-list standard N", "permit 10.0.1.0 0.0.0.255", "exit", "ip access-list extended LAN", "5 deny udp any any eq 9", "10 permit ip 10.0.1.0 0.0.0.255 any", "20 deny udp any any log", "exit",
          "ipv6 access-list LAN6", "permit ipv6 any any", "exit",
          "interface eth0", "ip access-group LAN in", "ipv6 traffic-filter LAN6 in", "ip nat inside", "exit",
          "interface eth1", "ip nat outside", "exit",
          "ip nat inside source list N interface eth1 overload",
          "ip nat inside source static tcp 10.0.1.10 80 interface eth1 8080",
          "ip sla 1", "icmp-echo 198.51.100.1", "frequency msec 900", "exit", "track 7 ip sla 1 reachability", "exit",
          "logging host 198.51.100.9"]
CAPTURE = ["monitor capture C interface eth0 both match ip limit packets 1000", "monitor capture C start"]


# Of the whole machine, where other tests are at work, or of what comes and goes between two looks.
MOVING = ("rtr_neighbour", "rtr_health_", "rtr_conntrack_entries", "rtr_conntrack_new", "rtr_conntrack_state", "rtr_lost_")


def test_metrics_equal_the_show_commands(topo):
    r1, lan = topo.r1, topo.lan
    r1.config(["metrics listen 127.0.0.1 port 9273", "metrics listen ::1 port 9273", *CONFIG])
    wait_for(lambda: r1.json("show track 7")[0]["state"] == "Up", what="the track")
    r1.cli(*CAPTURE)
    lan.ping("198.51.100.1")
    lan.run("bash", "-c", "echo x >/dev/udp/198.51.100.1/9")  # line 5 drops it
    wait_for(lambda: any(d["reason"] == "acl-deny" for d in r1.json("show drops")["drops"]), what="a drop")
    lan.ping("2001:db8:100::1")
    before = expected(r1)
    got = scrape(r1)
    after = expected(r1)
    assert len(before) > 150
    # Numbers grow between two looks, or move; at rest they are the same.
    same = 0
    for key, value in before.items():
        if key not in after:
            continue
        assert key in got, key
        if key[0].endswith("_total"):
            # Seconds are made of milliseconds: the last digit may differ.
            assert value * (1 - 1e-9) <= got[key] <= after[key] * (1 + 1e-9), key
        if value == after[key] and not key[0].startswith(MOVING):
            assert got[key] == pytest.approx(value), key
            same += 1
    assert same > 100
    names = {name for name, _ in got}
    assert {n for n, _ in got} - {n for n, _ in before} <= {n for n in names if n.startswith("rtr_metrics_")}
    assert got[("rtr_metrics_commands_left_out", frozenset())] == 0
    assert got[("rtr_metrics_whole", frozenset())] == 1
    hits = [v for (n, labels), v in got.items()
            if n == "rtr_access_list_match_packets_total" and ("list", "LAN") in labels and ("seq", "10") in labels]
    assert hits and hits[0] >= 1
    assert any(n == "rtr_lost_packets_total" and ("reason", "acl-deny") in labels for n, labels in got)
    assert any(n == "rtr_capture_packets_total" and ("capture", "C") in labels for n, labels in got)
    assert got[("rtr_track_up", frozenset({("track", "7")}))] == 1
    assert scrape(r1, "::1")
    # No session is left over, and nobody saw a secret or was hindered.
    wait_for(lambda: len(r1.json("show users")) == 1, what="the end of the inner session")


# Another view of the same rows: command, its path, the command that the metrics are of, the path there.
INTERFACES = r"show (interfaces( brief| counters| counters errors| description)?|ip interface( brief)?|ipv6 interface( brief)?)"
VIEWS = ((INTERFACES, r"\[\]/addresses/", "show ip interface", "[]/addresses/"),
         (INTERFACES, "", "show interfaces", ""),
         (r"show arp( summary)?", "", r"show ip arp\1", ""),
         (r"show (ip access-lists|ipv6 access-list)", "", "show access-lists", ""),
         (r"show (ip|ipv6) nat statistics", r"static_mappings/\[\]/", r"show \1 nat rules", "rules/[]/"),
         (r"show ip sla summary", "", "show ip sla statistics", ""),
         (r"show track brief", "", "show track", ""),
         (r"show vrrp( brief| detail)?", "", "show vrrp statistics", ""),
         (r"show logging", r"hosts/", "show logging hosts", ""),
         (r"show dataplane", r"interfaces/", "show dataplane interfaces", ""),
         (r"show dataplane", r"flows/", "show dataplane memory", "flows_"),
         (r"show dataplane eligibility", "", "show dataplane interfaces", ""))
# What needs no metric: command, what the path ends in, why.
NO_METRIC = (
    (r"show (conntrack|ip nat translations|ipv6 nat translations)", ".*", "a line for each connection"),
    (r"show (ip arp|ipv6 neighbors|(ip|ipv6) route|show mac address-table|dhcp lease)", ".*", "a line for each host or network"),
    (r"show (archive|history|users|vrrp history|reload.*|clock)", ".*", "what happened once, and the time"),
    (r"show (running|startup)-config.*|show (ip|ipv6) (policy|rules)|show route-map", ".*", "the configuration itself"),
    (r".*", r"(seq|sequence|id|group|vrid|cpu|queue|worker|port|facility|priority)", "the name of a row, or its order"),
    (r".*", r"(\w*_sec|last_seconds|last_change|\w*_unix(_ns)?|last_\w+_ms|peer_heard_ms)", "a time that goes on by itself"),
    (r"show health", r"(warn|crit)", "a setting"),
    (r"show (ip arp|ipv6 neighbors) summary", r"gc_thresh[12]", "a setting"),
    (r"show interfaces queues", r"queues/\w+|rings/\w+", "a setting"),
    (r"show monitor capture", r"snap_length|limits/\w+", "a setting"),
    (r"show (ip|ipv6) nat pools", r"prefix_length", "a setting"),
    (r"show vrrp statistics", r"version|(configured|master)_priority|\w*(advertisement|down)_ms", "a setting, or the master's"))


def leaves(doc, path=()):
    """(path, number): keys, with [] for what stands in an array."""
    for key, value in doc.items() if isinstance(doc, dict) else (("[]", v) for v in doc):
        if isinstance(value, (dict, list)):
            yield from leaves(value, (*path, key))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield "/".join((*path, key)), value


def plain_commands():
    """Every show command that can be typed without an argument."""
    manual = subprocess.run([program("rtrd"), "--print-manual"], capture_output=True, text=True, check=True).stdout
    names = {re.sub(r" \[.*\]", "", line.replace("\\|", "|")) for line in re.findall(r"(?m)^\| `(show [^`]*)` \|", manual)}
    return sorted(n for n in names if not re.search(r"[<{]|candidate|tech-support|show metrics", n))


def without_metric(command, path, table):
    """Is there neither a metric of this number, nor a reason why not?"""
    for view, prefix, target, there in VIEWS:
        if (m := re.fullmatch(view, command)) and re.match(prefix, path):
            command, path = m.expand(target) if "\\1" in target and m[1] else target.replace("\\1", ""), there + re.sub(f"^{prefix}", "", path)
            break
    if any(re.fullmatch(p, path) for p in table.get(command, ())):
        return None
    if any(re.fullmatch(c, command) and re.search(f"(^|/)({p})$", path) for c, p, _ in NO_METRIC):
        return None
    return f"{command}: {path}"


@pytest.mark.seconds(60)
def test_every_number_of_a_show_command_has_a_metric(topo):
    """Whatever number a show command prints is in the table, or in the short list above."""
    r1, lan = topo.r1, topo.lan
    r1.config([*CONFIG, "ip access-list extended LAN", "7 deny udp any any eq 11 log", "exit",
               "ip nat pool P 198.51.100.20 198.51.100.22 netmask 255.255.255.0", "interface eth0", "vrrp 1 ip 10.0.1.254", "dataplane fast", "exit",
               "interface eth1", "dataplane fast", "exit"])
    # A chain that counts.
    r1.run("iptables-nft-restore", input="*filter\n:INPUT ACCEPT [5:500]\nCOMMIT\n")
    wait_for(lambda: {i["plane"] for i in r1.json("show dataplane interfaces")} == {"fast"}, 20, "the fast plane")
    wait_for(lambda: r1.json("show track 7")[0]["state"] == "Up", what="the track")
    r1.cli(*(line.replace("eth0", "lo") for line in CAPTURE))
    # Packets that workers drop, and such as only the kernel can judge; an address of ours elsewhere.
    def counted():
        datagrams(lan, "198.51.100.1", 2)
        datagrams(lan, "198.51.100.1", 2, port=11)
        return all(any(c[k] for c in r1.json("show dataplane")["counters"]) for k in ("drops", "punts"))
    wait_for(counted, 20, "their counters")
    clash = ("sendp(Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(op=2, hwsrc=mac, psrc='10.0.1.1', pdst='10.0.1.1'),"
             " iface='eth0', verbose=False)\n")
    wait_for(lambda: scapy(lan, clash) or "conflicts" in str(r1.json("show ip interface eth0")), 20, "the conflict")
    table = {}
    for m in r1.json("show metrics"):
        path = "/".join(filter(None, (m["rows"], m["path"].partition("=")[0].strip("."))))
        table.setdefault(m["command"], set()).add(re.escape(path).replace(r"\{\}", "[^/]+"))
    seen = {f"{command}: {path}" for command in plain_commands() for path, _ in leaves(r1.json(command))}
    # Those that are not always there.
    for rare in ("show ip interface: []/addresses/[]/conflicts", "show firewall hooks: hooks/[]/packets",
                 "show dataplane: counters/[]/drops/", "show dataplane: counters/[]/punts/",
                 "show monitor capture: captures/[]/captured"):
        assert any(s.startswith(rare) for s in seen), rare
    missing = {without_metric(*s.split(": ", 1), table) for s in seen} - {None}
    assert len(seen) > 500 and not missing, "\n".join(sorted(missing))


def test_who_may_ask(topo):
    r1, lan, wan = topo.r1, topo.lan, topo.wan
    r1.config(["metrics listen 10.0.1.1 port 9273 allow 10.0.1.0/24",
               "metrics listen 2001:db8:1::1 port 9273 allow 2001:db8:1::/64"])
    wait_for(lambda: not r1.ip("-6", "addr", "show", "tentative").stdout, what="own addresses")
    page = b"GET /metrics HTTP/1.0\r\n\r\n"
    for addr in ("10.0.1.1", "2001:db8:1::1"):
        wait_for(lambda a=addr: f"{a}" in r1.run("ss", "-Hltn").stdout, 8, "the listener")
        assert " 200 " in http(lan, addr, page).splitlines()[0]
        assert " 403 " in http(wan, addr, page).splitlines()[0]
    ask = "10.0.1.1"
    assert " 404 " in http(lan, ask, b"GET / HTTP/1.0\r\n\r\n").splitlines()[0]
    assert " 501 " in http(lan, ask, b"POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n").splitlines()[0]
    assert "200" not in http(lan, ask, b"GET /metrics HTTP/1.0\r\nX: " + b"y" * 9000 + b"\r\n\r\n")[:15]
    assert "200" not in http(lan, ask, b"\0\xff\r\n\r\n")[:15]
    # Clients that say nothing, many of them, and one that is gone before its answer: the rest goes on.
    idle = [sock(lan, "tcp", "", 0, socket.AF_INET) for _ in range(30)]
    for s in idle:
        s.connect((ask, 9273))
    with sock(lan, "tcp", "", 0, socket.AF_INET) as s:
        s.connect((ask, 9273))
        s.sendall(page)
    assert " 200 " in http(lan, ask, page).splitlines()[0]
    for s in idle:
        s.close()
    # The line goes while a client is connected; the port is closed.
    with sock(lan, "tcp", "", 0, socket.AF_INET) as s:
        s.connect((ask, 9273))
        r1.config(["no metrics listen 10.0.1.1 port 9273"])
        assert s.recv(10) == b""
    with pytest.raises(OSError):
        http(lan, ask, page)


@pytest.mark.parametrize("line, why", [
    ("metrics listen 10.0.1.1 port 9273", "say who is allowed"),
    ("metrics listen 10.0.1.1 port 9273 allow 2001:db8::/32", "other address family"),
    ("metrics listen 224.0.0.1 port 9273 allow 10.0.0.0/8", "no address to listen on")])
def test_refusals(routers, line, why):
    r1 = routers("basic").r1
    with pytest.raises(CliError, match=why):
        r1.config([line])


def test_the_table_in_the_guide(routers):
    """docs/metrics.md is what `show metrics` says, line for line."""
    made = [f"| `{m['metric']}` | `{m['command']}` | {m['help']} |" for m in routers("basic").r1.json("show metrics")]
    unique = list(dict.fromkeys(made))
    with open(f"{TOP}/docs/metrics.md") as f:
        listed = [line.rstrip() for line in f if line.startswith("| `rtr_")]
    assert listed == unique
