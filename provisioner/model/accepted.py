"""The accepted request: what stands, as canonical JSON, in the stack's first resource (`sealer:index:Intent`).

A format: fields are only ever added, with defaults; `schemaVersion` grows when a reader of the old one would err.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from provisioner.errors import PreconditionError
from provisioner.model.hosts import WantedHost
from provisioner.model.ids import HostName

ACCEPTED_VERSION = 1
_LATER = ("region", "zones", "osImage", "ssh", "ttl", "machines", "placement", "endpoints")
_LATER_IN_POOLS = ("instanceTypes", "spot", "labels", "taints")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class AcceptedImage(_Model):
    """The image as asked for, and the digest it was pinned to."""

    reference: str
    repository: str
    digest: str


class AcceptedHost(_Model):
    """A host by name, for ever; see WantedHost."""

    name: str
    pool: str
    roles: tuple[str, ...]
    slot: int


class AcceptedSpot(_Model):
    """Spot machines: at most this price per host and hour (None: the on-demand price); then `fallback`."""

    max_price: float | None = None
    currency: str | None = None
    fallback: str | None = None
    """`on-demand`, or None: no spot capacity is an error (13)."""


class AcceptedJump(_Model):
    """One host to connect through."""

    host: str
    port: int = 22
    user: str = "root"
    private_key_file: str | None = None
    host_keys: tuple[str, ...] = ()


class AcceptedSsh(_Model):
    """How machines that we did not make, or their pool, are logged in to. Files are absolute paths, read at each run."""

    host: str | None = None
    port: int = 22
    user: str = "root"
    private_key_file: str | None = None
    jump: AcceptedJump | None = None


class AcceptedMachine(_Model):
    """A machine that exists (bare metal): the host's name, what the cluster calls it by, how we reach it, its keys.

    `host_keys` are fingerprints (`SHA256:…`) or public keys; `known_hosts_file` an absolute path; one of them is there.
    """

    name: str
    address: str
    ssh: AcceptedSsh
    host_keys: tuple[str, ...] = ()
    known_hosts_file: str | None = None


class AcceptedOsImage(_Model):
    """The operating system of machines that we make: a catalogue name like `debian-12`, or the provider's own id."""

    name: str | None = None
    arch: str | None = None
    id: str | None = None


class AcceptedPool(_Model):
    """A pool; cpu in vCPU, memory and disks in GiB. `instance_types` in order of preference; empty: by cpu and memory."""

    name: str
    roles: tuple[str, ...]
    count: int
    cpu: int | None = None
    memory: int | None = None
    system_disk: int | None = None
    data_disks: tuple[int, ...] = ()
    env: Mapping[str, str] = Field(default_factory=dict)
    instance_types: tuple[str, ...] = ()
    spot: AcceptedSpot | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    taints: tuple[str, ...] = ()


class Accepted(_Model):
    """The whole accepted request. `env` values that are references are secrets, resolved by each command anew."""

    schema_version: int = ACCEPTED_VERSION
    cluster: str
    provider: str
    image: AcceptedImage
    pools: tuple[AcceptedPool, ...]
    hosts: tuple[AcceptedHost, ...]
    env: Mapping[str, str] = Field(default_factory=dict)
    cmd: tuple[str, ...] | None = None
    data_root: str
    network: Mapping[str, object] = Field(default_factory=dict)
    tags: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    protect: bool = False
    expires_at: str | None = None
    """RFC 3339, UTC, whole seconds: fixed at the first create, changed by `ttl` alone."""
    excluded: tuple[str, ...] = ()
    region: str | None = None
    zones: tuple[str, ...] = ()
    """Order of preference and fail-over; empty: the driver chooses by stock."""
    os_image: AcceptedOsImage | None = None
    ssh: AcceptedSsh | None = None
    """User and port of machines that we make (`privateKeyFile` None: a key is made for this cluster)."""
    ttl: int | None = None
    """Seconds that were asked for; what stands in the plan's hash instead of the deadline."""
    machines: tuple[AcceptedMachine, ...] = ()
    """Bare metal: one per host, by the host's name."""
    placement: Mapping[str, object] = Field(default_factory=dict)
    """What the driver chose before anything was made (zones, types, images, disks), in its own words: it keeps to it."""
    endpoints: Mapping[str, str] = Field(default_factory=dict)
    """Where the cloud's services are, by the provider's words for them; empty: at the usual place."""

    @property
    def wanted(self) -> tuple[WantedHost, ...]:
        """The hosts as stage 2 knows them, masters first, then in the order of their slots."""
        return tuple(WantedHost(HostName(h.name), h.pool, h.roles, h.slot) for h in self.hosts)

    def to_json(self) -> dict[str, object]:
        """The JSON object for the resource's input.

        Fields that came later stand in it only where they say something: else the intent of every cluster that an older version made would show as changed.
        """
        raw = self.model_dump(mode="json", by_alias=True)
        for pool in raw["pools"]:
            _drop_unsaid(pool, _LATER_IN_POOLS)
        return _drop_unsaid(raw, _LATER)


def _drop_unsaid(raw: dict[str, object], keys: tuple[str, ...]) -> dict[str, object]:
    for key in keys:
        if not raw[key]:
            del raw[key]
    return raw


def parse_accepted(raw: object) -> Accepted:
    """Read a stored request. Raises PreconditionError (12) for a newer or broken one."""
    version = raw.get("schemaVersion") if isinstance(raw, Mapping) else None
    if isinstance(version, (int, float)) and version > ACCEPTED_VERSION:
        raise PreconditionError(
            f"this cluster was accepted by a newer sealer-cloud (schemaVersion {version:g})",
            hint="use the newer version; nothing was changed",
        )
    try:
        return Accepted.model_validate(raw)
    except ValidationError as error:
        raise PreconditionError(f"the stored intent cannot be read: {error.errors()[0]['msg']}") from error
