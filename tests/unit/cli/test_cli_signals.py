"""Ctrl-C and SIGTERM against a real process: the first is polite, the second is quick, and the question obeys at once."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, sys, time
from types import SimpleNamespace
from unittest import mock
from provisioner.cli import run as cli
from provisioner.cli.failure import report_failure
from provisioner.events import StepStarted, Phase, PhaseStarted
from provisioner.model.ids import HostName, StepId

MODE = sys.argv[1]

def build_world(settings, events, stop):
    return SimpleNamespace(events=events, stop=stop)

async def work(run):
    world = run.world
    if MODE == "ask":
        from tests.golden.cli import samples
        run.asker.confirm_down(samples.down_plan())
        return
    world.events(PhaseStarted(Phase.STEPS, 1))
    world.events(StepStarted(HostName("m1"), StepId("m1/init/init.sh"), "init.sh"))
    print("ready", flush=True)
    if MODE == "polite":
        while not world.stop.requested:
            await asyncio.sleep(0.01)
        world.stop.check("steps")
    if MODE == "stubborn":
        await asyncio.sleep(600)
    if MODE == "hung":
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            time.sleep(600)

session = cli.open_session("table")
try:
    with mock.patch("provisioner.cli.world.build_world", build_world), mock.patch("provisioner.cli.signals.GRACE", 0.3):
        cli.execute(session, work)
except BaseException as error:
    sys.exit(report_failure(error, session.screen, session.settings))
"""


def start(mode: str, tmp_path: Path, *, tty: int | None = None) -> subprocess.Popen[str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).resolve().parents[3]), "TERM": "xterm"}
    env = {k: v for k, v in env.items() if not k.startswith(("SEALER_CLOUD_", "XDG_")) and k != "CI"}
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), mode],
        stdin=subprocess.DEVNULL if tty is None else tty,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if tty is None else tty,
        text=True,
        env=env,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def wait_for_stopping(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert any("Stopping" in line for line in process.stderr), "it ended without a word"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_the_first_signal_asks_and_says_what_is_awaited(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = start("polite", tmp_path)
    wait_for(process, "ready")
    process.send_signal(number)
    _, err = finish(process)
    assert process.returncode == code
    assert "Stopping: waiting for init.sh on m1; Ctrl-C again leaves at once" in err
    assert "interrupted; what was running has ended and is recorded" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("numbers", "code"), [((2, 2), 130), ((15, 2), 143), ((2, 15), 130)])
def test_the_second_signal_cancels(numbers: tuple[int, int], code: int, tmp_path: Path) -> None:
    process = start("stubborn", tmp_path)
    wait_for(process, "ready")
    process.send_signal(numbers[0])
    wait_for_stopping(process)
    process.send_signal(numbers[1])
    _, err = finish(process)
    assert process.returncode == code
    assert "interrupted twice" in err


def test_what_hangs_after_the_second_signal_is_left(tmp_path: Path) -> None:
    process = start("hung", tmp_path)
    wait_for(process, "ready")
    process.send_signal(signal.SIGINT)
    wait_for_stopping(process)
    process.send_signal(signal.SIGINT)
    wait_for(process, "cancelled")
    _, err = finish(process)
    assert process.returncode == 130
    assert "left at once" in err


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("polite", tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(process, "ready")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    finish(process)
    assert process.returncode == 130, "nohup's HUP was not the first signal"


@pytest.mark.parametrize(
    ("typed", "number", "code"), [("n\n", None, 0), ("", signal.SIGINT, 130), ("", signal.SIGTERM, 143)]
)
def test_a_question_on_a_real_terminal(typed: str, number: signal.Signals | None, code: int, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = start("ask", tmp_path, tty=theirs)
    os.close(theirs)
    shown = read_until(ours, "[y/N] ")
    assert "\x1b[?25l" in shown, "moving lines were on"
    assert shown.rindex("\x1b[?25h") < shown.rindex("[y/N]"), "and are off while the question stands"
    if number is None:
        os.write(ours, typed.encode())
    else:
        process.send_signal(number)
    rest = read_until(ours, None)
    finish(process)
    os.close(ours)
    assert process.returncode == code
    assert "Traceback" not in rest


def read_until(descriptor: int, word: str | None) -> str:
    """What a terminal showed, until `word`, or until its program ended."""
    text, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline and (word is None or word not in text):
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(descriptor, 4096)
        except OSError:
            return text
        if not piece:
            return text
        text += piece.decode(errors="replace")
    assert word is None or word in text, text
    return text
