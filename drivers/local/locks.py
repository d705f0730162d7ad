"""Locks on folders: held by a descriptor, so that a killed process leaves neither a lock nor a lock file."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from provisioner.errors import LockedError, PreconditionError
from provisioner.files import private_folder

T = TypeVar("T")

PAUSE = 0.003
LOCK_SECONDS = 120.0


def wait_for(look: Callable[[], T | None], seconds: float, pause: float = PAUSE) -> T | None:
    """Look until there is something to see (anything but None), at most `seconds`; None when time is up."""
    end = time.monotonic() + seconds
    while (seen := look()) is None and time.monotonic() < end:
        time.sleep(pause)
    return seen


@contextmanager
def folder_lock(folder: Path, *, make: bool = False, seconds: float = LOCK_SECONDS) -> Iterator[bool]:
    """Hold a folder for this thread alone; gives False (and holds nothing) when it is not there and `make` is False.

    Raises LockedError when another process keeps it for `seconds`.
    """
    descriptor = _take(folder, make=make, seconds=seconds)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _take(folder: Path, *, make: bool, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while True:
        if make:
            _make(folder, end)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if make and time.monotonic() < end:  # another process removed it between our two calls
                continue
            return None
        except OSError as error:
            raise PreconditionError(f"cannot open {folder}: {error.strerror}", hint="run this as root") from error
        if _locked(descriptor, end) and _same(descriptor, folder):
            return descriptor
        os.close(descriptor)
        if time.monotonic() >= end:
            raise LockedError(f"another process works on {folder}", hint="wait for it to end, then run the same again")


def _make(folder: Path, end: float) -> None:
    while True:
        try:
            private_folder(folder)
        except PreconditionError as error:
            if not _vanished(error.__cause__, folder) or time.monotonic() >= end:
                raise
        else:
            return


def _vanished(cause: BaseException | None, folder: Path) -> bool:
    """Another process removed the folder, or a parent, between two of our calls: it is to be made again.

    "Exists" counts too: mkdir met it, and the look that followed no longer did.
    """
    return isinstance(cause, FileNotFoundError) or (isinstance(cause, FileExistsError) and not os.path.lexists(folder))


def _locked(descriptor: int, end: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(PAUSE)
        else:
            return True


def _same(descriptor: int, folder: Path) -> bool:
    """False when the folder that we hold was removed while we waited: the lock then guards nothing."""
    try:
        there = folder.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
