"""Looking what an account and a region offer, before anything is made: reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from drivers.aws.api import PRICING_REGION, Api, filters, tags_in
from drivers.aws.catalogue import query_of
from drivers.aws.choose import CPU, Facts, MachineType
from drivers.aws.placement import Placement
from drivers.aws.regions import demand_region
from provisioner.errors import AccessError, SealerError, UsageError
from provisioner.model.accepted import Accepted, AcceptedOsImage
from provisioner.model.tags import SHARED

QUOTAS = {False: "L-1216C47A", True: "L-34B43A08"}
"""Service Quotas of EC2: running on-demand standard instances, all standard spot requests; both in vCPU."""
SIZES = (1, 2, 4)
"""Without a listed type we look at those with this many times the vCPU that were asked for."""
LIVE = ("pending", "running", "stopping", "stopped")


def gather(api: Api, where: tuple[str, str], accepted: Accepted, pools: frozenset[str], now: datetime) -> Facts:
    """All facts that choosing machines for these pools needs, in an (account, region).

    Raises UsageError for what does not exist there.
    """
    account, region = where
    note = demand_region(api, region)
    image, arch, root_device = find_image(api, region, accepted.os_image)
    zones = zones_of(api, region, accepted.zones)
    vpc, subnets = _network(api, region, accepted)
    if vpc:
        zones = tuple(zone for zone in zones if zone in subnets)
        if not zones:
            raise UsageError(f"{vpc} has no subnet in {', '.join(accepted.zones) or region}", hint="name its zones")
    types = _types(api, region, accepted, pools)
    wants_spot = any(pool.spot for pool in accepted.pools if pool.name in pools)
    return Facts(
        account=account,
        region=region,
        zones=zones,
        image=image,
        arch=arch,
        root_device=root_device,
        types=types,
        sold=_sold(api, region, types, zones),
        spot=spot_prices(api, region, types, now) if wants_spot else {},
        room={spot: _room(api, region, spot=spot) for spot in ((False, True) if wants_spot else (False,))},
        vpc=vpc,
        subnets=subnets,
        notes=(note,) if note else (),
    )


def find_image(api: Api, region: str, wanted: AcceptedOsImage | None) -> tuple[str, str, str]:
    """The AMI's id, architecture and root device: by its id, or the newest of a catalogue name."""
    if wanted and wanted.id:
        found = list(api.pages("ec2", "describe_images", region, "Images", ImageIds=[wanted.id]))
        if not found:
            raise UsageError(
                f"there is no image {wanted.id} in {region}", hint="an AMI's id is good in one region only"
            )
    else:
        query = query_of(wanted.name if wanted else None, wanted.arch if wanted else None)
        where = filters({"name": query.name, "architecture": query.arch, "state": "available"})
        found = list(api.pages("ec2", "describe_images", region, "Images", Owners=[query.owner], Filters=where))
        if not found:
            hint = "set osImage.id to the id of an AMI of that region"
            raise UsageError(f"{region} has no image {query.name} of owner {query.owner}", hint=hint)
    newest = max(found, key=lambda image: str(image.get("CreationDate", "")))
    return str(newest["ImageId"]), str(newest.get("Architecture", "x86_64")), str(newest.get("RootDeviceName", ""))


def on_demand_price(api: Api, region: str, machine_type: str) -> float | None:
    """USD per hour for Linux, shared; None where the Pricing API does not answer or does not know."""
    wanted = {
        "instanceType": machine_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "tenancy": "Shared",
        "capacitystatus": "Used",
    }
    match = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()]
    try:
        answer = api.call("pricing", "get_products", PRICING_REGION, ServiceCode="AmazonEC2", Filters=match)
        return price_in(answer.get("PriceList") or ())
    except (SealerError, ValueError, KeyError, TypeError, AttributeError):  # a price is nice to know, never needed
        return None


def price_in(products: Iterable[str]) -> float | None:
    """The hourly price in the Pricing API's answer: JSON texts with terms, dimensions and units."""
    for text in products:
        for term in json.loads(text)["terms"]["OnDemand"].values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", 0))
                if dimension.get("unit") == "Hrs" and price > 0:
                    return price
    return None


def zones_of(api: Api, region: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The zones of a region that the account can use, or the wanted ones. Raises UsageError for one that is not."""
    plain = filters({"zone-type": "availability-zone", "state": "available"})
    found = api.call("ec2", "describe_availability_zones", region, Filters=plain).get("AvailabilityZones", ())
    there = sorted(zone["ZoneName"] for zone in found)
    for zone in wanted:
        if zone not in there:
            raise UsageError(f"{zone} is no zone of {region} that this account can use", hint=f"use {', '.join(there)}")
    return wanted or tuple(there)


def _types(api: Api, region: str, accepted: Accepted, pools: frozenset[str]) -> dict[str, MachineType]:
    wanted = [pool for pool in accepted.pools if pool.name in pools]
    listed = {name for pool in wanted for name in pool.instance_types}
    sizes = {str((pool.cpu or CPU) * times) for pool in wanted if not pool.instance_types for times in SIZES}
    found: list[Any] = []
    if listed:
        by_name = filters({"instance-type": tuple(sorted(listed))})
        found += api.pages("ec2", "describe_instance_types", region, "InstanceTypes", Filters=by_name)
    if sizes:
        by_size = filters({"vcpu-info.default-vcpus": tuple(sorted(sizes)), "current-generation": "true"})
        found += api.pages("ec2", "describe_instance_types", region, "InstanceTypes", Filters=by_size)
    return {raw["InstanceType"]: machine_type(raw) for raw in found}


def machine_type(raw: dict[str, Any]) -> MachineType:
    """One type as DescribeInstanceTypes gives it."""
    special = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
    return MachineType(
        name=raw["InstanceType"],
        cpu=int(raw["VCpuInfo"]["DefaultVCpus"]),
        memory=int(raw["MemoryInfo"]["SizeInMiB"]),
        arch=tuple(raw.get("ProcessorInfo", {}).get("SupportedArchitectures", ())),
        spot="spot" in raw.get("SupportedUsageClasses", ("spot",)),
        special=bool(raw.get("BareMetal")) or any(raw.get(key) for key in special),
    )


def _sold(api: Api, region: str, types: dict[str, MachineType], zones: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    where = filters({"location": zones})
    offered = api.pages(
        "ec2",
        "describe_instance_type_offerings",
        region,
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=where,
    )
    return frozenset((o["Location"], o["InstanceType"]) for o in offered if o["InstanceType"] in types)


def spot_prices(api: Api, region: str, types: Iterable[str], now: datetime) -> dict[tuple[str, str], float]:
    """The newest price of each (zone, type), USD per hour; where nobody may look, none is known."""
    found: dict[tuple[str, str], tuple[str, float]] = {}
    names = sorted(types)[:100]
    try:
        for raw in api.pages(
            "ec2",
            "describe_spot_price_history",
            region,
            "SpotPriceHistory",
            InstanceTypes=names,
            ProductDescriptions=["Linux/UNIX"],
            MaxResults=1000,
            StartTime=now,  # only what holds now
        ):
            key = (raw["AvailabilityZone"], raw["InstanceType"])
            if str(raw["Timestamp"]) >= found.get(key, ("", 0.0))[0]:
                found[key] = (str(raw["Timestamp"]), float(raw["SpotPrice"]))
    except AccessError:
        return {}
    return {key: price for key, (_, price) in found.items()}


def _room(api: Api, region: str, *, spot: bool) -> int | None:
    """How many vCPU the account may still start; None where Service Quotas does not say."""
    try:
        answer = api.call("service-quotas", "get_service_quota", region, ServiceCode="ec2", QuotaCode=QUOTAS[spot])
        limit = int(answer["Quota"]["Value"])
    except (SealerError, KeyError, TypeError, ValueError):
        return None
    used = 0
    running = filters({"instance-state-name": ("pending", "running")})
    for reservation in api.pages("ec2", "describe_instances", region, "Reservations", Filters=running):
        for machine in reservation.get("Instances", ()):
            if (machine.get("InstanceLifecycle") == "spot") == spot:
                cpu = machine.get("CpuOptions") or {}
                used += int(cpu.get("CoreCount", 0)) * int(cpu.get("ThreadsPerCore", 1))
    return limit - used


def _network(api: Api, region: str, accepted: Accepted) -> tuple[str | None, dict[str, str]]:
    """An existing VPC and its subnets by zone (the first of each zone, or those that were named)."""
    vpc, shared, named = (accepted.network.get(key) for key in ("vpc", "shared", "subnets"))
    if not (vpc or shared or named):
        return None, {}
    ids = [str(name) for name in named] if isinstance(named, (list, tuple)) else []
    found = _vpc(api, region, str(vpc or shared), shared=bool(shared)) if vpc or shared else None
    where = filters({"vpc-id": found}) if found else []
    subnets = list(api.pages("ec2", "describe_subnets", region, "Subnets", Filters=where))
    own = [s for s in subnets if shared and not ids and tags_in(s).get(SHARED) == shared]  # not what others put there
    picked = [s for s in own or subnets if not ids or s["SubnetId"] in ids or tags_in(s).get("Name") in ids]
    vpcs = {str(s["VpcId"]) for s in picked}
    if len(vpcs) != 1:
        what = ", ".join(ids) or f"a subnet of {vpc or shared}"
        raise UsageError(f"network: {region} has {what} in {len(vpcs)} networks", hint="name subnets of one network")
    by_zone: dict[str, str] = {}
    for subnet in sorted(picked, key=lambda s: ids.index(s["SubnetId"]) if s["SubnetId"] in ids else 0):
        by_zone.setdefault(str(subnet["AvailabilityZone"]), str(subnet["SubnetId"]))
    return vpcs.pop(), by_zone


def differences(api: Api, accepted: Accepted, placement: Placement) -> tuple[str, ...]:
    """A note where `network.cidr` stands beside a network that exists and has other ranges; one call where it does."""
    asked = accepted.network.get("cidr")
    if placement.vpc is None or not asked:
        return ()
    found = api.call("ec2", "describe_vpcs", placement.region, VpcIds=[placement.vpc]).get("Vpcs", ())
    ranges = [str(one["CidrBlock"]) for vpc in found for one in vpc.get("CidrBlockAssociationSet") or (vpc,)]
    if asked in ranges:
        return ()
    has = ", ".join(ranges)
    return (f"network.cidr says {asked}, but {placement.vpc} has {has}: it is used as it is",)


def _vpc(api: Api, region: str, wanted: str, *, shared: bool) -> str:
    if wanted.startswith("vpc-") and not shared:
        return wanted
    where = filters({f"tag:{SHARED if shared else 'Name'}": wanted})
    found = list(api.pages("ec2", "describe_vpcs", region, "Vpcs", Filters=where))
    if len(found) != 1:
        raise UsageError(f"network: {region} has {len(found)} VPCs named {wanted}", hint="name it by its id, vpc-…")
    return str(found[0]["VpcId"])
