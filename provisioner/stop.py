"""The first interrupt asks to stop: no new work, what runs may end and is recorded. The second cancels the task.

A run that lost the right to go on (another has its lock) is stopped at once instead: what it still wrote would be wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from provisioner.errors import InterruptedRunError, SealerError


class Stop:
    """Asked once, stays asked. Long works look at it between steps, or register what to do at once.

    `lost` is why this run may not go on at all, where it may not.
    """

    def __init__(self) -> None:
        self.requested = False
        self.lost: SealerError | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._losses: list[Callable[[], None]] = []

    def request(self) -> None:
        """Ask to stop; runs every registered callback once."""
        if self.requested:
            return
        self.requested = True
        for callback in self._callbacks:
            callback()

    def on_request(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` run at the request; returns a function that takes it back."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def lose(self, why: SealerError) -> None:
        """The right to go on is gone: runs every callback for that, once, in the caller's thread."""
        if self.lost is not None:
            return
        self.lost = why
        for callback in tuple(self._losses):
            callback()

    def on_loss(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` run, from whatever thread, when the right to go on is lost; returns what takes it back."""
        self._losses.append(callback)
        return lambda: self._losses.remove(callback)

    def check_right(self) -> None:
        """Raise why this run may not go on, where it may not: called before anything is written."""
        if self.lost is not None:
            raise self.lost

    def check(self, phase: str) -> None:
        """Raise InterruptedRunError if a stop was asked for, or why the run may not go on: where no work is half done."""
        self.check_right()
        if self.requested:
            raise InterruptedRunError("interrupted; what was running has ended and is recorded", phase=phase)
