"""The first process of a host: joins its cgroups and network, builds its root, moves into it, becomes init.

Started by a supervisor as `python -I -S -c STUB CODE DISK RUN NAME NETNS CGROUP`; ends with 99 when it cannot boot.
"""

from __future__ import annotations

import os

from drivers.local.guest import seccomp
from drivers.local.guest.mounts import mount_root, mount_system
from drivers.local.guest.protect import protect
from drivers.local.hierarchies import CGROUP_ROOT, Hierarchy, delegate, make_group, read_hierarchies
from drivers.local.kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWNET,
    CLONE_NEWNS,
    MS_PRIVATE,
    MS_REC,
    detach,
    mount,
    pivot_root,
    reset_signals,
    set_hostname,
    setns,
    unshare,
)

FAILED = 99
INIT = "/run/.init"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "TERM": "linux",
    "LANG": "C.UTF-8",
    "container": "sealer-cloud",
}


class Guest:
    """One host: its disk, its run folder (with the mount points `root` and `mask`), name, network, cgroup path."""

    __slots__ = ("cgroup", "disk", "name", "netns", "run")

    def __init__(self, disk: str, run: str, name: str, netns: str, cgroup: str) -> None:
        self.disk = disk
        self.run = run
        self.name = name
        self.netns = netns
        self.cgroup = cgroup


def boot(guest: Guest, init: str) -> None:
    """Become the host. Never returns but by an exception."""
    hierarchies = read_hierarchies()
    for hierarchy in hierarchies:
        _join_fresh(hierarchy, guest.cgroup)
    setns(guest.netns, CLONE_NEWNET)
    # Here and not in the supervisor: pivot_root moves the root of every process of the mount namespace.
    unshare(CLONE_NEWNS | CLONE_NEWCGROUP)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    root = f"{guest.run}/root"
    mount_root(guest.disk, f"{guest.run}/mask", root)
    mount_system(root, hierarchies)
    protect(root)
    _enter(root)
    set_hostname(guest.name)
    if [h.mountpoint for h in hierarchies] == [CGROUP_ROOT]:
        _leave_root_group()
    if not seccomp.install():
        os.write(2, b"note: no call filter for this processor; swap, modules and clock are not protected\n")
    reset_signals()  # the process that started us may have ignored some, and a shell cannot trap those
    with open(INIT, "w", encoding="ascii") as file:
        file.write(init)
    os.execve("/bin/sh", ["init", INIT], ENVIRONMENT)  # noqa: S606 - pid 1 replaces itself


def _join_fresh(hierarchy: Hierarchy, path: str) -> None:
    """A new cgroup each boot: sub-groups and controllers of the one before would refuse us."""
    folder = f"{hierarchy.mountpoint}/{path}"
    for below, _, _ in os.walk(folder, topdown=False):
        os.rmdir(below)
    make_group(hierarchy, path)
    with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


def _enter(root: str) -> None:
    os.chdir(root)
    pivot_root(".", ".")
    detach(".")
    os.chdir("/")


def _leave_root_group() -> None:
    """Version 2 passes controllers on only from a group without processes (EBUSY)."""
    os.mkdir(f"{CGROUP_ROOT}/init", 0o755)
    with open(f"{CGROUP_ROOT}/init/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")
    delegate(CGROUP_ROOT)


def main(arguments: list[str]) -> None:
    """Boot, or say on the console why not and end with 99."""
    os.umask(0o022)
    with open(os.path.join(os.path.dirname(__file__), "init.sh"), encoding="ascii") as file:
        init = file.read()
    try:
        boot(Guest(*arguments), init)
    except Exception as error:  # noqa: BLE001 - the console is all there is
        os.write(2, f"boot failed: {type(error).__name__}: {error}\n".encode())
    os._exit(FAILED)
