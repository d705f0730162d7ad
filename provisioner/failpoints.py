"""Named places where a test may kill, stop or fail a run. Without a test they are calls that do nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from provisioner.errors import SealerError, UsageError

FAILPOINTS = (
    "connected",
    "read",
    "preflight-done",
    "archive-written",
    "rootfs-sending",
    "rootfs-laid",
    "files-put",
    "member-added",
    "joined",
    "init-done",
    "start-done",
    "reconfigured",
    "healthy",
    "recorded",
    "member-removed",
    "cmd-done",
    "cmd-recorded",
    "looked",
)
"""Every hop of stage 2, in order."""

Failpoint = Callable[[str], None]


def no_failpoint(_name: str) -> None:
    """Do nothing: what every run of a person gets."""


def arm_failpoint(text: str) -> Failpoint:
    """A failpoint from `NAME=kill` or `NAME=fail`: at that place the process dies as by SIGKILL, or an error is raised.

    Raises UsageError for an unknown name or way: a test that arms nothing would prove nothing.
    """
    wanted, _, way = text.partition("=")
    if wanted not in FAILPOINTS or way not in {"kill", "fail"}:
        raise UsageError(f"{text!r} is no failpoint", hint=f"NAME=kill|fail, NAME one of {', '.join(FAILPOINTS)}")

    def hit(name: str) -> None:
        if name != wanted:
            return
        if way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise SealerError(f"failpoint {name}")

    return hit
