"""The cgroup hierarchies of this machine, v1, hybrid or v2. Only `os`: a host's first process imports this too."""

from __future__ import annotations

import os

CGROUP_ROOT = "/sys/fs/cgroup"
CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


class Hierarchy:
    """One mounted hierarchy: where, whether it is version 2, and the option that mounts the same one again.

    No dataclass: importing that module would take longer than all the rest of a host's boot code.
    """

    __slots__ = ("mountpoint", "option", "unified")

    def __init__(self, mountpoint: str, unified: bool, option: str) -> None:  # noqa: FBT001 - a plain record
        self.mountpoint = mountpoint
        self.unified = unified
        self.option = option

    @property
    def name(self) -> str:
        """The folder's own name (`memory`, `cpu,cpuacct`, `unified`); the root itself on pure version 2."""
        return os.path.basename(self.mountpoint)


def parse_hierarchies(mountinfo: str) -> tuple[Hierarchy, ...]:
    """All hierarchies below /sys/fs/cgroup, from the text of /proc/self/mountinfo."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mountpoint, kind = left.split(" ")[4], right.split(" ")[0]
        if kind not in {"cgroup", "cgroup2"} or not f"{mountpoint}/".startswith(f"{CGROUP_ROOT}/"):
            continue
        found[mountpoint] = Hierarchy(
            mountpoint, kind == "cgroup2", _option(right.split(" ")[2]) if kind == "cgroup" else ""
        )
    return tuple(found[m] for m in sorted(found))


def _option(super_options: str) -> str:
    """`rw,cpu,cpuacct` becomes `cpu,cpuacct`; `rw,xattr,name=systemd` becomes `none,name=systemd`."""
    words = [w for w in super_options.split(",") if w not in {"rw", "ro", "xattr", "clone_children", "noprefix"}]
    kept = [w for w in words if not w.startswith("release_agent=")]
    return ",".join(["none", *kept] if all(w.startswith("name=") for w in kept) else kept)


def read_hierarchies() -> tuple[Hierarchy, ...]:
    """The hierarchies of the machine we run on."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return parse_hierarchies(file.read())


def make_group(hierarchy: Hierarchy, path: str) -> None:
    """Make one cgroup (its parent exists); on v1 it gets its parent's cpus and memory nodes, else no task may enter."""
    folder = f"{hierarchy.mountpoint}/{path}"
    os.makedirs(folder, exist_ok=True)
    if hierarchy.unified:
        return
    for name in CPUSET_FILES:
        if os.path.exists(f"{folder}/{name}"):
            _copy_value(f"{os.path.dirname(folder)}/{name}", f"{folder}/{name}")


def delegate(folder: str) -> None:
    """Pass every controller that this v2 cgroup has on to its children; one that refuses is left out."""
    with open(f"{folder}/cgroup.controllers", encoding="ascii") as file:
        controllers = file.read().split()
    for controller in controllers:
        try:
            with open(f"{folder}/cgroup.subtree_control", "w", encoding="ascii") as file:
                file.write(f"+{controller}")
        except OSError:
            continue


def _copy_value(source: str, target: str) -> None:
    with open(source, encoding="ascii") as file:
        value = file.read().strip()
    if value:
        with open(target, "w", encoding="ascii") as file:
            file.write(value)
