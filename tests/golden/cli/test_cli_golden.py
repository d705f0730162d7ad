"""Screens, letter by letter. `UPDATE_GOLDEN=1 pytest tests/golden/cli` writes them anew; the diff is the review."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.cli.accountviews import gc_lines, outputs_env_lines, outputs_lines, ttl_lines
from provisioner.cli.board import Board
from provisioner.cli.failure import failure_lines
from provisioner.cli.live import make_console, to_rich
from provisioner.cli.lostviews import lost_lines
from provisioner.cli.planview import down_lines, down_question, plan_lines, plan_question
from provisioner.cli.progress import LogLines, lasting_line, moving_lines
from provisioner.cli.screen import Look, Screen
from provisioner.cli.story import story_lines
from provisioner.cli.text import Lines, plain, to_ansi, to_plain
from provisioner.cli.views import check_lines, down_report_lines, list_lines, status_lines, up_lines
from provisioner.errors import InvalidFileError, Problem, StepError
from provisioner.model.driver import Check
from provisioner.model.ids import HostName
from provisioner.model.report import KeptData
from tests.golden.cli import samples as s

FOLDER = Path(__file__).parent / "screens"


def check_golden(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def with_question(lines: Lines, question: str) -> Lines:
    return (*lines, plain(question + "$"))


def failed_step() -> Lines:
    error = StepError(
        "start.sh ended with exit status 1",
        host="m2",
        phase="steps",
        evidence="etcd: cannot bind 10.213.0.11:2379\x1b[2J\nlog: /var/lib/sealer-cloud/etcd-a2b3c4/logs/start.sh.log",
        hint="sealer-cloud up -n etcd",
    )
    board = Board()
    for now, event in s.run_events():
        board.take(event, now)
    for line in story_lines(board, s.new_cluster()):
        error.add_note(line)
    return failure_lines(error)


def bad_file() -> Lines:
    problems = [
        Problem("Clusterfile", 3, 5, "spec.imagee", "unknown key", "did you mean image?"),
        Problem("Clusterfile", 9, 1, "", "a tab"),
    ]
    return failure_lines(InvalidFileError(problems))


CHECKS = (
    Check("engine", ok=True, detail="Pulumi v3.259.0 at /usr/bin/pulumi"),
    Check("local: root", ok=False, detail="uid 1000", hint="run it as root"),
)

NOW = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
STAYS = s.down_plan(
    stays=True,
    data=(
        KeptData(HostName("m1"), "/var/lib/sealer/data/etcd/data", 1_200_000),
        KeptData(HostName("m2"), "/var/lib/sealer/data/etcd/data", None),
    ),
)

SCREENS: dict[str, Callable[[], Lines]] = {
    "plan-new": lambda: with_question(plan_lines(s.new_cluster()), plan_question(s.new_cluster())),
    "plan-new-wide": lambda: plan_lines(s.new_cluster(), wide=True),
    "plan-changed": lambda: with_question(plan_lines(s.changed_value()), plan_question(s.changed_value())),
    "plan-losing": lambda: with_question(plan_lines(s.losing_hosts()), plan_question(s.losing_hosts())),
    "plan-nothing": lambda: plan_lines(s.no_change()),
    "plan-many": lambda: with_question(plan_lines(s.many_hosts()), plan_question(s.many_hosts())),
    "down": lambda: with_question(down_lines(s.down_plan()), down_question(s.down_plan())),
    "down-stateless": lambda: down_lines(s.down_plan(hosts=(), image="", without_state=True)),
    "down-gone": lambda: down_report_lines(s.down_report()),
    "down-left": lambda: down_report_lines(s.down_report(left=("link sc-a2b3c4",), warnings=("m2 did not answer",))),
    "down-nothing": lambda: down_report_lines(s.down_report(cid=None, removed=())),
    "up": lambda: up_lines(s.up_report(), {"machines": 2.1, **s.up_report().apply.seconds}),
    "up-nothing": lambda: up_lines(s.up_report(changed=False), {}),
    "status": lambda: status_lines(s.status_report()),
    "status-wide": lambda: status_lines(s.status_report(lock=None, outputs={}), wide=True),
    "status-lost": lambda: lost_lines(s.lost_report()),
    "status-lost-wide": lambda: lost_lines(s.lost_report(), wide=True),
    "status-lost-twice": lambda: lost_lines(s.lost_twice()),
    "list": lambda: list_lines(s.list_rows()),
    "list-wide": lambda: list_lines(s.list_rows(), wide=True),
    "doctor": lambda: check_lines(CHECKS),
    "down-staying": lambda: with_question(down_lines(STAYS), down_question(STAYS)),
    "down-staying-all": lambda: down_lines(replace(STAYS, delete_data=True)),
    "down-kept": lambda: down_report_lines(s.down_report(kept=STAYS.data)),
    "gc": lambda: gc_lines(s.gc_report(), NOW),
    "gc-deleted": lambda: gc_lines(s.gc_report(deleted=True, removed=("a", "b"), left=("vpc-1: in use",)), NOW),
    "ttl": lambda: ttl_lines(s.ttl_report()),
    "ttl-none": lambda: ttl_lines(s.ttl_report(expires_at=None, before=None, keeper=None)),
    "outputs": lambda: outputs_lines(s.outputs(), secrets=False),
    "outputs-env": lambda: tuple(map(plain, outputs_env_lines(s.outputs(), secrets=True))),
    "outputs-env-hidden": lambda: tuple(map(plain, outputs_env_lines(s.outputs(), secrets=False))),
    "failed-step": failed_step,
    "bad-file": bad_file,
}


@pytest.mark.parametrize("name", SCREENS)
def test_screen_without_colours(name: str) -> None:
    text = "".join(to_plain(line) + "\n" for line in SCREENS[name]())
    assert "\x1b" not in text
    check_golden(f"{name}.txt", text)


@pytest.mark.parametrize("name", ["plan-losing", "status", "failed-step", "up"])
def test_screen_in_colours(name: str) -> None:
    check_golden(f"{name}.ansi", "".join(to_ansi(line) + "\n" for line in SCREENS[name]()))


def test_log_of_a_run_without_a_terminal() -> None:
    board, log, text = Board(), LogLines(), ""
    for now, event in s.run_events():
        board.take(event, now)
        text += "".join(to_plain(line) + "\n" for line in log.lines(event, board, now))
    assert "\x1b" not in text
    check_golden("run-log.txt", text)


@pytest.mark.parametrize("width", [120, 80, 40])
def test_moving_lines_at_each_moment_of_a_run(width: int) -> None:
    board, text = Board(), ""
    for now, event in s.run_events():
        board.take(event, now)
        kept = lasting_line(event)
        moving = moving_lines(board, now, width)
        assert all(len(to_plain(line)) <= width for line in moving)
        text += f"-- {now:.1f} {type(event).__name__}\n" + (f"= {to_plain(kept)}\n" if kept else "")
        text += "".join(to_plain(line) + "\n" for line in moving)
    check_golden(f"run-live-{width}.txt", text)


def test_rich_paints_the_same_words() -> None:
    stream = io.StringIO()
    console = make_console(Screen(Look(color=True, live=True), io.StringIO(), stream))
    for line in SCREENS["plan-losing"]():
        console.print(to_rich(line), soft_wrap=True)
    check_golden("plan-losing.rich", stream.getvalue())
