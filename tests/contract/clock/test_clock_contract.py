"""What a Clock promises, on the one of the tests and on the machine's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta

import pytest

from provisioner.clock import SystemClock
from provisioner.model.clock import Clock
from tests.fakes.hosts import QuickClock

MakeClock = Callable[[], Clock]
CLOCKS = pytest.mark.parametrize("make", [QuickClock, SystemClock], ids=["quick", "system"])


@CLOCKS
def test_now_is_utc_and_aware(make: MakeClock) -> None:
    now = make().now()
    assert now.tzinfo is UTC
    assert now.utcoffset() == timedelta(0)


@CLOCKS
async def test_waiting_moves_it_by_at_least_what_was_asked(make: MakeClock) -> None:
    clock = make()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01


@CLOCKS
def test_it_never_goes_back(make: MakeClock) -> None:
    clock = make()
    seen = [clock.monotonic() for _ in range(100)]
    assert seen == sorted(seen)
