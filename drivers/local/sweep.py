"""Removing a cluster by its cid alone, whatever is left of it: what `down` does after a crash, without any state."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from drivers.local import cgroups
from drivers.local.defaults import default_paths
from drivers.local.locks import folder_lock
from drivers.local.look import leftovers, loop_devices, marked
from drivers.local.names import LocalPaths, Place, place_of
from drivers.local.network import remove_switch
from drivers.local.processes import end_supervisor
from drivers.local.remove import remove_parents, remove_tree, wait_until_reaped
from drivers.local.state import host_names
from provisioner.errors import PreconditionError
from provisioner.model.ids import ClusterId

_LOOP_CLEAR = 0x4C01


def sweep(cid: ClusterId, paths: LocalPaths | None = None) -> tuple[str, ...]:
    """Remove everything of a cluster; idempotent. Returns what was there and is not any more, one line each.

    Raises UsageError for what is no cid, PreconditionError without root, ProviderError for what does not go away.
    """
    paths = paths or default_paths()
    place = place_of(cid, paths)
    before = leftovers(cid, paths)
    if before and os.geteuid() != 0:
        raise PreconditionError("removing local hosts needs root", hint="run the same command with sudo, or as root")
    if before:
        with folder_lock(place.folder), ExitStack() as makers:
            place.network_file.unlink(missing_ok=True)  # from here on no host can begin
            for name in host_names(place):
                # A killed run's orphaned plugin may still be making a host; it would put things back.
                makers.enter_context(folder_lock(place.host_folder(name)))
            _remove(place)
    if os.geteuid() == 0 and (paths.run.exists() or paths.records.exists()):
        with folder_lock(paths.records, make=True):
            remove_parents(paths)
    wait_until_reaped(place)
    left = frozenset(leftovers(cid, paths))
    return tuple(line for line in before if line not in left)


def _remove(place: Place) -> None:
    for pid in marked(place):
        end_supervisor(place, pid)
    cgroups.kill(place.cgroup)
    remove_switch(place)
    cgroups.remove_groups(place.cgroup)
    for device in loop_devices(place):
        _detach_loop(Path(device))
    remove_tree(place.run)
    remove_tree(place.folder)


def _detach_loop(device: Path) -> None:
    with suppress(OSError), device.open("rb") as file:
        fcntl.ioctl(file, _LOOP_CLEAR)
