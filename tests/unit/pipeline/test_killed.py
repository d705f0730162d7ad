"""Cut at every point of stage 1 in turn, again and again on the same cluster: the wanted machines, and none twice."""

from __future__ import annotations

import contextlib

import pytest

from provisioner.errors import ProviderError
from tests.fakes.driver import FakeCloud

from .conftest import Stage

HOSTS = ("m1", "m2", "n1")
AT_HOSTS = [f"up/{when}/{host}" for host in HOSTS for when in ("before", "made", "after")]
UP = ["up/begin", "up/intent", "up/network", *AT_HOSTS, "up/end"]
DOWN = ["destroy/begin", *(f"destroy/{name}" for name in (*HOSTS, "network", "intent")), "destroy/end", "forget"]


@pytest.fixture
def cloud(stage: Stage) -> Stage:
    stage.driver = FakeCloud(stage.engine.machines)
    stage.engine.cloud = True
    return stage


def cut_at(cloud: Stage, point: str) -> None:
    def die(name: str) -> None:
        if name == point:
            raise ProviderError(f"killed at {point}")

    cloud.engine._at = die


async def up_whole(cloud: Stage) -> None:
    """`up` runs to its end, and then has nothing to do."""
    cloud.engine._at = lambda _name: None
    await cloud.up()
    assert sorted(host for _, host in cloud.engine.machines) == list(HOSTS)
    assert len({cid for cid, _ in cloud.engine.machines}) == 1
    assert sorted(m for m in cloud.engine.mutations if m.startswith("make")) == [f"make {h}" for h in HOSTS]
    assert not [m for m in cloud.engine.mutations if m.startswith("twin")]
    assert not (await cloud.up()).changed


async def test_cut_at_one_point_after_the_other(cloud: Stage) -> None:
    cuts = 0
    for point in UP:
        cut_at(cloud, point)
        try:
            await cloud.up()
        except ProviderError:
            cuts += 1
    assert cuts == len(UP) - 1, "the last one finds nothing left to make"
    await up_whole(cloud)


@pytest.mark.parametrize("point", UP)
async def test_down_of_what_a_cut_up_left(cloud: Stage, point: str) -> None:
    cut_at(cloud, point)
    with pytest.raises(ProviderError, match="killed"):
        await cloud.up()
    cloud.engine._at = lambda _name: None
    report = await cloud.down("local")
    assert not report.left
    assert not cloud.engine.machines
    assert not cloud.engine.stacks


async def test_down_cut_at_one_point_after_the_other(cloud: Stage) -> None:
    await cloud.up()
    for point in DOWN:
        cut_at(cloud, point)
        with contextlib.suppress(ProviderError):
            await cloud.down("local")
    cloud.engine._at = lambda _name: None
    report = await cloud.down("local")
    assert not report.left
    assert not cloud.engine.machines
    assert not cloud.engine.stacks
