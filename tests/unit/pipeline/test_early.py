"""What need not wait for the machines is done while they are made: the archive of the rootfs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import ProviderError
from provisioner.model.images import Archive, Changeset, Codec, PinnedImage
from tests.fakes.hosts import until

from .conftest import YES, Stage


class Writes:
    """The archives that were asked for; `hold` keeps one being written for as long as nobody gives it up."""

    def __init__(self, stage: Stage, *, hold: bool = False) -> None:
        self.codecs: list[Codec] = []
        self.begun = threading.Event()
        self._write = stage.images.write_archive
        self._hold = hold
        stage.images.write_archive = self.write  # type: ignore[method-assign]

    def write(
        self, image: PinnedImage, changeset: Changeset, codec: Codec, target: Path, progress: Callable[[int], None]
    ) -> Archive:
        self.codecs.append(codec)
        self.begun.set()
        while self._hold:
            progress(0)
        return self._write(image, changeset, codec, target, progress)


def engine_waits_for(stage: Stage, writes: Writes, error: Exception | None = None) -> None:
    """The engine makes machines only after an archive was begun, or fails then."""
    up = stage.engine.up

    async def late(*args: object, **named: object) -> object:
        await until(writes.begun.is_set)
        if error:
            raise error
        return await up(*args, **named)  # type: ignore[arg-type]

    stage.engine.up = late  # type: ignore[method-assign, assignment]


async def test_the_archive_is_written_while_machines_are_made_and_only_once(stage: Stage) -> None:
    writes = Writes(stage)
    engine_waits_for(stage, writes)
    await stage.up()
    assert writes.codecs == [Codec.ZSTD]


async def test_a_failure_of_stage_1_waits_for_no_archive(stage: Stage) -> None:
    writes = Writes(stage, hold=True)
    engine_waits_for(stage, writes, ProviderError("no such zone"))
    with pytest.raises(ProviderError, match="no such zone"):
        await stage.up()
    assert not (stage.world.settings.state_dir / "tmp").exists()


async def test_a_cancelled_stage_1_waits_for_no_archive(stage: Stage) -> None:
    writes = Writes(stage, hold=True)
    engine_waits_for(stage, writes, asyncio.CancelledError())  # type: ignore[arg-type]
    with pytest.raises(asyncio.CancelledError):
        await stage.up()
    assert not (stage.world.settings.state_dir / "tmp").exists()


async def test_machines_alone_need_no_archive(stage: Stage) -> None:
    writes = Writes(stage)
    await stage.up(choice=replace(YES, only="machines"))
    assert writes.codecs == []


async def test_a_bug_beside_the_plan_is_not_lost(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(*_words: object) -> None:
        raise KeyError("hmac")

    monkeypatch.setattr("provisioner.stage2.keep", keep)
    with pytest.raises(KeyError, match="hmac"):
        await stage.up()
