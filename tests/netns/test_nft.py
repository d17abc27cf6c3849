# SPDX-License-Identifier: GPL-2.0-or-later
"""What rtr tells about the kernel's packet filter."""
import json

from topo import wait_for

FOREIGN = """
add table ip x
add chain ip x late { type filter hook forward priority 10; policy drop; }
add chain ip x early { type filter hook forward priority -200; }
add chain ip x translate { type nat hook postrouting priority 100; }
add rule ip x translate counter
add chain ip x notahook
add table inet off { flags dormant; }
add chain inet off c { type filter hook input priority 0; }
add table netdev n
add chain netdev n i { type filter hook ingress device lo priority 0; }
add table ip6 y
add chain ip6 y c { type filter hook forward priority 0; }
add table arp z
add chain arp z o { type filter hook output priority 0; }
"""


def test_hooks_and_capabilities(routers):
    r1 = routers("basic").r1
    r1.run("nft", FOREIGN)
    doc = json.loads(r1.cli("show firewall hooks | json"))
    foreign = [h for h in doc["hooks"] if not h["ours"]]
    assert [(h["hook"], h["family"], h["table"], h["chain"]) for h in foreign] == [
        ("ingress", "netdev", "n", "i"),
        ("input", "inet", "off", "c"),
        ("forward", "ip", "x", "early"),
        ("forward", "ip6", "y", "c"),
        ("forward", "ip", "x", "late"),
        ("output", "arp", "z", "o"),
        ("postrouting", "ip", "x", "translate")]
    by_chain = {h["chain"]: h for h in foreign}
    assert by_chain["late"]["policy"] == "drop" and by_chain["late"]["priority"] == 10
    assert by_chain["translate"]["type"] == "nat" and by_chain["translate"]["rules"] == 1
    assert by_chain["i"]["devices"] == ["lo"]
    assert [h["table"] for h in foreign if not h["active"]] == ["off"]
    text = r1.cli("show firewall hooks")
    assert "notahook" not in text
    order = [text.index(w) for w in ("ingress", "early", "late", "postrouting", "translate")]
    assert order == sorted(order)

    doc = json.loads(r1.cli("show platform capabilities | json"))
    caps = {c["name"]: c["there"] for c in doc["nftables"]}
    r1.run("nft", "add table ip t; add chain ip t c { type filter hook forward priority 0; }")
    assert caps["queue"] == (r1.run("nft", "add rule ip t c queue num 1", check=False).returncode == 0)
    assert caps["nat"] and caps["log"]
    assert "queue" in r1.cli("show platform capabilities")


def handles(r1):
    return r1.run("nft", "-a", "list", "ruleset").stdout


def test_restart_and_drift(routers):
    """A restart finds the rules and writes none; what others did is mended."""
    r1 = routers("basic").r1
    wait_for(lambda: "rtr_" in handles(r1), what="our table")
    before = handles(r1)
    r1.kill9(r1.daemon_pid())
    assert "matches" in r1.cli("show kernel drift")
    assert handles(r1) == before
    r1.run("nft", "flush", "ruleset")
    wait_for(lambda: handles(r1).count("comment") == before.count("comment"), what="rules are back")
    wait_for(lambda: "matches" in r1.cli("show kernel drift"), what="no drift")
    assert "SYS-5-REPAIR" in r1.cli("show logging")
