"""One limiter: never more starts in a window than allowed, and a pause that one caller was told holds for all."""

from __future__ import annotations

from itertools import pairwise

from alicloud_rig import Answers
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.alicloud.pace import Pace

GAPS = st.lists(st.floats(0, 0.4), min_size=1, max_size=60)
SLACK = 1e-9


@example(
    [0.3116252192045157, 0.0, 0.3116252192045157, 0.3116252192045157, 0.2355945088300453, 0.1096110516340117, 0.003], 2
)
@given(GAPS, st.integers(1, 5))
def test_no_window_holds_more_starts_than_allowed(gaps: list[float], calls: int) -> None:
    pace, now, starts = Pace(calls, 1.0), 0.0, []
    for gap in gaps:
        now += gap
        starts.append(now + pace.turn(now))
    # Sums of floats: `now + (start - now)` is `start` but for its last digits.
    assert all(later - one > -SLACK for one, later in pairwise(starts))
    assert all(later - starts[n] > 1.0 - SLACK for n, later in enumerate(starts[calls:]))


def test_a_pause_that_one_was_told_holds_for_everybody() -> None:
    pace = Pace(2, 1.0)
    assert pace.turn(10.0) == 0
    pace.quiet(15.0)
    pace.quiet(12.0)
    assert [pace.turn(11.0) for _ in range(3)] == [4.0, 4.0, 5.0]


def test_calls_take_turns() -> None:
    answers = Answers((200, {"Ok": 1}))
    api = answers.api()
    for _ in range(41):
        api.call("ecs", "DescribeRegions", "cn-hangzhou")
    assert answers.time == 2.0, "twenty a second"
