"""How long the plugin lives: until it is asked to end, its engine is gone, or no engine ever came."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from provisioner.files import atomic_write, private_folder

LOOK_SECONDS = 0.5
GREETING_SECONDS = 60.0
"""An engine calls at once. One that died between starting us and our first look at it never will."""


class Ending:
    """Waits for the end. The engine asks with SIGINT, at every normal end too; who asks twice changes nothing.

    Made in the main thread, before any other: signal handlers belong there, and the parent must be known early.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def wait(self, greeted: threading.Event) -> None:
        """Return when it is time to end."""
        began = time.monotonic()
        while os.getppid() == self._parent:
            if not greeted.is_set() and time.monotonic() - began > GREETING_SECONDS:
                return
            if select.select([self._woken], [], [], LOOK_SECONDS)[0]:
                return

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        with suppress(BlockingIOError):
            os.write(self._wake, b"x")  # a pipe, as an Event's lock may be held by the code this interrupts


@contextmanager
def recorded(folder: Path | None) -> Iterator[None]:
    """Keep `plugin-<pid>.json` in `folder` while the body runs, so that a later run can find and reap us.

    `{"pid": …, "start": …, "boot": …}`: start time in ticks since that boot, as a pid alone may be another process by
    then. The form is the one that the engine's own records in this folder have.
    """
    if folder is None:
        yield
        return
    path = private_folder(folder) / f"plugin-{os.getpid()}.json"
    record = {"pid": os.getpid(), "start": _start_time(), "boot": _boot_id()}
    atomic_write(path, json.dumps(record).encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def leave_streams() -> None:
    """Put /dev/null on 0, 1 and 2, keeping Python's stderr on a descriptor that no child inherits.

    The engine waits for the end of our stdout and stderr. Whatever a machine's supervisor is started from, it cannot
    hold them open after this.
    """
    sys.stdout.flush()
    own_stderr = os.dup(2)  # close-on-exec, as all descriptors that Python makes
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number, inheritable=True)
    os.close(null)
    sys.stderr = os.fdopen(own_stderr, "w", buffering=1, encoding="utf-8", errors="backslashreplace")


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _start_time() -> int:
    stat = Path("/proc/self/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[19])  # the name before it may hold spaces; field 22 is 20th after it
