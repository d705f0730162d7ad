"""Questions. The answer is no unless somebody typed a yes; where nobody can type, nobody is asked."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from provisioner.cli.live import View
from provisioner.cli.planview import (
    down_lines,
    down_question,
    loses_hosts,
    plan_lines,
    plan_question,
)
from provisioner.cli.screen import Screen
from provisioner.cli.text import Lines
from provisioner.errors import InterruptedRunError, UsageError
from provisioner.model.plan import Plan
from provisioner.world import DownPlan

YES = frozenset({"y", "yes"})


class Asker:
    """Shows what will happen and asks, unless `yes` was given before."""

    def __init__(
        self,
        screen: Screen,
        view: View,
        *,
        yes: bool,
        can_ask: bool,
        asking: Callable[[], AbstractContextManager[None]] = nullcontext,
        stdin: TextIO | None = None,
    ) -> None:
        self._screen = screen
        self._view = view
        self._asking = asking
        self._yes = yes
        self._can_ask = can_ask
        self._stdin = sys.stdin if stdin is None else stdin
        self.seen: Plan | None = None
        self.agreed = False

    def confirm_up(self, plan: Plan) -> bool:
        """`provisioner.world.Confirm`. Raises UsageError (3) where nobody can be asked."""
        self.seen = plan
        flags = "--yes --allow-delete" if loses_hosts(plan) else "--yes"
        return self.confirm(plan_lines(plan), plan_question(plan), flags)

    def confirm_down(self, plan: DownPlan) -> bool:
        """`provisioner.world.ConfirmDown`. Raises UsageError (3) where nobody can be asked."""
        return self.confirm(down_lines(plan), down_question(plan), "--yes")

    def confirm(self, lines: Lines, question: str, flags: str) -> bool:
        """Show lines and ask. Raises UsageError (3) where nobody can be asked, naming the flags that would answer."""
        with self._view.pause():
            for line in lines:
                self._screen.say(line)
            if self._yes:
                self.agreed = True
                return True
            if not self._can_ask:
                raise UsageError(
                    "there is no terminal to ask on; nothing was changed", hint=f"run the same command with {flags}"
                )
            if self._screen.look.quiet:  # nobody says yes to what he has not seen
                for line in lines:
                    self._screen.insist(line)
            with self._asking():
                self.agreed = _ask(self._screen, question, self._read)
            return self.agreed

    def _read(self) -> str:
        _wait_for_input(self._stdin)
        return self._stdin.readline()


def _wait_for_input(stdin: TextIO) -> None:
    """Until a line can be read without waiting; handlers of signals run meanwhile, whenever they come.

    A blocking read alone loses a signal that comes after the interpreter last looked and before the kernel waits:
    its handler would run only when somebody has typed. The wakeup pipe is written by the kernel's side of it.
    """
    try:
        source = stdin.fileno()
    except (OSError, ValueError):  # no file behind it: nothing to wait for
        return
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.set_blocking(theirs, False)
    before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    try:
        while source not in select.select([source, ours], [], [])[0]:
            os.read(ours, 64)  # a signal that ends nothing, as that of a resized window
    finally:
        signal.set_wakeup_fd(before)
        os.close(ours)
        os.close(theirs)


def _drop_typed_ahead() -> None:
    """What was typed before the question stood there is no answer to it."""
    with contextlib.suppress(OSError, ValueError, termios.error):  # no terminal, or none of ours
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _ask(screen: Screen, question: str, read: Callable[[], str]) -> bool:
    """Raises InterruptedRunError (130) for Ctrl-C at the question."""
    try:
        _drop_typed_ahead()
        screen.err.write(question)
        screen.err.flush()
        answer = read()
    except KeyboardInterrupt:
        screen.err.write("\n")
        raise InterruptedRunError("interrupted at the question; nothing was changed") from None
    if not answer.endswith("\n"):  # end of input: the prompt's line is still open
        screen.err.write("\n")
    return answer.strip().lower() in YES
