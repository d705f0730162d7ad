"""What the aws driver makes of an accepted request, and what it cannot serve. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from drivers.aws.catalogue import query_of
from drivers.aws.placement import Placed, Placement, parse_placement
from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedPool
from provisioner.model.grammar import check_cidr
from provisioner.model.hosts import WantedHost

SYSTEM_DISK = 40
LARGEST_DISK = 16384
SMALLEST_DISK = 8
PUBLIC = ("all", "first", "none")
DEFAULT_PUBLIC = "first"
NETWORK_KEYS = frozenset({"cidr", "vpc", "subnets", "shared", "public", "ingress"})
ANYWHERE = "0.0.0.0/0"
SSH = 22


@dataclass(frozen=True, slots=True)
class Ingress:
    """Who may reach a port of the hosts from outside."""

    port: int
    cidr: str


@dataclass(frozen=True, slots=True)
class AwsHost:
    """One machine: who it is, what it is made as; disks in GiB."""

    wanted: WantedHost
    placed: Placed
    system_disk: int
    data_disks: tuple[int, ...]
    public: bool


@dataclass(frozen=True, slots=True)
class AwsSpec:
    """A cluster on AWS, in the order of the request. `expires_at` None: no deadline."""

    placement: Placement
    hosts: tuple[AwsHost, ...]
    user: str
    port: int
    ingress: tuple[Ingress, ...]
    jump: bool
    """True where only the first host has a public address."""
    tags: Mapping[str, str]
    expires_at: str | None

    @property
    def own_network(self) -> bool:
        """True where the network is made and removed with the cluster."""
        return self.placement.vpc is None


def check_request(accepted: Accepted) -> None:
    """Raises UsageError naming what AWS cannot serve; before anything is looked up."""
    for key, value in accepted.network.items():
        if value and key not in NETWORK_KEYS:
            raise UsageError(f"provider aws knows no network.{key}", hint=f"use {', '.join(sorted(NETWORK_KEYS))}")
    for pool in accepted.pools:
        _check_pool(pool)
    image = accepted.os_image
    if not (image and image.id):
        query_of(image.name if image else None, image.arch if image else None)
    _check_network(accepted.network)
    ingress_of(accepted)
    if accepted.ssh and accepted.ssh.private_key_file:
        raise UsageError("provider aws cannot serve ssh.privateKeyFile: a key is made for each cluster")


def parse_aws(accepted: Accepted) -> AwsSpec:
    """The spec of a request whose machines were chosen. Raises UsageError naming the key that cannot be served."""
    check_request(accepted)
    placement = parse_placement(accepted.placement)
    missing = [h.name for h in accepted.hosts if placement is None or h.name not in placement.hosts]
    if placement is None or missing:
        raise UsageError(f"no machine was chosen for {', '.join(missing) or 'this cluster'}")
    public = str(accepted.network.get("public") or DEFAULT_PUBLIC)
    pools = {pool.name: pool for pool in accepted.pools}
    hosts = tuple(
        _host(wanted, pools[wanted.pool], placement, public=public == "all" or (public == "first" and index == 0))
        for index, wanted in enumerate(accepted.wanted)
    )
    return AwsSpec(
        placement=placement,
        hosts=hosts,
        user=accepted.ssh.user if accepted.ssh else "root",
        port=accepted.ssh.port if accepted.ssh else SSH,
        ingress=ingress_of(accepted),
        jump=public == "first",
        tags=accepted.tags,
        expires_at=accepted.expires_at,
    )


def ingress_of(accepted: Accepted) -> tuple[Ingress, ...]:
    """The open ports, SSH among them. Raises UsageError for what cannot be read."""
    rules = accepted.network.get("ingress") or ()
    if not isinstance(rules, (list, tuple)):
        raise UsageError("network.ingress must be a list")
    found = [_rule(rule) for rule in rules]
    port = accepted.ssh.port if accepted.ssh else SSH
    if not any(rule.port == port for rule in found):
        found.insert(0, Ingress(port, ANYWHERE))  # without it nobody could lay anything; only keys are let in
    return tuple(dict.fromkeys(found))


def _rule(raw: object) -> Ingress:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("port"), int):
        raise UsageError(f"network.ingress: {raw!r} needs a port", hint="write {port: 6443, from: 203.0.113.0/24}")
    source = str(raw.get("from") or ANYWHERE)
    if source == "any":
        source = ANYWHERE
    if source == "operator":
        raise UsageError(
            "network.ingress: `from: operator` is not built yet for aws", hint="write your address, like 203.0.113.7/32"
        )
    try:
        return Ingress(int(raw["port"]), str(IPv4Network(source)))
    except ValueError as error:
        raise UsageError(f"network.ingress: {source!r} is no IPv4 network ({error})") from error


def _check_pool(pool: AcceptedPool) -> None:
    for size in (pool.system_disk, *pool.data_disks):
        if size is not None and not SMALLEST_DISK <= size <= LARGEST_DISK:
            raise UsageError(f"a disk of pool {pool.name} must be {SMALLEST_DISK} to {LARGEST_DISK} GiB, not {size}")
    if len(pool.data_disks) > len(DEVICES):
        raise UsageError(f"pool {pool.name} has more than {len(DEVICES)} data disks")
    if pool.spot and (pool.spot.currency or "USD") != "USD":
        raise UsageError(f"pool {pool.name}: aws takes a spot price in USD, not {pool.spot.currency}")


def _check_network(network: Mapping[str, object]) -> None:
    public = network.get("public") or DEFAULT_PUBLIC
    existing = bool(network.get("vpc") or network.get("subnets") or network.get("shared"))
    if public not in PUBLIC:
        raise UsageError(f"network.public {public!r} must be {', '.join(PUBLIC)}")
    if public == "none" and not existing:
        raise UsageError(
            "network.public none needs an existing network: nothing of ours could be reached",
            hint="name network.vpc and subnets that you are connected to, or use public: first",
        )
    if network.get("vpc") and network.get("shared"):
        raise UsageError("network.vpc and network.shared exclude each other")
    cidr = network.get("cidr")
    if cidr and existing:
        raise UsageError("network.cidr is for a network of our own: leave it out, or network.vpc and its subnets")
    if cidr and (wrong := check_cidr(str(cidr))):
        raise UsageError(f"network.cidr {cidr} {wrong}")


def _host(wanted: WantedHost, pool: AcceptedPool, placement: Placement, *, public: bool) -> AwsHost:
    return AwsHost(
        wanted=wanted,
        placed=placement.hosts[wanted.name],
        system_disk=pool.system_disk or SYSTEM_DISK,
        data_disks=pool.data_disks,
        public=public,
    )


DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
"""What EC2 recommends for EBS data volumes of HVM machines."""
