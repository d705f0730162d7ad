"""The layer over `/` that hides what is this machine's own and not its distribution's."""

from __future__ import annotations

import os
import stat

KEPT = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "var"})
EMPTY = {
    "boot": 0o755,
    "data": 0o755,
    "dev": 0o755,
    "home": 0o755,
    "media": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "srv": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr/local": 0o755,
    "usr/local/bin": 0o755,
    "usr/local/sbin": 0o755,
    "var/backups": 0o755,
    "var/cache": 0o755,
    "var/log": 0o755,
    "var/mail": 0o2775,
    "var/spool": 0o755,
    "var/tmp": 0o1777,
    "etc/cni": 0o755,
    "etc/containerd": 0o755,
    "etc/containers": 0o755,
    "etc/cron.d": 0o755,
    "etc/docker": 0o755,
    "etc/kubernetes": 0o755,
    "etc/netns": 0o755,
    "etc/ssh": 0o755,
    "etc/systemd/system": 0o755,
}
"""Folders of which a host gets an empty one of its own, with their modes."""

LIBRARY_KEPT = ("apt", "dpkg", "misc", "pam", "polkit-1", "python", "shells.state", "systemd", "ucf", "vim")
"""What belongs to the distribution below /var/lib; all else there belongs to this machine's services."""

HIDDEN = (
    "etc/NetworkManager/system-connections",
    "etc/apt/auth.conf",
    "etc/apt/auth.conf.d",
    "etc/environment",
    "etc/krb5.keytab",
    "etc/letsencrypt",
    "etc/netplan",
    "etc/pip.conf",
    "etc/ppp",
    "etc/ssl/private",
    "etc/wireguard",
    "etc/crontab",
    "etc/fstab",
    "etc/group-",
    "etc/gshadow-",
    "etc/machine-id",
    "etc/passwd-",
    "etc/shadow-",
)
"""What may hold this machine's keys and passwords, or its identity: not there at all for a host."""


def make_mask(path: str) -> None:
    """Fill an empty folder (on a file system of its own, else the kernel answers ELOOP) with the mask's whiteouts."""
    os.chmod(path, 0o755)
    for name in os.listdir("/"):
        if name not in KEPT and name not in EMPTY:
            _whiteout(f"{path}/{name}")
    for name, mode in EMPTY.items():
        _opaque(f"{path}/{name}", mode)
    os.makedirs(f"{path}/var/lib", exist_ok=True)
    for name in os.listdir("/var/lib"):
        if name not in LIBRARY_KEPT:
            _whiteout(f"{path}/var/lib/{name}")
    for name in HIDDEN:
        if os.path.lexists(f"/{name}"):
            os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
            _whiteout(f"{path}/{name}")


def _whiteout(path: str) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(0, 0))


def _opaque(path: str, mode: int) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    os.setxattr(path, "trusted.overlay.opaque", b"y")
