from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner import pipeline
from provisioner.errors import (
    AccessError,
    HostError,
    ImageError,
    InterruptedRunError,
    LockedError,
    PreconditionError,
    ProviderError,
    SealerError,
    StepError,
    UsageError,
)
from provisioner.infra.locks import RunLock
from provisioner.model.driver import Check
from provisioner.model.ids import ClusterName, RunId
from provisioner.model.request import Clusterfile, InfraDoc
from provisioner.world import UpChoice

from .conftest import FILES, UP, YES, Stage, changed

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def ids(report_or_plan: object) -> list[str]:
    steps = getattr(report_or_plan, "steps", None) or report_or_plan.apply.steps  # type: ignore[attr-defined]
    return sorted(s.id for s in steps)


async def test_a_new_cluster_comes_up_and_runs_exactly_what_was_shown(stage: Stage) -> None:
    report = await stage.up()
    assert report.changed
    assert [h.name for h in report.inventory.hosts] == ["m1", "m2", "n1"]
    assert ids(report.apply) == ids(stage.asked[0])
    assert [stage.data(h, "init") for h in ("m1", "m2", "n1")] == [["create"]] * 3
    assert dict(report.apply.outputs) == {"who": "app"}
    assert {h.rc for h in report.apply.health.values()} == {0}


async def test_up_again_previews_reads_each_host_once_and_does_nothing(stage: Stage) -> None:
    await stage.stand()
    before = files_below(stage.folder)
    stage.engine.calls.clear(), stage.connects.clear(), stage.asked.clear()
    report = await stage.up()
    assert not report.changed
    assert not stage.asked
    assert [call for call, _ in stage.engine.calls] == ["repair", "preview"]
    assert sorted(stage.connects) == ["m1", "m2", "n1"]
    assert files_below(stage.folder) == before


async def test_plan_changes_nothing_anywhere(stage: Stage) -> None:
    first = await stage.plan()
    assert first.cid is None
    assert not files_below(stage.folder / ".local")
    await stage.up()
    before = files_below(stage.folder)
    later = await stage.plan(changed(UP, env=("COLOUR=red",)))
    assert later.cid is not None
    assert files_below(stage.folder) == before
    assert not stage.engine.mutations or stage.engine.calls[-1] == ("preview", "app")


async def test_one_env_value_reaches_only_what_depends_on_it_and_hosts_restart_in_turn(stage: Stage) -> None:
    await stage.stand()
    args = changed(UP, env=("COLOUR=red",))
    plan = await stage.plan(args)
    expected = sorted(
        f"{h}/{k}" for h in ("m1", "m2", "n1") for k in ("file/etc/app.conf", "start/start.sh", "health/health.sh")
    )
    assert ids(plan) == expected
    assert list(plan.apply.restarts) == ["m2", "m1", "n1"]
    report = await stage.up(args)
    assert ids(report.apply) == expected
    assert [len(stage.data("m1", f)) for f in ("init", "start")] == [1, 2]
    assert plan.infra.update[0].detail == "env COLOUR"


async def test_a_no_changes_nothing_and_leaves_no_lock(stage: Stage) -> None:
    stage.answer = False
    with pytest.raises(InterruptedRunError) as told:
        await stage.up()
    assert told.value.exit_code == 130
    assert not stage.engine.mutations
    assert not files_below(stage.folder / ".local")


async def test_a_plan_with_another_hash_is_refused(stage: Stage) -> None:
    plan = await stage.plan()
    with pytest.raises(PreconditionError, match="nothing was changed"):
        await stage.up(choice=replace(YES, expect_plan="sha256:" + "0" * 64))
    assert not stage.engine.mutations
    await stage.up(choice=replace(YES, expect_plan=plan.plan_hash))


async def test_deleting_a_host_needs_leave_under_yes_and_keeps_the_quorum(stage: Stage) -> None:
    await stage.stand()
    with pytest.raises(UsageError, match="n1"):
        await stage.up(changed(UP, nodes="0"))
    await stage.up(changed(UP, nodes="0"), replace(YES, allow_delete=True))
    with pytest.raises(UsageError, match="no quorum"):
        await stage.up(changed(UP, masters="1", nodes="0"), replace(YES, allow_delete=True))
    assert {h for _, h in stage.engine.machines} == {"m1", "m2"}


async def test_a_joining_host_enters_with_its_phase_and_touches_nobody_else(stage: Stage) -> None:
    await stage.stand()
    report = await stage.up(changed(UP, nodes="2"))
    assert stage.data("n2", "init") == ["join"]
    assert stage.data("n1", "start") == ["create"]
    assert {s.host for s in report.apply.steps} == {"n2"}


async def test_a_machine_that_lost_its_disk_is_replaced_under_its_name(stage: Stage) -> None:
    await stage.stand()
    cid = stage.engine.stacks["app"].cid
    del stage.engine.machines[cid, "n1"]
    old = stage.host("n1")
    stage.hosts = {k: h for k, h in stage.hosts.items() if h is not old}
    report = await stage.up()
    assert stage.data("n1", "init") == ["replace"]
    assert {s.host for s in report.apply.steps} == {"n1"}


@pytest.mark.parametrize(
    "point",
    ["up/made/m2", *(pytest.param(f"up/{p}", marks=pytest.mark.slow) for p in ("intent", "network", "end"))],
)
async def test_a_run_that_dies_in_stage_1_is_gone_on_with(stage: Stage, point: str) -> None:
    def die(name: str) -> None:
        if name == point:
            raise ProviderError(f"died at {name}")

    stage.engine._at = die
    with pytest.raises(SealerError):
        await stage.up()
    stage.engine._at = lambda _name: None
    report = await stage.up()
    assert [h.name for h in report.inventory.hosts] == ["m1", "m2", "n1"]
    assert not (await stage.up()).changed


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "connected",
        "read",
        "preflight-done",
        "rootfs-laid",
        "files-put",
        "init-done",
        "start-done",
        "healthy",
        "recorded",
        "cmd-done",
        "looked",
    ],
)
async def test_a_run_that_fails_at_any_hop_of_stage_2_converges(stage: Stage, point: str) -> None:
    stage.environ["SEALER_CLOUD_FAILPOINT"] = f"{point}=fail"
    with pytest.raises(SealerError):
        await stage.up()
    stage.environ.clear()
    await stage.up()
    again = await stage.up()
    assert not again.changed
    assert [stage.data(h, "init") for h in ("m1", "m2", "n1")] == [["create"]] * 3


async def test_a_failing_script_is_named_with_its_host_and_last_words(stage: Stage) -> None:
    stage.images.add("app:v1", {**FILES, "scripts/init.sh": b"#!/bin/sh\necho the disk is on fire\nexit 3\n"})
    with pytest.raises(StepError) as told:
        await stage.up()
    assert told.value.exit_code == 8
    assert told.value.host in {"m1", "m2", "n1"}
    assert "the disk is on fire" in told.value.evidence
    assert not stage.data("m1", "start")


async def test_a_second_run_meets_the_lock(stage: Stage) -> None:
    world = stage.world
    lock = RunLock(world.settings, ClusterName("app"), RunId("r"), "up app", world.clock.now())
    with lock, pytest.raises(LockedError, match="up app"):
        await stage.up()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (changed(UP, image="nope:v1"), ImageError),
        (changed(UP, provider="aliclou"), UsageError),
        (changed(UP, provider=None), UsageError),
        (changed(UP, env_secret=("PASSWORD=${env:NOT_THERE}",)), AccessError),
        (changed(UP, masters="0"), UsageError),
        (changed(UP, env=("SEALER_HOST=x",)), UsageError),
    ],
)
async def test_a_request_that_cannot_be_served_changes_nothing(
    stage: Stage, args: object, error: type[SealerError]
) -> None:
    with pytest.raises(error):
        await stage.up(args)  # type: ignore[arg-type]
    assert not stage.engine.mutations
    assert not stage.connects
    assert not files_below(stage.folder / ".local")


async def test_what_only_new_machines_need_stops_a_new_cluster_and_no_standing_one(stage: Stage) -> None:
    await stage.stand()
    stage.driver.no_room = [Check("subnet", ok=False, detail="10.213.0.0/16 is in use", hint="set network.cidr")]
    assert not (await stage.up()).changed
    assert not (await stage.plan()).infra.changes
    await stage.down()
    before = list(stage.engine.mutations)
    with pytest.raises(PreconditionError, match="subnet: 10"):
        await stage.up()
    assert stage.engine.mutations == before


async def test_archives_lie_where_a_killed_runs_are_swept(stage: Stage) -> None:
    """In the state folder below the run's own pid, private, and gone afterwards."""
    places: list[Path] = []
    write = stage.images.write_archive

    def spy(image: object, changeset: object, codec: object, target: Path, progress: object) -> object:
        places.append(target)
        return write(image, changeset, codec, target, progress)  # type: ignore[arg-type]

    stage.images.write_archive = spy  # type: ignore[method-assign, assignment]
    await stage.up()
    parent = stage.world.settings.state_dir / "tmp"
    owned = [
        p for p in places if p.is_relative_to(parent) and p.relative_to(parent).parts[0].startswith(f"{os.getpid()}-")
    ]
    assert places
    assert owned == places
    assert not parent.exists()


async def test_all_that_the_machine_lacks_is_said_before_anything_is_made(stage: Stage) -> None:
    stage.driver.lacks = [
        Check("root", ok=False, detail="uid 1000", hint="use sudo"),
        Check("ip", ok=False, detail="not found", hint="apt"),
    ]
    with pytest.raises(PreconditionError, match=r"root: uid 1000; ip: not found") as told:
        await stage.up()
    assert told.value.hint == "use sudo; apt"
    assert not stage.engine.mutations


async def test_machines_of_that_name_without_state_are_nobody_elses_to_take(stage: Stage) -> None:
    await stage.stand()
    stage.engine.stacks.clear()
    with pytest.raises(UsageError, match=r"^app stands already on local as app-\w+, but its state is not here") as told:
        await stage.up(files=Clusterfile(infra=InfraDoc("local"), files=("infra.yaml",)))
    for verb in ("adopt", "down"):
        assert f"`sealer-cloud {verb} app --provider local -f infra.yaml`" in told.value.hint


async def test_a_name_is_bound_to_its_image_unless_it_is_replaced(stage: Stage) -> None:
    await stage.stand()
    stage.images.add("other:v1", FILES, env={"COLOUR": "x"})
    args = changed(UP, image="other:v1", name="app")
    with pytest.raises(UsageError, match="app runs app, not other"):
        await stage.up(args)


async def test_secrets_reach_files_and_are_masked_in_what_is_shown(stage: Stage) -> None:
    stage.environ["TOKEN"] = "hunter2-canary"
    stage.images.add("app:v1", {**FILES, "scripts/start.sh": b"#!/bin/sh\necho token $COLOUR\nexit 1\n"})
    with pytest.raises(StepError) as told:
        await stage.up(changed(UP, env=(), env_secret=("COLOUR=${env:TOKEN}",)))
    laid = stage.host("m1").at("/var/lib/sealer/data/app/rootfs/etc/app.conf")
    assert laid.read_text() == "colour=hunter2-canary\n"
    assert laid.stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in f"{told.value} {told.value.evidence} {told.value.hint} {stage.seen} {stage.asked}"


async def test_a_host_that_cannot_be_read_may_need_everything_and_then_needs_little(stage: Stage) -> None:
    await stage.stand()
    cid = stage.engine.stacks["app"].cid
    key = (cid, "m2")
    stage.engine.machines[key] = replace(stage.engine.machines[key], running=False)
    stage.engine.stacks["app"].hosts["m2"] = stage.engine.machines[key]
    stage.host("m2").boot(2)
    report = await stage.up()
    assert {s.state.value for s in stage.asked[-1].apply.steps} == {"maybe"}
    assert ids(report.apply) == ["m2/health/health.sh", "m2/start/start.sh"]


async def test_unreachable_hosts_are_named_together(stage: Stage) -> None:
    async def refuse(host: object, _keys: object) -> object:
        raise HostError(f"{host.name} refused")  # type: ignore[attr-defined]

    stage.connect = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(HostError, match=r"m1 refused; m2 refused; n1 refused"):
        await stage.up()


async def test_the_deadline_of_the_whole_command_is_said_as_such(stage: Stage) -> None:
    with pytest.raises(SealerError) as told:
        await stage.up(choice=UpChoice(yes=True, timeout=0))
    assert told.value.exit_code == 11


async def test_protection_holds_against_replacing_and_against_dropping_it_in_the_same_run(stage: Stage) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    stack.accepted = stack.accepted.model_copy(update={"protect": True})
    stage.images.add("other:v1", FILES, env={"COLOUR": "x"})
    allowed = replace(YES, allow_delete=True)
    with pytest.raises(UsageError, match="protected"):
        await stage.up(changed(UP, nodes="0"), allowed)
    assert {h for _, h in stage.engine.machines} == {"m1", "m2", "n1"}


async def test_a_host_that_should_run_but_is_silent_stops_the_engine_from_acting_on_others(stage: Stage) -> None:
    await stage.stand()
    connect = stage.connect

    async def refuse_m2(host: object, keys: object) -> object:
        if host.name == "m2":  # type: ignore[attr-defined]
            raise HostError("m2 refused")
        return await connect(host, keys)  # type: ignore[arg-type]

    stage.connect = refuse_m2  # type: ignore[method-assign,assignment]
    made = list(stage.engine.mutations)
    with pytest.raises(HostError, match="m2: m2 refused"):
        await stage.up(changed(UP, nodes="2"))
    assert stage.engine.mutations == made


async def test_one_damaged_state_does_not_hide_the_other_clusters(stage: Stage) -> None:
    await stage.stand()
    stored = stage.engine.stored
    stage.engine.stacks["bad"] = stage.engine.stacks["app"]

    def some_broken(cluster: object) -> object:
        if cluster == "bad":
            raise PreconditionError("torn")
        return stored(cluster)  # type: ignore[arg-type]

    stage.engine.stored = some_broken  # type: ignore[method-assign,assignment]
    rows = pipeline.list_clusters(stage.world)
    assert [(r.cluster, r.hosts) for r in rows] == [("app", 3), ("bad", 0)]
