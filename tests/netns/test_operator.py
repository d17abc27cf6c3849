# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator meets at the prompt: link-local destinations, one interface's configuration,
lines that are not there, one log line a change."""
import re

import topo


def link_local(node, dev="eth0"):
    return next(a["local"] for link in node.ip_json("-6", "addr", "show", "dev", dev)
                for a in link["addr_info"] if a["scope"] == "link")


def test_link_local_destination(routers):
    net = routers("basic")
    r1 = net.r1
    r1.config(["interface eth0", "ipv6 enable", "interface eth1", "ipv6 enable"])
    dest = link_local(net.lan)
    r1.wait_addresses()
    topo.wait_for(lambda: "100 percent" in r1.cli(f"ping {dest}%eth0 repeat 1", check=False), what="an answer")
    out = r1.cli(f"ping {dest}%eth0 repeat 3")
    assert "!!!" in out and f"to {dest}%eth0," in out
    assert "!!!" in r1.cli(f"ping {dest} repeat 3 source eth0")
    assert f"1 {dest}" in r1.cli(f"traceroute {dest}%eth0")
    assert r1.json(f"ping {dest}%eth0 repeat 1")["destination"] == f"{dest}%eth0"
    many = r1.json("ping 127.0.0.1 repeat 3000")
    assert (many["received"], len(many["answers"]), many["answers_left_out"]) == (3000, 1000, 2000)
    assert "There is no VRF RED" in r1.cli("ping vrf RED 10.0.1.10", check=False)
    assert "There is no VRF eth0" in r1.cli("traceroute 10.0.1.10 vrf eth0", check=False)
    # Not there, or nowhere.
    assert "0 percent" in r1.cli(f"ping {dest}%eth1 repeat 1 timeout 1", check=False)
    assert "needs its interface" in r1.cli(f"ping {dest}", check=False)
    assert "no such interface" in r1.cli(f"ping {dest}%eth9", check=False)
    for wrong in (f"{dest}%", "2001:db8::1%eth0", "169.254.1.1%eth0", f"{dest}%a/b"):
        assert "Invalid input" in r1.cli(f"ping {wrong}", check=False), wrong


def test_running_config_of_an_interface(routers):
    r1 = routers("basic").r1
    r1.config(["hostname edge", "interface eth0", "ip address 10.0.1.1/24", "no ip redirects",
               "interface eth1", "description other", "ip route 10.9.0.0/16 10.0.1.9"])
    assert r1.cli("show running-config interface eth0") == (
        "!\ninterface eth0\n ip address 10.0.1.1 255.255.255.0\n no ip redirects\n!\nend\n")
    text = r1.cli("show running-config interface eth1 all")
    assert " description other\n ip redirects\n" in text and " ip address dad on\n" in text
    assert "hostname" not in text and "ip routing" not in text
    assert [i["name"] for i in r1.json("show running-config interface eth1")["interface"]] == ["eth1"]
    assert "eth7 is not configured" in r1.cli("show running-config interface eth7", check=False)


def test_tables_of_what_is_configured(routers):
    """An interface that is not there is in the tables of lines; the box's addresses stand by their networks."""
    net = routers("basic")
    r1 = net.r1
    r1.config(["interface eth0", "ip address 10.0.1.1/24", "ipv6 address 2001:db8:1::1/64",
               "interface eth1", "ip address 198.51.100.2/24", "ipv6 address 2001:db8:100::2/64",
               "interface eth7", "ip address 10.7.0.1/24", "ipv6 address 2001:db8:7::1/64", "description spare",
               "ip route 10.0.0.0/8 198.51.100.1", "ip route 10.0.1.128/25 198.51.100.1",
               "ip route 0.0.0.0/0 198.51.100.1", "ipv6 route ::/0 2001:db8:100::1"])
    r1.wait_addresses()
    assert re.search("(?m)^eth7 +10.7.0.1 +YES NVRAM +absent +down$", r1.cli("show ip interface brief"))
    assert "eth7                   [absent/down]\n    2001:db8:7::1" in r1.cli("show ipv6 interface brief")
    assert re.search("(?m)^eth7 +absent +down +- +- +spare$", r1.cli("show interfaces brief"))
    assert [i["name"] for i in r1.json("show ip interface brief")] == ["Loopback0", "eth0", "eth1", "eth7"]
    assert r1.json("show ip interface eth7 brief")[0]["status"] == "absent"
    r1.config(["interface eth7", "shutdown"])
    assert re.search("(?m)^eth7 .*administratively down +down$", r1.cli("show ip interface brief"))
    table = re.findall(r"(?m)^(\S+) +(\S+/\d+)", r1.cli("show ip route"))
    assert table == [("S*", "0.0.0.0/0"), ("S", "10.0.0.0/8"), ("C", "10.0.1.0/24"), ("L", "10.0.1.1/32"),
                     ("S", "10.0.1.128/25"), ("C", "198.51.100.0/24"), ("L", "198.51.100.2/32")]
    table = [r for r in re.findall(r"(?m)^(\S+) +(\S+/\d+)", r1.cli("show ipv6 route"))]
    assert [r for r in table if r[1].startswith("2001")] == [
        ("C", "2001:db8:1::/64"), ("L", "2001:db8:1::1/128"), ("C", "2001:db8:100::/64"), ("L", "2001:db8:100::2/128")]
    assert table[-1] == ("S*", "::/0")
    assert {("L", "198.51.100.2/32")} == {r for r in re.findall(r"(?m)^(\S+) +(\S+/\d+)", r1.cli(
        "show ip route 198.51.0.0/16 longer-prefixes")) if r[0] == "L"}
    assert re.findall(r"(?m)^(\S+) +(\S+/\d+)", r1.cli("show ip route local")) == [
        ("L", "10.0.1.1/32"), ("L", "198.51.100.2/32")]
    assert "Routing entry for 10.0.1.1/32" in r1.cli("show ip route 10.0.1.1")


def test_no_of_what_is_not_there(routers):
    """It is said, and is no error: a script that makes sure of something goes on."""
    r1 = routers("basic").r1
    r1.config(["interface eth0", "ip address 10.0.1.1/24", "ip route 10.9.0.0/16 10.0.1.9"])
    for line in ("no ip route 10.8.0.0/16", "no ip route 10.9.0.0/16 10.0.1.8", "no interface Loopback7",
                 "no arp 10.0.1.77"):
        assert r1.config([line]) == f"% Warning: there is no such line: {line}\n"
    assert "no such line" in r1.config(["interface eth0", "no ip address 10.0.1.2/24"])
    # What takes whatever there is, settings, and what is there.
    for line in ("no ip address", "no ip address", "no mtu", "no description", "no shutdown", "default mtu"):
        assert r1.config(["interface eth0", line]) == "", line
    assert r1.config(["no ip route 10.9.0.0/16"]) == ""


def test_static_lines_not_in_use(routers):
    """Which they are and why, in both families; one that nothing configured can bring into use is warned of at once,
    whatever the links do."""
    net = routers("basic")
    r1 = net.r1
    r1.config(topo.router_lines(net.spec, "r1"))
    r1.wait_addresses()
    waits = {"ip route 192.0.2.0/24 203.0.113.99": "203.0.113.99 is reached by the default route only",
             "ip route 192.0.5.0/24 192.0.4.1": "192.0.4.1 is reached by the route to 192.0.4.0/24, which discards",
             "ipv6 route 2001:db8:9::/48 2001:db8:77::1": "2001:db8:77::1 is reached by the default route only"}
    quiet = ["ip route 192.0.4.0/24 Null0", "ip route 192.0.3.0/24 10.0.1.77", "ip route 10.9.0.0/16 192.0.3.1",
             "ip route 192.0.6.0/24 10.0.1.9 255", "ipv6 route 2001:db8:8::/48 2001:db8:1::9"]
    for line in quiet:
        assert r1.config([line]) == "", line
    for line in waits:
        assert "% Warning: " in r1.config([line]) and "the route waits" in r1.config([f"no {line}", line]), line

    def idle(family="ip"):
        return {r["line"].split()[2]: r["reason"] for r in r1.json(f"show {family} static route") if not r["active"]}

    assert idle() == {"192.0.2.0": waits["ip route 192.0.2.0/24 203.0.113.99"], "192.0.6.0": "a route of distance 255 is never used",
                      "192.0.5.0": waits["ip route 192.0.5.0/24 192.0.4.1"]}
    assert idle("ipv6") == {"2001:db8:9::/48": "2001:db8:77::1 is reached by the default route only"}
    text = r1.cli("show ip static route")
    assert "\nA  ip route 192.0.3.0 255.255.255.0 10.0.1.77\n" in text
    assert "\nN  ip route 192.0.2.0 255.255.255.0 203.0.113.99\n     203.0.113.99 is reached by the default route only\n" in text
    assert "\n3 static lines are not in use: show ip static route\n" in r1.cli("show ip route static")
    assert "\n1 static line is not in use: show ipv6 static route\n" in r1.cli("show ipv6 route static")
    # The line was good, its interface goes.
    assert "the route waits" not in r1.config(["interface eth0", "shutdown"])
    topo.wait_for(lambda: idle().get("192.0.3.0") == "10.0.1.77 is reached by eth0, which is down", what="the reason")
    assert idle()["10.9.0.0"] == "192.0.3.1 is reached by the route to 192.0.3.0/24, which is not in use"
    assert "the route waits" not in r1.config(["ip route 192.0.7.0/24 10.0.1.78"])


def test_link_changes_are_logged_once(routers):
    net = routers("basic")
    r1 = net.r1

    def log():
        return re.findall(r"(LINK-\d-\w+|LINEPROTO-5-UPDOWN): .*?eth0, changed state to ([\w ]+)",
                          r1.cli("show logging"))

    r1.config(["interface eth0", "no shutdown"])
    up = [("LINK-3-UPDOWN", "up"), ("LINEPROTO-5-UPDOWN", "up")]
    topo.wait_for(lambda: log() == up, what="up")
    down = [("LINK-5-CHANGED", "administratively down"), ("LINEPROTO-5-UPDOWN", "down")]
    for i in range(1, 6):
        r1.config(["interface eth0", "shutdown"])
        r1.config(["interface eth0", "no shutdown"])
        topo.wait_for(lambda: len(log()) >= 4 * i + 2, what="a change")
    assert log() == up + (down + up) * 5
    r1.cli("clear logging")
    net.lan.ip("link", "set", "eth0", "down")
    topo.wait_for(lambda: len(log()) == 2, what="carrier gone")
    net.lan.ip("link", "set", "eth0", "up")
    topo.wait_for(lambda: len(log()) == 4, what="carrier back")
    assert log() == [("LINK-3-UPDOWN", "down"), ("LINEPROTO-5-UPDOWN", "down")] + up
