"""A command of the user's as our child: it has our terminal, gets our signals, and its end is ours."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType, TracebackType
from typing import Self

from provisioner.cli.signals import SIGNALS

GRACE = 30.0
"""Seconds from SIGTERM to the command's end: the cluster has to be removed before a CI's own patience is over."""
LOOK_SECONDS = 1.0
SIGNALLED = 128
"""What shells add to the number of the signal that ended a command."""


class Relay:
    """Signal handlers from before `up` to after `down`. `seen` is the first signal that came."""

    def __init__(self, grace: float = GRACE) -> None:
        self.seen: signal.Signals | None = None
        self._grace = grace
        self._child: subprocess.Popen[bytes] | None = None
        self._before: dict[signal.Signals, object] = {}
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.getsignal(number)
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM; 0 if no signal came."""
        if self.seen is None:
            return 0
        return SIGNALLED + (signal.SIGINT if self.seen is signal.SIGINT else signal.SIGTERM)

    def run(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Run the command to its end. Returns its exit status, as a shell would; OSError where it cannot be started."""
        self._child = subprocess.Popen(list(command), env=dict(environ))
        try:
            if self.seen:  # it came while the command was being started
                self._pass_on(self.seen)
            status = _wait(self._child)
        finally:
            self._child = None
            if self._timer:
                self._timer.cancel()
        return status if status >= 0 else SIGNALLED - status

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.seen = self.seen or signal.Signals(number)
        self._pass_on(signal.Signals(number))

    def _pass_on(self, number: signal.Signals) -> None:
        child = self._child
        if child is None:
            return
        if number is not signal.SIGINT or not _on_terminal():  # a terminal has sent Ctrl-C to the child itself
            child.send_signal(number)
        if number is not signal.SIGINT and self._timer is None:
            self._timer = threading.Timer(self._grace, child.kill)
            self._timer.daemon = True
            self._timer.start()


def _wait(child: subprocess.Popen[bytes]) -> int:
    """The child's status. In turns, as a signal that comes just before a wait is acted on only after it."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=LOOK_SECONDS)


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
