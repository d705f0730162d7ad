"""What a local cluster's records hold, as values, and how they are read and written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from drivers.local.names import Place
from provisioner.errors import AccessError, PreconditionError
from provisioner.files import atomic_write
from provisioner.model.ids import ClusterId, HostName

VERSION = 1


@dataclass(frozen=True, slots=True)
class NetworkState:
    """A cluster's network: subnet, and the machine's own address in it."""

    cid: ClusterId
    cidr: str
    gateway: str

    @property
    def subnet(self) -> IPv4Network:
        """The subnet as a value."""
        return IPv4Network(self.cidr)


@dataclass(frozen=True, slots=True)
class HostInputs:
    """What a host is made from; `login_public` is an OpenSSH public key line."""

    cid: ClusterId
    name: HostName
    slot: int
    login_public: str


@dataclass(frozen=True, slots=True)
class HostState:
    """What a host is; `host_key` is its public key (`ssh-ed25519 AAAA…`)."""

    name: HostName
    address: str
    host_key: str
    machine_id: str
    running: bool


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host as its record holds it: what never changes in its life."""

    name: HostName
    slot: int
    address: str
    host_key: str
    machine_id: str
    login_public: str

    def state(self, *, running: bool) -> HostState:
        """The record with what a look found."""
        return HostState(self.name, self.address, self.host_key, self.machine_id, running)


def read_network_record(place: Place) -> NetworkState | None:
    """The network's record; None when there is none. Raises PreconditionError for a newer or broken one."""
    raw = _read(place.network_file)
    return None if raw is None else NetworkState(place.cid, _text(raw, "cidr"), _text(raw, "gateway"))


def write_network_record(place: Place, state: NetworkState) -> None:
    """Write the network's record."""
    _write(place.network_file, {"cid": state.cid, "cidr": state.cidr, "gateway": state.gateway})


def host_file(place: Place, name: HostName) -> Path:
    """Where a host's record lies."""
    return place.host_folder(name) / "host.json"


def disk_of(place: Place, name: HostName) -> Path:
    """Where a host's disk lies; it has this name only once it is whole."""
    return place.host_folder(name) / "disk"


def read_host_record(place: Place, name: HostName) -> HostRecord | None:
    """A host's record; None when there is none or its disk is gone. Raises PreconditionError for a newer or broken one."""
    raw = _read(host_file(place, name))
    if raw is None or not disk_of(place, name).is_dir():
        return None
    slot = raw.get("slot")
    if not isinstance(slot, int):
        raise PreconditionError(f"{host_file(place, name)} has no slot", hint="remove this cluster and make it again")
    return HostRecord(
        name=name,
        slot=slot,
        address=_text(raw, "address"),
        host_key=_text(raw, "host_key"),
        machine_id=_text(raw, "machine_id"),
        login_public=_text(raw, "login_public"),
    )


def write_host_record(place: Place, record: HostRecord) -> None:
    """Write a host's record."""
    _write(host_file(place, record.name), asdict(record))


def host_records(place: Place) -> tuple[HostRecord, ...]:
    """Every host of the cluster that has a whole disk, by name."""
    found = (read_host_record(place, name) for name in host_names(place))
    return tuple(record for record in found if record is not None)


def host_names(place: Place) -> tuple[HostName, ...]:
    """Every host that has a folder, half-made ones too."""
    return tuple(HostName(path.name) for path in listed(place.hosts_folder))


def listed(folder: Path) -> tuple[Path, ...]:
    """What lies in a folder, sorted; nothing where there is none. Raises AccessError where it may not be read."""
    try:
        return tuple(sorted(folder.iterdir()))
    except FileNotFoundError:
        return ()
    except PermissionError as error:
        raise _forbidden(folder) from error


def _read(path: Path) -> dict[str, object] | None:
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _forbidden(path) from error
    except (OSError, ValueError) as error:
        raise PreconditionError(
            f"{path} cannot be read: {error}", hint="remove this cluster and make it again"
        ) from error
    if not isinstance(raw, dict):
        raise PreconditionError(f"{path} is no record of ours", hint="remove this cluster and make it again")
    version = raw.get("schemaVersion")
    if not isinstance(version, int) or version > VERSION:
        raise PreconditionError(f"{path} was written by a newer sealer-cloud", hint="use the newer version")
    return raw


def _forbidden(path: Path) -> AccessError:
    return AccessError(f"{path} may not be read", hint="run the same command with sudo, or as root")


def _write(path: Path, value: dict[str, object]) -> None:
    atomic_write(path, json.dumps({"schemaVersion": VERSION, **value}, indent=1).encode() + b"\n")


def _text(raw: dict[str, object], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise PreconditionError(f"a record lacks {key}", hint="remove this cluster and make it again")
    return value
