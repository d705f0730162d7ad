"""Which network a cluster lives in: one of its own, or one that stands and is only used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.spec import DEFAULT_CIDR, Network
from drivers.alicloud.wire import tags_in
from provisioner.errors import PreconditionError, UsageError
from provisioner.model.tags import SHARED

SUBNET_PREFIX = 24
SMALLEST_SUBNET = 29
"""What a vSwitch may be at the least."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A network that stands: its VPC, the vSwitches that may be used (zone → id), every range that is taken in it."""

    vpc_id: str
    cidr: str
    subnets: Mapping[str, str]
    taken: tuple[str, ...]
    only: bool
    """True where the request names the vSwitches: then no other zone will do."""
    notes: tuple[str, ...] = ()


def list_vpcs(api: Api, region: str, **params: object) -> list[dict[str, Any]]:
    """All VPCs that answer to these filters."""
    return list(api.pages("vpc", "DescribeVpcs", region, ("Vpcs", "Vpc"), params))


def list_subnets(api: Api, region: str, **params: object) -> list[dict[str, Any]]:
    """All vSwitches that answer to these filters."""
    return list(api.pages("vpc", "DescribeVSwitches", region, ("VSwitches", "VSwitch"), params))


def look_up(api: Api, region: str, asked: Network) -> Standing | None:
    """The standing network that the request means, or None for one of its own.

    Raises UsageError where nothing has that id or name, or several things have that name.
    """
    if not asked.exists:
        return None
    vpc = _vpc(api, region, asked) if asked.vpc or asked.shared else None
    rows = list_subnets(api, region, **({"VpcId": vpc["VpcId"]} if vpc else {}))
    named = [_one(rows, name, ("VSwitchId", "VSwitchName"), f"network.subnets: {name!r}") for name in asked.subnets]
    vpcs = {str(row["VpcId"]) for row in named} | ({str(vpc["VpcId"])} if vpc else set())
    if len(vpcs) > 1:
        raise UsageError(
            f"network.subnets: they belong to several networks ({', '.join(sorted(vpcs))})",
            hint="name subnets of one network alone",
        )
    found = vpc or _one(list_vpcs(api, region, VpcId=vpcs.copy().pop()), vpcs.pop(), ("VpcId",), "network.subnets")
    inside = [row for row in rows if row["VpcId"] == found["VpcId"]]
    usable = named or [row for row in inside if asked.shared and tags_in(row).get(SHARED) == asked.shared]
    return Standing(
        vpc_id=str(found["VpcId"]),
        cidr=str(found["CidrBlock"]),
        subnets={str(row["ZoneId"]): str(row["VSwitchId"]) for row in usable},
        taken=tuple(str(row["CidrBlock"]) for row in inside),
        only=bool(named),
        notes=_differences(asked, found),
    )


def _vpc(api: Api, region: str, asked: Network) -> dict[str, Any]:
    if asked.shared:
        tag = [{"Key": SHARED, "Value": asked.shared}]
        rows = [v for v in list_vpcs(api, region, Tag=tag) if tags_in(v).get(SHARED) == asked.shared]
        return _one(
            rows,
            str(rows[0]["VpcId"]) if len(rows) == 1 else asked.shared,
            ("VpcId",),
            f"network.shared: {asked.shared!r}",
        )
    name = str(asked.vpc)
    rows = list_vpcs(api, region, **({"VpcId": name} if name.startswith("vpc-") else {"VpcName": name}))
    return _one(rows, name, ("VpcId", "VpcName"), f"network.vpc: {name!r}")


def _one(rows: Iterable[dict[str, Any]], name: str, keys: tuple[str, ...], what: str) -> dict[str, Any]:
    found = [row for row in rows if name in {row.get(key) for key in keys}]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"{what} is not in this region", hint="write its id, and the region that it is in")
    raise UsageError(f"{what} is the name of {len(found)} of them", hint="write the id of the one that is meant")


def _differences(asked: Network, found: Mapping[str, Any]) -> tuple[str, ...]:
    if asked.cidr is None or asked.cidr == found["CidrBlock"]:
        return ()
    return (f"network.cidr says {asked.cidr}, but {found['VpcId']} has {found['CidrBlock']}: it is used as it is",)


def lay_out(
    asked: Network, standing: Standing | None, before: Mapping[str, Any], zones: Iterable[str]
) -> dict[str, Any]:
    """The network part of the placement for these zones. What was laid out `before` stays as it is.

    Raises PreconditionError (12) when there is no free range left.
    """
    cidr = str(before.get("cidr") or (standing.cidr if standing else asked.cidr or DEFAULT_CIDR))
    subnets: dict[str, dict[str, str]] = {zone: dict(entry) for zone, entry in (before.get("subnets") or {}).items()}
    taken = [*(standing.taken if standing else ()), *(e["cidr"] for e in subnets.values() if "cidr" in e)]
    for zone in zones:
        if zone in subnets:
            continue
        if standing and zone in standing.subnets:
            subnets[zone] = {"id": standing.subnets[zone]}
            continue
        subnets[zone] = {"cidr": free_range(cidr, taken)}
        taken.append(subnets[zone]["cidr"])
    vpc = before.get("vpcId") or (standing.vpc_id if standing else None)
    return {**({"vpcId": vpc} if vpc else {}), "cidr": cidr, "subnets": subnets}


def free_range(cidr: str, taken: Iterable[str]) -> str:
    """The first free range for a vSwitch in a network. Raises PreconditionError when all is taken."""
    network = IPv4Network(cidr)
    prefix = SUBNET_PREFIX if network.prefixlen < SUBNET_PREFIX else min(network.prefixlen + 2, SMALLEST_SUBNET)
    used = [ip_network(text) for text in taken]
    for candidate in network.subnets(new_prefix=max(prefix, network.prefixlen)):
        if not any(candidate.overlaps(other) for other in used if isinstance(other, IPv4Network)):
            return str(candidate)
    raise PreconditionError(
        f"the network {cidr} has no free range for another vSwitch",
        hint="name network.subnets, or use a larger network.cidr",
    )
