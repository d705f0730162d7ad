"""From a request's machines to hosts that can be entered: pins and login keys, read from the user's own files.

All that is missing is found at once and kept beside the hosts; nothing is connected to here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drivers.baremetal.spec import Leg, MachineSpec
from provisioner.errors import AccessError, HostError, SealerError, UsageError
from provisioner.model.hosts import InventoryHost, Jump

USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""What is tried below ~/.ssh where the request names no key file."""


@dataclass(frozen=True, slots=True)
class BaremetalSpec:
    """The driver's spec: hosts as they are entered (`machine_id` is not known yet), and all that is missing for that.

    `base` is the cluster's folder on each host.
    """

    hosts: tuple[InventoryHost, ...]
    lacks: tuple[SealerError, ...]
    base: str


def settle(machines: tuple[MachineSpec, ...], home: str | None, base: str) -> BaremetalSpec:
    """Read the user's files; what cannot be used stands in `lacks`."""
    lacks: list[SealerError] = []
    usual = usual_key(home)
    hosts = tuple(_host(machine, usual, lacks) for machine in machines)
    identities = {i for h in hosts for i in (h.identity, h.jump.identity if h.jump else None) if i}
    lacks += _unusable(sorted(identities))
    return BaremetalSpec(hosts, tuple({error.message: error for error in lacks}.values()), base)


def usual_key(home: str | None) -> str | None:
    """The absolute path of the user's own key, by the usual names; None where there is none."""
    found = (Path(home) / ".ssh" / name for name in USUAL_KEYS) if home else ()
    return next((str(path) for path in found if path.is_file()), None)


def joined(errors: Iterable[SealerError]) -> SealerError:
    """All of them as one error; of several causes the lowest exit code wins. Raises ValueError for none."""
    found = sorted(errors, key=lambda e: e.exit_code)
    first = found[0]
    if len(found) == 1:
        return first
    text = "; ".join(dict.fromkeys(e.message for e in found))
    hint = "; ".join(dict.fromkeys(e.hint for e in found if e.hint))
    return type(first)(text, hint=hint, host=first.host, evidence=first.evidence)


def _host(machine: MachineSpec, usual: str | None, lacks: list[SealerError]) -> InventoryHost:
    name = machine.host.name
    jump = None
    if machine.jump is not None:
        way = machine.jump
        pins = _pins(way, machine.known_hosts_file, f"{way.target.host}, the way to {name}", lacks)
        jump = Jump(way.target, pins, way.identity or machine.leg.identity or usual)
    identity = machine.leg.identity or usual
    if identity is None:
        lacks.append(
            AccessError(
                "there is no private key to log in with: " + ", ".join(f"~/.ssh/{key}" for key in USUAL_KEYS),
                hint="name one: privateKeyFile under ssh in the Infra document, or -i KEY",
            )
        )
    return InventoryHost(
        name=name,
        roles=machine.host.roles,
        address=machine.address,
        ssh=machine.leg.target,
        host_keys=_pins(machine.leg, machine.known_hosts_file, name, lacks),
        machine_id="",
        jump=jump,
        identity=identity,
    )


def _pins(leg: Leg, known_hosts: str | None, what: str, lacks: list[SealerError]) -> tuple[str, ...]:
    if leg.host_keys:
        return leg.host_keys
    if known_hosts is None:
        lacks.append(
            HostError(
                f"no host key of {what} is known, so it is not connected to",
                host=what,
                hint="give its fingerprint (ssh-keygen -lf, on the machine itself) under hostKeys, or a knownHostsFile",
            )
        )
        return ()
    from provisioner.transport.knownhosts import pins_from_known_hosts

    try:
        return pins_from_known_hosts(Path(known_hosts), leg.target.host, leg.target.port)
    except UsageError as error:
        lacks.append(HostError(f"{what}: {error.message}", host=what, hint=error.hint))
        return ()


def _unusable(identities: Iterable[str]) -> list[SealerError]:
    from provisioner.transport.dial import read_identity

    lacks: list[SealerError] = []
    for identity in identities:
        try:
            read_identity(Path(identity))
        except AccessError as error:
            lacks.append(error)
    return lacks
