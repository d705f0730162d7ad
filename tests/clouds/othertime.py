"""The command, at another time or with less patience: `python othertime.py HOURS SECONDS WORD...`.

Its clock is HOURS ahead, and a machine has SECONDS to answer by SSH; 0 leaves either as it is.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path


def program(*, hours: float = 0, seconds: int = 0) -> tuple[str, ...]:
    """The words that start the command so."""
    return (sys.executable, str(Path(__file__)), str(hours), str(seconds))


def _move_clock(by: timedelta) -> None:
    from provisioner.clock import SystemClock

    plain = SystemClock.now

    def now(self: SystemClock) -> datetime:
        return plain(self) + by

    SystemClock.now = now  # type: ignore[method-assign]


def _wait_less(seconds: int) -> None:
    from drivers.alicloud import resources
    from pulumi_sealer import HostIdentity

    resources.WAIT_SECONDS = seconds
    HostIdentity.__init__.__kwdefaults__["wait_seconds"] = seconds


def _main(hours: str, seconds: str, *words: str) -> int:
    from provisioner.cli.main import main

    if float(hours):
        _move_clock(timedelta(hours=float(hours)))
    if int(seconds):
        _wait_less(int(seconds))
    return main(words)


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
