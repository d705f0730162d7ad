"""Processes of a run in the tests of the clouds: which belong together, and how all of them are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def slay(pids: Iterable[int]) -> None:
    """No time for a last word."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
