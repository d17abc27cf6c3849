# SPDX-License-Identifier: GPL-2.0-or-later
"""VXLAN, bridges and their MAC addresses; and that a kernel without a kind of link says so."""

import pytest

from router import CliError, program
from topo import sh, wait_for

UNDERLAY = {4: ("198.51.100.2", "198.51.100.1"), 6: ("2001:db8:100::2", "2001:db8:100::1")}


def has_kind(kind):
    p = sh("unshare", "-n", "ip", "link", "add", "name", "probe0", "type", kind, check=False)
    return "Unknown device type" not in p.stderr


@pytest.mark.parametrize("family", [4, 6])
def test_vxlan_under_a_bridge(routers, family):
    """A LAN stretched over the underlay: lan and a host behind wan's VXLAN share a network."""
    topo = routers("basic")
    r1, wan, (here, there) = topo.r1, topo.wan, UNDERLAY[family]
    r1.config(["interface eth1", "ip address 198.51.100.2/24", "ipv6 address 2001:db8:100::2/64", "exit",
               "interface BVI1", "ip address 10.0.1.1/24", "exit", "interface eth0", "bridge-group 1", "exit",
               "interface nve1", "vni 5000", f"vxlan source {here}", f"vxlan destination {there}", "bridge-group 1"])
    wan.ip("link", "add", "vx", "type", "vxlan", "id", "5000", "dstport", "4789", "local", there, "remote", here)
    wan.ip("addr", "add", "10.0.1.77/24", "dev", "vx")
    wan.ip("link", "set", "vx", "up")
    wait_for(lambda: topo.lan.ping("10.0.1.77", count=1, check=False), what="an answer through the tunnel")
    topo.lan.ping("10.0.1.77")
    macs = {m["address"]: m for m in r1.json("show mac address-table")}
    mac = wan.ip_json("link", "show", "dev", "vx")[0]["address"].replace(":", "")
    learned = macs[f"{mac[:4]}.{mac[4:8]}.{mac[8:]}"]
    assert (learned["bridge"], learned["port"], learned["type"]) == ("BVI1", "nve1", "DYNAMIC")
    assert "nve1" in r1.cli("show mac address-table")
    wait_for(lambda: "matches" in r1.cli("show kernel drift"), what="rest")
    # Another network number makes it anew; nothing is left at the end.
    r1.config(["interface nve1", "vni 5001", "vxlan port 8472"])
    wait_for(lambda: "id 5001" in r1.ip("-d", "link", "show", "nve1").stdout, what="the new number")
    assert "dstport 8472" in r1.ip("-d", "link", "show", "nve1").stdout
    r1.config(["no interface nve1", "interface eth0", "no bridge-group", "exit", "no interface BVI1"])
    assert "nve1" not in r1.ip("link").stdout


@pytest.mark.parametrize("kind, lines", [
    ("vrf", ["vrf definition RED"]),
    ("gre", ["interface Tunnel0", "tunnel destination 192.0.2.1"]),
    ("bond", ["interface Port-channel1", "description x"]),
])
def test_a_kernel_without_it(routers, kind, lines):
    if has_kind(kind):
        pytest.skip(f"this kernel has {kind}: the guest tests use it")
    with pytest.raises(CliError, match=f"this kernel has no .*module {kind}"):
        routers("basic").r1.config(lines)


REFUSED = [
    (["interface eth0", "tunnel source 10.0.0.1"], "eth0 is no tunnel"),
    (["interface eth0", "vni 7"], "is no VXLAN interface"),
    (["interface eth0", "lacp rate fast"], "is no channel"),
    (["interface eth0", "channel-group 5 mode active"], "there is no interface Port-channel5"),
    (["interface eth0", "vrf forwarding RED"], "there is no vrf RED"),
    (["ip route vrf RED 10.0.0.0/8 10.1.1.1"], "there is no vrf RED"),
    (["interface nve1", "vni 7", "vxlan destination 239.1.1.1"], "needs its interface"),
    (["interface nve1", "vxlan source 10.0.0.1", "vxlan destination 2001:db8::1"], "different address families"),
    (["route-map M permit 10", "set vrf RED"], "there is no vrf RED"),
    (["interface eth0.7", "encapsulation dot1Q 100 second-dot1q 7"], "for the outer tag"),
]


@pytest.mark.parametrize("lines, words", REFUSED)
def test_refused(routers, lines, words):
    with pytest.raises(CliError, match=words):
        routers("basic").r1.config(lines)


def test_offline_check_knows_no_kernel(tmp_path):
    """rtrd -t takes what another box can do, and refuses what none can."""
    good = ('vrf = ( { name = "RED"; } );\n'
            'interface = ( { name = "Tunnel0"; tunnel_dst = "192.0.2.1"; tunnel_src = "192.0.2.2"; vrf = "RED"; },\n'
            ' { name = "Port-channel1"; min_links = 2; }, { name = "eth0"; channel_group = 1; channel_mode = "active"; } );\n'
            'ip_route_vrf = ( { vrf = "RED"; dst = "0.0.0.0/0"; via = "ifname"; ifname = "Tunnel0"; } );\n')
    (tmp_path / "good").write_text(good)
    assert sh(program("rtrd"), "-t", str(tmp_path / "good")).stdout == ""
    (tmp_path / "bad").write_text(good.replace('"active"', '"active"; vrf = "RED"'))
    p = sh(program("rtrd"), "-t", str(tmp_path / "bad"), check=False)
    assert p.returncode and "has no addresses, bridge or VRF" in p.stdout + p.stderr
