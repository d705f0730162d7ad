"""Plans: what stage 1 will change, what stage 2 will do, and both together as a person confirms them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provisioner.model.ids import ClusterId, ClusterName, Digest, HostName, RunId
from provisioner.model.steps import Step

if TYPE_CHECKING:  # quick commands answer before pydantic could be loaded
    from provisioner.model.driver import Offer


MACHINES = frozenset(
    {
        "sealer:local:Host",
        "sealer:baremetal:Host",
        "alicloud:ecs/instance:Instance",
        "aws:ec2/instance:Instance",
    }
)
"""Type tokens of the resources that are hosts; the logical name of each is the host's name."""


HOST_KEY = "sealer:index:HostKey"
"""Type token of the key pairs that a cloud's machine is made with."""


def is_machine(type_token: str) -> bool:
    """True for a resource that is a host, whoever makes it."""
    return type_token in MACHINES


def key_name(host: str) -> str:
    """The logical name of a host's HostKey."""
    return f"{host}-key"


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource: Pulumi type token, logical name, and for updates the words that say what it means."""

    type: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class InfraPlan:
    """What the engine's preview says."""

    create: tuple[ResourceChange, ...] = ()
    update: tuple[ResourceChange, ...] = ()
    replace: tuple[ResourceChange, ...] = ()
    delete: tuple[ResourceChange, ...] = ()
    same: tuple[ResourceChange, ...] = ()

    @property
    def changes(self) -> bool:
        """True if the engine would mutate anything."""
        return bool(self.create or self.update or self.replace or self.delete)


def renewed_keys(infra: InfraPlan, adopted: Collection[str], run: RunId) -> dict[str, str]:
    """What the program is told of host keys whose machine this run makes anew: `<host>-key` → a word of this run alone.

    A machine that stands and is taken over was made with the pair that is recorded, so that one stays.
    """
    stay = {key_name(host) for host in adopted}
    return {c.name: str(run) for c in infra.update if c.type == HOST_KEY and c.name not in stay}


@dataclass(frozen=True, slots=True)
class HostPlan:
    """The ordered steps of one host; cluster steps stand under the first master. Bytes are uncompressed."""

    name: HostName
    roles: tuple[str, ...]
    bytes_to_send: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """Stage 2 as data. `restarts` names hosts whose running processes will be restarted, in that order.

    `provisional` is True where not all hosts could be read: then some steps are `maybe`.
    """

    cluster: ClusterName
    digest: Digest
    hosts: tuple[HostPlan, ...]
    restarts: tuple[HostName, ...] = ()
    joining: tuple[HostName, ...] = ()
    """Hosts that enter an existing cluster, one after another: member.sh add, init, start, health."""
    provisional: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps that will run (records left out), host by host."""
        return tuple(s for h in self.hosts for s in h.steps if not s.quiet)

    @property
    def changes(self) -> bool:
        """True if anything, a record too, will be written on a host."""
        return any(h.steps for h in self.hosts)


@dataclass(frozen=True, slots=True)
class Price:
    """What the machines of a plan cost, all together.

    `until_deadline` is the sum until the cluster's deadline; None where it has none. Disks and traffic are not in it.
    """

    per_hour: float
    currency: str
    until_deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Both stages, and the hash that `--expect-plan` compares."""

    cluster: ClusterName
    cid: ClusterId | None
    provider: str
    image_reference: str
    image_digest: Digest
    image_size: int
    infra: InfraPlan
    apply: ApplyPlan
    plan_hash: str = ""
    notes: tuple[str, ...] = field(default=())
    data_root: str = ""
    """For the sheet to sign, as the next two: where data lies on the hosts."""
    commands: tuple[str, ...] = ()
    """What runs as CMD 1, 2, … on the first master."""
    ports: tuple[int, ...] = ()
    """TCP ports that the image says it needs."""
    offers: tuple[Offer, ...] = ()
    """The machines of a cloud as they will be, or are, bought: in the order of the hosts; empty elsewhere."""
    price: Price | None = None
    """None where a price is unknown, or nothing is bought."""

    @property
    def changes(self) -> bool:
        """True if `up` would change anything that a person should know of; records alone are written without asking."""
        return self.infra.changes or bool(self.apply.steps)
