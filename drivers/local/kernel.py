"""A few Linux calls that Python 3.11 lacks. Only `os` and `ctypes`: a host's first process imports this too."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8
CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWNET = 0x40000000

_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount a file system. Raises OSError naming kind and target."""
    result = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    _check(result, f"mount {kind or 'bind'} on {target}")


def bind(source: str, target: str) -> None:
    """Make a file or folder appear at `target` too. Raises OSError."""
    mount(source, target, None, MS_BIND)


def detach(target: str) -> None:
    """Unmount at once from the tree, later from the kernel. Raises OSError."""
    _check(_LIBC.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW), f"umount {target}")


def unshare(flags: int) -> None:
    """Leave the calling *thread's* shared namespaces for new ones. Raises OSError."""
    _check(_LIBC.unshare(flags), "unshare")


def setns(path: str, kind: int) -> None:
    """Move the calling *thread* into the namespace that `path` names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_LIBC.setns(descriptor, kind), f"setns {path}")
    finally:
        os.close(descriptor)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root of this mount namespace. Raises OSError."""
    _check(_LIBC.pivot_root(os.fsencode(new), os.fsencode(old)), f"pivot_root {new}")


def set_hostname(name: str) -> None:
    """Name this uts namespace. Raises OSError."""
    raw = name.encode()
    _check(_LIBC.sethostname(raw, len(raw)), "sethostname")


def reset_signals() -> None:
    """Default disposition for every signal, none blocked: what a fresh process expects."""
    for number in range(1, 65):
        _LIBC.signal(number, None)  # those that cannot be set answer an error, which is fine
    set_mask = 2
    _check(_LIBC.sigprocmask(set_mask, ctypes.create_string_buffer(128), None), "sigprocmask")


def set_seccomp_filter(program: bytes, count: int) -> None:
    """Install a classic BPF program of `count` instructions for this process and all its children. Raises OSError."""

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    set_seccomp, mode_filter = 22, 2
    _check(_LIBC.prctl(set_seccomp, mode_filter, ctypes.byref(Program(count, program)), 0, 0), "seccomp")
