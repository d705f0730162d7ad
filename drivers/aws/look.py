"""Finding what is ours by tag, in every region that the account uses. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from drivers.aws.api import FILTER_VALUES, Api, filters, tags_in
from provisioner.errors import SealerError
from provisioner.model import tags as words
from provisioner.model.driver import FoundCluster, FoundResource
from provisioner.model.ids import ClusterId, ClusterName, name_of

OURS = (
    words.CID,
    words.CLUSTER,
    words.RUN,
    words.HOST,
    words.EXPIRES_AT,
    words.CI_RUN,
    words.REPO,
    words.SHARED,
)
MACHINE = "instance"
CARD = "network-interface"
GONE = ("terminated",)
PARALLEL = 16
_T = TypeVar("_T")

ORDER = (
    MACHINE,
    "spot-instances-request",
    "volume",
    CARD,
    "security-group-rule",
    "security-group",
    "route-table",
    "internet-gateway",
    "subnet",
    "vpc",
)
"""In which order things can be removed: what is used after what uses it. Others are told, and stay."""
COSTLY = frozenset({MACHINE, "volume"})
"""What is paid for and may hold data: never removed without a word."""
NETWORK = frozenset({"route-table", "internet-gateway", "subnet", "vpc"})
"""What a machine in it still uses."""


Sold = tuple[str, str, str, bool]
"""A machine as its price sees it: region, zone, type, whether it is a spot machine."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing with a tag of ours."""

    region: str
    kind: str
    id: str
    tags: Mapping[str, str]
    created: str | None = None
    state: str = ""
    sold_as: Sold | None = None
    """What its price depends on; None for what is no machine."""

    def __str__(self) -> str:
        """`instance i-0a in eu-central-1 (m1)`."""
        host = self.tags.get(words.HOST)
        return f"{self.kind} {self.id} in {self.region}" + (f" ({host})" if host else "")

    @property
    def cid(self) -> ClusterId | None:
        """Its cluster."""
        return words.cid_in(self.tags)


def everywhere(names: Iterable[str], look: Callable[[str], _T]) -> tuple[list[_T], list[tuple[str, SealerError]]]:
    """Look in all regions at once: what was found, and the regions that refused or did not answer, with the error."""

    def one(name: str) -> _T | tuple[str, SealerError]:
        try:
            return look(name)
        except SealerError as error:
            return name, error

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="region") as pool:
        answers = list(pool.map(one, names))
    refused = [a for a in answers if isinstance(a, tuple) and len(a) == 2 and isinstance(a[1], SealerError)]  # noqa: PLR2004
    found: list[Any] = [a for a in answers if not any(a is r for r in refused)]
    return found, refused


def in_region(api: Api, region: str, cid: ClusterId | None = None) -> list[Found]:
    """Everything with our tags there (of one cluster), machines that are gone left out, in the order of removal."""
    tags: dict[tuple[str, str], dict[str, str]] = {}
    for raw in api.pages("ec2", "describe_tags", region, "Tags", Filters=filters({"key": OURS}), MaxResults=1000):
        tags.setdefault((raw["ResourceType"], raw["ResourceId"]), {})[raw["Key"]] = raw["Value"]
    wanted = {
        key: value
        for key, value in tags.items()
        if (words.CID in value or words.SHARED in value)
        and (cid is None or (value.get(words.CID) == cid and words.SHARED not in value))  # what is shared is nobody's
    }
    machines = [id_ for kind, id_ in wanted if kind == MACHINE]
    details = _machines(api, region) if machines else {}
    there = [_found(region, kind, id_, value, details) for (kind, id_), value in wanted.items()]
    live = [f for f in there if f.kind != MACHINE or (f.state and f.state not in GONE)]
    return sorted(_not_stale(api, region, live), key=lambda f: (rank(f.kind), f.tags.get(words.HOST, ""), f.id))


def rank(kind: str) -> int:
    """The place of a kind in the order of removal."""
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def clusters_of(found: Iterable[Found], name: ClusterName | None) -> tuple[FoundCluster, ...]:
    """The clusters that things belong to, all or those of a name; with their hosts."""
    hosts: dict[ClusterId, set[str]] = {}
    where: dict[ClusterId, set[str]] = {}
    for thing in found:
        if thing.cid and (name is None or name_of(thing.cid) == name):
            names = hosts.setdefault(thing.cid, set())
            where.setdefault(thing.cid, set()).add(thing.region)
            if thing.kind == MACHINE and thing.tags.get(words.HOST):
                names.add(thing.tags[words.HOST])
    return tuple(
        FoundCluster(name_of(cid), cid, "aws", tuple(sorted(hosts[cid])), tuple(sorted(where[cid])))
        for cid in sorted(hosts)
    )


def strangers(api: Api, ours: Iterable[Found], cid: ClusterId) -> list[Found]:
    """What stands in a cluster's own networks without belonging to it: machines, interfaces, subnets."""
    vpcs: dict[str, list[str]] = {}
    for thing in ours:
        if thing.kind == "vpc":
            vpcs.setdefault(thing.region, []).append(thing.id)
    return [t for region, ids in vpcs.items() for t in _inside(api, region, tuple(ids)) if t.cid != cid]


def _inside(api: Api, region: str, vpcs: tuple[str, ...]) -> list[Found]:
    where = filters({"vpc-id": vpcs})
    batches = api.pages("ec2", "describe_instances", region, "Reservations", Filters=where)
    machines = [m for batch in batches for m in batch.get("Instances", ()) if m["State"]["Name"] not in GONE]
    cards = api.pages("ec2", "describe_network_interfaces", region, "NetworkInterfaces", Filters=where)
    subnets = api.pages("ec2", "describe_subnets", region, "Subnets", Filters=where)
    return [
        *(Found(region, MACHINE, m["InstanceId"], tags_in(m)) for m in machines),
        *(Found(region, CARD, c["NetworkInterfaceId"], tags_in({"Tags": c.get("TagSet")})) for c in cards if _stays(c)),
        *(Found(region, "subnet", s["SubnetId"], tags_in(s)) for s in subnets),
    ]


def _stays(card: Mapping[str, Any]) -> bool:
    """False for an interface that goes with its machine."""
    attached = card.get("Attachment") or {}
    goes = attached.get("DeleteOnTermination") or attached.get("DeviceIndex") == 0
    return not (attached.get("InstanceId") and goes)


def resource_of(thing: Found, price: float | None) -> FoundResource:
    """As `gc` shows it."""
    return FoundResource(
        kind=thing.kind,
        id=thing.id,
        region=thing.region,
        name=thing.tags.get(words.HOST) or thing.tags.get(words.SHARED) or "",
        cid=thing.cid,
        run=thing.tags.get(words.RUN),
        created=thing.created,
        expires_at=thing.tags.get(words.EXPIRES_AT),
        price=price,
        currency="USD" if price is not None else "",
        ci_run=thing.tags.get(words.CI_RUN),
        shared=thing.tags.get(words.SHARED),
        repo=thing.tags.get(words.REPO),
    )


def _machines(api: Api, region: str) -> dict[str, dict[str, Any]]:
    where = filters({"tag-key": words.CID})
    found = api.pages("ec2", "describe_instances", region, "Reservations", Filters=where)
    return {machine["InstanceId"]: machine for batch in found for machine in batch.get("Instances", ())}


def _found(region: str, kind: str, id_: str, tags: Mapping[str, str], machines: Mapping[str, dict[str, Any]]) -> Found:
    machine = machines.get(id_, {}) if kind == MACHINE else {}
    launched = machine.get("LaunchTime")
    return Found(
        region=region,
        kind=kind,
        id=id_,
        tags=tags,
        created=launched.isoformat() if launched else None,
        state=str(machine.get("State", {}).get("Name", "")),
        sold_as=_sold_as(region, machine) if machine else None,
    )


def _sold_as(region: str, machine: Mapping[str, Any]) -> Sold:
    zone = str((machine.get("Placement") or {}).get("AvailabilityZone", ""))
    return region, zone, str(machine.get("InstanceType", "")), machine.get("InstanceLifecycle") == "spot"


_STANDING = {
    "volume": ("describe_volumes", "Volumes", "VolumeId", "volume-id"),
    "security-group": ("describe_security_groups", "SecurityGroups", "GroupId", "group-id"),
    "security-group-rule": (
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "security-group-rule-id",
    ),
    "route-table": ("describe_route_tables", "RouteTables", "RouteTableId", "route-table-id"),
    "internet-gateway": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId", "internet-gateway-id"),
    "subnet": ("describe_subnets", "Subnets", "SubnetId", "subnet-id"),
    "vpc": ("describe_vpcs", "Vpcs", "VpcId", "vpc-id"),
    "spot-instances-request": (
        "describe_spot_instance_requests",
        "SpotInstanceRequests",
        "SpotInstanceRequestId",
        "spot-instance-request-id",
    ),
}
"""How each kind is listed: the tags of what is gone stay readable for a while, so tags alone prove nothing."""


def _not_stale(api: Api, region: str, found: list[Found]) -> list[Found]:
    kept = [f for f in found if f.kind not in _STANDING]
    for kind in {f.kind for f in found} & _STANDING.keys():
        told = [f for f in found if f.kind == kind]
        for start in range(0, len(told), FILTER_VALUES):
            some = told[start : start + FILTER_VALUES]
            standing = _standing(api, region, kind, tuple(f.id for f in some))
            kept += [f for f in some if f.id in standing]
    return kept


def _standing(api: Api, region: str, kind: str, ids: tuple[str, ...]) -> set[str]:
    action, key, id_key, name = _STANDING[kind]
    listed = api.pages("ec2", action, region, key, Filters=filters({name: ids}))
    over = ("closed", "cancelled", "failed")  # states of spot requests; other things have none of these
    return {str(raw[id_key]) for raw in listed if raw.get("State") not in over}
