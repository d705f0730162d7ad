"""What the service does wrong, met by the driver and by whole commands on a fake engine: nothing here needs a host."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.alicloud.api import Waits
from drivers.alicloud.driver import AlicloudDriver
from drivers.alicloud.pace import CALLS, SECONDS
from provisioner.errors import AccessError, ProviderError, SealerError, UsageError
from provisioner.gc import GcChoice, GcReport, gc
from provisioner.model.driver import Surroundings
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.leftovers import Fate
from provisioner.world import World
from tests.clouds.alicloud.asked import CID, Clock, driver
from tests.clouds.alicloud.client import good
from tests.clouds.alicloud.made import make_cluster, tag_words
from tests.clouds.alicloud.sim.account import Key
from tests.clouds.alicloud.sim.faults import Fault, token_expired
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET, Simulator
from tests.unit.pipeline.conftest import UP, Stage

pytestmark = pytest.mark.clouds
NONE: frozenset[str] = frozenset()
OURS = tag_words(cid=CID, cluster="demo")
ASKED = replace(UP, provider="alicloud", region="cn-hangzhou")


class Cloudy(Stage):
    """A user whose engine and hosts are fakes, and whose cloud is the simulator behind the real driver."""

    simulator: Simulator
    time: Clock

    @property
    def world(self) -> World:
        return replace(super().world, drivers={"alicloud": self._driver})

    def _driver(self, around: Surroundings) -> AlicloudDriver:
        return AlicloudDriver(around, waits=self.time.waits())


@pytest.fixture
def user(alicloud: Simulator, tmp_path: Path) -> Iterator[Cloudy]:
    """Somebody with an account."""
    one = Cloudy(tmp_path / "user", environ={**alicloud.env, "SEALER_CLOUD_PLUGIN_ALICLOUD_DIR": str(tmp_path)})
    one.simulator, one.time = alicloud, Clock()
    (tmp_path / "pulumi-resource-alicloud").touch()
    yield one
    for host in one.hosts.values():
        host.end_processes()


# ---------------------------------------------------------------- throttled, late, gone


def test_a_minute_of_throttling_is_ridden_out_with_pauses_that_differ(alicloud: Simulator) -> None:
    alicloud.account.faults.add(Fault("DescribeInstances", "Throttling.User", times=12))
    clock, chances = Clock(), itertools.cycle((0.3, 0.9, 0.6))
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.sleep(seconds)

    one = driver(alicloud, waits=Waits(monotonic=lambda: clock.slept, sleep=sleep, chance=lambda: next(chances)))
    assert one.find(ClusterName("demo")) == ()
    assert 20 < clock.slept < 200
    assert len({round(p, 3) for p in pauses}) > len(pauses) // 2, "no two callers would come back together"
    assert max(pauses) <= 15


def test_calls_come_no_faster_than_allowed(alicloud: Simulator) -> None:
    """A look through all regions asks side by side: one limiter holds all of it."""
    alicloud.account.catalogue.zones.update({f"cn-{n}": (f"cn-{n}-a",) for n in range(4)})
    begun = time.monotonic()
    driver(alicloud, waits=Waits()).survey()
    times = sorted(call.at - begun for call in alicloud.account.log)
    assert len(times) > 2 * CALLS
    assert all(at >= number // CALLS * SECONDS for number, at in enumerate(times))


def test_a_new_machine_that_does_not_show_up_yet_is_found(alicloud: Simulator) -> None:
    alicloud.account.faults.add(Fault("RunInstances", mode="lag", lag=1, times=1))
    (own,) = make_cluster(alicloud, CID, "m1")
    assert driver(alicloud).orphans(ClusterId(CID), NONE) == {"m1": own}


def test_a_machine_that_is_gone_and_still_shows_is_not_called_gone(alicloud: Simulator) -> None:
    make_cluster(alicloud, CID, "m1")
    alicloud.account.faults.add(Fault("DeleteInstance", mode="lag", lag=4))
    clock = Clock()
    one = driver(alicloud, waits=clock.waits())
    assert len(one.sweep(ClusterId(CID))) == 4
    assert clock.slept > 4, "it was waited for"
    assert one.leftovers(ClusterId(CID)) == ()
    assert alicloud.account.store.counts() == {}


# ---------------------------------------------------------------- whole commands


def told(error: SealerError) -> str:
    """All that a person and a log would see of it."""
    return f"{error} {error.message} {error.hint} {error.evidence} {error!r}"


def left_by(user: Cloudy) -> str:
    """What a person saw of a run, and what it left on the disk."""
    files = [p.read_bytes().decode(errors="replace") for p in user.folder.rglob("*") if p.is_file()]
    return f"{user.seen} {user.asked} {files}"


@pytest.mark.parametrize("command", ["up", "plan", "down"])
async def test_an_api_that_nobody_reaches_ends_bounded_as_refused(user: Cloudy, command: str) -> None:
    user.environ |= {f"ALIBABA_CLOUD_ENDPOINT_{product}": "127.0.0.1:9" for product in ("ECS", "VPC", "STS")}
    acts = {"up": lambda: user.up(ASKED), "plan": lambda: user.plan(ASKED), "down": lambda: user.down("alicloud")}
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:9 does not answer") as caught:
        await acts[command]()
    assert caught.value.exit_code == 6
    assert user.time.slept < 120
    text = told(caught.value) + left_by(user)
    assert not [word for word in (KEY_ID, SECRET, "Signature", "AccessKey") if word in text]
    assert user.engine.mutations == []


async def test_an_api_that_is_gone_later_touches_nothing_that_stands(user: Cloudy) -> None:
    await user.up(ASKED)
    before = dict(user.engine.machines)
    user.environ |= {f"ALIBABA_CLOUD_ENDPOINT_{product}": "127.0.0.1:9" for product in ("ECS", "VPC", "STS")}
    for act in (lambda: user.up(ASKED), user.down):
        with pytest.raises(ProviderError) as caught:
            await act()
        assert caught.value.exit_code == 6
        assert not [word for word in (KEY_ID, SECRET, "Signature") if word in told(caught.value) + left_by(user)]
    assert user.engine.machines == before
    assert "app" in user.engine.stacks


async def test_keys_that_end_or_belong_to_others_touch_nothing_that_stands(user: Cloudy) -> None:
    await user.up(ASKED)
    account, before = user.simulator.account, list(user.engine.mutations)
    more = replace(ASKED, masters="3")
    account.keys = {KEY_ID: Key(SECRET, account="2000000000000002")}
    for act in (lambda: user.up(more), user.down):
        with pytest.raises(AccessError, match="2000000000000002") as caught:
            await act()
        assert caught.value.exit_code == 5
    account.keys = {KEY_ID: Key(SECRET)}
    account.faults.add(token_expired())
    for act in (lambda: user.up(more), user.down):
        with pytest.raises(AccessError, match="Expired"):
            await act()
    assert user.engine.mutations == before
    account.faults.clear()
    await user.up(more)
    assert account.mutations() == [], "only the engine makes anything"


async def test_a_token_that_ends_after_the_question_stops_before_the_engine(user: Cloudy) -> None:
    def confirm(_plan: object) -> bool:
        user.simulator.account.faults.add(token_expired())
        return True

    user.confirm = confirm  # type: ignore[method-assign]
    with pytest.raises(AccessError):
        await user.up(ASKED)
    assert user.engine.mutations == []
    assert "app" not in user.engine.stacks


async def test_where_the_state_is_lost_no_twin_is_made_and_down_finds_all_by_tag(user: Cloudy) -> None:
    make_cluster(user.simulator, "app-abc234", "m1", "m2")
    bought = user.simulator.account.mutations().count("RunInstances")
    with pytest.raises(UsageError, match="app-abc234") as caught:
        await user.up(ASKED)
    assert caught.value.exit_code == 3
    assert "--provider alicloud" in caught.value.hint
    assert user.simulator.account.mutations().count("RunInstances") == bought
    assert user.engine.mutations == []
    report = await user.down("alicloud")
    assert not report.left
    assert user.simulator.account.store.counts() == {}


async def test_a_plan_asks_and_changes_nothing(user: Cloudy) -> None:
    await user.plan(ASKED)
    await user.plan(replace(ASKED, ttl="2h"))
    assert user.simulator.account.log
    assert user.simulator.account.mutations() == []


# ---------------------------------------------------------------- gc


async def look(user: Cloudy, *, delete: bool = False, **more: object) -> GcReport:
    return await gc(user.world, GcChoice(provider="alicloud", delete=delete, **more), lambda _going: True)  # type: ignore[arg-type]


async def test_gc_takes_what_is_expired_and_nothing_else(user: Cloudy) -> None:
    now, cloud = user.world.clock.now(), user.simulator
    past, near = (f"{now - timedelta(minutes=m):%Y-%m-%dT%H:%M:%SZ}" for m in (16, 14))
    make_cluster(cloud, "old-abc234", "m1", expires_at=past)
    make_cluster(cloud, "far-abc234", "m1", region="cn-beijing", expires_at=past)
    make_cluster(cloud, "near-abc234", "m1", expires_at=near)
    make_cluster(cloud, "lost-abc234", "m1")
    start = len(cloud.account.log)
    fates = {str(left.cid): left.fate for left in (await look(user)).found}
    assert fates == {
        "old-abc234": Fate.EXPIRED, "far-abc234": Fate.EXPIRED, "near-abc234": Fate.WAITS, "lost-abc234": Fate.UNKNOWN,
    }  # fmt: skip
    assert cloud.account.mutations(start) == [], "dry unless told otherwise"

    cloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    report = await look(user, delete=True)
    assert report.left == ()
    assert [place for place, _ in report.not_looked_at] == ["alicloud cn-beijing"]
    assert standing(cloud) == {"near", "lost", "far"}
    assert {t.kind for t in cloud.account.store.all() if t.region == "cn-hangzhou"} >= {"vpc", "vswitch", "group"}
    cloud.account.faults.clear()
    await look(user, delete=True)
    assert standing(cloud) == {"near", "lost"}
    assert (await look(user, delete=True)).removed == ()


def standing(simulator: Simulator) -> set[str]:
    """Names of the clusters that still have anything."""
    return {t.tags["sealer-cloud:cluster"] for t in simulator.account.store.all() if t.tags}


async def test_gc_that_may_look_nowhere_says_so(user: Cloudy) -> None:
    user.simulator.account.faults.add(token_expired())
    with pytest.raises(AccessError):
        await look(user)


# ---------------------------------------------------------------- what a cut run left


def test_a_network_that_was_made_twice_goes_and_no_machine_does(alicloud: Simulator) -> None:
    kept = make_cluster(alicloud, CID, "m1", "n1")
    known = frozenset(t.id for t in alicloud.account.store.all() if t.id != kept[1])
    twin = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"]
    other = make_cluster(alicloud, "other-abc234", "m1")
    (line,) = driver(alicloud).end_strays(ClusterId(CID), known)
    assert twin in line
    there = {t.id for t in alicloud.account.store.all()}
    assert twin not in there
    assert there >= {*known, *kept, *other}


def test_parts_of_a_network_that_no_state_knows_give_way(alicloud: Simulator) -> None:
    """A vSwitch that a cut run made has no tags yet: it would keep its addresses from the next one for ever."""
    vpc, _ = (good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **OURS)["VpcId"] for _ in range(2))
    words = {"VpcId": vpc, "ZoneId": "cn-hangzhou-h", "CidrBlock": "10.8.0.0/24"}
    good(alicloud, "vpc", "CreateVSwitch", VSwitchName=f"{CID}-cn-hangzhou-h", **words)
    group = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc, **OURS)["SecurityGroupId"]
    one, cid = driver(alicloud), ClusterId(CID)
    assert one.orphans(cid, NONE) == {}
    assert len(alicloud.account.store.all()) == 4, "who knows nothing of a state removes nothing"
    assert one.orphans(cid, frozenset({CID, vpc, group})) == {}
    assert one.end_strays(cid, frozenset({CID, vpc, group})) == ()
    assert {t.id for t in alicloud.account.store.all()} == {vpc, group}


async def test_a_permission_that_lacks_ends_plan_and_up_before_the_engine(user: Cloudy) -> None:
    account = user.simulator.account
    whole = json.loads(driver(user.simulator).permissions())["Statement"]
    account.allowed = frozenset(action for part in whole for action in part["Action"])
    assert [note for note in (await user.plan(ASKED)).notes if "vpc:CreateVpc is allowed" in note]
    account.allowed -= {"ecs:RunInstances"}
    for act in (user.plan, user.up):
        with pytest.raises(AccessError, match="ecs:RunInstances") as caught:
            await act(ASKED)
        assert caught.value.exit_code == 5
        assert "sealer-cloud doctor --permissions alicloud" in caught.value.hint
    assert user.engine.mutations == []
    assert "app" not in user.engine.stacks
    assert account.mutations() == []
