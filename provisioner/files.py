"""Local files, written whole or not at all: the one `atomic_write`, private folders, and one-line reading."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import PreconditionError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp", re.DOTALL)


def atomic_write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `data` to `path`: the old file or the new one, never a torn one, even after a power loss.

    The temporary file lies in the same folder and has its mode before it has its name; after a kill `remove_stale`
    finds it. Raises PreconditionError when the disk is full or the folder cannot be written; the old file then stands
    untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with _open_new(temporary, mode) as file:
            _write_synced(file, data)
            temporary.replace(path)  # while it is held: `remove_stale` takes what nobody holds
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _explain(error, path) from error


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner may enter (0700), parents too; an existing one must be ours.

    Raises PreconditionError: another user's folder is never trusted (a loose mode is tightened).
    """
    try:
        _make_private(path)
        info = path.stat()
        if info.st_uid == os.geteuid() and info.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise _explain(error, path) from error
    if info.st_uid != os.geteuid():
        raise PreconditionError(
            f"{path} belongs to another user (uid {info.st_uid})", hint="set XDG_STATE_HOME to a folder of your own"
        )
    return path


def _make_private(path: Path) -> None:
    """One by one: `parents=True` gives only the last folder its mode, so with a umask of 0 the others are anybody's."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
    except FileNotFoundError:
        if path.parent == path:
            raise
        _make_private(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def remove_stale(folder: Path) -> tuple[str, ...]:
    """Remove what killed writers left in a folder: temporary files of `atomic_write` that no process holds; names them.

    Idempotent; what cannot be looked at or removed stays.
    """
    found = (p for p in sorted(folder.glob(".*.tmp")) if _TEMPORARY.fullmatch(p.name))
    return tuple(p.name for p in found if _remove_unheld(p))


def _remove_unheld(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:  # its writer lives, or has just given it its name
        return False
    finally:
        os.close(descriptor)
    return True


def _open_new(path: Path, mode: int) -> BinaryIO:
    """A new file, held by a lock until it is closed, however its process ends."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there either
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.fchmod(descriptor, mode)  # the umask may have taken bits away
            if path.exists():
                return os.fdopen(descriptor, "wb")
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # `remove_stale` came between its name and its lock


def _write_synced(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
    if os.fstat(file.fileno()).st_size != len(data):
        raise OSError(errno.EIO, "short write")


def require_space(folder: Path, least: int) -> None:
    """Refuse a disk with less than `least` bytes free below `folder`, which need not exist yet.

    Raises PreconditionError. For programs that write in place and break what they have when a disk fills.
    """
    there = next(p for p in (folder, *folder.parents) if p.exists())
    space = os.statvfs(there)
    free = space.f_bavail * space.f_frsize
    if free < least:
        raise PreconditionError(
            f"only {free >> 10} KiB of space are free below {folder}",
            hint=f"free at least {least >> 20} MiB there and run the same command again; nothing was changed",
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: OSError, path: Path) -> PreconditionError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    hint = "free some space and run the same command again" if full else "it must be in a folder that you can write"
    return PreconditionError(f"cannot write {path}: {error.strerror or error}", hint=hint)
