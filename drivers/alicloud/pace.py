"""One limiter for all calls of a process: so many a second, and when the service says "later", everybody waits."""

from __future__ import annotations

import threading
from collections import deque

CALLS, SECONDS = 20, 1.0
"""Below what the vendor grants one account for its cheapest calls; a look through all regions asks a hundred times."""


class Pace:
    """Starts of calls, over all threads. Times are those of whatever clock the caller has, in seconds."""

    def __init__(self, calls: int = CALLS, seconds: float = SECONDS) -> None:
        self._guard = threading.Lock()
        self._seconds = seconds
        self._starts: deque[float] = deque(maxlen=calls)
        self._quiet_until = 0.0

    def turn(self, now: float) -> float:
        """Take the next turn; returns how many seconds from `now` it is away."""
        with self._guard:
            start = max(now, self._quiet_until)
            if len(self._starts) == self._starts.maxlen:
                start = max(start, self._starts[0] + self._seconds)
            if self._starts:  # turns are given in order, else a later one could slip into a window that is full
                start = max(start, self._starts[-1])
            self._starts.append(start)
            return start - now

    def quiet(self, until: float) -> None:
        """No turn before this time: whoever was told "later" was told so for all who share the key."""
        with self._guard:
            self._quiet_until = max(self._quiet_until, until)
