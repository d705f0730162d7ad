"""A host's cgroups: where its processes are found and ended, whatever became of pid files and parents."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from drivers.local.hierarchies import Hierarchy, delegate, make_group, read_hierarchies
from drivers.local.locks import wait_for
from provisioner.errors import PreconditionError, ProviderError

SUPERVISOR, GUEST = "sup", "vm"
"""Two leaves: on v2 a supervisor inside the delegated cgroup would keep controllers from being passed on (EBUSY)."""

KILL_SECONDS = 15.0

_hierarchies = cache(read_hierarchies)
"""They do not change while a command runs, and every look at a host asks for them."""


def make_host_groups(cluster: str, host: str) -> None:
    """`<cluster>/<host>/{sup,vm}` in every hierarchy; idempotent. Raises PreconditionError where there is none."""
    hierarchies = _hierarchies()
    if not hierarchies:
        raise PreconditionError("no cgroup is mounted below /sys/fs/cgroup", hint="mount cgroup2 there")
    try:
        for hierarchy in hierarchies:
            _make_tree(hierarchy, cluster, host)
    except OSError as error:
        raise PreconditionError(
            f"cannot make cgroup {cluster}: {error}", hint="run this as root, outside a container"
        ) from error


def _make_tree(hierarchy: Hierarchy, cluster: str, host: str) -> None:
    for path in (cluster, f"{cluster}/{host}"):
        make_group(hierarchy, path)
        if hierarchy.unified:  # never at the root: what the machine passes on is the machine's choice
            delegate(f"{hierarchy.mountpoint}/{path}")
    for leaf in (SUPERVISOR, GUEST):
        make_group(hierarchy, f"{cluster}/{host}/{leaf}")


def join_files(cluster: str, host: str) -> tuple[str, ...]:
    """The files that a process writes its pid to, to become a supervisor."""
    return tuple(f"{h.mountpoint}/{cluster}/{host}/{SUPERVISOR}/cgroup.procs" for h in _hierarchies())


def groups(path: str) -> tuple[Path, ...]:
    """The folders of a cgroup path (`<cluster>` or `<cluster>/<host>[/<leaf>]`) that exist."""
    return tuple(p for h in _hierarchies() if (p := Path(h.mountpoint, path)).is_dir())


def pids(path: str) -> frozenset[int]:
    """Every process below a cgroup path, in any hierarchy."""
    return frozenset(pid for group in groups(path) for pid in _pids_below(group))


def seen_pids(path: str) -> frozenset[int]:
    """The processes below a cgroup path in one hierarchy: quick, for looking; `pids` is for ending them."""
    found = sorted((h for h in _hierarchies()), key=lambda h: not h.unified)
    return frozenset(_pids_below(Path(found[0].mountpoint, path))) if found else frozenset()


def _pids_below(group: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        with suppress(OSError):  # a group may vanish while we walk
            yield from (int(word) for word in Path(folder, "cgroup.procs").read_text("ascii").split())


def remove_groups(path: str) -> None:
    """End every process below a cgroup path and remove the groups; idempotent.

    Killing and removing alternate: a supervisor that was just starting may join between the two.
    Raises ProviderError when processes or groups stay for 15 s.
    """
    if wait_for(lambda: _gone(path), KILL_SECONDS) is None:
        left = ", ".join(str(p) for p in sorted(pids(path))) or "none"
        raise ProviderError(
            f"cgroup {path} cannot be removed", hint="run the same command again", evidence=f"pids: {left}"
        )


def kill(path: str) -> None:
    """End every process below a cgroup path. Raises ProviderError when one stays for 15 s."""
    if wait_for(lambda: _killed(path), KILL_SECONDS) is None:
        left = ", ".join(str(p) for p in sorted(pids(path)))
        raise ProviderError(
            f"processes of {path} do not end", hint="they may wait for a disk", evidence=f"pids: {left}"
        )


def _gone(path: str) -> bool | None:
    if _killed(path) is None:
        return None
    for group in groups(path):
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return None if groups(path) else True


def _killed(path: str) -> bool | None:
    found = pids(path)
    if not found:
        return True
    for group in groups(path):
        _kill_group(group)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return None


def _kill_group(group: Path) -> None:
    with suppress(OSError):
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1", "ascii")
    for folder, _, _ in os.walk(group):
        with suppress(OSError):  # a frozen task of v1 takes no signal until it is thawed
            state = Path(folder, "freezer.state")
            if state.exists():
                state.write_text("THAWED", "ascii")
