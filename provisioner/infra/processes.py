"""Processes of the engine and its plugins: recorded by pid and start time, ended by that, never by name or group."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import InterruptedRunError, SealerError
from provisioner.files import atomic_write

_PARENT, _SESSION = 1, 3
LOOK_SECONDS = 0.25
_AFTER_NAME = 19  # `starttime` is field 22 of /proc/PID/stat; the fields after the name start with the third

RECORDING_SH = r"""umask 077
read -r line </proc/$$/stat
read -r boot </proc/sys/kernel/random/boot_id
start=$(set -- ${line##*) }; shift 19; echo "$1")
printf '{"pid":%s,"start":%s,"boot":"%s"}\n' $$ "$start" "$boot" >"$0/engine-$$.json" || exit 125
exec "$@"
"""
"""A shell that writes its own record and then becomes the engine: no moment is left in which we could be killed
between starting a process and writing down that we did. `$0` is the run folder, the rest is the command."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process as noted: the pid alone may belong to another process by now; `boot` is empty where it is unknown."""

    pid: int
    start: int
    boot: str = ""


def started_at(pid: int) -> int | None:
    """The start time of a living process in clock ticks since boot; None if there is none (a zombie is none)."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[_AFTER_NAME])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state, parent, group, session, …; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > _AFTER_NAME else None


def family_of(leader: int, strangers: set[str] | None = None) -> tuple[Recorded, ...]:
    """Living processes that a session's leader started, or that are in its session still.

    Ask only while the leader lives or is a zombie that nobody has waited for: then its pid names no other process.
    `strangers` are the pids that earlier looks of the same caller found to be none; kept up to date here. Nobody joins a
    family later, so they are not looked at again: on a machine of a thousand processes a look costs next to nothing.
    """
    found = []
    others = {name for name in os.listdir("/proc") if name.isdigit()} - {str(leader)}  # noqa: PTH208 - names alone
    strangers = set() if strangers is None else strangers
    strangers &= others
    for pid in others - strangers:
        fields = _stat(int(pid))
        if fields and fields[0] not in {"Z", "X"} and str(leader) in {fields[_PARENT], fields[_SESSION]}:
            found.append(Recorded(int(pid), int(fields[_AFTER_NAME]), boot_id()))
        else:
            strangers.add(pid)
    return tuple(found)


class Watch:
    """Writes down what an engine starts, from another thread, while it runs: plugins that leave no record of themselves.

    The engine must lead a session of its own. Recorded in its run folder, in the form of all other records.
    """

    def __init__(self, leader: int, run_dir: Path) -> None:
        self._leader = leader
        self._run_dir = run_dir
        self._seen: set[Recorded] = set()
        self._strangers: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the engine's end without taking its status; look once more while its pid is still its own."""
        os.waitid(os.P_PID, self._leader, os.WEXITED | os.WNOWAIT)
        self._over.set()
        self._thread.join()
        self._strangers.clear()  # a pid may have been given out anew between two looks
        self._record()

    def end_rest(self, *, patience: float = 2.0, grace: float = 3.0) -> tuple[int, ...]:
        """End what outlived the engine. Returns the pids that had to be ended; blocks up to the seconds given."""
        left = _wait(self._seen, patience)
        _end(left, grace)
        drop_dead_records(self._run_dir)
        return tuple(p.pid for p in left)

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._record()

    def _record(self) -> None:
        for process in family_of(self._leader, self._strangers):
            if process not in self._seen:
                self._seen.add(process)
                record = {"pid": process.pid, "start": process.start, "boot": process.boot}
                with contextlib.suppress(SealerError):  # the disk is full: they are still ended at the end of this run
                    atomic_write(self._run_dir / f"plugin-{process.pid}.json", json.dumps(record).encode())


def boot_id() -> str:
    """The current boot of this machine; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def this_process() -> Recorded:
    """Our own process."""
    return Recorded(os.getpid(), started_at(os.getpid()) or 0, boot_id())


def is_alive(process: Recorded) -> bool:
    """True if exactly this process runs, not another one under its pid."""
    if process.boot and process.boot != boot_id():
        return False
    return started_at(process.pid) == process.start


def records(run_dir: Path) -> tuple[Recorded, ...]:
    """All processes noted in a run folder, engines first; what cannot be read is no record."""
    found = (_read(path) for path in sorted(run_dir.glob("*.json")))
    return tuple(r for r in found if r)


def end_recorded(run_dir: Path, *, patience: float = 1.0, grace: float = 4.0) -> tuple[int, ...]:
    """End what a dead run left, by the folder's records. Returns the pids that were found alive.

    Waits `patience` seconds for them to end by themselves, then SIGTERM (twice: the engine takes the first as "stop
    gently"), then SIGKILL, `grace` seconds in all. Blocks; the records of what is dead are removed. Call it only where
    no living run of ours owns the folder.
    """
    living = [r for r in records(run_dir) if is_alive(r)]
    _end(_wait(living, patience), grace)
    drop_dead_records(run_dir)
    return tuple(r.pid for r in living)


def _end(processes: list[Recorded], grace: float) -> None:
    left = processes
    for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        for process in left:
            send(process, signum)
        left = _wait(left, grace / 3)


def drop_dead_records(run_dir: Path) -> None:
    """Remove the records of processes that are gone."""
    for path in run_dir.glob("*.json"):
        record = _read(path)
        if record is None or not is_alive(record):
            path.unlink(missing_ok=True)


def send(process: Recorded, signum: int) -> bool:
    """Signal exactly this process. False if it is gone: the pid is held while its start time is compared."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(handle, signum)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


class Child:
    """The engine process that runs now, if any: asked to stop softly (once), or ended. Safe between threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # a stop between "no process yet" and "asked" would reach nobody
        self._process: Recorded | None = None
        self._soft = False
        self._hard = False

    def started(self, pid: int) -> None:
        """A process was started. If a stop was asked for in between, it gets it now."""
        process = Recorded(pid, started_at(pid) or 0)
        with self._guard:
            self._process = process
            soft, hard = self._soft, self._hard
        if hard:
            self.end(0.0)
        elif soft:
            send(process, signal.SIGINT)

    def ended(self) -> None:
        """The process has been waited for."""
        self._process = None

    def check(self) -> None:
        """Raise InterruptedRunError if a stop was asked for: no further process is started then."""
        if self._soft or self._hard:
            raise InterruptedRunError("interrupted before the engine was started", phase="machines")

    def soft(self) -> None:
        """SIGINT, once: running steps end and are saved."""
        with self._guard:
            process, asked, self._soft = self._process, self._soft, True
        if process and not asked:
            send(process, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL, and no further process is started: whatever it still wrote would be wrong."""
        with self._guard:
            self._hard, process = True, self._process
        if process:
            send(process, signal.SIGKILL)

    def end(self, grace: float) -> None:
        """SIGTERM, again after a third of `grace` (the second one ends it at once), SIGKILL after all of it. Blocks."""
        with self._guard:
            self._hard, process = True, self._process
        if process is None:
            return
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            send(process, signum)
            if not _wait([process], grace / 3):
                return


def _wait(processes: Iterable[Recorded], seconds: float) -> list[Recorded]:
    """Those that still live after `seconds`; returns as soon as none does."""
    deadline = time.monotonic() + seconds
    left = [p for p in processes if is_alive(p)]
    while left:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        _wait_one(left[0], min(remaining, 0.1))
        left = [p for p in left if is_alive(p)]
    return left


def _wait_one(process: Recorded, seconds: float) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(seconds * 1000)
    finally:
        os.close(handle)


def _read(path: Path) -> Recorded | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Recorded(int(raw["pid"]), int(raw["start"]), str(raw.get("boot", "")))
    return None
