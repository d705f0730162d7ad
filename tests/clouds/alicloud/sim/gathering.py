"""How many calls of one kind stand open at once: they are held until that is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

QUIET_SECONDS = 15.0
"""Nobody else comes: less than the client's own patience (30 s), more than a busy machine needs for its next call."""


@dataclass
class Gathering:
    """Holds each call of `action` until `wanted` of them stand open, or until no other came for a while.

    `most` is the highest number that stood open at once; a call that is sent again carries the same token and counts once.
    """

    action: str
    wanted: int
    most: int = 0
    _open: set[str] = field(default_factory=set)
    _came: float = 0.0
    _door: threading.Condition = field(default_factory=threading.Condition)

    def hold(self, action: str, params: Mapping[str, str]) -> None:
        """Wait with this call, if it is one of them."""
        token = params.get("ClientToken", "")
        if action != self.action or not token:
            return
        with self._door:
            self._open.add(token)
            self.most = max(self.most, len(self._open))
            self._came = time.monotonic()
            self._door.notify_all()
            while self.most < self.wanted and (left := self._came + QUIET_SECONDS - time.monotonic()) > 0:
                self._door.wait(left)
            self._open.discard(token)
