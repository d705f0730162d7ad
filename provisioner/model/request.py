"""What the user asks for: the command's words, the files' words, and both merged.

The decisions (`resolve_request`, `accept_request`) stand in `intent.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from provisioner.model.ids import ClusterName

if TYPE_CHECKING:  # `validate` answers before pydantic could be loaded
    from provisioner.model.accepted import AcceptedMachine, AcceptedOsImage, AcceptedSsh


@dataclass(frozen=True, slots=True)
class UpArgs:
    """What `up` and `plan` were told on the command line; None and empty mean "not said".

    `masters` and `nodes` are counts as text, or addresses (`10.1.2.3,10.1.2.5-10.1.2.9`), which name bare metal.
    `env` holds `K=V` words; `env_secret` holds `NAME` (the operator's variable of that name) or `K=${env:…}|${file:…}`.
    """

    image: str | None = None
    name: str | None = None
    provider: str | None = None
    masters: str | None = None
    nodes: str | None = None
    env: tuple[str, ...] = ()
    env_secret: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    data_root: str | None = None
    replace: bool = False
    region: str | None = None
    zones: tuple[str, ...] = ()
    ttl: str | None = None
    """A duration; only for a new cluster, or an expired one."""
    user: str | None = None
    identity: str | None = None
    """Path of a private key, for machines that exist (`--masters 10.1.2.3 -i KEY`)."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Spot machines: at most this price per host and hour (None: the on-demand price); then `fallback`."""

    max_price: float | None = None
    currency: str | None = None
    fallback: str | None = None
    """`on-demand`, or None: no spot capacity is an error (13)."""


@dataclass(frozen=True, slots=True)
class JumpDoc:
    """One host to connect through, as a file names it. Without `host_keys`, the machine's known_hosts file has them."""

    host: str
    port: int = 22
    user: str = "root"
    private_key_file: str | None = None
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SshDoc:
    """How to log in, as far as one place says it; None: look in the next place. Paths start at the file's own folder."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    private_key_file: str | None = None
    known_hosts_file: str | None = None
    jump: JumpDoc | None = None

    def over(self, base: SshDoc) -> SshDoc:
        """What is said here, and the base's words where nothing is."""
        said = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return replace(base, **said)


@dataclass(frozen=True, slots=True)
class OsImageDoc:
    """The operating system of machines that we make: a catalogue name, or the provider's own id."""

    name: str | None = None
    arch: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that exists (bare metal). `name` None: it is named by its role, once. `env` is over the cluster's."""

    address: str
    roles: tuple[str, ...]
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ssh: SshDoc = field(default_factory=SshDoc)
    host_keys: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A group of machines that are made alike.

    cpu in vCPU, memory and disks in GiB, None where the driver may choose. `env` overrides the cluster's env.
    """

    name: str
    roles: tuple[str, ...]
    count: int
    cpu: int | None = None
    memory: int | None = None
    system_disk: int | None = None
    data_disks: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    instance_types: tuple[str, ...] = ()
    spot: Spot | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDoc:
    """A `Cluster` document (v2), as far as this version runs it."""

    name: str | None
    image: str | None
    env: Mapping[str, str] = field(default_factory=dict)
    cmd: tuple[str, ...] | None = None
    data_root: str | None = None
    role_env: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...] = ()
    """env of `spec.hosts` entries without addresses, matched to pools by roles: `(roles, env)`."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    said: frozenset[str] = frozenset()
    """The fields that the files state, empty ones too: those replace what is stored, the others do not."""
    ssh: SshDoc = field(default_factory=SshDoc)
    machines: tuple[Machine, ...] = ()
    """`spec.hosts` entries with addresses (`ips`), each address one machine, in their order."""


@dataclass(frozen=True, slots=True)
class InfraDoc:
    """An `Infra` document (v2). `network` is the driver's to read; durations are seconds."""

    provider: str | None
    pools: tuple[Pool, ...] = ()
    network: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    protect: bool = False
    said: frozenset[str] = frozenset()
    """As in ClusterDoc."""
    region: str | None = None
    zones: tuple[str, ...] = ()
    os_image: OsImageDoc | None = None
    ssh: SshDoc = field(default_factory=SshDoc)
    ttl: int | None = None
    """Seconds."""
    machines: tuple[Machine, ...] = ()
    """`spec.hosts` entries with an address (bare metal), in their order; then `pools` is empty."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Where the cloud's services are, by the provider's words for them."""


@dataclass(frozen=True, slots=True)
class Clusterfile:
    """All documents of all files given, merged; later files win field by field."""

    cluster: ClusterDoc | None = None
    infra: InfraDoc | None = None
    files: tuple[str, ...] = field(default=(), compare=False)
    """The files, where they say where machines are: hints name them again."""


@dataclass(frozen=True, slots=True)
class UpRequest:
    """Flags over files over the stored intent over defaults; complete but for the image's digest.

    `env` values may be references (`${env:NAME}`, `${file:path}`); those are secrets and stay unresolved here.
    `cmd` None means the image's own.
    """

    cluster: ClusterName
    image: str
    provider: str
    provider_named: bool
    pools: tuple[Pool, ...]
    env: Mapping[str, str]
    cmd: tuple[str, ...] | None
    data_root: str
    network: Mapping[str, object]
    tags: Mapping[str, str]
    protect: bool
    replace: bool
    annotations: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    zones: tuple[str, ...] = ()
    os_image: AcceptedOsImage | None = None
    ssh: AcceptedSsh | None = None
    ttl: int | None = None
    """Seconds from the first create; None: no deadline."""
    new_life: bool = False
    """Its time counts from now: the old one is over, or too near for machines that have to be made."""
    machines: tuple[AcceptedMachine, ...] = ()
    """Bare metal: one per host; each has a pool of its own name in `pools`, with its roles and env."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a person should read before saying yes, and what stops nothing."""
