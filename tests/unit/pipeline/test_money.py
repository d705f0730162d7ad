"""What a cluster costs as a whole: at the prices that it was bought at, or looked up where nobody wrote one down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.errors import CapacityError
from provisioner.model.engine import Previewed
from provisioner.model.hosts import InventoryHost, SshTarget, StackOutputs
from provisioner.model.ids import ClusterId, HostName
from provisioner.model.plan import InfraPlan, ResourceChange
from provisioner.placing import stopped_machines, with_starts
from tests.fakes.driver import FakeCloud

from .conftest import UP, YES, Stage, changed

LARGER = changed(UP, nodes="2")


@pytest.fixture
async def cloud(stage: Stage) -> FakeCloud:
    """A cluster of three that stands."""
    driver = FakeCloud(stage.engine.machines)
    stage.driver, stage.engine.cloud = driver, True
    await stage.up()
    return driver


def forget_prices(stage: Stage) -> None:
    """The placement as an older version wrote it."""
    stack = stage.engine.stacks["app"]
    assert stack.accepted is not None
    placement = dict(stack.accepted.placement)
    hosts = {n: {k: v for k, v in on.items() if k != "price"} for n, on in placement["hosts"].items()}  # type: ignore[attr-defined]
    stack.accepted = stack.accepted.model_copy(update={"placement": {**placement, "hosts": hosts}})


async def test_a_larger_cluster_is_compared_whole_at_the_prices_that_it_was_bought_at(
    stage: Stage, cloud: FakeCloud
) -> None:
    cloud.stock = [("z1", "small", 0.5)]  # dearer by now: what stands was bought at 0.25
    plan = await stage.plan(LARGER)
    assert plan.price is not None
    assert plan.price.per_hour == 1.25
    with pytest.raises(CapacityError, match=r"1.25 USD per hour, more than --max-price 1.2"):
        await stage.up(LARGER, replace(YES, max_price=1.2))
    await stage.up(LARGER, replace(YES, max_price=1.25))
    assert cloud.priced == []


async def test_what_was_placed_without_a_price_is_looked_up_once_something_is_bought(
    stage: Stage, cloud: FakeCloud
) -> None:
    forget_prices(stage)
    assert not (await stage.up(choice=replace(YES, max_price=0.01))).changed
    assert cloud.priced == [], "a run that buys nothing asks for no price"
    with pytest.raises(CapacityError, match="1 USD per hour"):
        await stage.up(LARGER, replace(YES, max_price=0.9))
    assert cloud.priced == [frozenset({"m1", "m2", "n1"})]
    cloud.stock = [("z2", "large", 0.5)]  # nobody sells, or prices, the old kind any more
    with pytest.raises(CapacityError, match="the price of m1, m2, n1 is not known"):
        await stage.up(LARGER, replace(YES, max_price=9.0))


def test_a_machine_that_was_stopped_by_hand_is_named_in_the_plan_of_a_cloud() -> None:
    target = SshTarget("192.0.2.1", 22, "root")
    n1 = InventoryHost(HostName("n1"), (), "192.0.2.1", target, (), "i-1", running=False)
    outputs = StackOutputs(ClusterId("app-abcdef"), None, (n1, replace(n1, name=HostName("m1"), running=True)))
    machine = ResourceChange("aws:ec2/instance:Instance", "n1")
    seen = Previewed(InfraPlan(same=(machine, replace(machine, name="m1"))), outputs)
    plan = with_starts(seen, "aws")
    assert plan.update == (replace(machine, detail="start again"),)
    assert [c.name for c in plan.same] == ["m1"]
    assert stopped_machines(outputs, "aws") == {"n1": "i-1"}
    assert with_starts(seen, "local") == seen.plan, "whose engine starts them itself"
