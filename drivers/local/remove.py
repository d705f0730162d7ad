"""Taking things of a cluster away: processes first, then network, cgroups, folders; never below a mount."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from drivers.local import cgroups
from drivers.local.locks import wait_for
from drivers.local.look import mounts_below, unreaped
from drivers.local.names import LocalPaths, Place
from drivers.local.network import NETNS_MARKER, remove_port
from drivers.local.state import read_host_record
from provisioner.errors import ProviderError, SealerError
from provisioner.model.ids import HostName

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
_UNDELETABLE = 0x10 | 0x20
"""FS_IMMUTABLE_FL and FS_APPEND_FL: what `chattr +i` inside a host leaves on its disk."""

REAP_SECONDS = 8.0


def remove_host(place: Place, name: HostName) -> None:
    """Take one host away but for its name in others' files; idempotent. Call it holding the host's lock."""
    cgroups.remove_groups(f"{place.cgroup}/{name}")
    remove_port(place, name, _slot(place, name))
    remove_tree(place.run / name)
    remove_tree(place.host_folder(name))


def wait_until_reaped(place: Place) -> None:
    """Give this machine's init a moment to take note of ended supervisors, so that a look finds none; 8 s at most.

    They are nobody's children but init's, so nothing else can remove them; one that takes longer is no error.
    """
    wait_for(lambda: None if unreaped(place) else True, REAP_SECONDS, pause=0.01)


def _slot(place: Place, name: HostName) -> int | None:
    try:
        record = read_host_record(place, name)
    except SealerError:  # a broken record must not keep anything from being removed
        return None
    return record.slot if record else None


def remove_tree(folder: Path) -> None:
    """Remove a folder with all below it; idempotent. Raises ProviderError where something is mounted below it."""
    below = mounts_below(folder)
    if below:
        raise ProviderError(f"{below[0]} is mounted below {folder}", hint="unmount it, then run the same command again")
    try:
        shutil.rmtree(folder, onerror=_retry_without_flags)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ProviderError(f"cannot remove {folder}: {error}", hint="run the same command again") from error


def _retry_without_flags(
    function: Callable[..., object],
    path: str,
    problem: tuple[type[BaseException], BaseException, TracebackType],
) -> None:
    error = problem[1]
    if isinstance(error, FileNotFoundError):
        return
    if not isinstance(error, PermissionError) or function not in {os.unlink, os.rmdir}:
        raise error
    # shutil walks by descriptor and tells the full path; it lies in a folder that only root may enter.
    for target in (str(Path(path).parent), path):
        _clear_flags(target)
    function(path)


def _clear_flags(path: str) -> None:
    with suppress(OSError):
        if not stat.S_ISREG(os.lstat(path).st_mode) and not stat.S_ISDIR(os.lstat(path).st_mode):
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("L", fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("L", 0)))
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("L", flags & ~_UNDELETABLE))
        finally:
            os.close(descriptor)


def remove_parents(paths: LocalPaths) -> None:
    """Remove the folders above clusters, while they are empty; `/run/netns` only if we made it.

    Call it holding the lock of the records folder.
    """
    for folder in (paths.run, paths.records):
        if _has_folders(folder):
            return
    marker = paths.run / NETNS_MARKER
    if marker.exists():
        with suppress(OSError):  # a stranger's namespace in it, or a mount on it, keeps it
            paths.netns.rmdir()
        marker.unlink(missing_ok=True)
    for folder in (paths.run, paths.run.parent, paths.records, paths.records.parent):
        with suppress(OSError):
            folder.rmdir()


def _has_folders(folder: Path) -> bool:
    try:
        return any(p.is_dir() for p in folder.iterdir())
    except FileNotFoundError:
        return False
