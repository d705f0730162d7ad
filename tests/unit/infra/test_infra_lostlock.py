"""A shared lock without stopping the loop: waiting is told and can be cancelled, and a lost one says who has it now."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from provisioner.errors import LockedError
from provisioner.infra import runner, sharedlock
from provisioner.infra.processes import Child, Recorded, started_at
from provisioner.infra.runner import run_bounded, tidied
from provisioner.infra.sharedlock import SharedLock, shared_holder
from provisioner.stop import Stop
from tests.unit.infra.test_infra_sharedlock import KEY, NAME, MemoryBucket, WatchClock, me, other


async def test_who_is_waited_for_is_told_once_with_run_machine_and_time() -> None:
    bucket, told = MemoryBucket(), []
    bucket.put(KEY, other())
    clock = WatchClock()
    clock.each = lambda: bucket.delete(KEY) if clock.time == 3 else None
    lock = SharedLock(bucket, NAME, me(), told.append)
    await lock.acquire(600, clock, told.append)
    lock.release()
    assert told == ["`up etcd` (pid 5 on runner-a, run run-a, since 2026-01-01T00:00:00+00:00)"]


class SlowBucket(MemoryBucket):
    """Every call waits until `go` is set; `asked` says that one is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes, **condition: object) -> str:
        self.asked.set()
        assert self.go.wait(20)
        return super().put(key, data, **condition)  # type: ignore[arg-type]


async def until(event: threading.Event) -> None:
    """The loop is free meanwhile, or this would never end."""
    while not event.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)


async def test_a_bucket_that_is_slow_holds_nothing_up_and_a_cancelled_wait_leaves_no_lock() -> None:
    bucket = SlowBucket()
    waiting = asyncio.create_task(SharedLock(bucket, NAME, me(), lambda _now: None).acquire(0, WatchClock()))
    await until(bucket.asked)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bucket.go.set()  # its write arrives now, after nobody wants it any more
    give_up = time.monotonic() + 10
    while bucket.writes == 0 or bucket.objects:
        assert time.monotonic() < give_up, "the write that was under way left a lock of nobody"
        await asyncio.sleep(0.005)


async def test_a_lost_lock_says_who_has_it_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    bucket, told, lost = MemoryBucket(), [], threading.Event()

    def losing(now: str) -> None:
        told.append(now)
        lost.set()

    lock = SharedLock(bucket, NAME, me(), losing)
    await lock.acquire(0, WatchClock())
    bucket.put(KEY, other())
    await until(lost)
    lock.release()
    assert told == [f"it is held by {shared_holder(bucket, NAME)} now"]


async def test_an_engine_is_killed_at_once_where_the_right_to_go_on_is_lost(tmp_path) -> None:
    """SIGKILL: one that is asked to end saves its state first, over that of the new holder."""
    stop, child, over = Stop(), Child(), threading.Event()
    polite = "trap 'echo saved >\"$0\"; exit' INT TERM; echo up; while :; do sleep 0.05; done"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", polite, str(tmp_path / "state"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    child.started(process.pid)
    assert child._process == Recorded(process.pid, started_at(process.pid) or 0)
    bounded = asyncio.create_task(run_bounded(lambda: over.wait(20), child, stop, tmp_path / "run", 60))
    await asyncio.sleep(0)
    why = LockedError("lost")
    threading.Thread(target=stop.lose, args=(why,)).start()  # as the heartbeat does
    assert await process.wait() == -9
    assert not (tmp_path / "state").exists()
    over.set()
    await asyncio.gather(bounded, return_exceptions=True)
    with pytest.raises(LockedError):
        await run_bounded(lambda: over.wait(20), child, stop, tmp_path / "run", 60)


@pytest.mark.parametrize("hurried", [True, False])
async def test_only_who_is_hurried_leaves_a_bucket_that_is_slow_to_itself(
    hurried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TIDY", 0.01)
    go, ended = threading.Event(), threading.Event()

    def slow() -> None:
        assert go.wait(20)
        ended.set()

    tidying = asyncio.create_task(tidied(slow, hurried=hurried))
    if not hurried:
        await asyncio.sleep(0)
        go.set()
    await tidying
    assert ended.is_set() != hurried
    go.set()
    await until(ended)
