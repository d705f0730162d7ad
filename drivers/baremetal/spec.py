"""What the baremetal provider makes of an accepted request, and what it cannot serve. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedMachine, AcceptedPool
from provisioner.model.hosts import SshTarget, WantedHost

SIZES = {
    "cpu": "cpu",
    "memory": "memory",
    "system_disk": "systemDisk",
    "data_disks": "dataDisks",
    "instance_types": "instanceType",
    "spot": "spot",
}
PLACES = {"region": "region", "zones": "zones", "os_image": "osImage", "ttl": "ttl", "expires_at": "ttl"}
WHY_PLACES = "the machines are there already, and stay"


@dataclass(frozen=True, slots=True)
class Leg:
    """One SSH login on the way: `identity` None for the user's usual key; no `host_keys`: those of `known_hosts_file`."""

    target: SshTarget
    identity: str | None
    host_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One machine of the request, its files not read yet. All paths are absolute."""

    host: WantedHost
    address: str
    leg: Leg
    jump: Leg | None
    known_hosts_file: str | None


def parse_machines(accepted: Accepted, home: str | None) -> tuple[MachineSpec, ...]:
    """The machines in the order of the request; `home` is what `~` means.

    Raises UsageError naming the key that machines which exist cannot serve, or the host that has no machine.
    """
    for field, key in PLACES.items():
        if getattr(accepted, field):
            raise _refused(key, WHY_PLACES)
    for key, value in accepted.network.items():
        if value:
            raise _refused(f"network.{key}", "their network is there already")
    for pool in accepted.pools:
        _check_pool(pool)
    machines = {machine.name: machine for machine in accepted.machines}
    missing = [host.name for host in accepted.wanted if host.name not in machines]
    if missing:
        raise UsageError(
            f"provider baremetal has no machine for {', '.join(missing)}",
            hint="name machines that exist: an Infra document whose hosts have an address, or --masters 10.0.0.1",
        )
    found = tuple(_to_spec(host, machines[host.name], home) for host in accepted.wanted)
    _check_addresses(found)
    return found


def _check_pool(pool: AcceptedPool) -> None:
    for field, key in SIZES.items():
        if getattr(pool, field):
            raise _refused(f"{key} of pool {pool.name}", "a machine that exists has the size that it has")


def _check_addresses(machines: tuple[MachineSpec, ...]) -> None:
    """Raise UsageError where two hosts are one: by address, as the cluster knows them, or by where SSH leads."""
    seen: dict[object, str] = {}
    for machine in machines:
        for place in (machine.address, (machine.leg.target.host, machine.leg.target.port, machine.jump)):
            other = seen.setdefault(place, machine.host.name)
            if other != machine.host.name:
                what = place if isinstance(place, str) else f"{place[0]} port {place[1]}"
                raise UsageError(
                    f"{other} and {machine.host.name} are both at {what}", hint="each host is a machine of its own"
                )


def _to_spec(host: WantedHost, machine: AcceptedMachine, home: str | None) -> MachineSpec:
    ssh = machine.ssh
    target = SshTarget(ssh.host or machine.address, ssh.port, ssh.user)
    jump = None
    if ssh.jump is not None:
        way = ssh.jump
        jump = Leg(SshTarget(way.host, way.port, way.user), _absolute(way.private_key_file, home), way.host_keys)
    return MachineSpec(
        host=host,
        address=machine.address,
        leg=Leg(target, _absolute(ssh.private_key_file, home), machine.host_keys),
        jump=jump,
        known_hosts_file=_absolute(machine.known_hosts_file, home),
    )


def _absolute(path: str | None, home: str | None) -> str | None:
    """The path with `~/` as the user's home. Raises UsageError where there is none."""
    if path is None or not path.startswith("~/"):
        return path
    if not home:
        raise UsageError(f"{path} means a home folder, and HOME is not set", hint="write the whole path")
    return str(PurePosixPath(home) / path[2:])


def _refused(key: str, why: str) -> UsageError:
    return UsageError(f"provider baremetal cannot serve {key}: {why}", hint="leave it out, or choose another provider")
