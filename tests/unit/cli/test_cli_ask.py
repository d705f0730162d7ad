"""Questions: no is the default, what is lost is named, and nobody is asked where nobody can answer."""

from __future__ import annotations

import io

import pytest

from provisioner.cli.ask import Asker
from provisioner.cli.live import View
from provisioner.cli.screen import Look, Screen
from provisioner.errors import InterruptedRunError, UsageError
from tests.golden.cli import samples as s


class Desk:
    """A person at a terminal who types `answer`."""

    def __init__(self, answer: str = "", *, yes: bool = False, can_ask: bool = True, look: Look | None = None) -> None:
        self.err = io.StringIO()
        screen = Screen(look or Look(), io.StringIO(), self.err)
        self.asker = Asker(screen, View(screen), yes=yes, can_ask=can_ask, stdin=io.StringIO(answer))


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " YES \n"])
def test_a_yes_is_a_yes(answer: str) -> None:
    desk = Desk(answer)
    assert desk.asker.confirm_up(s.new_cluster()) is True
    assert desk.asker.agreed
    assert desk.err.getvalue().endswith("Go on? [y/N] ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "yess\n", "ja\n", "y e s\n", "1\n", "\x1b[Ay\n"])
def test_everything_else_is_a_no(answer: str) -> None:
    desk = Desk(answer)
    assert desk.asker.confirm_up(s.new_cluster()) is False
    assert not desk.asker.agreed


def test_lost_hosts_are_named_in_the_question() -> None:
    desk = Desk("n\n")
    desk.asker.confirm_up(s.losing_hosts())
    question = desk.err.getvalue().splitlines()[-1]
    assert "deletes n1, n2" in question
    assert "replaces m2" in question


def test_without_a_terminal_nothing_is_asked_and_the_hint_has_the_flags() -> None:
    for plan, flags in ((s.new_cluster(), "--yes"), (s.losing_hosts(), "--yes --allow-delete")):
        desk = Desk("y\n", can_ask=False)
        with pytest.raises(UsageError) as caught:
            desk.asker.confirm_up(plan)
        assert caught.value.hint.endswith(flags)
        assert "[y/N]" not in desk.err.getvalue()
        assert "Machines" in desk.err.getvalue(), "the plan is shown before"


def test_yes_asks_nothing_but_shows_the_plan() -> None:
    desk = Desk(yes=True, can_ask=False)
    assert desk.asker.confirm_up(s.new_cluster()) is True
    assert "Machines" in desk.err.getvalue()
    assert "[y/N]" not in desk.err.getvalue()


def test_quiet_still_shows_what_is_asked_about() -> None:
    asked = Desk("y\n", look=Look(quiet=True))
    assert asked.asker.confirm_down(s.down_plan()) is True
    assert "- 3 hosts" in asked.err.getvalue()
    agreed = Desk(yes=True, look=Look(quiet=True))
    assert agreed.asker.confirm_down(s.down_plan()) is True
    assert agreed.err.getvalue() == ""


def test_ctrl_c_at_the_question_is_an_interrupted_run() -> None:
    class Interrupted(io.StringIO):
        def readline(self, *_: object) -> str:
            raise KeyboardInterrupt

    screen = Screen(Look(), io.StringIO(), io.StringIO())
    asker = Asker(screen, View(screen), yes=False, can_ask=True, stdin=Interrupted())
    with pytest.raises(InterruptedRunError, match="nothing was changed"):
        asker.confirm_down(s.down_plan())
