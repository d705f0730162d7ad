"""Names of a cluster's hosts in each host's /etc/hosts: an ordinary file of the host, of which we own one block."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from drivers.local.names import Place
from drivers.local.netns import in_mounts_of
from drivers.local.processes import first_process
from drivers.local.state import HostRecord, host_records

BEGIN, END = "# sealer-cloud: hosts of this cluster", "# sealer-cloud: end"
PATH, TEMPORARY = "/etc/hosts", "/etc/.hosts.sealer-cloud"
LIMIT = 1 << 20


def with_block(text: str, hosts: Sequence[tuple[str, str]]) -> str:
    """The file with our block (`(address, name)` lines) replaced or added at its end; all other lines as they are."""
    lines = text.splitlines()
    if BEGIN in lines:
        start = lines.index(BEGIN)
        # Without its end (somebody cut the file) only the first line is surely ours.
        end = lines.index(END, start) if END in lines[start:] else start
        del lines[start : end + 1]
    return "\n".join((*lines, BEGIN, *(f"{address} {name}" for address, name in hosts), END)) + "\n"


def update_hosts(place: Place) -> None:
    """Write the names of all hosts that exist into every running one. Call it holding the cluster's lock.

    A stopped host gets them when it starts. What a host did to its own file (a folder, a pipe) is left alone.
    """
    records = host_records(place)
    lines = [(record.address, str(record.name)) for record in records]
    for record in records:
        _update_one(place, record, lines)


def _update_one(place: Place, record: HostRecord, lines: Sequence[tuple[str, str]]) -> None:
    pid = first_process(place, record.name)
    if pid is not None:
        in_mounts_of(pid, lambda: _rewrite(lines))


def _rewrite(lines: Sequence[tuple[str, str]]) -> bool:
    """Inside the host's mounts: read, and replace by rename. Only `os`, as any import would be read from the host."""
    try:
        descriptor = os.open(PATH, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_size > LIMIT:
            return False
        old = os.read(descriptor, LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    new = with_block(old, lines)
    return new == old or _replace(new.encode("utf-8", "surrogateescape"), stat.S_IMODE(info.st_mode))


def _replace(data: bytes, mode: int) -> bool:
    try:
        with suppress(FileNotFoundError):
            os.unlink(TEMPORARY)  # noqa: PTH108 - see the docstring of _rewrite
        descriptor = os.open(TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.write(descriptor, data)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        os.rename(TEMPORARY, PATH)  # noqa: PTH104
    except OSError:
        return False
    return True
