"""What a killed run leaves in the way of the next: its orphaned processes and Pulumi's lock of a dead holder."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from provisioner.errors import LockedError
from provisioner.files import atomic_write
from provisioner.infra.failures import clean
from provisioner.infra.processes import end_recorded, started_at
from provisioner.infra.statefile import Deployment, name_of_urn
from provisioner.infra.store import StackLock, Store
from provisioner.model.ids import ClusterName
from provisioner.model.plan import is_machine

BEGUN = "begun.json"
UNREAD = "unread.json"
_CLOCK_SLACK = 10.0  # seconds by which the kernel's start times and the wall clock may disagree


def end_orphans(run_dir: Path) -> tuple[str, ...]:
    """End engines and plugins that outlived their run. Blocks up to some seconds; says what it ended."""
    ended = end_recorded(run_dir)
    return (f"ended orphaned engine processes {', '.join(map(str, ended))}",) if ended else ()


def clear_dead_locks(store: Store, cluster: ClusterName) -> tuple[str, ...]:
    """Remove Pulumi's locks of dead processes: of this machine, and of machines whose shared lock was broken.

    Raises LockedError (10) naming the holder of any other: a living process, or one of another machine, of which
    nobody here can know whether it lives.
    """
    notes: list[str] = []
    locks = store.locks(cluster)
    dead = store.dead_machines(cluster) if locks else frozenset()
    for lock in locks:
        if lock.raw.get("hostname") not in dead and not _is_dead(lock.raw):
            raise _held(cluster, lock)
        lock.remove()
        notes.append(f"removed the stack lock of pid {lock.raw.get('pid')}, which is dead")
    return tuple(notes)


def write_begun(folder: Path, deployment: Deployment) -> None:
    """Note which machines a killed run had begun to make in a cloud, before their pending operations are forgotten."""
    creates = [p for p in deployment.pending if p["type"] == "creating"]
    types = [(str(p["resource"]["type"]), name_of_urn(str(p["resource"]["urn"]))) for p in creates]
    hosts = [name for type_, name in types if is_machine(type_) and not type_.startswith("sealer:")]
    if hosts:
        atomic_write(folder / BEGUN, json.dumps({"hosts": hosts, "at": time.time()}).encode(), mode=0o600)


def read_begun(folder: Path) -> tuple[frozenset[str], float]:
    """What `write_begun` noted, and when; nobody without a note that can be read."""
    try:
        raw = json.loads((folder / BEGUN).read_bytes())
        return frozenset(map(str, raw["hosts"])), float(raw["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset(), 0.0


def write_unread(folder: Path, unread: Mapping[str, Mapping[str, object]]) -> None:
    """Note what the plugin will not read back of machines, before they are imported: the run may be killed after it."""
    atomic_write(folder / UNREAD, json.dumps(unread).encode(), mode=0o600)


def read_unread(folder: Path) -> dict[str, dict[str, object]]:
    """What `write_unread` noted; nothing without a note that can be read."""
    try:
        return {str(own): dict(inputs) for own, inputs in json.loads((folder / UNREAD).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def drop_begun(folder: Path) -> None:
    """All machines are recorded, and as they are."""
    for note in (BEGUN, UNREAD):
        (folder / note).unlink(missing_ok=True)


def _is_dead(lock: Mapping[str, object]) -> bool:
    """True if its process is surely gone: none of this machine, or one that took the pid after the lock was made."""
    pid, host = lock.get("pid"), lock.get("hostname")
    if not isinstance(pid, int) or host != os.uname().nodename:
        return False
    ticks = started_at(pid)
    if ticks is None:
        return True
    try:
        made = datetime.fromisoformat(str(lock.get("timestamp"))).timestamp()
    except ValueError:
        return False
    return _boot_time() + ticks / os.sysconf("SC_CLK_TCK") > made + _CLOCK_SLACK


def _boot_time() -> float:
    """Seconds since the epoch at which this machine started; 0 where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        return float(next(line for line in lines if line.startswith("btime ")).split()[1])
    return 0.0


def _held(cluster: ClusterName, lock: StackLock) -> LockedError:
    raw = lock.raw
    who = clean(f"{raw.get('username', '?')} on {raw.get('hostname', '?')}, pid {raw.get('pid', '?')}")
    since = clean(str(raw.get("timestamp", "?")))
    return LockedError(
        f"the stack of {cluster} is locked by {who}, since {since}",
        hint=f"wait for that process; if you know that it is dead, remove {lock.where}",
    )
