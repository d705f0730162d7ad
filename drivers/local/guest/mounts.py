"""A host's root: overlay, devices, proc, cgroups, and real folders for the data that an overlay cannot hold."""

from __future__ import annotations

import os
import stat

from drivers.local.guest.mask import make_mask
from drivers.local.hierarchies import CGROUP_ROOT, Hierarchy
from drivers.local.kernel import MS_NODEV, MS_NOEXEC, MS_NOSUID, bind, mount

CLOSED = MS_NOSUID | MS_NODEV | MS_NOEXEC

REAL_FOLDERS = (
    "var/lib/containerd",
    "var/lib/docker",
    "var/lib/kubelet",
    "var/lib/etcd",
    "var/lib/rancher",
    "var/lib/sealer",
    "var/lib/sealer-cloud",
    "data",
)
"""Folders on a real file system: an overlay (containerd's snapshotter) on the root's overlay is refused by the kernel."""

DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "kmsg": (1, 11),
    "tty": (5, 0),
    "fuse": (10, 229),
}
DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def mount_root(disk: str, mask: str, root: str) -> None:
    """Lay the host's disk over the masked `/` of this machine, in this mount namespace alone."""
    mount("tmpfs", mask, "tmpfs", 0, "mode=755,size=1m")
    make_mask(mask)
    layers = f"lowerdir={mask}:/,upperdir={disk}/upper,workdir={disk}/work,index=off"
    mount("overlay", root, "overlay", 0, layers)
    for name in REAL_FOLDERS:
        real = f"{disk}/real/{name.replace('/', '-')}"
        os.makedirs(real, exist_ok=True)
        os.makedirs(f"{root}/{name}", exist_ok=True)
        bind(real, f"{root}/{name}")


def mount_system(root: str, hierarchies: tuple[Hierarchy, ...]) -> None:
    """proc, sys, run, dev and cgroups, all of the host's own namespaces."""
    mount("proc", f"{root}/proc", "proc", CLOSED)
    mount("sysfs", f"{root}/sys", "sysfs", CLOSED)
    mount("tmpfs", f"{root}/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.mkdir(f"{root}/run/sshd", 0o755)
    os.mkdir(f"{root}/run/lock", 0o755)
    os.chmod(f"{root}/run/lock", 0o1777)
    _mount_devices(f"{root}/dev")
    _mount_cgroups(f"{root}{CGROUP_ROOT}", hierarchies)


def _mount_devices(dev: str) -> None:
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name, (major, minor) in DEVICES.items():
        os.mknod(f"{dev}/{name}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm", "mqueue", "net"):
        os.mkdir(f"{dev}/{name}", 0o755)
    mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("tmpfs", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    try:
        mount("mqueue", f"{dev}/mqueue", "mqueue", CLOSED)
    except OSError:  # a kernel without POSIX queues serves hosts as well
        os.rmdir(f"{dev}/mqueue")


def _mount_cgroups(target: str, hierarchies: tuple[Hierarchy, ...]) -> None:
    if [h.mountpoint for h in hierarchies] == [CGROUP_ROOT]:
        mount("cgroup2", target, "cgroup2", CLOSED)
        return
    mount("tmpfs", target, "tmpfs", CLOSED, "mode=755")
    for hierarchy in hierarchies:
        folder = f"{target}/{hierarchy.name}"
        os.mkdir(folder, 0o755)
        kind = "cgroup2" if hierarchy.unified else "cgroup"
        mount(kind, folder, kind, CLOSED, hierarchy.option)
        for alias in hierarchy.name.split(",") if "," in hierarchy.name else ():
            os.symlink(hierarchy.name, f"{target}/{alias}")
