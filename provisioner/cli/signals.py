"""Ctrl-C and SIGTERM. The first asks the run to stop; the second cancels it, and five seconds later we are out."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from provisioner.errors import InterruptedRunError
from provisioner.stop import Stop

GRACE = 5.0
"""Seconds from the second interrupt to the end of this process, whatever still hangs."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class TerminatedError(InterruptedRunError):
    """Stopped by SIGTERM or a lost terminal instead of Ctrl-C."""

    exit_code = 143


@contextmanager
def _woken(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Every signal wakes the loop. One that comes just before the loop sleeps would else be acted on when it wakes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        loop.add_reader(ours, ours.recv, 64)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)


class Interrupts:
    """The signal handlers of one run. `terminated` is True where the first signal was SIGTERM or SIGHUP."""

    def __init__(self, stop: Stop, say: Callable[[], None], leave: Callable[[int], None] = os._exit) -> None:
        self._stop = stop
        self._say = say
        self._leave = leave
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking = False
        self._count = 0
        self.terminated = False

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM."""
        return TerminatedError.exit_code if self.terminated else InterruptedRunError.exit_code

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Handle signals for the task that runs this; a signal that was ignored stays so (`nohup`).

        Plain handlers instead of the loop's own: those would leave Ctrl-C without effect while a question waits.
        """
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        before = {s: signal.getsignal(s) for s in SIGNALS}
        with _woken(self._loop):
            for number in SIGNALS:
                if before[number] is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While a question waits, any signal ends it at once: nothing is under way."""
        self._asking = True
        try:
            yield
        finally:
            self._asking = False

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # Counted here and not by what the loop has done so far: the second may come before the first was acted on.
        self._count += 1
        if self._count == 1:
            self.terminated = number != signal.SIGINT
        if self._asking:
            raise KeyboardInterrupt
        act = {1: self._ask, 2: self._cancel}.get(self._count)  # a third would only disturb the cleaning up
        if self._loop and act:
            self._loop.call_soon_threadsafe(act)

    def _ask(self) -> None:
        self._stop.request()
        self._say()

    def _cancel(self) -> None:
        timer = threading.Timer(GRACE, self._leave, (self.exit_code,))
        timer.daemon = True
        timer.start()
        if self._task:
            self._task.cancel()
