"""The view of a run: what it shows is bounded, harmless, and true."""

from __future__ import annotations

import io
import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli.board import Board
from provisioner.cli.live import View
from provisioner.cli.progress import ROWS, LogLines, detail_line, lasting_line, moving_lines
from provisioner.cli.screen import Look, Screen
from provisioner.cli.story import story_lines
from provisioner.cli.text import to_plain
from provisioner.events import (
    BytesSent,
    Event,
    HealthSeen,
    Phase,
    PhaseDone,
    PhaseStarted,
    Progress,
    ResourceChanged,
    StepDone,
    StepStarted,
    Warned,
)
from provisioner.model.ids import HostName, StepId
from tests.golden.cli import samples as s

HOSTS = st.sampled_from([HostName(f"m{i}") for i in range(1, 30)])
TEXT = st.text(max_size=40)
PHASES = st.sampled_from(list(Phase))
AMOUNT = st.integers(0, 10**9)
EVENTS = st.one_of(
    st.builds(PhaseStarted, PHASES, st.integers(0, 300)),
    st.builds(PhaseDone, PHASES, TEXT, st.floats(0, 1e4)),
    st.builds(ResourceChanged, TEXT, TEXT, st.sampled_from(["create", "same", "delete"]), st.booleans()),
    st.builds(BytesSent, HOSTS, AMOUNT, AMOUNT),
    st.builds(StepStarted, HOSTS, st.just(StepId("a/b/c")), TEXT),
    st.builds(StepDone, HOSTS, st.just(StepId("a/b/c")), TEXT, st.integers(0, 255), st.floats(0, 1e4)),
    st.builds(HealthSeen, HOSTS, st.integers(0, 99), TEXT),
    st.builds(Progress, PHASES, TEXT, st.none() | st.floats(0, 1)),
    st.builds(Warned, TEXT, TEXT),
)
TIMED = st.lists(st.tuples(st.floats(0, 5), EVENTS), max_size=60)


def harmless(text: str) -> bool:
    return not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(TIMED, st.integers(30, 200))
def test_moving_lines_fit_and_hold_no_control_characters(timed: list[tuple[float, Event]], width: int) -> None:
    board, now = Board(), 0.0
    for wait, event in timed:
        now += wait
        board.take(event, now)
        lines = [to_plain(line) for line in moving_lines(board, now, width)]
        assert len(lines) <= ROWS
        assert all(len(line) <= width and harmless(line) for line in lines)


@given(TIMED)
def test_log_lines_hold_no_control_characters(timed: list[tuple[float, Event]]) -> None:
    board, log, now = Board(), LogLines(), 0.0
    for wait, event in timed:
        now += wait
        board.take(event, now)
        assert all(harmless(to_plain(line)) for line in log.lines(event, board, now))


def test_a_log_is_thinned_but_keeps_the_last_byte() -> None:
    board, log, lines = Board(), LogLines(), []
    for i in range(1001):
        event = BytesSent(HostName("m1"), i * 1000, 1_000_000)
        board.take(event, i * 0.01)
        lines += [to_plain(line) for line in log.lines(event, board, i * 0.01)]
    assert len(lines) == 6
    assert lines[1].endswith("200.0 kB of 1.0 MB 20 %   100.0 kB/s   8.0 s left")
    assert lines[-1].endswith("1.0 MB of 1.0 MB 100 %")


def test_the_rate_is_that_of_the_last_seconds() -> None:
    board = Board()
    for second in range(10):
        board.take(BytesSent(HostName("m1"), second * (10 if second < 5 else 100), 10_000), float(second))
    assert board.rate() == pytest.approx(100, rel=0.01)
    assert board.seconds_left() == pytest.approx(91, rel=0.01)


def test_what_is_awaited_names_steps_then_transfers_then_phases() -> None:
    board = Board()
    assert board.awaited() == "what is under way"
    board.take(PhaseStarted(Phase.ROOTFS, 2), 0)
    assert board.awaited() == "phase rootfs"
    board.take(BytesSent(HostName("m2"), 1, 2), 0)
    assert board.awaited() == "the transfer to m2"
    board.take(StepStarted(HostName("m1"), StepId("m1/init/init.sh"), "init.sh"), 0)
    assert board.awaited() == "init.sh on m1"
    board.take(StepDone(HostName("m1"), StepId("m1/init/init.sh"), "init.sh", 0, 1.0), 0)
    assert board.awaited() == "the transfer to m2"


def test_a_failed_step_stays_on_the_screen() -> None:
    event = StepDone(HostName("m1"), StepId("m1/init/init.sh"), "init.sh", 3, 1.0)
    assert "init.sh on m1: exit status 3" in to_plain(lasting_line(event) or ())
    assert detail_line(event) is None


def test_the_story_before_the_machines_stand_says_the_same_command() -> None:
    assert story_lines(Board(), s.new_cluster())[-1] == "go on     the same command again"
    board = Board()
    board.take(PhaseDone(Phase.MACHINES, "3 of 3", 1.0), 1.0)
    assert story_lines(board, s.new_cluster())[-1] == "go on     sealer-cloud up -n etcd"


def test_a_changed_request_that_is_not_stored_yet_goes_on_by_its_own_words() -> None:
    """The name alone would go on with the request before, without this run's flags."""
    assert s.changed_value().cid is not None
    assert story_lines(Board(), s.changed_value())[-1] == "go on     the same command again"
    assert story_lines(Board(), s.no_change())[-1] == "go on     sealer-cloud up -n etcd"


def test_the_view_takes_events_from_many_threads() -> None:
    err = io.StringIO()
    with View(Screen(Look(), io.StringIO(), err)) as view:
        workers = [threading.Thread(target=lambda: [view.take(Warned(f"w{i}")) for i in range(50)]) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(err.getvalue().splitlines()) == 200


def test_a_quiet_view_says_nothing() -> None:
    err = io.StringIO()
    with View(Screen(Look(quiet=True), io.StringIO(), err)) as view:
        for _, event in s.run_events():
            view.take(event)
    assert err.getvalue() == ""


def test_the_live_view_shows_and_then_clears_its_moving_lines() -> None:
    err = io.StringIO()
    now = iter(x / 10 for x in range(10**6))
    with View(Screen(Look(live=True), io.StringIO(), err), now=lambda: next(now)) as view:
        for _, event in s.run_events():
            view.take(event)
        with view.pause():
            before = err.getvalue()
            err.write("Go on? [y/N] ")
        view.take(Warned("after"))
    text = err.getvalue()
    assert text.startswith(before + "Go on?")
    assert "✔ machines" in text
    assert "after" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2, "the cursor is back"


def test_a_lost_terminal_breaks_no_run() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(5, "Input/output error")

        def isatty(self) -> bool:
            return True

    for live in (False, True):
        with View(Screen(Look(live=live), Gone(), Gone())) as view:
            for _, event in s.run_events():
                view.take(event)
