# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters of interfaces are what tcpdump counts, packets and bytes, both ways; they do not end at 32 bits, and
every command and the metrics say the same."""
import random
import re
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest
from scapy.utils import RawPcapReader

from nssock import inside
from test_metrics import scrape
from topo import wait_for

# For experiments (IEEE 802): nobody takes it, nobody answers.
ETHERTYPE = b"\x88\xb5"
MTU = 65000
SNAP = 96


@pytest.fixture
def link(routers):
    """big0 of the router, big1 of lan, on which nothing is ever said but what the test says."""
    net = routers("basic")
    net.r1.ip("link", "add", "big0", "mtu", MTU, "type", "veth", "peer", "name", "big1", "mtu", MTU,
              "netns", net.lan.netns)
    for node, dev in ((net.r1, "big0"), (net.lan, "big1")):
        node.sysctl(**{f"net.ipv6.conf.{dev}.disable_ipv6": 1})
        node.ip("link", "set", dev, "up")
    wait_for(lambda: net.r1.json("show interfaces big0")[0]["line_protocol"], what="the link")
    return net


def raw(node, dev):
    s = inside(node, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    s.bind((dev, 0))
    return s


def frame(size):
    return b"\x02\0\0\0\0\x0a\x02\0\0\0\0\x0b" + ETHERTYPE + bytes(size - 14)


def counters(r1):
    return r1.json("show interfaces big0")[0]["counters"]


@contextmanager
def tcpdump(node, path, n, lengths):
    """The lengths on the wire of what it saw, once it has written all that it shall see."""
    seen = []
    p = node.popen("tcpdump", "-i", "big0", "-s", str(SNAP), "-B", "65536", "-U", "-Z", "root", "-w", str(path),
                   stderr=subprocess.PIPE)
    assert any("listening on" in line for line in p.stderr)
    yield seen
    wait_for(lambda: path.stat().st_size >= 24 + sum(16 + x for x in lengths), what="what tcpdump writes")
    p.send_signal(signal.SIGINT)
    assert f"{n} packets captured" in p.communicate(timeout=10)[1]
    reader = RawPcapReader(str(path))
    seen += [meta.wirelen for _, meta in reader]
    reader.close()


def test_as_tcpdump_counts(link, tmp_path):
    r1, rng = link.r1, random.Random(5)
    into, out = raw(link.lan, "big1"), raw(r1, "big0")
    sizes = {s: [rng.choice((60, 61, 590, 1514, 9014, MTU + 14)) for _ in range(n)] for s, n in ((into, 700), (out, 400))}
    before = counters(r1)
    with tcpdump(r1, tmp_path / "pcap", 1100, [min(SNAP, n) for list_ in sizes.values() for n in list_]) as seen:
        for s, list_ in sizes.items():
            for size in list_:
                s.send(frame(size))
        wait_for(lambda: counters(r1)["rx_packets"] - before["rx_packets"] >= 700, what="all of them")
    after = counters(r1)
    grown = {k: after[k] - before[k] for k in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")}
    assert grown == {"rx_packets": 700, "rx_bytes": sum(sizes[into]), "tx_packets": 400, "tx_bytes": sum(sizes[out])}
    assert (grown["rx_packets"] + grown["tx_packets"], grown["rx_bytes"] + grown["tx_bytes"]) == (len(seen), sum(seen))
    into.close()
    out.close()


def test_beyond_32_bits(link):
    """Four gigabytes: a counter of 32 bits would begin again."""
    r1 = link.r1
    r1.config(["metrics listen 127.0.0.1 port 9273"])
    s, f = raw(link.lan, "big1"), frame(MTU + 14)
    while counters(r1)["rx_bytes"] <= 2 ** 32 + 10 ** 6:
        for _ in range(4000):
            s.send(f)
    s.close()
    now = counters(r1)
    kernel = r1.ip_json("-s", "link", "show", "dev", "big0")[0]["stats64"]["rx"]
    assert now["rx_bytes"] == kernel["bytes"] > 2 ** 32 and now["rx_packets"] == kernel["packets"]
    assert f"{now['rx_packets']} packets input, {now['rx_bytes']} bytes" in r1.cli("show interfaces big0")
    assert re.search(rf"(?m)^big0 +{now['rx_bytes']} +{now['rx_packets']} ", r1.cli("show interfaces big0 counters"))
    got = scrape(r1)
    assert got[("rtr_interface_receive_bytes_total", frozenset({("interface", "big0")}))] == now["rx_bytes"]
    # The peer's side of the same cable.
    assert link.lan.ip_json("-s", "link", "show", "dev", "big1")[0]["stats64"]["tx"]["bytes"] == now["rx_bytes"]
