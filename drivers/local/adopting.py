"""Taking over hosts whose state is lost, from their disks: what a host keeps of its cluster, and a new login key.

A host's root wrote these files, so no link in them is followed: it could lead to a file of this machine.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from drivers.local.disk import new_host_key
from drivers.local.locks import folder_lock
from drivers.local.names import LocalPaths, Place, place_of
from drivers.local.processes import first_process
from drivers.local.state import HostRecord, disk_of, host_records, write_host_record
from provisioner.errors import PreconditionError
from provisioner.model.adoption import Login
from provisioner.model.ids import ClusterId, HostName
from provisioner.model.kept import KEPT_LIMIT

STATE = ("real", "var-lib-sealer-cloud")
KEYS = ("root", ".ssh")
FILE_LIMIT = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def kept_records(cid: ClusterId, paths: LocalPaths) -> Mapping[HostName, bytes]:
    """What each host with a whole disk keeps of the cluster, by its name; empty for one that keeps nothing."""
    place = place_of(cid, paths)
    return {record.name: _kept(disk_of(place, record.name), cid) for record in host_records(place)}


def _kept(disk: Path, cid: ClusterId) -> bytes:
    try:
        with _below(disk, (*STATE, cid)) as folder:
            return _read(folder, "cluster.json", KEPT_LIMIT)
    except OSError:
        return b""


def admit(cid: ClusterId, paths: LocalPaths) -> Login:
    """Make a new login key and have every host take it in the place of the lost one; other lines stay.

    Raises PreconditionError where a host's files cannot be written; the hosts before it have the new key then, and get
    another one by the next call.
    """
    place, given = place_of(cid, paths), list[str]()
    pair = new_host_key()
    login = Login(pair.private, f"{pair.public} sealer-cloud:{cid}")
    for record in host_records(place):
        with folder_lock(place.host_folder(record.name)):
            try:
                _let_in(_root_of(place, record), record.login_public, login.public)
            except OSError as error:
                raise _no_login(record.name, error, given) from error
            write_host_record(place, replace(record, login_public=login.public))
        given.append(record.name)
    return login


def _no_login(host: HostName, error: OSError, given: list[str]) -> PreconditionError:
    done = f"; a new key lies on {', '.join(given)} already" if given else ""
    return PreconditionError(
        f"{host} cannot be given a login key: {error.strerror}",
        hint=f"is .ssh of the host's root a link? mend it, then run the same `adopt`{done}",
        host=host,
    )


def _root_of(place: Place, record: HostRecord) -> Path:
    """The host's own /: as it sees it while it runs (an overlay in use must not be written below), else its disk."""
    pid = first_process(place, record.name)
    return Path(f"/proc/{pid}/root") if pid is not None else disk_of(place, record.name) / "upper"


def _let_in(root: Path, old: str, new: str) -> None:
    with _below(root, KEYS, make=True) as folder:
        before = b""
        with suppress(FileNotFoundError):
            before = _read(folder, "authorized_keys", FILE_LIMIT)
        ours = {old.encode(), new.encode()}
        lines = [line for line in before.splitlines() if line.strip() and line not in ours]
        _write(folder, "authorized_keys", b"\n".join((new.encode(), *lines)) + b"\n")


@contextmanager
def _below(root: Path, parts: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """The folder below a root, entered part by part."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _read(folder: int, name: str, limit: int) -> bytes:
    """A plain file of at most `limit` bytes. Raises OSError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, f"{name} is no file")
        return file.read(limit)


def _write(folder: int, name: str, data: bytes) -> None:
    """Whole or not at all."""
    temporary = f".{name}.sealer"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
