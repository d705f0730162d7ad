"""Networks that clusters share, by their tag alone: found, made, removed. No state; any runner sees the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.network import list_subnets, list_vpcs
from drivers.alicloud.sweep import DEPENDENCY_SECONDS, PAUSE, delete
from drivers.alicloud.things import GROUP, INSTANCE, REGIONS_AT_ONCE, SUBNET, VPC, Account, Thing
from drivers.alicloud.wire import items, tags_in
from provisioner.errors import AccessError, ProviderError, SealerError, UsageError, worst_of
from provisioner.model import tags
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

PROVIDER = "alicloud"
READY = "Available"
READY_SECONDS = 120.0
TOKEN_LIMIT = 64
"""Characters of a `ClientToken`."""
_STATUS = {VPC.kind: "DescribeVpcAttribute", SUBNET.kind: "DescribeVSwitchAttributes"}


def networks(account: Account, name: str | None) -> Networks:
    """All shared networks, or those of a name. A region that refuses is named. Raises the worst where all do."""
    regions = account.regions()
    if len(regions) == 1:
        return Networks(tuple(_in_region(account.api, regions[0], name)))
    found: list[SharedNetwork] = []
    dark: list[tuple[str, SealerError]] = []
    with ThreadPoolExecutor(REGIONS_AT_ONCE) as pool:
        answers = pool.map(lambda region: _guarded(account.api, region, name), regions)
        for region, answer in zip(regions, answers, strict=True):
            if isinstance(answer, SealerError):
                dark.append((region, answer))
            else:
                found += answer
    if len(dark) == len(regions):
        raise worst_of(error for _, error in dark)
    return Networks(tuple(found), tuple((region, error.message) for region, error in dark))


def _guarded(api: Api, region: str, name: str | None) -> list[SharedNetwork] | SealerError:
    """A key that is no good at all stops the whole look; one that may not look here does not."""
    try:
        return _in_region(api, region, name)
    except SealerError as error:
        if isinstance(error, AccessError) and not forbids(error):
            raise
        return error


def _in_region(api: Api, region: str, name: str | None) -> list[SharedNetwork]:
    tag = {"Key": tags.SHARED, **({"Value": name} if name else {})}
    rows = list_vpcs(api, region, Tag=[tag])
    named = [(tags_in(row).get(tags.SHARED), row) for row in rows]
    return [_network(api, region, found, row) for found, row in named if found and name in {None, found}]


def _network(api: Api, region: str, name: str, row: Mapping[str, Any]) -> SharedNetwork:
    vpc, account = str(row["VpcId"]), Account(api, region, (region,))
    switches = list_subnets(api, region, VpcId=vpc)
    own = [s for s in switches if tags_in(s).get(tags.SHARED) == name]
    foreign = [_switch(s, region) for s in switches if s not in own]
    others = [*(t for kinds in (INSTANCE, GROUP) for t in account.listed(kinds, region, VpcId=vpc)), *foreign]
    cards = _cards(api, region, vpc, switches, {t.id for t in others})
    subnets = sorted(_subnet(s) for s in own)
    return SharedNetwork(
        name=name,
        provider=PROVIDER,
        region=region,
        id=vpc,
        cidr=str(row["CidrBlock"]),
        parts=(Part(VPC.kind, vpc, cidr=str(row["CidrBlock"])), *(Part(SUBNET.kind, i, z, c) for z, i, c in subnets)),
        clusters=tuple(sorted({str(t.cid) for t in others if t.cid})),
        occupants=(*(_line(t) for t in others), *cards),
        run=tags_in(row).get(tags.RUN),
    )


def _switch(row: Mapping[str, Any], region: str) -> Thing:
    return Thing(SUBNET.kind, str(row["VSwitchId"]), region, str(row.get("VSwitchName") or ""), tags_in(row))


def _subnet(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["ZoneId"]), str(row["VSwitchId"]), str(row["CidrBlock"])


def _line(thing: Thing) -> str:
    return f"{thing} of cluster {thing.cid}" if thing.cid else str(thing)


def _cards(
    api: Api, region: str, vpc: str, switches: Iterable[Mapping[str, Any]], machines: set[str]
) -> tuple[str, ...]:
    """Network interfaces of what is no machine that was seen: gateways, balancers, containers' own."""
    path = ("NetworkInterfaceSets", "NetworkInterfaceSet")
    rows = api.pages("ecs", "DescribeNetworkInterfaces", region, path, {"VpcId": vpc})
    inside = {str(s["VSwitchId"]) for s in switches}
    return tuple(
        f"network interface {row['NetworkInterfaceId']} in {region}"
        for row in rows
        if str(row.get("VSwitchId")) in inside and str(row.get("InstanceId") or "") not in machines
    )


def zones_of(api: Api, region: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The zones of a region where vSwitches and machines can be made; the wanted ones. Raises UsageError."""
    rows = items(api.call("ecs", "DescribeZones", region, {"Verbose": True}), "Zones", "Zone")
    serving = sorted(str(row["ZoneId"]) for row in rows if _serves(row))
    missing = [zone for zone in wanted if zone not in serving]
    if missing:
        raise UsageError(f"{', '.join(missing)}: no such zone in {region}", hint=f"use {', '.join(serving)}")
    if not serving:
        raise UsageError(f"alicloud names no zone of {region}", hint="name them with --zone, or use another region")
    return tuple(dict.fromkeys(wanted)) or tuple(serving)


def _serves(row: Mapping[str, Any]) -> bool:
    """An endpoint that says nothing of it is believed."""
    made = items(row, "AvailableResourceCreation", "ResourceTypes")
    return not made or {"VSwitch", "Instance"} <= set(made)


def plan(api: Api, wish: NetworkWish) -> NetworkPlan:
    """What is missing. Raises UsageError."""
    standing = the_one(_in_region(api, wish.region, wish.name), wish)
    zones = zones_of(api, wish.region, wish.zones)
    cidr = standing.cidr if standing and standing.cidr else wish.cidr or DEFAULT_CIDR
    lacking = [zone for zone in zones if not standing or zone not in standing.zones]
    vpc = standing.id if standing else None
    taken = [str(row["CidrBlock"]) for row in list_subnets(api, wish.region, VpcId=vpc)] if vpc and lacking else []
    ranges = divide(cidr, lacking, taken)
    head = () if vpc else (Part(VPC.kind, cidr=cidr),)
    subnets = (Part(SUBNET.kind, zone=zone, cidr=ranges[zone]) for zone in ranges)
    return NetworkPlan(wish.name, wish.region, cidr, vpc, (*head, *subnets))


@dataclass(frozen=True, slots=True)
class Making:
    """One run's creating. `marks` stand in each create call."""

    api: Api
    plan: NetworkPlan
    marks: Mapping[str, str]

    def create(self, kinds: Mapping[str, str], part: Part, **params: object) -> str:
        """One create call and the wait for what it made; its id. The same call may be sent again: it has a token."""
        wanted = {
            **params,
            "CidrBlock": part.cidr,
            "ClientToken": f"{self.marks[tags.RUN]}-{part.zone or 'vpc'}"[:TOKEN_LIMIT],
            "Tag": [{"Key": key, "Value": value} for key, value in self.marks.items()],
        }
        answer = self._patiently(lambda: self.api.call("vpc", kinds["call"], self.plan.region, wanted))
        made = str(answer[kinds["key"]])
        self.wait(part.kind, kinds["key"], made)
        return made

    def wait(self, kind: str, key: str, own: str) -> None:
        """Until it is available: until then nothing can be made in it. Raises ProviderError (6)."""
        waits = self.api.waits
        start = waits.monotonic()
        while True:
            try:
                answer = self.api.call("vpc", _STATUS[kind], self.plan.region, {key: own})
            except SealerError as error:  # a moment after its making it may not be seen
                if error_kind(error) is not Kind.GONE:
                    raise
                answer = {}
            if answer.get("Status") == READY:
                return
            if waits.monotonic() - start > READY_SECONDS:
                status = answer.get("Status") or "not to be seen"
                raise ProviderError(
                    f"{kind} {own} in {self.plan.region} is {status} after {READY_SECONDS:.0f} s",
                    hint="run the same command again: it goes on with what stands",
                )
            waits.sleep(PAUSE)

    def _patiently(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        waits = self.api.waits
        start = waits.monotonic()
        while True:
            try:
                return call()
            except SealerError as error:  # the network is at work on the part before
                if error_kind(error) is not Kind.DEPENDS or waits.monotonic() - start > READY_SECONDS:
                    raise
            waits.sleep(PAUSE)


def make(api: Api, wanted: NetworkPlan, marks: Mapping[str, str], tell: Tell) -> None:
    """Make the parts one after another: a VPC takes one change at a time."""
    making, vpc = Making(api, wanted, marks), wanted.vpc
    if vpc:
        making.wait(VPC.kind, VPC.key, vpc)  # that of a run that was cut may still be on its way
    for part in wanted.parts:
        tell(str(part))
        if part.kind == VPC.kind:
            vpc = making.create({"call": "CreateVpc", "key": VPC.key}, part, VpcName=wanted.name)
        else:
            name = f"{wanted.name}-{part.zone}"
            making.create(
                {"call": "CreateVSwitch", "key": SUBNET.key}, part, VpcId=vpc, ZoneId=part.zone, VSwitchName=name
            )


def remove(account: Account, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:
    """Remove vSwitches, then the VPC. What is refused is answered; a key that may not raises AccessError (5)."""
    refused: list[str] = []
    for kinds in (SUBNET, VPC):
        for part in (p for p in network.parts if p.kind == kinds.kind and p.id):
            tell(str(part))
            thing = Thing(kinds.kind, str(part.id), network.region, network.name, {})
            try:
                delete(account, kinds, thing, 0.0 if refused else DEPENDENCY_SECONDS)
            except AccessError:
                raise
            except SealerError as error:
                refused.append(error.message)
    return tuple(refused)
