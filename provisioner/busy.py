"""A cloud that is asked too often: the engine's run is repeated until it answers, as a plugin gives up at some of its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from provisioner.errors import BusyError
from provisioner.events import Warned
from provisioner.model.refusals import read_code
from provisioner.world import World

BUSY_SECONDS = 150.0
"""For how long after the first such answer: longer than the minute that throttling may last, as for our own calls."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 20.0
LOOK_SECONDS = 1.0
_T = TypeVar("_T")


async def ride_out(world: World, work: Callable[[], Awaitable[_T]]) -> _T:
    """What `work` gives, done again while the cloud is busy: it must be safe to repeat. Raises as `work` does."""
    until, pause = None, FIRST_PAUSE
    while True:
        try:
            return await work()
        except BusyError as error:
            now = world.clock.monotonic()
            until = now + BUSY_SECONDS if until is None else until
            if now + pause > until:
                raise
            code = read_code(error.message) or "it says so"
            world.events(Warned(f"the cloud is asked too often ({code}): the same again in {pause:g} s"))
        await _wait(world, pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _wait(world: World, seconds: float) -> None:
    """Raises InterruptedRunError within a second of a first interrupt: no work is half done here."""
    until = world.clock.monotonic() + seconds
    while (left := until - world.clock.monotonic()) > 0:
        world.stop.check("machines")
        await world.clock.sleep(min(left, LOOK_SECONDS))
