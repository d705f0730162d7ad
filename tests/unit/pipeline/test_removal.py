"""`down` where something is in the way: strangers, deletes that are refused, places that nobody could look at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from provisioner import pipeline
from provisioner.cli.planview import down_lines
from provisioner.errors import AccessError, PreconditionError, ProviderError, SealerError, UsageError
from provisioner.events import Warned
from provisioner.model.driver import Check, Dark, FoundCluster
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.site import ANYWHERE
from provisioner.world import DownPlan
from tests.fakes.driver import FakeCloud, FakeDriver

from .conftest import Stage

APP = ClusterName("app")
STRANGER = "instance i-9 in r1 (printer)"


@dataclass
class Refusing(FakeDriver):
    """Its deletes are refused with `refusal`; `unseen` regions cannot be looked at."""

    refusal: SealerError | None = None
    unseen: dict[str, SealerError] = field(default_factory=dict)
    where: list[tuple[str, ...]] = field(default_factory=list)

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        if self.refusal:
            raise self.refusal
        return super().sweep(cid)

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), _dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        for region, error in self.unseen.items() if _dark else ():
            _dark(region, error)
        return tuple(replace(f, regions=("r1",)) for f in super().find(name, regions))

    def within(self, regions: tuple[str, ...]) -> None:
        self.where.append(regions)


@pytest.fixture
def driver(stage: Stage) -> Refusing:
    stage.driver = Refusing(stage.engine.machines)
    return stage.driver


def warnings(stage: Stage) -> str:
    return "\n".join(e.text for e in stage.seen if isinstance(e, Warned))


async def test_a_stranger_is_found_first_and_stops_what_nobody_reads(stage: Stage, driver: Refusing) -> None:
    await stage.up()
    driver.foreign = [STRANGER]
    before = (dict(stage.engine.machines), list(stage.engine.mutations))
    with pytest.raises(UsageError, match="instance i-9") as told:
        await pipeline.down(stage.world, APP, ANYWHERE, stage.confirm_down, unasked=True)
    assert told.value.exit_code == 3
    assert "without --yes" in told.value.hint
    assert before == (stage.engine.machines, stage.engine.mutations)


async def test_a_person_reads_of_a_stranger_and_its_network_is_left(stage: Stage, driver: Refusing) -> None:
    await stage.up()
    driver.foreign = [STRANGER]
    seen: list[DownPlan] = []
    report = await pipeline.down(stage.world, APP, ANYWHERE, lambda plan: bool(seen.append(plan) or True))
    assert seen[0].strangers == (STRANGER,)
    assert STRANGER in "".join(text for line in down_lines(seen[0]) for text, _ in line)
    assert not stage.engine.machines
    assert not any(call[0] == "destroy" for call in stage.engine.calls)
    assert report.left == ()


@pytest.mark.parametrize(
    ("error", "code"), [(ProviderError("m2 is left: it is protected"), 6), (AccessError("Forbidden.RAM"), 5)]
)
async def test_what_was_refused_is_listed_by_its_id_and_listed_again(
    stage: Stage, driver: Refusing, error: SealerError, code: int
) -> None:
    await stage.up()
    stage.engine.fail["delete m2"] = "protected"
    driver.refusal = error
    for _ in range(2):
        if code == AccessError.exit_code:
            with pytest.raises(AccessError, match=r"Forbidden.RAM; left: machine m2"):
                await stage.down()
        else:
            assert any("machine m2" in line for line in (await stage.down()).left)
            assert error.message in warnings(stage)
        assert "app" in stage.engine.stacks
    driver.refusal = None
    stage.engine.fail.clear()
    assert not (await stage.down()).left


async def test_a_region_that_is_not_looked_at_is_said_and_nothing_is_called_gone(
    stage: Stage, driver: Refusing
) -> None:
    driver.unseen = {"r8": ProviderError("r8 does not answer"), "r9": AccessError("Forbidden", hint="ask for leave")}
    with pytest.raises(AccessError, match=r"no cluster app was found, but local could not be looked at in r8, r9"):
        await stage.down("local")
    del driver.unseen["r9"]
    with pytest.raises(ProviderError, match="r8"):
        await stage.down("local")
    assert (await stage.down()).cid is None  # wherever it may be: most people use few of all providers
    assert "local r8 was not looked at: r8 does not answer" in warnings(stage)


async def test_what_a_look_found_is_removed_where_it_was_seen(stage: Stage, driver: Refusing) -> None:
    await stage.up()
    stage.engine.stacks.clear()
    driver.unseen = {"r8": ProviderError("r8 does not answer")}
    report = await stage.down("local")
    assert not stage.engine.machines
    assert not report.left
    assert driver.where[-1] == ("r1",)
    assert "local r8 was not looked at" in warnings(stage)


async def test_a_new_cluster_is_looked_for_where_it_would_be(stage: Stage) -> None:
    stage.driver = FakeCloud(stage.engine.machines)
    stage.engine.cloud = True
    await stage.up()
    assert stage.driver.looked == [("r1",)]


@pytest.mark.parametrize(
    ("checks", "kind"),
    [
        ((Check("plugin", ok=False, detail="missing"),), PreconditionError),
        (
            (Check("plugin", ok=False, detail="missing"), Check("api", ok=False, detail="down", refused=True)),
            ProviderError,
        ),
        (
            (
                Check("plugin", ok=False, detail="missing"),
                Check("api", ok=False, detail="down", refused=True),
                Check("keys", ok=False, detail="wrong", access=True),
            ),
            AccessError,
        ),
    ],
)
async def test_the_lowest_cause_decides(stage: Stage, checks: tuple[Check, ...], kind: type[SealerError]) -> None:
    stage.driver.lacks = list(checks)
    with pytest.raises(SealerError) as told:
        await stage.up()
    assert type(told.value) is kind
    assert all(check.detail in told.value.message for check in checks)
