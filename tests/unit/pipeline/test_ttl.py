"""A deadline moves in the accepted request and nowhere else; where nobody would keep it, it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from provisioner import pipeline, ttl
from provisioner.access import status
from provisioner.errors import UsageError
from provisioner.model.deadline import deadline_in
from provisioner.model.ids import ClusterName
from provisioner.model.request import Clusterfile
from provisioner.world import World

from .conftest import UP, YES, Stage

APP = ClusterName("app")


async def cloud(stage: Stage, provider: str = "alicloud", deadline: int | None = 7200) -> World:
    """A cluster that stands in a cloud: made as a local one, its request then said to be a cloud's."""
    await stage.stand()
    stack = stage.engine.stacks["app"]
    assert stack.accepted is not None
    expires = deadline_in(deadline, stage.world.clock.now()) if deadline is not None else None
    stack.accepted = stack.accepted.model_copy(update={"provider": provider, "expires_at": expires})
    stage.engine.calls.clear()
    stage.engine.mutations.clear()
    return replace(stage.world, drivers={provider: lambda _around: stage.driver})


def stored(stage: Stage) -> str | None:
    accepted = stage.engine.stacks["app"].accepted
    assert accepted is not None
    return accepted.expires_at


@pytest.mark.parametrize(("deadline", "base"), [(7200, 7200), (None, 0), (-3600, 0)])
async def test_extend_counts_from_the_deadline_or_from_now(deadline: int | None, base: int, stage: Stage) -> None:
    world = await cloud(stage, deadline=deadline)
    report = await ttl.extend(world, APP, 3600)
    moved = datetime.fromisoformat(report.expires_at or "") - world.clock.now()
    assert timedelta(seconds=base + 3595) < moved < timedelta(seconds=base + 3605)
    assert stored(stage) == report.expires_at
    assert report.keeper is not None
    assert stage.engine.mutations == [], "no machine was touched"
    assert [call for call, _ in stage.engine.calls] == ["repair", "preview", "up"]


async def test_cancel_and_show(stage: Stage) -> None:
    world = await cloud(stage)
    assert ttl.show(world, APP).expires_at == stored(stage)
    report = await ttl.cancel(world, APP)
    assert (report.expires_at, report.keeper, stored(stage)) == (None, None, None)
    assert ttl.show(world, APP).keeper is None


async def test_keeping_sets_it_from_now(stage: Stage) -> None:
    world = await cloud(stage, deadline=3600 * 8)
    report = await ttl.set_in(world, APP, 1800)
    left = datetime.fromisoformat(report.expires_at or "") - world.clock.now()
    assert left <= timedelta(seconds=1800)


async def test_a_deadline_that_the_cloud_would_refuse_is_refused_before_it_is_asked(stage: Stage) -> None:
    world = await cloud(stage, deadline=None)
    with pytest.raises(UsageError, match="30m after it is told"):
        await ttl.extend(world, APP, 600)
    assert stage.engine.calls == []
    report = await ttl.set_in(world, APP, 600)
    assert report.expires_at == deadline_in(1800, world.clock.now()), "kept for a while: the soonest that there is"


@pytest.mark.parametrize(("deadline", "anew"), [(7200, ""), (1200, " --ttl 2h"), (-60, " --ttl 2h")])
async def test_where_machines_are_missing_the_way_on_is_named(deadline: int, anew: str, stage: Stage) -> None:
    world = await cloud(stage, deadline=deadline)
    del stage.engine.machines[next(key for key in stage.engine.machines if key[1] == "n1")]
    with pytest.raises(UsageError, match="create n1") as told:
        await ttl.extend(world, APP, 3600)
    assert told.value.hint == f"run `sealer-cloud up -n app{anew}` first"


@pytest.mark.parametrize(("deadline", "phase"), [(60, "ready"), (-60, "expired")])
async def test_status_says_that_its_time_is_over(deadline: int, phase: str, stage: Stage) -> None:
    assert (await status(await cloud(stage, deadline=deadline), APP)).phase == phase


async def test_machines_that_the_cloud_could_not_end_in_time_are_not_made(stage: Stage) -> None:
    """One of them is gone, and its deadline is too near: `--ttl` gives the cluster a new life, as `ttl` cannot."""
    world = await cloud(stage, deadline=1200)
    gone = next(key for key in stage.engine.machines if key[1] == "n1")
    del stage.engine.machines[gone]
    asked, before = replace(UP, provider="alicloud"), stored(stage)
    for act in (
        pipeline.up(world, asked, Clusterfile(), YES, stage.confirm),
        pipeline.plan(world, asked, Clusterfile(), YES),
    ):
        with pytest.raises(UsageError, match="nearer than the 30m that alicloud needs") as told:
            await act
        assert "--ttl 2h" in told.value.hint
    assert (stage.engine.mutations, stored(stage)) == ([], before)
    await pipeline.up(world, replace(asked, ttl="2h"), Clusterfile(), YES, stage.confirm)
    assert gone in stage.engine.machines
    assert stored(stage) == deadline_in(7200, world.clock.now())


async def test_where_nobody_keeps_it_there_is_none(stage: Stage) -> None:
    await stage.stand()
    for work in (ttl.cancel(stage.world, APP), ttl.extend(stage.world, APP, 60)):
        with pytest.raises(UsageError, match="stands until `down`") as told:
            await work
        assert told.value.hint == "nothing to do: it has no deadline, and only alicloud and aws keep one"
    with pytest.raises(UsageError, match="no cluster"):
        ttl.show(stage.world, ClusterName("other"))


async def test_other_changes_are_not_made_by_the_way(stage: Stage) -> None:
    world = await cloud(stage)
    before = stored(stage)
    del stage.engine.machines[next(key for key in stage.engine.machines if key[1] == "n1")]
    with pytest.raises(UsageError, match="create n1"):
        await ttl.extend(world, APP, 600)
    assert stored(stage) == before
    assert stage.engine.mutations == []


async def test_timers_in_the_machines_move_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ttl, "power_off_script", lambda at: f"echo {at} > $HOME/timer\n")
    world = await cloud(stage, "aws")
    stack = stage.engine.stacks["app"]
    stack.hosts["n1"] = replace(stack.hosts["n1"], running=False)
    monkeypatch.setattr(stage.engine, "up", _nothing)
    report = await ttl.extend(world, APP, 600)
    assert report.silent == ("n1",)


async def _nothing(*_args: object, **_more: object) -> None:
    return None
