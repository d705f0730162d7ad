"""The small verbs: status in one line per host, the goodbye hook, settling what an earlier run left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import stage2
from provisioner.apply.context import Patience
from provisioner.apply.distribute import Archives, choose_codec, share_sent
from provisioner.apply.env import Phase as Why
from provisioner.apply.facts import Reading
from provisioner.errors import DeadlineError, StepError
from provisioner.events import Warned
from provisioner.model.facts import Unreadable
from provisioner.model.hosts import Inventory
from provisioner.model.images import Archive, Codec
from tests.fakes.hosts import CID, CLUSTER, PATHS, context_of, until
from tests.unit.apply_edge.edge_rig import SCRIPTS, Cluster


async def reading_of(cluster: Cluster) -> Reading:
    source = stage2.EnvSource(cluster.accepted(), {}, cluster.env, {})
    return Reading(PATHS, stage2.look_envs(source, cluster.fakes.inventory, Why.LEAVE))


async def test_status_tells_each_host_by_one_read(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.kill_daemon("m2")
    cluster.fakes["n1"].refuse = True
    async with await cluster.open() as hosts:
        facts = await stage2.read_hosts(hosts, await reading_of(cluster))
    rows = stage2.read_status(cluster.fakes.inventory, facts)
    assert [(r.name, r.state, r.line) for r in rows] == [
        ("m1", "healthy", "up as m1"),
        ("m2", "unhealthy", "down"),
        ("n1", "unreachable", "n1 refused the connection"),
    ]
    assert rows[0].done == rows[0].total > 5


async def test_stopped_and_fresh_hosts_are_told_apart(cluster: Cluster) -> None:
    machines = cluster.fakes.inventory.hosts
    inventory = Inventory(CLUSTER, CID, (machines[0], replace(machines[1], running=False)))
    cluster.fakes.inventory = inventory
    async with await cluster.open() as hosts:
        facts = await stage2.read_hosts(hosts, Reading(PATHS))
    assert [r.state for r in stage2.read_status(inventory, facts)] == ["empty", "stopped"]
    assert isinstance(facts[machines[1].name], Unreadable)


async def goodbye(cluster: Cluster, patience: Patience | None = None) -> list[str]:
    reading = await reading_of(cluster)
    image = cluster.images.resolve("app:v1")
    events: list[object] = []
    async with await cluster.open() as hosts:
        facts = await stage2.read_hosts(hosts, reading)
        async with Archives(cluster.images, image, cluster.images.changeset(image)) as archives:
            context = context_of(archives, facts, events, run="20261124T150000Z-bbbbbb", patience=patience)  # type: ignore[arg-type]
            await stage2.remove_hooks(hosts, facts, reading.envs, context)
    return [e.text for e in events if isinstance(e, Warned)]


async def test_remove_hook_runs_on_the_first_master(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    assert await goodbye(cluster) == []
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [["remove leave"], [], []]


async def test_remove_hook_goes_to_the_next_master_that_answers(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.fakes["m1"].refuse = True
    await goodbye(cluster)
    assert cluster.history("m2") == ["remove leave"]


async def test_remove_hook_that_fails_or_finds_nobody_is_a_warning(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/remove.sh": b"#!/bin/sh\nexit 3\n"}
    await cluster.up()
    assert "failed with exit status 3" in (await goodbye(cluster))[0]
    for host in ("m1", "m2"):
        cluster.fakes[host].refuse = True
    assert "no master answers" in (await goodbye(cluster))[0]


@pytest.mark.slow
async def test_up_waits_for_what_an_earlier_run_left_running(cluster: Cluster) -> None:
    cluster.cmd = ('echo x >>"$SEALER_DATA/ran"; while [ ! -e "$SEALER_DATA/go" ]; do sleep 0.05; done',)
    data = cluster.fakes["m1"].at(PATHS.data)
    first = asyncio.create_task(cluster.up())
    await until((data / "ran").exists)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(cluster.up())
    await until(lambda: cluster.fakes["m1"].history[-1] == "wait")
    (data / "go").touch()
    done = await second
    assert (data / "ran").read_text() == "x\n"
    assert "cluster/cmd/1" not in done.ids
    assert any("still at work on m1" in e.text for e in done.events if isinstance(e, Warned))
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_what_does_not_end_is_a_deadline(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioner.apply.settle.WAIT_SECONDS", 1)
    cluster.cmd = ('touch "$SEALER_DATA/ran"; sleep 300',)
    first = asyncio.create_task(cluster.up())
    await until((cluster.fakes["m1"].at(PATHS.data) / "ran").exists)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    cluster.patience = Patience(settle=-1)
    with pytest.raises(DeadlineError, match="cluster/cmd/1 of an earlier run is still at work on m1"):
        await cluster.up()


def test_progress_is_a_share_of_what_is_laid() -> None:
    archive = Archive(Path("x"), Codec.ZSTD, size=1000, total=4000, manifest=b"")
    assert [share_sent(n, archive) for n in (0, 250, 1000, 2000)] == [0, 1000, 4000, 4000]
    empty = Archive(Path("x"), Codec.ZSTD, size=0, total=0, manifest=b"")
    assert share_sent(0, empty) == 0


def test_host_that_was_not_read_gets_a_plain_stream() -> None:
    assert choose_codec(None) is Codec.PLAIN
    assert choose_codec(Unreadable("x", stopped=False)) is Codec.PLAIN


async def test_provisional_plan_is_refused_before_anything_is_done(cluster: Cluster) -> None:
    from provisioner.apply.execute import run_plan
    from provisioner.errors import PreconditionError

    done = await cluster.up()
    plan = done.plan
    steps = tuple(replace(s, action=None) for s in plan.hosts[0].steps)
    image = cluster.images.resolve("app:v1")
    cluster.forget_history()
    async with (
        await cluster.open() as hosts,
        Archives(cluster.images, image, cluster.images.changeset(image)) as archives,
    ):
        with pytest.raises(PreconditionError, match="provisional"):
            await run_plan(replace(plan, hosts=(replace(plan.hosts[0], steps=steps),)), hosts, context_of(archives, {}))
    assert cluster.fakes["m1"].history == []


async def test_failure_on_several_hosts_names_all(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/init.sh": b"#!/bin/sh\nexit 5\n"}
    with pytest.raises(StepError, match=r"on m1 failed with exit status 5 \(it failed on m2, n1 too\)") as caught:
        await cluster.up()
    assert "m1" in caught.value.message
