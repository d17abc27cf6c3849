# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/: what is printed there is true: configurations, links between pages, man pages, commands."""
import glob
import os
import re
import shutil
import subprocess
import textwrap

import pytest

import router
import topo

PAGES = [f"{router.TOP}/README.md", *sorted(glob.glob(f"{router.TOP}/docs/**/*.md", recursive=True))]
MAN = sorted(glob.glob(f"{router.TOP}/docs/man/*.[158]"))


def read(path):
    with open(f"{router.TOP}/{path}") as f:
        return f.read()


def manual():
    return subprocess.run([router.program("rtrd"), "--print-manual"], capture_output=True, text=True,
                          check=True).stdout


@pytest.mark.parametrize("path, block", [
    ("docs/user-guide.md", r"(?m)^    hostname = (?:.*\n)+?(?=^\S)"),
    ("docs/man/rtrd.conf.5", r"(?s)(?<=\.Bd -literal\n).*?(?=\.Ed)")])
def test_configurations(path, block, tmp_path):
    text = textwrap.dedent(re.search(block, read(path))[0])
    assert "ip_route" in text
    (tmp_path / "conf").write_text(text)
    p = subprocess.run([router.program("rtrd"), "-t", str(tmp_path / "conf")], capture_output=True,
                       text=True, check=False)
    assert (p.returncode, p.stdout + p.stderr) == (0, ""), text


@pytest.mark.parametrize("page", PAGES, ids=os.path.basename)
def test_links(page):
    with open(page) as f:
        targets = re.findall(r"\]\((?!https?:)([^)#]+)", f.read())
    assert [t for t in targets if not os.path.exists(os.path.join(os.path.dirname(page), t))] == []


@pytest.mark.parametrize("page", MAN, ids=os.path.basename)
def test_man_pages(page):
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    p = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                       env={**os.environ, "MANWIDTH": "80", "MANPAGER": "cat"})
    assert (p.returncode, p.stderr) == (0, "") and "SEE ALSO" in p.stdout


def test_pages_are_installed_once():
    """Every page and man page is in docs/local.mk, and none twice: `make install` stops at that."""
    listed = re.findall(r"docs/[\w./-]+\.(?:md|[158])\b", "".join(
        line for line in read("docs/local.mk").splitlines(True) if line.startswith("dist_")))
    pages = [os.path.relpath(p, router.TOP) for p in glob.glob(f"{router.TOP}/docs/*.md") + MAN]
    assert sorted(listed) == sorted(pages)


def test_programs_have_man_pages():
    made = re.findall(r"(?m)^(?:bin|sbin|rtrlibexec)_PROGRAMS \+= (.*)$", read("daemon/local.mk") + read("cli/local.mk"))
    names = {os.path.splitext(os.path.basename(p))[0] for p in MAN}
    assert {p for line in made for p in line.split()} <= names


def test_settings_are_in_the_man_page():
    """Every setting of the file that the manual names."""
    settings = set(re.findall(r"(?m)^- in the file: `(\w+) =", manual()))
    assert {"hostname", "ip_route", "mtu"} <= settings
    page = read("docs/man/rtrd.conf.5")
    assert [s for s in sorted(settings) if not re.search(rf"\b{s}\b", page)] == []


def test_log_mnemonics_are_in_the_guide():
    """Of the facilities that the guide explains, nothing that rtrd logs is left out."""
    code = "".join(read(os.path.relpath(p, router.TOP))
                   for p in glob.glob(f"{router.TOP}/daemon/**/*.c", recursive=True))
    logged = re.findall(r'log_event\w*\(\s*(?:&\w+, \w+, )?"(SYS|LINK|LINEPROTO|PARSER|NEIGH|IP|IPV6)", LOG_L_(\w+),\s*"(\w+)"', code)
    number = {"ERR": 3, "WARN": 4, "NOTICE": 5, "INFO": 6, "DEBUG": 7}
    guide = read("docs/user-guide.md")
    assert len(logged) > 10
    assert [m for m in sorted({f"{f}-{number[level]}-{name}" for f, level, name in logged}) if m not in guide] == []


def test_commands_of_the_operations_guide(routers):
    """Each can be typed as it stands there."""
    commands = re.findall(r"`((?:show|ping|traceroute|packet-tracer|diagnose|ha) [^`]*)`", read("docs/operations.md"))
    assert len(commands) > 40
    r1 = routers("basic").r1
    r1.stop()
    r1.start(config_file=f"{router.TOP}/etc/examples/basic/r1.conf")
    topo.wait_for(lambda: "matches" in r1.cli("show kernel drift"), what="configured")
    wrong = {c: r1.cli(c, check=False) for c in sorted(set(commands))}
    assert {c: out for c, out in wrong.items() if re.search("Invalid input|Ambiguous|Incomplete|marker", out)} == {}
