"""The shared lock on a bucket in memory: one holder, heartbeats, and a dead holder's lock broken by watching alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from provisioner.errors import LockedError, PreconditionError, ProviderError
from provisioner.infra import sharedlock
from provisioner.infra.bucket import Blob, TakenError, parse_bucket_url
from provisioner.infra.bucketstore import BucketStore
from provisioner.infra.recovery import clear_dead_locks
from provisioner.infra.sharedlock import BREAK_AFTER, Holder, SharedLock, holder_of, shared_holder
from provisioner.model.ids import ClusterName

NAME = ClusterName("etcd")
KEY = ".sealer-cloud/locks/etcd.json"


class MemoryBucket:
    """`bucket.Bucket` in memory; `deaf` makes every call fail, as a bucket out of reach does."""

    def __init__(self) -> None:
        self.objects: dict[str, Blob] = {}
        self.deaf = False
        self.writes = 0
        self._guard = threading.Lock()

    def get(self, key: str) -> Blob | None:
        self._answer()
        return self.objects.get(key)

    def put(self, key: str, data: bytes, *, only_over: str | None = None, only_new: bool = False) -> str:
        self._answer()
        with self._guard:
            there = self.objects.get(key)
            if (only_new and there) or (only_over and (there is None or there.etag != only_over)):
                raise TakenError(key)
            self.writes += 1
            self.objects[key] = Blob(data, str(self.writes))
            return str(self.writes)

    def delete(self, key: str) -> None:
        self._answer()
        self.objects.pop(key, None)

    def keys(self, folder: str) -> Iterator[str]:
        self._answer()
        return iter(sorted(k for k in self.objects if k.startswith(folder)))

    def _answer(self) -> None:
        if self.deaf:
            raise ProviderError("the bucket does not answer")


class WatchClock:
    """A clock that only sleeping moves; `each` is called at every sleep."""

    def __init__(self, each=lambda: None) -> None:
        self.time = 0.0
        self.each = each

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.each()
        await asyncio.sleep(0)


def me(host: str = "runner-b", **more: object) -> Holder:
    return Holder(host, 7, "run-b", "up etcd", "2026-01-01T00:00:00+00:00", **more)


def other(beat: int = 0) -> bytes:
    return Holder("runner-a", 5, "run-a", "up etcd", "2026-01-01T00:00:00+00:00", beat).to_bytes()


async def test_a_free_lock_is_taken_at_once_and_given_back() -> None:
    bucket, clock = MemoryBucket(), WatchClock()
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(0, clock)
    assert clock.time == 0
    assert shared_holder(bucket, NAME) == me()
    lock.release()
    lock.release()
    assert bucket.objects == {}


async def test_a_silent_holder_is_broken_after_a_minute_of_the_watchers_own_clock() -> None:
    bucket, clock = MemoryBucket(), WatchClock()
    bucket.put(KEY, other())
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(0, clock)
    assert clock.time >= BREAK_AFTER
    assert lock.broken is not None
    assert lock.broken.host == "runner-a"
    assert "`up etcd` (pid 5 on runner-a, run run-a" in str(lock.broken)
    assert holder_of(bucket.objects[KEY]).dead == ("runner-a",)
    lock.release()


async def test_a_living_holder_is_named_as_soon_as_it_was_heard() -> None:
    bucket = MemoryBucket()
    bucket.put(KEY, other())
    beats = iter(range(1, 100))
    clock = WatchClock()
    clock.each = lambda: bucket.put(KEY, other(next(beats))) if clock.time % 5 == 0 else None
    with pytest.raises(LockedError, match="pid 5 on runner-a"):
        await SharedLock(bucket, NAME, me(), lambda _now: None).acquire(0, clock)
    assert clock.time == 5


async def test_waiting_ends_when_the_holder_gives_it_back() -> None:
    bucket = MemoryBucket()
    bucket.put(KEY, other())
    clock = WatchClock()
    clock.each = lambda: bucket.delete(KEY) if clock.time == 3 else None
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(600, clock)
    assert clock.time <= 5
    assert lock.broken is None
    lock.release()


async def test_of_two_that_watch_a_dead_holder_one_wins() -> None:
    bucket = MemoryBucket()
    bucket.put(KEY, other())
    locks = [SharedLock(bucket, NAME, me(f"runner-{n}"), lambda _now: None) for n in "bc"]
    ends = await asyncio.gather(
        *(asyncio.wait_for(lock.acquire(0, WatchClock()), 2) for lock in locks), return_exceptions=True
    )
    holders = [lock for lock, end in zip(locks, ends, strict=True) if end is None]
    assert shared_holder(bucket, NAME).host in {"runner-b", "runner-c"}
    for lock in holders:
        lock.release()


async def test_a_lock_that_was_broken_under_us_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    bucket, lost = MemoryBucket(), threading.Event()
    lock = SharedLock(bucket, NAME, me(), lambda _now: lost.set())
    await lock.acquire(0, WatchClock())
    bucket.put(KEY, other())
    assert lost.wait(10)
    lock.release()
    assert holder_of(bucket.objects[KEY]).host == "runner-a", "the new holder's lock stays"


async def test_a_bucket_out_of_reach_stops_the_run_before_others_may_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    bucket, lost = MemoryBucket(), threading.Event()
    lock = SharedLock(bucket, NAME, me(), lambda _now: lost.set())
    await lock.acquire(0, WatchClock())
    bucket.deaf = True
    assert lost.wait(10)
    lock.release()


async def test_one_call_that_takes_long_to_fail_is_silence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(sharedlock, "_MISSED", 1000)
    monkeypatch.setattr(sharedlock, "_SILENT", 0.05)
    bucket, lost = MemoryBucket(), threading.Event()
    lock = SharedLock(bucket, NAME, me(), lambda _now: lost.set())
    await lock.acquire(0, WatchClock())
    bucket.deaf = True
    assert lost.wait(5)
    lock.release()


async def test_an_error_that_nobody_thought_of_is_a_missed_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    bucket, lost = MemoryBucket(), threading.Event()
    lock = SharedLock(bucket, NAME, me(), lambda _now: lost.set())
    await lock.acquire(0, WatchClock())

    def put(*_words: object, **_more: object) -> str:
        raise OSError("the connection broke")

    monkeypatch.setattr(bucket, "put", put)
    assert lost.wait(10)
    lock.release()


async def test_a_lock_whose_last_answer_was_lost_is_given_back() -> None:
    bucket = MemoryBucket()
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(0, WatchClock())
    bucket.put(KEY, me(beat=1).to_bytes())  # our own beat, of which we were never told
    lock.release()
    assert bucket.objects == {}


async def test_a_holder_that_wakes_as_its_lock_is_broken_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket()
    bucket.put(KEY, other())
    clock, put, woken = WatchClock(), bucket.put, []

    def late(key: str, data: bytes, *, only_over: str | None = None, only_new: bool = False) -> str:
        if only_over and not woken:
            woken.append(put(KEY, other(1)))
        return put(key, data, only_over=only_over, only_new=only_new)

    monkeypatch.setattr(bucket, "put", late)
    clock.each = lambda: bucket.delete(KEY) if woken else None  # it ends, and gives it back
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(600, clock)
    assert (lock.broken, lock.dead_machines) == (None, frozenset())
    lock.release()


async def test_the_heartbeat_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharedlock, "BEAT_SECONDS", 0.01)
    bucket, counted = MemoryBucket(), threading.Event()
    put = bucket.put

    def seen(key, data, **condition):
        if holder_of(Blob(data, "")).beat >= 3:
            counted.set()
        return put(key, data, **condition)

    monkeypatch.setattr(bucket, "put", seen)
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    await lock.acquire(0, WatchClock())
    assert counted.wait(10)
    lock.release()
    assert bucket.objects == {}


async def test_a_lost_answer_to_our_own_write_is_no_other_holder() -> None:
    bucket = MemoryBucket()
    bucket.put(KEY, me().to_bytes())  # the client repeated a write whose first answer was lost
    lock = SharedLock(bucket, NAME, me(), lambda _now: None)
    clock = WatchClock()
    look, bucket.get = bucket.get, lambda key, once=[1]: None if once and once.pop() else look(key)
    await lock.acquire(0, clock)
    assert clock.time == 0
    lock.release()


def test_pulumis_lock_of_a_broken_machine_goes_and_a_strangers_stays() -> None:
    bucket = MemoryBucket()
    folder = ".pulumi/locks/organization/sealer-cloud/etcd"
    bucket.put(f"{folder}/1.json", b'{"pid": 5, "hostname": "runner-a", "username": "ci"}')
    store = BucketStore(bucket)
    with pytest.raises(LockedError, match="ci on runner-a, pid 5"):
        clear_dead_locks(store, NAME)
    bucket.put(KEY, me(dead=("runner-a",)).to_bytes())
    assert clear_dead_locks(store, NAME) == ("removed the stack lock of pid 5, which is dead",)
    assert list(bucket.keys(folder)) == []


def test_a_damaged_state_in_a_bucket_names_the_newest_copy_that_can_be_read() -> None:
    bucket, place = MemoryBucket(), ".pulumi/stacks/sealer-cloud/etcd.json"
    good = b'{"version": 3, "checkpoint": {"stack": "organization/sealer-cloud/etcd", "latest": null}}'
    bucket.put(place, b"{")
    with pytest.raises(PreconditionError, match="damaged") as told:
        BucketStore(bucket).read(NAME)
    assert told.value.hint == "no copy of it can be read; restore an older version of this object from your own backups"
    folder = ".pulumi/backups/sealer-cloud/etcd"
    for name, data in (("etcd.1.json", good), ("etcd.2.json", good), ("etcd.3.json", b"")):
        bucket.put(f"{folder}/{name}", data)
    with pytest.raises(PreconditionError) as told:
        BucketStore(bucket).read(NAME)
    assert told.value.hint == f"a copy that can be read: put {folder}/etcd.2.json in its place"


@pytest.mark.parametrize(
    ("url", "name", "prefix", "endpoint", "path_style"),
    [
        ("s3://b", "b", "", "", False),
        ("s3://b/a/c?region=eu-central-1", "b", "a/c/", "", False),
        ("s3://b?endpoint=http://127.0.0.1:9&use_path_style=true", "b", "", "http://127.0.0.1:9", True),
        (
            "s3://b?endpoint=minio.example:9000&disableSSL=true&s3ForcePathStyle=true",
            "b",
            "",
            "http://minio.example:9000",
            True,
        ),
        ("s3://b?endpoint=minio.example", "b", "", "https://minio.example", False),
    ],
)
def test_urls(url: str, name: str, prefix: str, endpoint: str, path_style: bool) -> None:
    found = parse_bucket_url(url)
    assert (found.name, found.prefix, found.endpoint, found.path_style) == (name, prefix, endpoint, path_style)


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "gs://b"])
def test_urls_without_a_bucket(url: str) -> None:
    with pytest.raises(PreconditionError, match="names no bucket"):
        parse_bucket_url(url)
