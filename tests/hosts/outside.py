"""A look at this machine from outside: all that a local cluster could leave behind, without asking the product.

Other clusters may come and go meanwhile (other tests on the same machine): what carries another cluster's mark is left
out, and so are the folders that clusters share, while there is another cluster.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MARK = re.compile(r"(?:\bsc-|\bsealer-cloud-[a-z0-9-]+-)(?P<short>[a-z2-7]{6})(?![a-z0-9])")
SHARED = ("netns", "sealer-cloud")
SYSCTLS = (
    "fs/file-max",
    "fs/inotify/max_user_instances",
    "kernel/hostname",
    "kernel/panic",
    "kernel/pid_max",
    "kernel/sysrq",
    "net/ipv4/ip_forward",
    "vm/max_map_count",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "vm/swappiness",
)

Look = dict[str, list[str]]


def look(cid: str) -> Look:
    """What is there, by kind, but for what carries the mark of a cluster other than `cid`."""
    seen = {
        "processes": _processes(),
        "namespaces": _names(Path("/run/netns")),
        "links": [link["ifname"] for link in _ip("link")],
        "routes": _routes(),
        "mounts": [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "cgroups": _cgroups(),
        "controllers": [_text(Path("/sys/fs/cgroup", n, "cgroup.subtree_control")) for n in (".", "unified")],
        "loops": _loops(),
        "run": _names(Path("/run")) + _clusters(Path("/run/sealer-cloud/local")),
        "var/lib": _names(Path("/var/lib")) + _clusters(Path("/var/lib/sealer-cloud/local")),
        "sysctls": [f"{n}={_text(Path('/proc/sys', n))}" for n in SYSCTLS],
        "hostname": [socket.gethostname()],
        "swaps": Path("/proc/swaps").read_text().splitlines(),
        "modules": sorted(line.split()[0] for line in _text(Path("/proc/modules")).splitlines()),
    }
    strangers = {s for lines in seen.values() for line in lines for s in _shorts(line)} - {cid[-6:]}
    return {kind: sorted(_kept(lines, strangers)) for kind, lines in seen.items()}


def listeners(*marks: str) -> set[str]:
    """Who listens in this machine's own network and has one of `marks` in its arguments or environment: `PID ADDRESS`.

    Addresses are as the kernel writes them. Other tests listen meanwhile (servers of theirs, the engine's plugins).
    """
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]": row[1] for row in rows if row[3] == "0A"}  # TCP_LISTEN, include/net/tcp_states.h
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = ((folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()).decode(errors="replace")
            if any(mark in said for mark in marks):
                found |= {f"{folder.name} {sockets[name]}" for name in _held(folder) if name in sockets}
    return found


def _held(process: Path) -> Iterator[str]:
    for file in (process / "fd").iterdir():
        with suppress(OSError):  # closed meanwhile; the others still count
            yield str(file.readlink())


def _kept(lines: Iterable[str], strangers: set[str]) -> list[str]:
    shared = SHARED if strangers else ()
    return [line for line in lines if not _shorts(line) & strangers and line not in shared and "made-netns" not in line]


def _shorts(line: str) -> set[str]:
    return {match["short"] for match in MARK.finditer(line)}


def _processes() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            marks = [w for w in words if w.startswith("sealer-cloud-") and MARK.fullmatch(w)]
            marks += re.findall(r"sealer-cloud-[^/\n]+", (folder / "cgroup").read_text())
            if marks:
                found.append(f"{folder.name} {marks[0]}")
    return found


def _clusters(folder: Path) -> list[str]:
    return [f"sealer-cloud-{name}" for name in _names(folder)]


def _cgroups() -> list[str]:
    found = (os.path.join(at, name) for at, names, _ in os.walk("/sys/fs/cgroup") for name in names)  # noqa: PTH118
    return [path for path in found if "/sealer-cloud-" in path]


def _routes() -> list[str]:
    routes = (r for v in ("-4", "-6") for r in _ip(v, "route", "show", "table", "all"))
    return [f"{r.get('dst')} {r.get('dev')}" for r in routes]


def _loops() -> list[str]:
    return [_text(p) for p in Path("/sys/block").glob("loop*/loop/backing_file")]


def _names(folder: Path) -> list[str]:
    try:
        return [p.name for p in folder.iterdir()]
    except FileNotFoundError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _ip(*words: str) -> list[dict[str, str]]:
    done = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")
