"""Networks that clusters share, by their tag alone: found, planned, removed. No state; any runner sees the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.aws import look
from drivers.aws.api import Api, filters, tags_in
from drivers.aws.facts import zones_of
from drivers.aws.look import GONE, MACHINE, Found
from drivers.aws.regions import demand_region
from drivers.aws.sweep import REST_SECONDS, Waiting
from drivers.aws.sweep import remove as remove_things
from drivers.aws.wayout import leads_out
from provisioner.errors import AccessError, SealerError, worst_of
from provisioner.model import tags as words
from provisioner.model.networks import (
    DEFAULT_CIDR,
    NetworkPlan,
    Networks,
    NetworkWish,
    Part,
    SharedNetwork,
    Tell,
    divide,
    the_one,
)

PROVIDER = "aws"
VPC, SUBNET, GATEWAY, ROUTES = "vpc", "subnet", "internet-gateway", "route-table"
NAMES, ATTACHED, WAY_OUT, ROUTED = "dns-hostnames", "gateway-attachment", "default-route", "route-table-association"
"""Parts without an id of their own that we keep: they go with what they belong to."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What EC2 describes of one network by its tag; `vpc` None: a rest that a cut run left."""

    name: str
    vpc: Mapping[str, Any] | None
    subnets: tuple[Mapping[str, Any], ...]
    gateways: tuple[Mapping[str, Any], ...]
    tables: tuple[Mapping[str, Any], ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """As parts, in the order in which they are made."""
        vpc = [Part(VPC, self.vpc["VpcId"], cidr=self.vpc["CidrBlock"])] if self.vpc else []
        subnets = [Part(SUBNET, s["SubnetId"], s["AvailabilityZone"], s["CidrBlock"]) for s in self.subnets]
        return (
            *vpc,
            *(Part(GATEWAY, g["InternetGatewayId"]) for g in self.gateways),
            *(Part(ROUTES, t["RouteTableId"]) for t in self.tables),
            *sorted(subnets, key=lambda part: str(part.zone)),
        )


def networks(api: Api, regions: tuple[str, ...], name: str | None) -> Networks:
    """All shared networks of these regions, or those of a name. Raises the worst where every region refuses."""
    if len(regions) == 1:
        return Networks(tuple(_in_region(api, regions[0], name)))
    found, dark = look.everywhere(regions, lambda region: _in_region(api, region, name))
    if dark and not found:
        raise worst_of(error for _, error in dark)
    return Networks(tuple(n for some in found for n in some), tuple((where, error.message) for where, error in dark))


def _in_region(api: Api, region: str, name: str | None) -> list[SharedNetwork]:
    return [_network(api, region, rows) for rows in rows_in(api, region, name)]


def rows_in(api: Api, region: str, name: str | None) -> list[Rows]:
    """The tagged rows of a region, one Rows per VPC, and one per name for what has none."""
    where = filters({f"tag:{words.SHARED}": name} if name else {"tag-key": words.SHARED})

    def listed(action: str, key: str) -> list[Mapping[str, Any]]:
        return list(api.pages("ec2", action, region, key, Filters=where))

    vpcs = listed("describe_vpcs", "Vpcs")
    gateways = sorted(listed("describe_internet_gateways", "InternetGateways"), key=lambda g: not g.get("Attachments"))
    tables = listed("describe_route_tables", "RouteTables")
    subnets = listed("describe_subnets", "Subnets") if vpcs else []
    homes = {str(v["VpcId"]): v for v in vpcs}
    found = [
        Rows(
            tags_in(vpc)[words.SHARED],
            vpc,
            tuple(s for s in subnets if s["VpcId"] == own),
            tuple(g for g in gateways if _home(g, homes) == own),
            tuple(t for t in tables if t["VpcId"] == own),
        )
        for own, vpc in homes.items()
    ]
    lost = [g for g in gateways if _home(g, homes) is None]
    names = sorted({tags_in(g)[words.SHARED] for g in lost})
    rests = [Rows(n, None, (), tuple(g for g in lost if tags_in(g)[words.SHARED] == n), ()) for n in names]
    return [*found, *rests]


def _home(gateway: Mapping[str, Any], vpcs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The VPC of a gateway: that which it is attached to, else the one of the same name, if there is just one."""
    attached = [str(a["VpcId"]) for a in gateway.get("Attachments", ())]
    same = [own for own, vpc in vpcs.items() if tags_in(vpc)[words.SHARED] == tags_in(gateway)[words.SHARED]]
    return next((a for a in attached if a in vpcs), same[0] if not attached and len(same) == 1 else None)


def _network(api: Api, region: str, rows: Rows) -> SharedNetwork:
    vpc = str(rows.vpc["VpcId"]) if rows.vpc else None
    others = _inside(api, region, vpc, rows) if vpc else []
    return SharedNetwork(
        name=rows.name,
        provider=PROVIDER,
        region=region,
        id=vpc,
        cidr=str(rows.vpc["CidrBlock"]) if rows.vpc else None,
        parts=rows.parts,
        clusters=tuple(sorted({str(thing.cid) for thing in others if thing.cid})),
        occupants=tuple(f"{t} of cluster {t.cid}" if t.cid else str(t) for t in others),
        run=tags_in(rows.vpc).get(words.RUN) if rows.vpc else None,
    )


def _inside(api: Api, region: str, vpc: str, rows: Rows) -> list[Found]:
    """What stands in the VPC and is not the network's own; a machine's interfaces are told as the machine."""
    where = filters({"vpc-id": vpc})
    batches = api.pages("ec2", "describe_instances", region, "Reservations", Filters=where)
    machines = [m for b in batches for m in b.get("Instances", ()) if m["State"]["Name"] not in GONE]
    cards = api.pages("ec2", "describe_network_interfaces", region, "NetworkInterfaces", Filters=where)
    groups = api.pages("ec2", "describe_security_groups", region, "SecurityGroups", Filters=where)
    subnets = api.pages("ec2", "describe_subnets", region, "Subnets", Filters=where)
    own = {part.id for part in rows.parts}
    there = [
        *(_found(region, MACHINE, m["InstanceId"], m.get("Tags")) for m in machines),
        *(_found(region, "network-interface", c["NetworkInterfaceId"], c.get("TagSet")) for c in _loose(cards)),
        *(_found(region, "security-group", g["GroupId"], g.get("Tags")) for g in groups if g["GroupName"] != "default"),
        *(_found(region, SUBNET, s["SubnetId"], s.get("Tags")) for s in subnets),
    ]
    return [thing for thing in there if thing.id not in own]


def _loose(cards: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [card for card in cards if not (card.get("Attachment") or {}).get("InstanceId")]


def _found(region: str, kind: str, own: str, tags: Iterable[Mapping[str, str]] | None) -> Found:
    return Found(region, kind, own, {tag["Key"]: tag["Value"] for tag in tags or ()})


def plan(api: Api, wish: NetworkWish) -> NetworkPlan:
    """What is missing, in the order in which it can be made. Raises UsageError."""
    demand_region(api, wish.region)
    rows = rows_in(api, wish.region, wish.name)
    standing = the_one([_network(api, wish.region, r) for r in rows], wish)
    zones = zones_of(api, wish.region, wish.zones)
    vpc = standing.id if standing else None
    cidr = standing.cidr if standing and standing.cidr else wish.cidr or DEFAULT_CIDR
    lacking = [zone for zone in zones if not standing or zone not in standing.zones]
    ranges = divide(cidr, lacking, _taken(api, wish.region, vpc) if vpc and lacking else ())
    one = rows[0] if rows else Rows(wish.name, None, (), (), ())
    parts = (
        *(() if vpc else (Part(VPC, cidr=cidr),)),
        *(() if vpc and _has_names(api, wish.region, vpc) else (Part(NAMES),)),
        *_way_out(one),
        *_subnets(one, ranges),
    )
    return NetworkPlan(wish.name, wish.region, cidr, vpc, parts)


def _taken(api: Api, region: str, vpc: str) -> list[str]:
    found = api.pages("ec2", "describe_subnets", region, "Subnets", Filters=filters({"vpc-id": vpc}))
    return [str(subnet["CidrBlock"]) for subnet in found]


def _has_names(api: Api, region: str, vpc: str) -> bool:
    answer = api.call("ec2", "describe_vpc_attribute", region, VpcId=vpc, Attribute="enableDnsHostnames")
    return bool((answer.get("EnableDnsHostnames") or {}).get("Value"))


def _way_out(rows: Rows) -> tuple[Part, ...]:
    """Gateway, its attachment, the route table and the route to the gateway."""
    attached = any(g.get("Attachments") for g in rows.gateways)
    has = {GATEWAY: bool(rows.gateways), ATTACHED: attached, ROUTES: bool(rows.tables), WAY_OUT: leads_out(rows.tables)}
    return tuple(Part(kind) for kind, there in has.items() if not there)


def _subnets(rows: Rows, ranges: Mapping[str, str]) -> list[Part]:
    """Each subnet that is missing with its association, and the associations that standing ones lack."""
    used = {str(a.get("SubnetId")) for t in rows.tables for a in t.get("Associations", ())}
    made = [Part(kind, zone=zone, cidr=cidr) for zone, cidr in ranges.items() for kind in (SUBNET, ROUTED)]
    bare = [s for s in rows.subnets if s["SubnetId"] not in used]
    return [*(Part(ROUTED, s["SubnetId"], s["AvailabilityZone"]) for s in bare), *made]


def remove(api: Api, network: SharedNetwork, waiting: Waiting, tell: Tell) -> tuple[str, ...]:
    """Remove the parts in the order of dependency. A key that may not raises AccessError (5)."""
    refused: list[SealerError] = []
    for part in sorted((p for p in network.parts if p.id), key=lambda p: look.rank(p.kind)):
        tell(str(part))
        thing = Found(network.region, part.kind, str(part.id), {})
        refused += remove_things(api, [thing], waiting, rest_seconds=0.0 if refused else REST_SECONDS)
    denied = next((error for error in refused if isinstance(error, AccessError)), None)
    if denied:
        raise denied
    return tuple(error.message for error in refused)
