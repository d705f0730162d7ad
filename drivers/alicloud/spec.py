"""What the alicloud driver makes of an accepted request and of what was chosen for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, ip_network
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from drivers.alicloud.choose import SYSTEM_DISK
from provisioner.errors import PreconditionError, UsageError
from provisioner.model.accepted import Accepted, AcceptedPool
from provisioner.model.deadline import LATE, soonest_of
from provisioner.model.ingress import Opening, openings_of, origin_of

DEFAULT_CIDR = "10.0.0.0/16"
MIN_TTL = timedelta(seconds=soonest_of("alicloud"))
"""The service releases no machine sooner than this after the call."""
RELEASE_GRACE = timedelta(seconds=LATE)
"""How much later than the deadline the service is told to release."""
BANDWIDTH = 100
"""Mbit/s that a public address may send at most; paid by what is sent."""
MOST_USER_TAGS = 12
"""A resource takes 20, and ours are up to 8."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Model):
    """What the request says of the network; `vpc`, `subnets`, `shared` by id or name."""

    cidr: str | None = None
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    shared: str | None = None
    public: Literal["all", "first", "none"] = "first"
    ingress: tuple[Mapping[str, Any], ...] = ()

    @field_validator("ingress", "subnets", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return () if value is None else value

    @property
    def exists(self) -> bool:
        """True where the network is somebody else's: used, never changed or deleted."""
        return bool(self.vpc or self.subnets or self.shared)


class Subnet(_Model):
    """A vSwitch: one that stands (`id`), or one to make."""

    zone: str
    id: str | None = None
    cidr: str | None = None


class Machine(_Model):
    """One host as it will be bought; disks in GiB."""

    name: str
    pool: str
    roles: tuple[str, ...]
    zone: str
    machine_type: str
    system_disk: tuple[str, int]
    data_disks: tuple[tuple[str, int], ...] = ()
    spot: bool = False
    price_limit: float | None = None
    public: bool = False

    @property
    def spot_strategy(self) -> str:
        """ECS's word; without a limit never above the on-demand price."""
        if not self.spot:
            return "NoSpot"
        return "SpotAsPriceGo" if self.price_limit is None else "SpotWithPriceLimit"


class AlicloudSpec(_Model):
    """A whole cluster of this provider."""

    cluster: str
    region: str
    vpc_id: str | None
    cidr: str
    subnets: tuple[Subnet, ...]
    ingress: tuple[Opening, ...]
    machines: tuple[Machine, ...]
    image_id: str
    user: str
    port: int
    tags: Mapping[str, str]
    expires_at: str | None
    account: str | None = None
    operator: str | None = None
    """The operator's network in the program: the one that the cluster was made from, wherever he is now."""


def parse_network(accepted: Accepted) -> Network:
    """The request's network. Raises UsageError naming the key that cannot be served."""
    try:
        network = Network.model_validate({k: v for k, v in accepted.network.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("network", *(str(part) for part in first["loc"])))
        raise UsageError(f"{key}: {first['msg']}", hint="see docs/alicloud.md for the keys of a network") from error
    if network.cidr is not None:
        _cidr(network.cidr, "network.cidr")
    if network.vpc and network.shared:
        raise UsageError("network.vpc and network.shared name two networks", hint="keep one of them")
    if network.public == "none" and not network.exists:
        raise UsageError(
            "network.public: none needs a network that stands: nobody could reach hosts in a new one",
            hint="name network.vpc, network.subnets or network.shared, or write public: first",
        )
    return network


def _cidr(text: str, key: str) -> IPv4Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise UsageError(f"{key}: {text!r} is no network", hint="write it like 10.0.0.0/16") from error
    if not isinstance(network, IPv4Network):
        raise UsageError(f"{key}: {text!r} is no IPv4 network", hint="write it like 10.0.0.0/16")
    return network


def check_request(accepted: Accepted) -> Network:
    """What needs no look at the account: the sizes, deadline, network, tags. Raises UsageError (3) naming the key."""
    network = parse_network(accepted)
    openings_of(accepted)
    if accepted.ttl is not None and timedelta(seconds=accepted.ttl) < MIN_TTL:
        raise UsageError(
            "ttl: alicloud releases machines after 30 minutes at the earliest", hint="write ttl: 30m or more"
        )
    if accepted.machines:
        raise UsageError("provider alicloud makes its machines", hint="hosts with addresses are for provider baremetal")
    if len(accepted.tags) > MOST_USER_TAGS:
        raise UsageError(
            f"tags: {len(accepted.tags)} are too many, {MOST_USER_TAGS} at most",
            hint="leave some out: ours need the rest",
        )
    for key in accepted.tags:
        if key.startswith(("acs:", "aliyun", "sealer-cloud:")) or not key:
            raise UsageError(
                f"tags: {key!r} is a name that is kept for others",
                hint="do not begin it with acs:, aliyun or sealer-cloud:",
            )
    if accepted.ssh is not None and accepted.ssh.private_key_file:
        raise UsageError(
            "ssh.privateKeyFile is for machines that exist", hint="leave it out: a key is made for this cluster"
        )
    return network


def auto_release(expires_at: str) -> str:
    """The deadline as the service takes it: whole minutes, never before the deadline itself, 5 to 7 minutes after.

    Never a minute that ends in 0: the plugin compares times without their last noughts (`T10:00:00Z` as `T1`), and so
    would not see that 10:00 was moved to 12:00.
    """
    at = datetime.fromisoformat(expires_at).astimezone(UTC) + RELEASE_GRACE
    up = at if not at.second else at + timedelta(seconds=60 - at.second)
    up += timedelta(minutes=0 if up.minute % 10 else 1)
    return f"{up:%Y-%m-%dT%H:%M}:00Z"


def parse_spec(accepted: Accepted, operator: str | None) -> AlicloudSpec:
    """The spec of a request whose placement was chosen; `operator` for a placement that an older version made.

    Raises UsageError; PreconditionError (12) without a placement.
    """
    network = check_request(accepted)
    placement = accepted.placement
    chosen: Any = placement.get("hosts")
    if not isinstance(chosen, Mapping) or any(h.name not in chosen for h in accepted.hosts):
        raise PreconditionError("no machines were chosen for this request yet", hint="run `sealer-cloud up` again")
    pools = {pool.name: pool for pool in accepted.pools}
    made: Any = placement.get("network") or {}
    ssh, origin = accepted.ssh, origin_of(placement)
    return AlicloudSpec(
        cluster=accepted.cluster,
        region=str(placement["region"]),
        vpc_id=made.get("vpcId"),
        cidr=str(made.get("cidr") or network.cidr or DEFAULT_CIDR),
        subnets=tuple(Subnet(zone=zone, **entry) for zone, entry in (made.get("subnets") or {}).items()),
        ingress=openings_of(accepted),
        machines=tuple(
            _machine(
                h.name,
                h.roles,
                pools[h.pool],
                chosen[h.name],
                public=network.public == "all" or (network.public == "first" and not index),
            )
            for index, h in enumerate(accepted.hosts)
        ),
        image_id=str(placement["imageId"]),
        user=ssh.user if ssh else str(placement.get("imageUser") or "root"),
        port=ssh.port if ssh else 22,
        tags=dict(accepted.tags),
        expires_at=accepted.expires_at,
        account=str(placement["account"]) if placement.get("account") else None,
        operator=origin.address if origin else operator,
    )


def _machine(
    name: str, roles: tuple[str, ...], pool: AcceptedPool, chosen: Mapping[str, Any], *, public: bool
) -> Machine:
    limit = chosen.get("priceLimit")
    return Machine(
        name=name,
        pool=pool.name,
        roles=roles,
        zone=str(chosen["zone"]),
        machine_type=str(chosen["type"]),
        system_disk=(str(chosen["systemDisk"]), pool.system_disk or SYSTEM_DISK),
        data_disks=tuple((str(chosen.get("dataDisk") or chosen["systemDisk"]), size) for size in pool.data_disks),
        spot=bool(chosen.get("spot")),
        price_limit=float(limit) if limit is not None else None,
        public=public,
    )
