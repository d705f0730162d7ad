"""A cloud that is asked too often, through the engine: done again for a while, then told."""

from __future__ import annotations

import pytest

from provisioner.busy import BUSY_SECONDS, ride_out
from provisioner.errors import BusyError, InterruptedRunError
from provisioner.events import Warned
from provisioner.infra.changes import DiagnosticSeen, StepSeen
from provisioner.infra.failures import Outcome, to_error
from tests.fakes.engine import FakeEngine

from .conftest import Stage

THROTTLED = "reading: [ERROR] ErrorCode: Throttling.User, Message: Request was denied due to user flow control."


def busy_at(stage: Stage, times: int) -> list[str]:
    """The engine's plugin gives up `times` times before a host is made; the list gets a line for each."""
    hits: list[str] = []

    def fail(point: str) -> None:
        if point == "up/before/m1" and len(hits) < times:
            hits.append(point)
            raise BusyError("reading m1: ErrorCode: Throttling.User, Message: denied")

    stage.engine = FakeEngine(failpoint=fail)
    stage.driver.machines = stage.engine.machines
    return hits


async def test_a_plugin_that_gives_up_is_run_again(stage: Stage) -> None:
    hits = busy_at(stage, 3)
    report = await stage.up()
    assert (len(hits), len(report.inventory.hosts)) == (3, 3)
    told = [e.text for e in stage.seen if isinstance(e, Warned) and "asked too often" in e.text]
    assert told == [
        f"the cloud is asked too often (Throttling.User): the same again in {pause} s" for pause in (5, 10, 20)
    ]


async def test_it_ends_where_it_never_does(stage: Stage) -> None:
    hits = busy_at(stage, 1000)
    with pytest.raises(BusyError) as caught:
        await stage.up()
    assert caught.value.exit_code == 6
    assert 5 < len(hits) <= BUSY_SECONDS / 10


async def test_an_interrupt_is_not_slept_through(stage: Stage) -> None:
    world, tries = stage.world, 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        world.stop.request()
        raise BusyError("Throttling.User")

    with pytest.raises(InterruptedRunError):
        await ride_out(world, work)
    assert (tries, world.clock.monotonic()) == (1, 0.0)


@pytest.mark.parametrize("urn", ["urn:pulumi:a::b::alicloud:ecs/instance:Instance::m1", None])
def test_it_is_known_by_its_code(urn: str | None) -> None:
    steps = (StepSeen(urn, "alicloud:ecs/instance:Instance", "m1", "refresh", "failed"),) if urn else ()
    error = to_error(Outcome(255, diagnostics=(DiagnosticSeen("error", THROTTLED, urn or ""),), steps=steps))
    assert type(error) is BusyError
    assert "in some minutes" in error.hint
