from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner import pipeline
from provisioner.errors import AccessError, InterruptedRunError, PreconditionError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.infra.locks import ClusterLock
from provisioner.model.driver import FoundCluster, FoundMachine
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.site import ANYWHERE, Site
from tests.fakes.driver import FakeCloud, FakeDriver
from tests.fakes.engine import FakeStack

from .conftest import UP, Stage, changed

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def test_down_removes_all_looks_and_forgets(stage: Stage) -> None:
    await stage.stand()
    report = await stage.down()
    assert report.left == ()
    assert {"host m1", "host m2", "host n1"} <= set(report.removed)
    assert not stage.engine.machines
    assert not stage.engine.stacks


async def test_down_of_nothing_is_no_failure(stage: Stage) -> None:
    report = await stage.down()
    assert (report.cid, report.removed, report.left) == (None, (), ())
    assert not (stage.folder / ".local/state/sealer-cloud/clusters").exists() or not any(
        (stage.folder / ".local/state/sealer-cloud/clusters").iterdir()
    )


async def test_a_cloud_without_credentials_is_in_nobodys_way(stage: Stage) -> None:
    class NoKeys(FakeDriver):
        def find(self, name: ClusterName | None, *_where: object) -> tuple[FoundCluster, ...]:
            raise AccessError("no credentials")

    drivers = {"local": lambda _around: stage.driver, "aws": lambda _around: NoKeys(stage.engine.machines)}
    world = replace(stage.world, drivers=drivers)
    report = await pipeline.down(world, ClusterName("app"), ANYWHERE, stage.confirm_down)
    assert (report.cid, report.provider, report.left) == (None, "local", ())
    (warned,) = [e for e in stage.seen if isinstance(e, Warned)]
    assert warned.text == "aws was not looked at: no credentials"
    assert "--provider aws" in warned.hint
    with pytest.raises(AccessError):
        await pipeline.down(world, ClusterName("app"), Site("aws"), stage.confirm_down)


async def test_down_works_by_looking_where_the_state_is_lost(stage: Stage) -> None:
    await stage.stand()
    stage.engine.stacks.clear()
    report = await stage.down("local")
    assert not stage.engine.machines
    assert set(report.removed) == {"machine m1", "machine m2", "machine n1"}


async def test_several_of_one_name_are_listed_and_none_is_touched(stage: Stage) -> None:
    await stage.stand()
    (cid, _), machine = next(iter(stage.engine.machines.items()))
    stage.engine.machines["app-zzzzzz", "m1"] = machine
    stage.engine.stacks.clear()
    with pytest.raises(UsageError, match=f"app-zzzzzz.*|{cid}") as told:
        await stage.down("local")
    first = min("app-zzzzzz", str(cid))
    way = f"sealer-cloud adopt app --provider local --cluster-id {first} && sealer-cloud down app"
    assert told.value.hint.endswith(f": {way}")
    assert len(stage.engine.machines) == 4


@pytest.mark.parametrize("seen", [True, False])
async def test_which_hosts_are_gone_is_looked_up_and_read_from_no_text(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, seen: bool
) -> None:
    await stage.stand()

    def blind(_cid: ClusterId) -> tuple[FoundMachine, ...]:
        raise ProviderError("no answer")

    monkeypatch.setattr(stage.driver, "leftovers", lambda _cid: ("network net-m1 (of m2 and n1)",))
    if not seen:
        monkeypatch.setattr(stage.driver, "inspect", blind)
    report = await stage.down()
    assert report.left == ("network net-m1 (of m2 and n1)",)
    assert report.removed == (("host m1", "host m2", "host n1") if seen else ())


async def test_what_cannot_be_removed_is_listed_and_the_state_is_kept(stage: Stage) -> None:
    await stage.stand()
    stage.engine.fail["delete m2"] = "busy"
    stage.driver.stubborn = {"m2"}
    report = await stage.down()
    assert any("m2" in line for line in report.left)
    assert report.removed == ("host m1", "host n1"), "what is left was not removed"
    assert "app" in stage.engine.stacks
    stage.engine.fail.clear()
    stage.driver.stubborn.clear()
    assert (await stage.down()).left == ()


async def test_what_a_broken_lock_left_is_cleared_though_the_answer_is_no(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.stand()
    stage.engine.calls.clear()
    stage.answer = False
    monkeypatch.setattr(ClusterLock, "broken", "`up app` (pid 5 on runner-a)")
    with pytest.raises(InterruptedRunError):
        await stage.down()
    assert ("repair", "app") in stage.engine.calls
    assert "app" in stage.engine.stacks


async def test_a_no_keeps_everything(stage: Stage) -> None:
    await stage.stand()
    stage.answer = False
    with pytest.raises(InterruptedRunError):
        await stage.down()
    assert len(stage.engine.machines) == 3


async def test_a_protected_cluster_is_refused_with_or_without_its_machines(stage: Stage) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    stack.accepted = replace_protect(stack.accepted)
    with pytest.raises(UsageError, match="protected"):
        await stage.down()
    assert len(stage.engine.machines) == 3


async def test_a_broken_state_is_named_and_looked_past_only_when_a_provider_is_named(stage: Stage) -> None:
    await stage.stand()

    def broken(_cluster: object) -> object:
        raise PreconditionError("the state is torn")

    stage.engine.stored = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(PreconditionError, match="torn") as told:
        await stage.down()
    assert "--provider local" in told.value.hint
    await stage.down("local")
    assert not stage.engine.machines


async def test_another_provider_is_refused(stage: Stage) -> None:
    await stage.stand()
    with pytest.raises(UsageError) as told:
        await stage.down("aws")
    assert told.value.hint == "`sealer-cloud down app` alone finds it"
    assert len(stage.engine.machines) == 3


async def test_the_goodbye_script_runs_on_the_first_master(stage: Stage) -> None:
    from .conftest import FILES

    stage.images.add("app:v1", {**FILES, "scripts/remove.sh": b"#!/bin/sh\necho bye > $SEALER_DATA/bye\n"})
    await stage.up(changed(UP, nodes="0"))
    await stage.down()
    assert stage.data("m1", "bye") == ["bye"]
    assert stage.data("m2", "bye") == []


def replace_protect(accepted: object) -> object:
    return accepted.model_copy(update={"protect": True})  # type: ignore[attr-defined]


async def test_a_second_down_looks_again_though_the_state_knows_no_machine_any_more(stage: Stage) -> None:
    await stage.stand()
    cid = stage.engine.stacks["app"].cid
    stage.driver.stubborn = {"m2"}
    machine = stage.engine.machines[cid, "m2"]
    await stage.down()
    stage.engine.machines[cid, "m2"] = machine
    stage.engine.stacks["app"] = FakeStack()  # what a destroy leaves of it: no Intent, so no cid
    report = await stage.down()
    assert report.left == ("machine m2",)
    stage.driver.stubborn = set()
    assert (await stage.down()).left == ()
    assert not stage.engine.machines
    assert "app" not in stage.engine.stacks


async def test_the_look_decides_when_the_engine_could_not_delete(stage: Stage) -> None:
    await stage.stand()
    stage.engine.fail["delete m2"] = "the network still has hosts"
    report = await stage.down()  # the sweep removes what the engine could not
    assert report.left == ()
    assert not stage.engine.machines
    assert "app" not in stage.engine.stacks


async def test_a_cluster_that_only_a_look_finds_is_removed_only_where_the_provider_is_named(stage: Stage) -> None:
    await stage.stand()
    stage.engine.stacks.clear()
    with pytest.raises(UsageError, match="this state folder knows no cluster app, but local has app-"):
        await stage.down()
    assert len(stage.engine.machines) == 3


async def test_a_stack_without_a_cid_takes_no_colleagues_cluster_of_that_name(stage: Stage) -> None:
    await stage.stand()
    stage.engine.stacks["app"] = FakeStack()  # what a run leaves that was killed before its Intent was made
    cloud = FakeCloud(stage.engine.machines, name="aws")
    world = replace(stage.world, drivers={"local": lambda _around: FakeDriver({}), "aws": lambda _around: cloud})
    with pytest.raises(UsageError, match="knows no cluster app, but aws has app-") as told:
        await pipeline.down(world, ClusterName("app"), ANYWHERE, stage.confirm_down)
    assert "sealer-cloud down app --provider aws" in told.value.hint
    assert len(stage.engine.machines) == 3
    await pipeline.down(world, ClusterName("app"), Site("aws"), stage.confirm_down)
    assert not stage.engine.machines
