"""Helper programs of an install (pip, go, the vendor's installer): own session, lines as they come, always bounded."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioner.errors import DeadlineError, PreconditionError

_TAIL_LINES = 20
_LINE_LIMIT = 2000
_END_GRACE = 3.0


@dataclass(frozen=True, slots=True)
class Job:
    """A program to run: its argv, folder, environment, and how long it may take.

    `quiet_limit` bounds the seconds until its first line, where silence means that nothing happens.
    """

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str]
    limit: float
    quiet_limit: float | None = None


def run_job(job: Job, on_line: Callable[[str], None]) -> tuple[int, str]:
    """Run to the end; stdout and stderr arrive together, line by line. Returns status and the last lines.

    The whole session is ended when this function is left early, by an exception too. Raises PreconditionError if the
    program does not start, DeadlineError if a limit passes.
    """
    process = _start(job)
    try:
        tail = _follow(process, job, on_line)
        return process.wait(), "\n".join(tail)
    finally:
        _end(process)


def _start(job: Job) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(job.argv),
            cwd=job.cwd,
            env=dict(job.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise PreconditionError(
            f"{job.argv[0]} does not start: {error.strerror}",
            phase="engine",
            hint="check that it is installed and may be run",
        ) from error


def _follow(process: subprocess.Popen[str], job: Job, on_line: Callable[[str], None]) -> deque[str]:
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    began = time.monotonic()
    end = began + job.limit
    first_end = end if job.quiet_limit is None else began + job.quiet_limit
    while True:
        try:
            line = lines.get(timeout=max(0.0, (end if tail else first_end) - time.monotonic()))
        except queue.Empty as error:
            raise DeadlineError(
                f"{Path(job.argv[0]).name} took too long",
                phase="engine",
                hint="run the same command again: what was fetched is kept",
            ) from error
        if line is None:
            return tail
        tail.append(line)
        on_line(line)


def _read(stream: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    for line in stream or ():
        lines.put(line.rstrip("\n")[:_LINE_LIMIT])
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the session that we started: its leader's pid is its group as long as the leader is not waited for."""
    if process.poll() is not None:
        return
    for signum in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_GRACE)
            return
