"""Undoing on real shells: what an earlier run left running is waited for, whoever began it; then clean.sh, then all goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from provisioner import stage2
from provisioner.apply.context import Patience
from provisioner.apply.distribute import Archives
from provisioner.apply.undo import Remains
from provisioner.errors import DeadlineError, HostError, SealerError
from provisioner.model.ids import HostName
from tests.fakes.hosts import PATHS, context_of, until
from tests.unit.apply_edge.edge_rig import SCRIPTS, Cluster

CLEAN = b'#!/bin/sh\n. scripts/lib.sh\nif up; then kill "$(cat "$SEALER_DATA/pid")"; fi\nsay "clean $SEALER_PHASE"\n'


async def undo(cluster: Cluster, patience: Patience | None = None) -> Mapping[HostName, Remains | SealerError]:
    image = cluster.images.resolve("app:v1")
    source = stage2.EnvSource(cluster.accepted(), {}, cluster.env, {})
    envs = stage2.leave_envs(source, cluster.fakes.inventory)
    async with (
        await cluster.open() as hosts,
        Archives(cluster.images, image, cluster.images.changeset(image)) as archives,
    ):
        context = context_of(archives, {}, run="20261124T160000Z-cccccc", patience=patience)
        return await stage2.undo(hosts, envs, context, delete_data=False)


def ours(cluster: Cluster, host: str) -> bool:
    return cluster.fakes[host].at(PATHS.state).exists()


@pytest.fixture
def tidy(cluster: Cluster) -> Cluster:
    cluster.files = {**SCRIPTS, "scripts/clean.sh": CLEAN}
    return cluster


async def test_processes_are_stopped_by_the_image_and_ours_goes(tidy: Cluster) -> None:
    await tidy.up()
    found = await undo(tidy)
    assert all(isinstance(f, Remains) and f.ours and f.clean for f in found.values())
    for name in ("m1", "m2", "n1"):
        assert tidy.history(name)[-1] == "clean leave"
        assert not ours(tidy, name)
        await until(lambda name=name: not tidy.fakes[name].processes())  # type: ignore[misc]
    again = await undo(tidy)
    assert not any(isinstance(f, Remains) and f.ours for f in again.values())


async def test_what_an_earlier_run_left_running_is_waited_for(tidy: Cluster) -> None:
    tidy.cmd = ('touch "$SEALER_DATA/ran"; while [ ! -e "$SEALER_DATA/go" ]; do sleep 0.05; done',)
    data = tidy.fakes["m1"].at(PATHS.data)
    first = asyncio.create_task(tidy.up())
    await until((data / "ran").exists)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    leaving = asyncio.create_task(undo(tidy))
    await until(lambda: tidy.fakes["m1"].history[-1] == "wait")
    assert ours(tidy, "m1")
    (data / "go").touch()
    assert all(isinstance(f, Remains) for f in (await leaving).values())
    assert not ours(tidy, "m1")


async def test_what_does_not_end_keeps_its_host_and_no_other(tidy: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.apply.settle.WAIT_SECONDS", 1)
    tidy.cmd = ('touch "$SEALER_DATA/ran"; sleep 300',)
    first = asyncio.create_task(tidy.up())
    await until((tidy.fakes["m1"].at(PATHS.data) / "ran").exists)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    found = await undo(tidy, Patience(settle=-1))
    assert isinstance(found[HostName("m1")], DeadlineError)
    assert [ours(tidy, n) for n in ("m1", "m2", "n1")] == [True, False, False]


async def test_a_host_that_does_not_answer_is_told_at_once(tidy: Cluster) -> None:
    await tidy.up()
    tidy.fakes["m2"].refuse = True
    found = await undo(tidy)
    assert isinstance(found[HostName("m2")], HostError)
    assert [ours(tidy, n) for n in ("m1", "m2", "n1")] == [False, True, False]


@pytest.mark.slow
async def test_a_link_that_dies_while_it_cleans_is_joined_again(tidy: Cluster) -> None:
    await tidy.up()
    tidy.forget_history()
    tidy.fakes["m1"].drop += ["run", "erase"]
    found = await undo(tidy)
    assert all(isinstance(f, Remains) for f in found.values()), found
    assert tidy.history("m1") == ["clean leave"]
    assert not ours(tidy, "m1")
