"""`network create|list|delete` on fakes: what is made, continued, refused, removed and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from provisioner.errors import (
    AccessError,
    InterruptedRunError,
    PreconditionError,
    ProviderError,
    UsageError,
)
from provisioner.events import Progress
from provisioner.model.networks import NetworkPlan, NetworkWish, SharedNetwork
from provisioner.model.site import ANYWHERE, Site
from provisioner.model.tags import CI_RUN, CID, RUN, SHARED
from provisioner.sharednet import Created, Deleted, create_network, delete_network, list_networks
from provisioner.world import World
from tests.fakes.driver import FakeDriver
from tests.fakes.networks import NetworkCloud

from .conftest import Stage

AWS = Site("aws", "r1")
WISH = NetworkWish("ci", "")


@pytest.fixture
def cloud(stage: Stage) -> NetworkCloud:
    return NetworkCloud(stage.engine.machines)


def world_of(stage: Stage, cloud: NetworkCloud) -> World:
    local = FakeDriver(stage.engine.machines)
    return replace(stage.world, drivers={"aws": lambda _around: cloud, "local": lambda _around: local})


async def create(
    stage: Stage, cloud: NetworkCloud, wish: NetworkWish = WISH, site: Site = AWS, *, answer: bool = True
) -> Created:
    return await create_network(world_of(stage, cloud), site, wish, lambda _plan: answer)


async def delete(stage: Stage, cloud: NetworkCloud, name: str = "ci", *, answer: bool = True) -> Deleted:
    return await delete_network(world_of(stage, cloud), AWS, name, lambda _found: answer)


async def test_a_network_is_made_once(stage: Stage, cloud: NetworkCloud) -> None:
    stage.environ = {"GITHUB_RUN_ID": "77"}
    report = await create(stage, cloud)
    assert [str(p) for p in report.made] == ["vpc 10.0.0.0/16", "subnet 10.0.0.0/20 in z1", "subnet 10.0.16.0/20 in z2"]
    assert report.network.zones == ("z1", "z2")
    assert (cloud.marks[SHARED], cloud.marks[CI_RUN]) == ("ci", "77")
    assert report.network.run == cloud.marks[RUN]
    assert CID not in cloud.marks, "no cluster's down may find it"
    assert [e.text for e in stage.seen if isinstance(e, Progress)] == [str(p) for p in report.made]
    again = await create(stage, cloud, answer=False)  # nobody is asked
    assert (again.made, again.network) == ((), report.network)


async def test_no_is_130_and_changes_nothing(stage: Stage, cloud: NetworkCloud) -> None:
    with pytest.raises(InterruptedRunError, match="nothing was changed"):
        await create(stage, cloud, answer=False)
    assert cloud.nets == {}
    await create(stage, cloud)
    before = dict(cloud.nets)
    with pytest.raises(InterruptedRunError, match="nothing was deleted"):
        await delete(stage, cloud, answer=False)
    assert cloud.nets == before


async def test_the_same_command_goes_on(stage: Stage, cloud: NetworkCloud) -> None:
    cloud.breaks = {"subnet"}
    with pytest.raises(ProviderError) as caught:
        await create(stage, cloud)
    assert "the same command goes on" in caught.value.hint
    cloud.breaks = set()
    report = await create(stage, cloud)
    assert [p.kind for p in report.made] == ["subnet", "subnet"]
    assert len(cloud.nets) == 1


async def test_an_interrupt_ends_between_two_parts(stage: Stage, cloud: NetworkCloud) -> None:
    world = world_of(stage, cloud)

    def confirm(_plan: NetworkPlan) -> bool:
        world.stop.request()
        return True

    with pytest.raises(InterruptedRunError, match="what was made stands"):
        await create_network(world, AWS, WISH, confirm)


async def test_a_network_that_shows_late_is_not_made_twice(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    cloud.lag = 1  # the first look does not show it: a run that was cut a moment ago made it
    report = await create(stage, cloud)
    assert (report.made, len(cloud.nets)) == ((), 1)


async def test_another_range_and_twins_are_refused(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    with pytest.raises(UsageError, match=r"with 10\.0\.0\.0/16, not with 10\.9\.0\.0/16"):
        await create(stage, cloud, replace(WISH, cidr="10.9.0.0/16"))
    cloud.nets["vpc-9"] = replace(cloud.nets["vpc-1"], id="vpc-9")
    with pytest.raises(UsageError, match="stands 2 times in r1: vpc-1, vpc-9") as told:
        await create(stage, cloud)
    assert "`sealer-cloud network delete ci --provider aws --region r1`" in told.value.hint


async def test_what_came_while_a_person_read_is_not_deleted_with_the_rest(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)

    def confirm(found: Sequence[SharedNetwork]) -> bool:
        parts = tuple(replace(part, id=f"{part.id}-twin") for part in found[0].parts)
        cloud.nets["vpc-5"] = replace(found[0], id="vpc-5", parts=parts)
        return True

    with pytest.raises(PreconditionError, match=r"changed meanwhile \(vpc vpc-1-twin .*; nothing was deleted"):
        await delete_network(world_of(stage, cloud), AWS, "ci", confirm)
    assert set(cloud.nets) == {"vpc-1", "vpc-5"}


async def test_what_changed_while_a_person_read_is_12(stage: Stage, cloud: NetworkCloud) -> None:
    def confirm(_plan: NetworkPlan) -> bool:
        cloud.nets["vpc-5"] = SharedNetwork("ci", "aws", "r1", "vpc-5", "10.5.0.0/16")
        return True

    with pytest.raises(PreconditionError, match="changed meanwhile"):
        await create_network(world_of(stage, cloud), AWS, WISH, confirm)


async def test_a_region_is_needed_and_taken_from_the_users_settings(stage: Stage, cloud: NetworkCloud) -> None:
    report = await create(stage, cloud, site=Site("aws"))
    assert report.network.region == "r1"
    cloud.home = None
    with pytest.raises(UsageError, match="no region"):
        await create(stage, cloud, site=Site("aws"))


@pytest.mark.parametrize("region", [None, "r1"])
async def test_a_provider_without_networks_is_refused_by_name(
    stage: Stage, cloud: NetworkCloud, region: str | None
) -> None:
    world, site = world_of(stage, cloud), Site("local", region)
    with pytest.raises(UsageError, match="provider local has no networks to share"):
        await create_network(world, site, WISH, lambda _plan: True)
    with pytest.raises(UsageError, match="provider local has no networks to share"):
        await delete_network(world, site, "ci", lambda _found: True)
    with pytest.raises(UsageError, match="provider local has no networks to share"):
        await list_networks(world, Site("local"), ())


async def test_an_empty_network_goes_and_a_second_time_it_is_not_there(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    report = await delete(stage, cloud)
    assert (report.found, len(report.removed), report.left) == (True, 3, ())
    assert cloud.nets == {}
    again = await delete(stage, cloud, answer=False)  # nobody is asked
    assert (again.found, again.removed, again.left) == (False, (), ())


async def test_a_network_in_use_is_refused_before_and_after_the_question(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    empty = cloud.nets["vpc-1"]
    lines = tuple(f"instance i-{n} of cluster web-abc234" for n in range(30))
    used = replace(empty, clusters=("web-abc234",), occupants=lines)
    cloud.nets["vpc-1"] = used
    with pytest.raises(UsageError, match="in use by web-abc234; nothing was deleted") as caught:
        await delete(stage, cloud)
    assert "instance i-0 of" in caught.value.message
    assert caught.value.message.endswith("and 10 more")
    cloud.nets["vpc-1"] = empty

    def confirm(_found: Sequence[SharedNetwork]) -> bool:
        cloud.nets["vpc-1"] = used  # somebody moved in while a person read
        return True

    with pytest.raises(UsageError, match="in use"):
        await delete_network(world_of(stage, cloud), AWS, "ci", confirm)
    assert cloud.nets == {"vpc-1": used}


async def test_what_is_left_is_named_with_the_reason(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    cloud.keeps = {"vpc"}
    report = await delete(stage, cloud)
    assert report.left == ("vpc vpc-1 10.0.0.0/16", "vpc vpc-1 10.0.0.0/16 is kept")
    assert len(report.removed) == 2


class Blind(NetworkCloud):
    """A provider that nobody may look into."""

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> object:  # type: ignore[override]
        raise AccessError(f"no key {regions} {name}", hint="set one")


async def test_a_list_says_where_nobody_could_look(stage: Stage, cloud: NetworkCloud) -> None:
    await create(stage, cloud)
    await create(stage, cloud, replace(WISH, name="a"))
    blind = Blind(stage.engine.machines, name="alicloud")
    world = world_of(stage, cloud)
    both = replace(world, drivers={**world.drivers, "alicloud": lambda _around: blind})
    networks = await list_networks(both, ANYWHERE, ())
    assert [n.name for n in networks.found] == ["a", "ci"]
    assert [where for where, _ in networks.not_looked_at] == ["alicloud"]
    with pytest.raises(AccessError):
        await list_networks(both, Site("alicloud"), ())
    with pytest.raises(AccessError, match="no cloud account could be looked at: alicloud: no key") as told:
        await list_networks(replace(world, drivers={"alicloud": lambda _around: blind}), ANYWHERE, ())
    assert "--provider" in told.value.hint, "which cloud is meant only the person knows"
    assert told.value.hint.endswith("\nalicloud: set one")
