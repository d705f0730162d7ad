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


class AcceptedPool(_Model):
    """A pool; cpu in vCPU, memory and disks in GiB."""

    name: str
    roles: tuple[str, ...]
    count: int
    cpu: int | None = None
    memory: int | None = None
    system_disk: int | None = None
    data_disks: tuple[int, ...] = ()
    env: Mapping[str, str] = Field(default_factory=dict)


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
    excluded: tuple[str, ...] = ()

    @property
    def wanted(self) -> tuple[WantedHost, ...]:
        """The hosts as stage 2 knows them, masters first, then in the order of their slots."""
        return tuple(WantedHost(HostName(h.name), h.pool, h.roles, h.slot) for h in self.hosts)

    def to_json(self) -> dict[str, object]:
        """The JSON object for the resource's input."""
        return self.model_dump(mode="json", by_alias=True)


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
