"""One writer per cluster on this machine: a lock file that the kernel frees when its holder dies."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from provisioner.errors import LockedError
from provisioner.files import private_folder
from provisioner.infra.backend import backend_of
from provisioner.infra.bucket import Bucket
from provisioner.infra.processes import Recorded, boot_id, is_alive, this_process
from provisioner.infra.sharedlock import Holder, SharedLock, machine_name, shared_holder
from provisioner.model.clock import Clock
from provisioner.model.ids import ClusterName, RunId
from provisioner.model.report import LockInfo
from provisioner.settings import Settings

LOCK = "lock"
_TRIES = 5  # a reader of the lock holds it shared for a moment; a holder holds it for long
_POLL = 0.2


def cluster_folder(settings: Settings, cluster: ClusterName) -> Path:
    """What we keep for one cluster besides its stack: lock, work folder, key cache, run records."""
    return settings.state_dir / "clusters" / cluster


class RunLock:
    """The lock of one cluster, held from before the preview to the end of a run.

    A context manager (never waits), or `acquire` and `release`. Freed by the kernel when the process dies; the record
    in the file only tells others who holds it, and a stale record is harmless.
    """

    def __init__(self, settings: Settings, cluster: ClusterName, run: RunId, command: str, since: datetime) -> None:
        self._path = cluster_folder(settings, cluster) / LOCK
        self._cluster = cluster
        self._owner = LockInfo(os.getpid(), run, command, since.isoformat(timespec="seconds"))
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.release()

    def take(self) -> None:
        """Take the lock now. Raises LockedError (10) naming pid, run, command and since when."""
        private_folder(self._path.parent)
        for attempt in range(_TRIES):
            descriptor = _try_lock(self._path)
            if descriptor is not None:
                self._descriptor = descriptor
                _write_owner(descriptor, self._owner)
                return
            if attempt + 1 < _TRIES:
                time.sleep(0.01)
        raise _locked(self._cluster, _read_owner(self._path))

    async def acquire(
        self, timeout: float, clock: Clock, waiting: Callable[[str], None] = lambda _holder: None
    ) -> None:
        """Take the lock, waiting up to `timeout` seconds for it. Raises LockedError (10) after that.

        `waiting` is told each holder that is waited for.
        """
        deadline, told = clock.monotonic() + timeout, ""
        while True:
            try:
                self.take()
            except LockedError:
                if clock.monotonic() >= deadline:
                    raise
                owner = _read_owner(self._path)
                if owner and (name := _named(owner.info)) != told:
                    told = name
                    waiting(name)
                await clock.sleep(_POLL)
            else:
                return

    def release(self) -> None:
        """Give the lock back; the cluster's folder goes too if nothing but the lock is left in it. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(OSError):  # a folder that is in use, or on a full disk, stays
            os.ftruncate(descriptor, 0)
            if [p.name for p in self._path.parent.iterdir()] == [LOCK]:
                self._path.unlink()
                self._path.parent.rmdir()
        os.close(descriptor)


class ClusterLock:
    """The lock of one cluster on this machine, and where the state is shared, among all who share it.

    `lost` is called from a thread, with who has it, if the shared one is not ours any more: this run must stop at once.
    """

    def __init__(self, settings: Settings, cluster: ClusterName, owner: LockInfo, lost: Callable[[str], None]) -> None:
        since = datetime.fromisoformat(owner.since)
        self._here = RunLock(settings, cluster, RunId(owner.run), owner.command, since)
        bucket = shared_bucket(settings)
        me = Holder(machine_name(), owner.pid, owner.run, owner.command, owner.since)
        self._shared = SharedLock(bucket, cluster, me, lost) if bucket else None

    @property
    def broken(self) -> str:
        """Whose shared lock was broken to take this one; empty if nobody's."""
        return str(self._shared.broken) if self._shared and self._shared.broken else ""

    async def acquire(
        self, timeout: float, clock: Clock, waiting: Callable[[str], None] = lambda _holder: None
    ) -> None:
        """Take both, waiting up to `timeout` seconds for each, and telling `waiting` for whom. Raises LockedError (10)."""
        await self._here.acquire(timeout, clock, waiting)
        try:
            if self._shared:
                await self._shared.acquire(timeout, clock, waiting)
        except BaseException:
            self._here.release()
            raise

    async def release(self) -> None:
        """Give both back; idempotent. One that is cancelled here is given back all the same."""
        try:
            if self._shared:
                await asyncio.shield(asyncio.to_thread(self._shared.release))
        finally:
            self._here.release()


def shared_bucket(settings: Settings) -> Bucket | None:
    """The bucket that the state is shared in, if it is."""
    backend = backend_of(settings)
    return Bucket(backend.url, settings.environ) if backend.shared else None


def holder(settings: Settings, cluster: ClusterName) -> LockInfo | None:
    """Who holds a cluster now; None if nobody does. Reads only."""
    path = cluster_folder(settings, cluster) / LOCK
    found = _read_owner(path)
    if found and (is_alive(found.process) or _is_held(path)):
        return found.info
    bucket = shared_bucket(settings)
    other = shared_holder(bucket, cluster) if bucket else None
    return LockInfo(other.pid, other.run, f"{other.command} on {other.host}", other.since) if other else None


@contextlib.contextmanager
def file_lock(path: Path, on_wait: str) -> Iterator[None]:
    """Hold a lock file for a short machine-wide work. Raises LockedError with `on_wait` if another process has it."""
    private_folder(path.parent)
    descriptor = _try_lock(path)
    if descriptor is None:
        raise LockedError(on_wait, hint="wait for it to end, then run the same command again")
    try:
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Owner:
    info: LockInfo
    process: Recorded


def _try_lock(path: Path) -> int | None:
    """An open, locked descriptor; None if somebody holds it. The file may be removed meanwhile: then once more."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # its folder went away with the last holder
            private_folder(path.parent)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        here, there = os.fstat(descriptor), path.stat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _write_owner(descriptor: int, owner: LockInfo) -> None:
    me = this_process()
    record = {"pid": me.pid, "start": me.start, "boot": boot_id()}
    record |= {"run": owner.run, "command": owner.command, "since": owner.since}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(record).encode(), 0)


def _read_owner(path: Path) -> _Owner | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        raw = json.loads(path.read_text(encoding="utf-8"))
        info = LockInfo(int(raw["pid"]), str(raw["run"]), str(raw["command"]), str(raw["since"]))
        return _Owner(info, Recorded(info.pid, int(raw["start"]), str(raw["boot"])))
    return None


def _locked(cluster: str, owner: _Owner | None) -> LockedError:
    hint = "wait for it to end, or use --lock-timeout"
    if owner is None:
        return LockedError(f"cluster {cluster} is locked by another run", hint=hint)
    return LockedError(f"cluster {cluster} is locked by {_named(owner.info)}", hint=hint)


def _named(info: LockInfo) -> str:
    return f"`{info.command}` (pid {info.pid}, run {info.run}, since {info.since})"
