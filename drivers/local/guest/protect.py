"""What keeps an accident in a host from reaching this machine: the kernel is shared.

No security boundary (a host's root is root), but a `sysctl -w` or a `swapoff -a` of an install script stays inside.
"""

from __future__ import annotations

import os

from drivers.local.guest.mounts import CLOSED
from drivers.local.kernel import MS_BIND, MS_RDONLY, MS_REMOUNT, bind, mount

OWN_SYSCTLS = ("kernel/hostname", "kernel/domainname", "net")
"""Per namespace, so writable."""

COPIED_SYSCTLS = (
    "fs/file-max",
    "fs/inotify/max_queued_events",
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "fs/nr_open",
    "kernel/core_pattern",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/pid_max",
    "kernel/sysrq",
    "net/netfilter/nf_conntrack_max",
    "vm/dirty_background_ratio",
    "vm/dirty_ratio",
    "vm/max_map_count",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "vm/swappiness",
)
"""What install scripts and kubelet set: a host writes to a copy of its own, and succeeds."""

HIDDEN = ("proc/sysrq-trigger", "proc/kcore", "proc/kpagecount", "proc/kpageflags")
PRODUCT_UUID = "sys/class/dmi/id/product_uuid"


def protect(root: str) -> None:
    """Make /proc/sys and /sys read-only but for what is the host's own; give it a boot id of this boot."""
    sysctls = f"{root}/proc/sys"
    bind(sysctls, sysctls)
    for name in OWN_SYSCTLS:
        bind(f"{sysctls}/{name}", f"{sysctls}/{name}")
    mount("none", sysctls, None, MS_BIND | MS_REMOUNT | MS_RDONLY | CLOSED)
    copies = f"{root}/run/.sysctl"
    os.mkdir(copies, 0o700)
    for name in COPIED_SYSCTLS:
        _copy_over(f"{sysctls}/{name}", f"{copies}/{name.replace('/', '.')}")
    _fresh_ids(root, copies)
    for name in HIDDEN:
        if os.path.isfile(f"{root}/{name}"):
            bind(f"{root}/dev/null", f"{root}/{name}")
    mount("none", f"{root}/sys", None, MS_BIND | MS_REMOUNT | MS_RDONLY | CLOSED)


def _copy_over(path: str, copy: str) -> None:
    try:
        with open(path, encoding="ascii") as file:
            value = file.read()
    except OSError:  # not in this kernel
        return
    _bind_text(value, copy, path, 0o644)


def _fresh_ids(root: str, copies: str) -> None:
    with open("/proc/sys/kernel/random/uuid", encoding="ascii") as file:
        boot_id = file.read()
    _bind_text(boot_id, f"{copies}/boot_id", f"{root}/proc/sys/kernel/random/boot_id", 0o444)
    if os.path.exists(f"{root}/{PRODUCT_UUID}"):
        with open(f"{root}/etc/machine-id", encoding="ascii") as file:
            h = file.read().strip()
        uuid = f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}\n"
        _bind_text(uuid, f"{copies}/product_uuid", f"{root}/{PRODUCT_UUID}", 0o400)


def _bind_text(text: str, copy: str, target: str, mode: int) -> None:
    with open(copy, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(copy, mode)
    bind(copy, target)
