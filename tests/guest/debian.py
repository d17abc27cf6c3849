# SPDX-License-Identifier: GPL-2.0-or-later
"""What: Debian's packages of other suites, unpacked for the guests and never installed: kernels, qemu.

Suites are reached by the machine's own sources of its release.

Owns: the cache folder (packages, apt lists), outside of the tree. Failure: Unavailable, with the reason.
"""
import glob
import os
import re
import subprocess
import tempfile

CACHE = os.environ.get("RTR_GUEST_CACHE", "/var/cache/rtr-guest")
# Debian suites whose kernels are tried: the release itself ("{}" is its name), and its backports.
SUITES = ["{}", "{}-backports"]
NEWEST = "sid"


class Unavailable(Exception):
    """Why a kernel cannot be had here."""


def sh(*argv, **kwargs):
    p = subprocess.run(argv, text=True, errors="replace", stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    if p.returncode:
        raise Unavailable(f"{' '.join(argv[:6])}: {p.stdout.strip()[-400:]}")
    return p.stdout


def codename():
    with open("/etc/os-release") as f:
        return dict(line.rstrip().split("=", 1) for line in f if "=" in line)["VERSION_CODENAME"].strip('"')


def apt_sources(suite):
    """The machine's own sources of its release, pointing at another suite of the same archive."""
    release = codename()
    found = []
    for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
        with open(path) as f:
            stanzas = re.split(r"\n\s*\n", "".join(line for line in f if not line.startswith("#")))
        for stanza in stanzas:
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.M))
            if release in fields.get("Suites", "").split() and "main" in fields.get("Components", "").split():
                keep = {k: v for k, v in fields.items() if k in ("Types", "URIs", "Signed-By")}
                keep.update({"Suites": suite, "Components": "main"})
                found.append("\n".join(f"{k}: {v}" for k, v in keep.items()))
    for path in ["/etc/apt/sources.list", *glob.glob("/etc/apt/sources.list.d/*.list")]:
        if os.path.exists(path):
            with open(path) as f:
                for m in re.finditer(rf"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+{release}\s+.*\bmain\b", f.read(), re.M):
                    signed = re.search(r"signed-by=(\S+)", m[1] or "")
                    found.append(f"Types: deb\nURIs: {m[2]}\nSuites: {suite}\nComponents: main"
                                 + (f"\nSigned-By: {signed[1]}" if signed else ""))
    if not found:
        raise Unavailable(f"no source of {release} in /etc/apt to derive {suite} from")
    return "\n\n".join(found) + "\n"


def apt_options(suite):
    """apt options for a suite: none for the release; lists of our own, made fresh, for another."""
    if suite == codename():
        return []
    root = f"{CACHE}/apt-{suite}"
    for folder in ("parts", "lists/partial"):
        os.makedirs(f"{root}/{folder}", exist_ok=True)
    with open(f"{root}/parts/guest.sources", "w") as f:
        f.write(apt_sources(suite))
    options = ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={root}/parts",
               "-o", f"Dir::State::lists={root}/lists", "-o", "Dir::Cache::pkgcache=",
               "-o", "Dir::Cache::srcpkgcache=", "-o", "APT::Sandbox::User=root"]
    sh("apt-get", *options, "-qq", "-o", "Acquire::http::Timeout=20", "--error-on=any", "update", timeout=180)
    return options


def unpacked(options, name, *packages):
    """The contents of packages in a folder of the cache; downloads them where it is not there."""
    folder = f"{CACHE}/{name}"
    if os.path.isdir(folder):
        return folder
    with tempfile.TemporaryDirectory(dir=CACHE) as tmp:
        sh("apt-get", *options, "-qq", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=tmp, timeout=600)
        for deb in glob.glob(f"{tmp}/*.deb"):
            sh("dpkg", "-x", deb, f"{tmp}/tree")
        os.rename(f"{tmp}/tree", folder)
    return folder


def kernel(suite):
    """The unpacked newest kernel of a suite: its folder."""
    options = apt_options(suite)
    m = re.search(r"Depends: (linux-image-\S+-amd64)$", sh("apt-cache", *options, "depends", "linux-image-amd64"), re.M)
    if not m:
        raise Unavailable(f"no linux-image-amd64 in {suite}")
    # Since 7.0 the image and its modules are packages that this one needs.
    parts = re.findall(r"Depends: (linux-(?:base|binary|modules)-[0-9]\S+)$", sh("apt-cache", *options, "depends", m[1]), re.M)
    return unpacked(options, m[1], *(parts or [m[1]]))


def vmlinuz(tree):
    """The image of an unpacked kernel."""
    (path,) = glob.glob(f"{tree}/boot/vmlinuz-*") or glob.glob(f"{tree}/usr/lib/modules/*/vmlinuz")
    return path
