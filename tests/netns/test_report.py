# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/report: stored figures become a page with plots; docs/performance.md is up to date."""
import json
import subprocess
import xml.etree.ElementTree as ET

import pytest

import router

CASE = {"bench": "b1", "case": "one | two", "unit": "Mops/s", "better": "higher", "ours": 20.0, "peer": "them <&>",
        "peer_value": 10.0, "ratio": 2.0, "limit": 1.0, "required": True, "pass": True,
        "runs": {"ours": [19.0, 20.0, 22.0], "peer": [9.0, 10.0, 10.5]},
        "machine": "2 x CPU, Linux 6", "date": "2026-11-21", "commit": "abc", "quick": False}
SVG = "{http://www.w3.org/2000/svg}"


def report(*args):
    p = subprocess.run([f"{router.TOP}/bench/report", *map(str, args)], capture_output=True, text=True, check=False)
    return p.returncode, p.stdout + p.stderr


def test_page_is_up_to_date():
    assert report("--check") == (0, "")


def test_page_and_plot(tmp_path):
    alone = {**CASE, "busy_percent": 40, "case": "alone", "unit": "ns", "better": "lower", "peer": None, "peer_value": None, "ratio": None,
             "limit": None, "pass": None, "runs": {"ours": [5.0], "peer": []}, "ours": 5.0, "note": "Said of it."}
    none = {**alone, "case": "none", "unit": "packets", "ours": 0, "limit": 0, "pass": True}
    older = {**CASE, "ours": 1.0}
    file = tmp_path / "b1.jsonl"
    file.write_text("".join(json.dumps(c) + "\n" for c in (older, CASE, alone, none)))
    rc, out = report("--out", tmp_path / "docs", file)
    assert rc == 0, out
    page = (tmp_path / "docs/performance.md").read_text()
    assert "| one \\| two | 20 Mops/s | 10 them <&> | 2.00 | 1 met |" in page
    assert "| alone | 5 ns | - | - |  |" in page
    assert "| none | 0 packets | - | - | 0 met |" in page
    assert page.count("\n\nSaid of it.\n\n") == 1
    assert "2026-11-21, 2 x CPU, Linux 6, at abc.\n" in page
    assert "at abc. **40 % of the machine was busy" in page
    svg = ET.parse(tmp_path / "docs/plots/b1.svg").getroot()
    bars = [r for r in svg.iter(f"{SVG}rect") if r.get("height") == "12" and r.get("x") == "320"]
    ours, peer, *_ = (float(r.get("width")) for r in bars)
    assert ours == pytest.approx(2 * peer, abs=0.2)
    assert any("them <&>" in (t.text or "") for t in svg.iter(f"{SVG}text"))
    assert report("--check", "--out", tmp_path / "docs", file) == (0, "")
    file.write_text(json.dumps({**CASE, "ours": 30.0}) + "\n")
    rc, out = report("--check", "--out", tmp_path / "docs", file)
    assert rc == 1 and "performance.md" in out


@pytest.mark.parametrize("line, complaint", [("{", "b.jsonl:1: "), ('{"bench": "x"}', "no case")])
def test_wrong_figures_are_told(tmp_path, line, complaint):
    (tmp_path / "b.jsonl").write_text(line + "\n")
    rc, out = report("--out", tmp_path / "docs", tmp_path / "b.jsonl")
    assert rc == 1 and complaint in out
