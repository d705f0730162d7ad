"""Who may still begin: running operations end, after `close` no new one starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.errors import InterruptedRunError


class Gate:
    """Counts running operations; safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Hold the gate while an operation runs. Raises InterruptedRunError once the gate is closed."""
        with self._changed:
            if self._closed:
                raise InterruptedRunError("interrupted; this was not begun")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def open(self) -> None:
        """Let operations begin again."""
        with self._changed:
            self._closed = False

    @property
    def closed(self) -> bool:
        """True once no operation may begin: one that waits for something shall end."""
        with self._changed:
            return self._closed

    def close(self) -> None:
        """Let no new operation begin; idempotent."""
        with self._changed:
            self._closed = True

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no operation runs, at most `timeout` seconds. False if one still does."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, timeout)
