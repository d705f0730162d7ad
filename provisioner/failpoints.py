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
PLUGIN_FAILPOINTS = ("made-Intent", "made-HostKey", "made-HostIdentity")
"""In our plugin of the engine: the resource is made, and nobody was told."""
_WAYS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "fail": None}

Failpoint = Callable[[str], None]


def no_failpoint(_name: str) -> None:
    """Do nothing: what every run of a person gets."""


def arm_failpoint(text: str) -> Failpoint:
    """A failpoint from `NAME=kill|stop|fail`: there the process dies as by SIGKILL, stands still, or an error is raised.

    One that stands still waits for a test that kills the whole run, of which it is but a part. Raises UsageError for an
    unknown name or way: a test that arms nothing would prove nothing.
    """
    wanted, _, way = text.partition("=")
    names = (*FAILPOINTS, *PLUGIN_FAILPOINTS)
    if wanted not in names or way not in _WAYS:
        raise UsageError(f"{text!r} is no failpoint", hint=f"NAME={'|'.join(_WAYS)}, NAME one of {', '.join(names)}")
    signum = _WAYS[way]

    def hit(name: str) -> None:
        if name != wanted:
            return
        if signum is None:
            raise SealerError(f"failpoint {name}")
        os.kill(os.getpid(), signum)

    return hit


def failpoint_of(text: str) -> Failpoint:
    """As `arm_failpoint`; without a text one that does nothing."""
    return arm_failpoint(text) if text else no_failpoint
