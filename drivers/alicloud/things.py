"""What stands in an account, by kind and by tag: the looks that finding, counting and removing are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.wire import items, tags_in
from provisioner.errors import ProviderError, SealerError
from provisioner.model import tags
from provisioner.model.ids import ClusterId

REGIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that stands in the account."""

    kind: str
    id: str
    region: str
    name: str
    tags: Mapping[str, str]
    created: str | None = None
    vpc: str | None = None
    subnet: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """As the service told it."""

    @property
    def cid(self) -> str | None:
        """The cluster that it says it belongs to."""
        return self.tags.get(tags.CID)

    def __str__(self) -> str:
        return f"{self.kind} {self.id}{f' ({self.name})' if self.name else ''} in {self.region}"


@dataclass(frozen=True, slots=True)
class Kinds:
    """How one kind is listed and deleted."""

    kind: str
    product: str
    listing: str
    path: tuple[str, str]
    key: str
    name: str
    delete: str


INSTANCE = Kinds(
    "instance", "ecs", "DescribeInstances", ("Instances", "Instance"), "InstanceId", "InstanceName", "DeleteInstance"
)
DISK = Kinds("disk", "ecs", "DescribeDisks", ("Disks", "Disk"), "DiskId", "DiskName", "DeleteDisk")
GROUP = Kinds(
    "security group",
    "ecs",
    "DescribeSecurityGroups",
    ("SecurityGroups", "SecurityGroup"),
    "SecurityGroupId",
    "SecurityGroupName",
    "DeleteSecurityGroup",
)
SUBNET = Kinds(
    "vswitch", "vpc", "DescribeVSwitches", ("VSwitches", "VSwitch"), "VSwitchId", "VSwitchName", "DeleteVSwitch"
)
CARD = Kinds(
    "network interface",
    "ecs",
    "DescribeNetworkInterfaces",
    ("NetworkInterfaceSets", "NetworkInterfaceSet"),
    "NetworkInterfaceId",
    "NetworkInterfaceName",
    "DeleteNetworkInterface",
)
"""Never ours: those of our machines come and go with them."""
VPC = Kinds("vpc", "vpc", "DescribeVpcs", ("Vpcs", "Vpc"), "VpcId", "VpcName", "DeleteVpc")
PARTS = (GROUP, SUBNET, VPC)
"""What a network is made of."""
ALL = (INSTANCE, DISK, *PARTS)
"""In the order in which they can be removed."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, looked at through its API. `known` are the regions to look in (none: all that it can see)."""

    api: Api
    home: str
    known: tuple[str, ...] = ()

    def regions(self) -> tuple[str, ...]:
        """Where to look."""
        if self.known:
            return self.known
        try:
            answer = self.api.call("ecs", "DescribeRegions", self.home)
        except ProviderError as error:
            if error_kind(error) is Kind.UNKNOWN_ACTION:
                return (self.home,)
            raise
        return tuple(str(r["RegionId"]) for r in items(answer, "Regions", "Region")) or (self.home,)

    def listed(self, kinds: Kinds, region: str, **params: object) -> list[Thing]:
        """All things of a kind that answer to these filters."""
        rows = self.api.pages(kinds.product, kinds.listing, region, kinds.path, params)
        return [_thing(kinds, row, region) for row in rows if kinds is not DISK or row.get("Status") != "In_use"]

    def ours(self, region: str, cid: ClusterId | None = None) -> list[Thing]:
        """Everything with our tags in a region, of one cluster or all; in the order in which it can be removed."""
        tag = {"Key": tags.CID, **({"Value": str(cid)} if cid else {})}
        found = [
            t for kinds in ALL for t in self.listed(kinds, region, Tag=[tag]) if t.cid and (cid is None or t.cid == cid)
        ]
        mine = {t.id: t for t in [*found, *self.untagged(region, found, cid)]}
        return in_order(t for t in mine.values() if tags.SHARED not in t.tags)  # what clusters share is nobody's

    def untagged(self, region: str, found: Iterable[Thing], cid: ClusterId | None) -> list[Thing]:
        """The vSwitches that a cut run left before they had tags (a moment later than all else): the name tells whose.

        It begins with the cid, which is random. One of another name is somebody's, though it stands in our network.
        """
        owner = {t.id: t for t in found if t.kind == VPC.kind}
        rest = []
        for thing in self.listed(SUBNET, region) if cid or owner else ():
            home = owner.get(thing.vpc or "")
            shared = tags.SHARED in thing.tags
            whose = cid or (home.cid if home else None)
            if thing.cid is None and not shared and whose and thing.name.startswith(f"{whose}-"):
                marks = {**(home.tags if home else {}), tags.CID: str(whose)}
                rest.append(Thing(thing.kind, thing.id, region, thing.name, marks, thing.created, thing.vpc))
        return rest

    def strangers(self, region: str, ours: Iterable[Thing], cid: ClusterId) -> list[Thing]:
        """What stands in this cluster's own networks without belonging to it: it would keep them from going."""
        mine = {t.id: t for t in ours}
        vpcs = [t.id for t in ours if t.kind == VPC.kind]
        lone = [t.id for t in ours if t.kind == SUBNET.kind and t.vpc not in vpcs]
        found = [t for vpc in vpcs for t in self._inside(region, (INSTANCE, CARD, SUBNET), VpcId=vpc)]
        found += [t for subnet in lone for t in self._inside(region, (INSTANCE, CARD), VSwitchId=subnet)]
        return [t for t in found if t.id not in mine and t.cid != cid]

    def _inside(self, region: str, kinds: Iterable[Kinds], **where: str) -> list[Thing]:
        found = []
        for kind in kinds:
            try:
                found += self.listed(kind, region, **where)
            except SealerError as error:  # machines are what costs money; the other kinds are listed where we may
                if kind is INSTANCE or not (forbids(error) or error_kind(error) is Kind.UNKNOWN_ACTION):
                    raise
        return [t for t in found if t.row.get("Type") != "Primary"]  # a machine's first interface goes with it


def ends_machine(region: str) -> str:
    """The command of the vendor's own tool; an id belongs behind it."""
    return f"aliyun ecs DeleteInstance --RegionId {region} --Force true --InstanceId"


def in_order(things: Iterable[Thing]) -> list[Thing]:
    """In the order in which they can be removed."""
    order = {kinds.kind: index for index, kinds in enumerate(ALL)}
    return sorted(things, key=lambda t: (order[t.kind], t.name, t.id))


def _thing(kinds: Kinds, row: Mapping[str, Any], region: str) -> Thing:
    inner: Any = row.get("VpcAttributes") or {}
    return Thing(
        kind=kinds.kind,
        id=str(row[kinds.key]),
        region=region,
        name=str(row.get(kinds.name) or ""),
        tags=tags_in(row),
        created=str(row["CreationTime"]) if row.get("CreationTime") else None,
        vpc=str(row.get("VpcId") or inner.get("VpcId") or "") or None,
        subnet=str(row.get("VSwitchId") or inner.get("VSwitchId") or "") or None,
        row=row,
    )


def everywhere(account: Account, look: Callable[[str], list[Thing]]) -> list[Thing]:
    """What a look finds in all regions of an account."""
    return each(account.regions(), look)


def each(regions: tuple[str, ...], look: Callable[[str], list[Thing]]) -> list[Thing]:
    """What a look finds in these regions, many at once."""
    if len(regions) == 1:
        return look(regions[0])
    with ThreadPoolExecutor(REGIONS_AT_ONCE) as pool:
        return [thing for found in pool.map(look, regions) for thing in found]
