"""One writer per cluster among runners that share a bucket: a lock object with a heartbeat counter.

Clocks of different machines are never compared: whoever waits watches the counter by its own clock. A holder that
was silent for `BREAK_AFTER` seconds is dead; its lock is broken by a conditional write, so that one waiter alone wins.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from provisioner.errors import LockedError, SealerError
from provisioner.infra.bucket import Blob, Bucket, TakenError
from provisioner.model.clock import Clock
from provisioner.model.ids import ClusterName

BEAT_SECONDS = 5.0
"""How often a holder counts on."""
BREAK_AFTER = 60.0
"""Seconds of silence, by the watcher's clock, after which a holder is dead."""
_WATCH = 1.0
_FOLDER = ".sealer-cloud/locks"
_MISSED = 6
"""Beats that may fail in a row before the holder must think that it was broken: half of `BREAK_AFTER` if they fail at once."""
_SILENT = BREAK_AFTER / 2
"""Seconds without a beat that arrived, after which it must think so too: one call may take long to fail."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a shared lock. `dead` names machines whose locks were broken on the way: what they left is nobody's."""

    host: str
    pid: int
    run: str
    command: str
    since: str
    beat: int = 0
    dead: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The lock object."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"v": 1, **fields}, sort_keys=True).encode()

    def __str__(self) -> str:
        """For a person."""
        return f"`{self.command}` (pid {self.pid} on {self.host}, run {self.run}, since {self.since})"


def holder_of(blob: Blob) -> Holder:
    """Read a lock object; one that cannot be read is somebody's all the same."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        raw = json.loads(blob.data)
        words = (str(raw[k]) for k in ("host", "run", "command", "since"))
        host, run, command, since = words
        return Holder(host, int(raw["pid"]), run, command, since, int(raw["beat"]), tuple(map(str, raw["dead"])))
    return Holder("?", 0, "?", "?", "?")


def machine_name() -> str:
    """The name of this machine, as Pulumi's own locks name it."""
    return os.uname().nodename


class SharedLock:
    """The lock of one cluster in a bucket. `lost` is called from a thread when it is ours no more, with who has it."""

    def __init__(self, bucket: Bucket, cluster: ClusterName, me: Holder, lost: Callable[[str], None]) -> None:
        self._bucket = bucket
        self._cluster = cluster
        self._key = f"{_FOLDER}/{cluster}.json"
        self._me = me
        self._lost = lost
        self._etag = ""
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._held = self._left = False
        self._beating: threading.Thread | None = None
        self.broken: Holder | None = None

    @property
    def dead_machines(self) -> frozenset[str]:
        """Machines whose locks were broken before this one was taken."""
        return frozenset(self._me.dead)

    async def acquire(self, wait: float, clock: Clock, waiting: Callable[[str], None] = lambda _holder: None) -> None:
        """Take the lock; a dead holder's after a minute of watching it. Raises LockedError (10) for a living one.

        The bucket is asked in threads: the loop goes on, and a cancelled wait leaves no lock behind. `waiting` is told
        each holder that is waited for.
        """
        try:
            await self._watch(wait, clock, waiting)
        except BaseException:
            with self._guard:  # a write that is under way gives back itself what it still gets
                self._left, held = True, self._held
            if held:
                await asyncio.shield(asyncio.to_thread(self._give_back))
            raise
        self._beating = threading.Thread(target=self._beat, name=f"lock-{self._cluster}", daemon=True)
        self._beating.start()

    async def _watch(self, wait: float, clock: Clock, waiting: Callable[[str], None]) -> None:
        begun = clock.monotonic()
        seen, since, told = await asyncio.to_thread(self._look), begun, ""
        while not await asyncio.to_thread(self._take, seen, silent=clock.monotonic() - since >= BREAK_AFTER):
            if seen is not None and (name := str(holder_of(seen))) != told:
                told = name
                waiting(name)
            await clock.sleep(_WATCH)
            now = await asyncio.to_thread(self._look)
            if now is None or seen is None or now.etag != seen.etag:
                alive = now is not None and seen is not None
                if alive and now is not None and clock.monotonic() - begun >= wait:
                    raise LockedError(
                        f"cluster {self._cluster} is locked by {holder_of(now)}",
                        hint="wait for it to end, or use --lock-timeout",
                    )
                seen, since = now, clock.monotonic()

    def release(self) -> None:
        """Give it back; idempotent. A lock that was broken meanwhile is its new holder's and stays. Blocks."""
        self._over.set()
        beating, self._beating = self._beating, None
        if beating is None:
            return
        beating.join()
        self._give_back()

    def _give_back(self) -> None:
        with contextlib.suppress(SealerError):
            found = self._look()
            # By run too: the answer to the last beat may have been lost.
            if found is not None and (found.etag == self._etag or holder_of(found).run == self._me.run):
                self._bucket.delete(self._key)

    def _look(self) -> Blob | None:
        return self._bucket.get(self._key)

    def _take(self, seen: Blob | None, *, silent: bool) -> bool:
        taken = self._try(seen, silent=silent)
        with self._guard:
            self._held, left = taken, self._left
        if taken and left:
            self._give_back()
        return taken

    def _try(self, seen: Blob | None, *, silent: bool) -> bool:
        if seen is not None and not silent:
            return False
        before = holder_of(seen) if seen else None
        me = replace(self._me, dead=tuple(dict.fromkeys((*before.dead, before.host)))) if before else self._me
        try:
            over = seen.etag if seen else None
            self._etag = self._bucket.put(self._key, me.to_bytes(), only_over=over, only_new=seen is None)
        except TakenError:
            if not self._mine(me):
                return False
        self._me, self.broken = me, before
        return True

    def _beat(self) -> None:
        missed, heard = 0, time.monotonic()
        while not self._over.wait(BEAT_SECONDS):
            counted, begun = replace(self._me, beat=self._me.beat + 1), time.monotonic()
            try:
                self._etag = self._bucket.put(self._key, counted.to_bytes(), only_over=self._etag)
            except TakenError:
                if not self._mine(counted):
                    self._lost(self._who())
                    return
            except Exception:  # noqa: BLE001 - whatever it was: a holder that falls silent must know it
                missed += 1
                if missed >= _MISSED or time.monotonic() - heard >= _SILENT:
                    self._lost("the bucket does not answer, and another run may break the lock any moment")
                    return
                continue
            self._me, missed, heard = counted, 0, begun

    def _who(self) -> str:
        with contextlib.suppress(SealerError):
            found = self._look()
            return f"it is held by {holder_of(found)} now" if found else "somebody removed it"
        return "it is another run's now"

    def _mine(self, written: Holder) -> bool:
        """True where our own write had arrived and only its answer was lost."""
        with contextlib.suppress(SealerError):
            found = self._look()
            if found is not None and found.data == written.to_bytes():
                self._etag = found.etag
                return True
        return False


def shared_holder(bucket: Bucket, cluster: ClusterName) -> Holder | None:
    """Who holds a cluster's shared lock, dead or alive; None if nobody does."""
    found = bucket.get(f"{_FOLDER}/{cluster}.json")
    return holder_of(found) if found else None
