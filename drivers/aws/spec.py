"""What the aws driver makes of an accepted request, and what it cannot serve. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.aws.catalogue import query_of
from drivers.aws.placement import Placed, Placement, parse_placement
from provisioner.errors import PreconditionError, UsageError
from provisioner.model.accepted import Accepted, AcceptedPool
from provisioner.model.grammar import check_cidr
from provisioner.model.hosts import WantedHost
from provisioner.model.ingress import SSH, Opening, openings_of, origin_of

SYSTEM_DISK = 40
LARGEST_DISK = 16384
SMALLEST_DISK = 8
PUBLIC = ("all", "first", "none")
DEFAULT_PUBLIC = "first"
NETWORK_KEYS = frozenset({"cidr", "vpc", "subnets", "shared", "public", "ingress"})


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
    ingress: tuple[Opening, ...]
    operator: str | None
    """The operator's network in the program: the one that the cluster was made from, wherever he is now."""
    jump: bool
    """True where only the first host has a public address."""
    tags: Mapping[str, str]
    expires_at: str | None


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
    openings_of(accepted)
    if accepted.ssh and accepted.ssh.private_key_file:
        raise UsageError(
            "provider aws cannot serve ssh.privateKeyFile: a key is made for each cluster",
            hint="leave it out: it is for machines that exist",
        )


def parse_aws(accepted: Accepted, operator: str | None = None) -> AwsSpec:
    """The spec of a request whose machines were chosen; `operator` for a placement that has none.

    Raises UsageError naming the key that cannot be served; PreconditionError (12) without a placement.
    """
    check_request(accepted)
    placement = parse_placement(accepted.placement)
    missing = [h.name for h in accepted.hosts if placement is None or h.name not in placement.hosts]
    if placement is None or missing:
        what = f"no machine was chosen for {', '.join(missing) or 'this cluster'} yet"
        raise PreconditionError(what, hint="run `sealer-cloud up` again")
    public, origin = str(accepted.network.get("public") or DEFAULT_PUBLIC), origin_of(accepted.placement)
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
        ingress=openings_of(accepted),
        operator=origin.address if origin else operator,
        jump=public == "first",
        tags=accepted.tags,
        expires_at=accepted.expires_at,
    )


def _check_pool(pool: AcceptedPool) -> None:
    for size in (pool.system_disk, *pool.data_disks):
        if size is not None and not SMALLEST_DISK <= size <= LARGEST_DISK:
            raise UsageError(
                f"a disk of pool {pool.name} must be {SMALLEST_DISK} to {LARGEST_DISK} GiB, not {size}",
                hint="change systemDisk or dataDisks of the pool",
            )
    if len(pool.data_disks) > len(DEVICES):
        raise UsageError(
            f"pool {pool.name} has more than {len(DEVICES)} data disks", hint="name fewer and larger ones in dataDisks"
        )
    if pool.spot and (pool.spot.currency or "USD") != "USD":
        raise UsageError(
            f"pool {pool.name}: aws takes a spot price in USD, not {pool.spot.currency}",
            hint="write spot.maxPrice with currency: USD",
        )


def _check_network(network: Mapping[str, object]) -> None:
    public = network.get("public") or DEFAULT_PUBLIC
    existing = bool(network.get("vpc") or network.get("subnets") or network.get("shared"))
    if public not in PUBLIC:
        raise UsageError(
            f"network.public {public!r} must be {', '.join(PUBLIC)}", hint=f"leave it out for {DEFAULT_PUBLIC}"
        )
    if public == "none" and not existing:
        raise UsageError(
            "network.public none needs an existing network: nothing of ours could be reached",
            hint="name network.vpc and subnets that you are connected to, or use public: first",
        )
    if network.get("vpc") and network.get("shared"):
        raise UsageError("network.vpc and network.shared exclude each other", hint="keep one of them")
    cidr = network.get("cidr")
    if cidr and (wrong := check_cidr(str(cidr))):
        raise UsageError(f"network.cidr {cidr} {wrong}", hint="write one like 10.0.0.0/16")


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
