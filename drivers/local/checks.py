"""What this machine must have for local hosts; reads only, and quickly."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

from drivers.local import ip
from drivers.local.hierarchies import read_hierarchies
from drivers.local.names import LocalPaths, Place
from drivers.local.sshd import find_sshd
from drivers.local.state import read_network_record
from drivers.local.subnets import checked_subnet, free_subnet, parse_routes, parse_subnet
from provisioner.errors import SealerError
from provisioner.model.driver import Check
from provisioner.model.ids import parse_cid

CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
FREE_BYTES = 1 << 30
"""Room for a small image on each of a few hosts; the image itself says what it needs (`requires`)."""

NO_UPPER = frozenset({"overlay", "nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "msdos", "exfat", "fuseblk", "aufs"})
"""File systems that cannot carry the upper layer of an overlay."""


def check_machine(paths: LocalPaths) -> tuple[Check, ...]:
    """What every run needs, in the order in which to mend it."""
    return tuple(look(paths) for look in _LOOKS)


def check_room(paths: LocalPaths, cidr: str | None) -> tuple[Check, ...]:
    """What a new cluster needs besides: space, and a free subnet (`cidr`, else any of ours)."""
    return check_space(paths), _subnet(paths, cidr)


def _rights(_paths: LocalPaths) -> Check:
    held = _capabilities()
    lacking = [
        n for n, bit in (("CAP_SYS_ADMIN", CAP_SYS_ADMIN), ("CAP_NET_ADMIN", CAP_NET_ADMIN)) if not held >> bit & 1
    ]
    if os.geteuid() != 0:
        return Check("root", ok=False, detail="not root", hint="run the same command with sudo, or as root")
    hint = "an unprivileged container cannot hold hosts: start it privileged, or use a virtual machine"
    detail = f"lacking {', '.join(lacking)}" if lacking else "root with the capabilities needed"
    return Check("root", ok=not lacking, detail=detail, hint=hint if lacking else "")


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _overlay(_paths: LocalPaths) -> Check:
    loaded = any(line.split()[-1:] == ["overlay"] for line in Path("/proc/filesystems").read_text("ascii").splitlines())
    module = any(Path("/lib/modules", os.uname().release).glob("kernel/fs/overlayfs/overlay.ko*"))
    detail = "in the kernel" if loaded else ("a module that loads by itself" if module else "missing")
    return Check(
        "overlay", ok=loaded or module, detail=detail, hint="" if loaded or module else "run `modprobe overlay`"
    )


def _tools(_paths: LocalPaths) -> Check:
    packages = {"ip": "iproute2", "unshare": "util-linux"}
    missing = {tool: package for tool, package in packages.items() if not _which(tool)}
    if missing:
        hint = f"install {' and '.join(missing.values())}"
        return Check("tools", ok=False, detail=f"missing: {', '.join(missing)}", hint=hint)
    return Check("tools", ok=True, detail=", ".join(packages))


def _which(tool: str) -> str | None:
    return shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")


def _sshd(paths: LocalPaths) -> Check:
    try:
        server = find_sshd(paths.sshd)
    except SealerError as error:
        return Check("sshd", ok=False, detail=error.message, hint=error.hint)
    return Check("sshd", ok=True, detail="unpacked copy" if server.files else "the machine's own")


def _groups(_paths: LocalPaths) -> Check:
    found = read_hierarchies()
    writable = [
        h for h in found if os.access(h.mountpoint, os.W_OK) and not os.statvfs(h.mountpoint).f_flag & os.ST_RDONLY
    ]
    if not found or len(writable) < len(found):
        detail = "none mounted" if not found else "mounted read-only"
        return Check("cgroups", ok=False, detail=detail, hint="an unprivileged container cannot hold hosts")
    kinds = sorted({"v2" if h.unified else "v1" for h in found})
    return Check("cgroups", ok=True, detail=" and ".join(kinds))


def _disk(paths: LocalPaths) -> Check:
    folder = _existing(paths.records)
    kind = _file_system(folder)
    if kind in NO_UPPER:
        hint = f"mount a disk (ext4, xfs, btrfs) at {paths.records.parent}"
        return Check("disk", ok=False, detail=f"{folder} lies on {kind}, which cannot hold hosts", hint=hint)
    return Check("disk", ok=True, detail=f"{folder} lies on {kind}")


def check_space(paths: LocalPaths) -> Check:
    """Room for a new host's disk."""
    folder = _existing(paths.records)
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    hint = "" if free >= FREE_BYTES else f"free at least 1 GiB below {folder}"
    return Check("space", ok=free >= FREE_BYTES, detail=f"{free / (1 << 30):.1f} GiB free below {folder}", hint=hint)


def _existing(folder: Path) -> Path:
    return next(p for p in (folder, *folder.parents) if p.exists())


def _file_system(folder: Path) -> str:
    best, kind = "", ""
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4]
        if f"{folder}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def _subnet(paths: LocalPaths, cidr: str | None) -> Check:
    try:
        routes, used = parse_routes(ip.query("-4", "route", "show", "table", "all")), _used(paths)
        network = checked_subnet(parse_subnet(cidr), used, routes) if cidr else free_subnet(used, routes)
    except SealerError as error:
        return Check("subnet", ok=False, detail=error.message, hint=error.hint)
    return Check("subnet", ok=True, detail=f"{network} is free")


def _used(paths: LocalPaths) -> list[IPv4Network]:
    found = []
    for folder in sorted(paths.records.iterdir()) if os.access(paths.records, os.R_OK) else ():
        try:
            state = read_network_record(Place(parse_cid(folder.name), paths))
        except SealerError:
            continue
        if state is not None:
            found.append(state.subnet)
    return found


_LOOKS: tuple[Callable[[LocalPaths], Check], ...] = (_rights, _tools, _overlay, _groups, _sshd, _disk)
