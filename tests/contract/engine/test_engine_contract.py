"""What every Engine promises, held against the fake and against real Pulumi."""

import pytest

from provisioner.errors import InterruptedRunError, ProviderError
from provisioner.events import ResourceChanged, ignore
from tests.contract.engine.rigs import CID, CLUSTER, PINNED_ENGINE, FakeRig, RealRig

REAL = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(PINNED_ENGINE is None, reason="no engine: sealer-cloud engine install"),
]
HOST = "sealer:local:Host"


@pytest.fixture(params=[FakeRig, pytest.param(RealRig, marks=REAL)], ids=["fake", "real"])
def rig(request, tmp_path):
    return request.param(tmp_path)


async def up(rig, *hosts, events=ignore):
    return await rig.engine.up(CLUSTER, CID, rig.program(*hosts), events)


async def preview(rig, *hosts):
    return await rig.engine.preview(CLUSTER, CID, rig.program(*hosts), ignore)


def words(plan):
    return {
        op: [f"{c.name} {c.detail}".strip() for c in getattr(plan, op)]
        for op in ("create", "update", "replace", "delete", "same")
        if getattr(plan, op)
    }


async def test_nothing_is_there_before(rig):
    assert rig.engine.names() == ()
    assert rig.engine.stored(CLUSTER) is None
    assert await rig.engine.keys(CLUSTER) is None
    assert await rig.engine.repair(CLUSTER) == ()
    assert await rig.engine.destroy(CLUSTER, ignore) == await rig.engine.destroy(CLUSTER, ignore)
    await rig.engine.forget(CLUSTER)


async def test_a_preview_of_a_new_cluster_makes_nothing(rig):
    previewed = await preview(rig, "m1", "m2")
    assert words(previewed.plan) == {"create": ["intent", "m1", "m2", "network"]}
    assert (previewed.outputs.hosts, previewed.outputs.keys) == ((), None)
    assert rig.engine.names() == ()
    assert rig.machines() == {}


async def test_up_gives_machines_and_keys_and_stores_the_request(rig):
    events = []
    outputs = await up(rig, "m1", "m2", events=events.append)
    assert [h.name for h in outputs.hosts] == ["m1", "m2"]
    assert {h.name: h.machine_id for h in outputs.hosts} == rig.machines()
    assert outputs.keys is not None
    assert await rig.engine.keys(CLUSTER) == outputs.keys
    stored = rig.engine.stored(CLUSTER)
    assert (stored.cid, stored.accepted) == (CID, rig.program("m1", "m2").accepted)
    assert stored.inventory.hosts == outputs.hosts
    assert (stored.resources, stored.pending) == (4, ())
    assert rig.engine.names() == (CLUSTER,)
    assert ResourceChanged(HOST, "m1", "create", done=True) in events
    assert ResourceChanged(HOST, "m1", "create", done=False) in events


async def test_no_change_is_no_mutation(rig):
    made = await up(rig, "m1", "m2")
    before = rig.mutations()
    previewed = await preview(rig, "m1", "m2")
    assert words(previewed.plan) == {"same": ["intent", "m1", "m2", "network"]}
    assert not previewed.plan.changes
    assert previewed.outputs == made
    assert await up(rig, "m1", "m2") == made
    assert rig.mutations() == before


async def test_a_stopped_machine_is_started_in_place(rig):
    made = await up(rig, "m1", "m2")
    rig.halt("m2")
    previewed = await preview(rig, "m1", "m2")
    assert words(previewed.plan) == {"update": ["m2 start again"], "same": ["intent", "m1", "network"]}
    assert await up(rig, "m1", "m2") == made


async def test_a_lost_machine_is_made_again(rig):
    made = await up(rig, "m1", "m2")
    rig.lose("m2")
    previewed = await preview(rig, "m1", "m2")
    assert words(previewed.plan) == {"create": ["m2"], "same": ["intent", "m1", "network"]}
    assert [h.name for h in previewed.outputs.hosts] == ["m1"]
    again = await up(rig, "m1", "m2")
    assert again.hosts[0] == made.hosts[0]
    assert again.hosts[1].machine_id != made.hosts[1].machine_id


async def test_scaling_touches_nobody_else(rig):
    await up(rig, "m1", "m2")
    more = await preview(rig, "m1", "m2", "m10", "m9")
    assert words(more.plan) == {"create": ["m9", "m10"], "update": ["intent request"], "same": ["m1", "m2", "network"]}
    less = await preview(rig, "m1")
    assert words(less.plan) == {"delete": ["m2"], "update": ["intent request"], "same": ["m1", "network"]}
    assert [h.name for h in (await up(rig, "m1")).hosts] == ["m1"]
    assert list(rig.machines()) == ["m1"]
    assert [h.name for h in rig.engine.stored(CLUSTER).inventory.hosts] == ["m1"]


async def test_a_replacement_is_told_once(rig):
    made = await up(rig, "m1")
    previewed = await preview(rig, "m1:7")
    assert words(previewed.plan) == {"replace": ["m1"], "update": ["intent request"], "same": ["network"]}
    again = await up(rig, "m1:7")
    assert again.hosts[0].machine_id != made.hosts[0].machine_id


async def test_roles_change_without_touching_the_machine(rig):
    made = await up(rig, "m1")
    previewed = await preview(rig, "m1:0:node")
    assert words(previewed.plan) == {"update": ["intent request", "m1 roles"], "same": ["network"]}
    again = await up(rig, "m1:0:node")
    assert again.hosts[0].roles == ("node",)
    assert again.hosts[0].machine_id == made.hosts[0].machine_id


async def test_keys_outlive_every_change(rig):
    keys = (await up(rig, "m1")).keys
    assert (await up(rig, "m1", "m2")).keys == keys
    assert (await preview(rig, "m2")).outputs.keys == keys


async def test_a_failed_create_names_the_host_and_the_next_up_goes_on(rig):
    rig.fail("create", "m2", "the cloud says no\nwith a second line")
    with pytest.raises(ProviderError, match=r"m2.*the cloud says no") as caught:
        await up(rig, "m1", "m2")
    assert caught.value.host == "m2"
    assert rig.engine.names() == (CLUSTER,)
    rig.heal()
    await rig.engine.repair(CLUSTER)
    first = rig.machines().get("m1")
    outputs = await up(rig, "m1", "m2")
    assert {h.name: h.machine_id for h in outputs.hosts} == rig.machines()
    assert first in {None, rig.machines()["m1"]}  # made before or not, never made twice


async def test_destroy_and_forget_leave_nothing(rig):
    await up(rig, "m1", "m2")
    destroyed = await rig.engine.destroy(CLUSTER, ignore)
    assert [c.name for c in destroyed.deleted] == ["intent", "m1", "m2", "network"]
    assert destroyed.failed == ()
    assert rig.machines() == {}
    assert rig.engine.stored(CLUSTER).resources == 0
    await rig.engine.forget(CLUSTER)
    assert rig.engine.names() == ()
    assert rig.engine.stored(CLUSTER) is None


async def test_a_failed_delete_is_listed_and_can_be_done_again(rig):
    await up(rig, "m1", "m2")
    rig.fail("delete", "m2", "in use")
    destroyed = await rig.engine.destroy(CLUSTER, ignore)
    assert [c.name for c in destroyed.failed] == ["m2"]
    assert "m1" in [c.name for c in destroyed.deleted]
    with pytest.raises(ProviderError, match="still has resources"):
        await rig.engine.forget(CLUSTER)
    rig.heal()
    assert "m2" in [c.name for c in (await rig.engine.destroy(CLUSTER, ignore)).deleted]
    assert rig.machines() == {}


async def test_after_a_stop_nothing_is_begun(rig):
    rig.stop.request()
    for call in (up(rig, "m1"), preview(rig, "m1")):
        with pytest.raises(InterruptedRunError):
            await call
    assert rig.machines() == {}
