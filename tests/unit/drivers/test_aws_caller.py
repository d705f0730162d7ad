"""When AWS credentials are had anew, by a clock of the test's own and variables that hold other keys each time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.aws.api import Waits
from drivers.aws.caller import Caller
from drivers.aws.credentials import CHAIN, ENDS
from provisioner.model.driver import Surroundings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Desk:
    """A caller whose chain hands out the `given`th keys, which live for so many seconds (None: for ever)."""

    def __init__(self, lives: float | None) -> None:
        self.now, self.lives, self.environ = NOON, lives, {}
        self.hand_out(1)
        self.caller = Caller(Surroundings(self.environ, Path("cache"), lambda: self.now), Waits(), 1)

    def hand_out(self, given: int) -> None:
        ends = {} if self.lives is None else {ENDS: (self.now + timedelta(seconds=self.lives)).isoformat()}
        self.environ.update({CHAIN[0]: f"AKIA{given}", CHAIN[1]: "secret", **ends})

    def asked_after(self, seconds: float) -> str:
        self.now += timedelta(seconds=seconds)
        return self.caller.reach()[0].key_id.reveal()


@pytest.mark.parametrize(
    ("lives", "after", "key"),
    [
        (None, 86400, "AKIA1"),
        (7200, 5000, "AKIA1"),
        (7200, 5401, "AKIA2"),
        (1200, 59, "AKIA1"),
        (1200, 60, "AKIA2"),
        (30, 29, "AKIA1"),
        (30, 30, "AKIA2"),
    ],
    ids=["endless", "long", "long, near its end", "just had", "a minute old", "not ended", "ended within the minute"],
)
def test_other_keys_are_asked_for_where_these_end_soon_and_are_a_minute_old(
    lives: float | None, after: float, key: str
) -> None:
    desk = Desk(lives)
    assert desk.asked_after(0) == "AKIA1"
    desk.hand_out(2)
    assert desk.asked_after(after) == key


def test_a_chain_that_has_only_short_keys_is_asked_once_a_minute() -> None:
    desk = Desk(900)
    seen = []
    for number in range(1, 13):  # every 20 seconds
        desk.hand_out(number)
        seen.append(desk.asked_after(20))
    assert seen == ["AKIA1"] * 3 + ["AKIA4"] * 3 + ["AKIA7"] * 3 + ["AKIA10"] * 3


def test_the_same_keys_keep_their_connections() -> None:
    desk = Desk(900)
    first = desk.caller.reach()[1]
    desk.asked_after(120)
    assert desk.caller.reach()[1] is first
    desk.hand_out(2)
    desk.asked_after(60)
    assert desk.caller.reach()[1] is not first
