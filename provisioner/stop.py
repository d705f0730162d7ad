"""The first interrupt asks to stop: no new work, what runs may end and is recorded. The second cancels the task."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.errors import InterruptedRunError


class Stop:
    """Asked once, stays asked. Long works look at it between steps, or register what to do at once."""

    def __init__(self) -> None:
        self.requested = False
        self._callbacks: list[Callable[[], None]] = []

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

    def check(self, phase: str) -> None:
        """Raise InterruptedRunError if a stop was asked for: called where no work is half done."""
        if self.requested:
            raise InterruptedRunError("interrupted; what was running has ended and is recorded", phase=phase)
