# SPDX-License-Identifier: GPL-2.0-or-later
"""What the operator is told: once, in one form, and that each command ends."""
import os

import router
import topo


def test_reload_without_startup_ends(routers):
    """It asks for nothing, says why it cannot, and the session goes on."""
    r1 = routers("basic").r1
    r1.config(["hostname edge"])
    os.unlink(router.startup(r1.folder))  # the first start has made one
    out = r1.cli("reload", "show clock", check=False)
    assert "No such file" in out and "UTC" in out


def test_warning_is_told_once(routers):
    """A warning belongs to the change that causes it, not to every later one."""
    r1 = routers("basic").r1
    assert "comes to life" in r1.config(["interface eth1.100"])
    assert r1.config(["hostname edge"]) == ""
    os.unlink(router.startup(r1.folder))  # the first start has made one
    r1.config(["interface eth0", "ip address 10.0.1.1/24"])
    assert "overlaps" in r1.config(["interface eth1", "shutdown", "ip address 10.0.1.2/24"])
    assert r1.config(["hostname edge2"]) == ""


def test_rollback_warns_as_commits_do(routers):
    r1 = routers("basic").r1
    r1.config(["interface eth0", "shutdown"])
    r1.config(["interface eth0", "no shutdown"])
    assert "% Warning: interface eth0: eth0 goes down" in r1.cli("rollback 2")


def test_first_change_can_be_rolled_back(topology):
    """The configuration of the boot is a revision; a restart adds none."""
    r1 = topology("basic").r1
    r1.start(config_file=f"{router.TOP}/etc/examples/basic/r1.conf")
    topo.wait_for(lambda: "hostname r1" in r1.cli("show running-config"), what="boot")
    r1.config(["hostname edge"])
    os.unlink(router.startup(r1.folder))  # the first start has made one
    assert [e["comment"] for e in r1.json("show archive")] == ["terminal", "boot"]
    r1.cli("rollback 2")
    assert "hostname r1" in r1.cli("show running-config")
    r1.restart()
    assert [e["comment"] for e in r1.json("show archive")] == ["rollback", "terminal", "boot"]
