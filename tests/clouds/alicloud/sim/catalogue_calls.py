"""Look-ups before anything is made: regions, zones, stock, types, images, prices, quota, the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, action
from tests.clouds.alicloud.sim.store import page
from tests.clouds.alicloud.sim.wire import ApiError, Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account


@action("sts", "GetCallerIdentity")
def caller(account: Account, _p: Params) -> dict[str, Any]:
    own = next(iter(account.keys.values())).account
    return {
        "AccountId": own, "Arn": f"acs:ram::{own}:user/tester", "IdentityType": "RAMUser", "UserId": "20000001",
        "PrincipalId": "20000001",
    }  # fmt: skip


@action("ecs", "DescribeRegions", "", "AcceptLanguage InstanceChargeType ResourceType")
def regions(account: Account, _p: Params) -> dict[str, Any]:
    rows = [
        {"RegionId": r, "LocalName": r, "RegionEndpoint": f"ecs.{r}.example", "Status": "available"}
        for r in account.catalogue.zones
    ]
    return {"Regions": {"Region": rows}}


@action("ecs", "DescribeZones", "", "AcceptLanguage InstanceChargeType SpotStrategy Verbose")
def zones(account: Account, p: Params) -> dict[str, Any]:
    offered = account.catalogue
    rows = [
        {
            "ZoneId": z, "LocalName": z, "ZoneType": "AvailabilityZone",
            "AvailableInstanceTypes": {"InstanceTypes": [t for t in offered.types if offered.has(z, t)]},
            "AvailableDiskCategories": {"DiskCategories": list(offered.disks_of(z))},
            "AvailableResourceCreation": {"ResourceTypes": ["VSwitch", "IoOptimized", "Instance", "Disk"]},
        }
        for z in offered.zones[p["RegionId"]]
    ]  # fmt: skip
    return {"Zones": {"Zone": rows}}


@action(
    "ecs", "DescribeAvailableResource", "DestinationResource",
    "ZoneId InstanceType InstanceChargeType SpotStrategy SpotDuration IoOptimized NetworkCategory SystemDiskCategory "
    "DataDiskCategory Cores Memory ResourceType Scope DedicatedHostId",
)  # fmt: skip
def available(account: Account, p: Params) -> dict[str, Any]:
    found = []
    for zone in account.catalogue.zones[p["RegionId"]]:
        if p.get("ZoneId") not in {None, "", zone}:
            continue
        rows = _stock(account, p, zone)
        has = any(row["Status"] == "Available" for row in rows)
        offers = [{"Type": p["DestinationResource"], "SupportedResources": {"SupportedResource": rows}}]
        found.append(
            {
                "ZoneId": zone,
                "RegionId": p["RegionId"],
                **_status(has=has),
                "AvailableResources": {"AvailableResource": offers},
            }
        )
    return {"AvailableZones": {"AvailableZone": found}}


def _stock(account: Account, p: Params, zone: str) -> list[dict[str, Any]]:
    offered, what = account.catalogue, p["DestinationResource"]
    spot = p.get("SpotStrategy", "NoSpot") != "NoSpot"
    if what in {"SystemDisk", "DataDisk"}:
        if not offered.has(zone, p.get("InstanceType", ""), spot=spot):
            return []
        return [
            {"Value": d, **_status(has=True), "Min": 20, "Max": 2048, "Unit": "GiB"} for d in offered.disks_of(zone)
        ]
    disk = p.get("SystemDiskCategory", "")
    if disk and disk not in offered.disks_of(zone):
        return []
    cores, memory = p.number("Cores"), float(p.get("Memory") or 0)
    return [
        {"Value": name, **_status(has=offered.has(zone, name, spot=spot)), "Min": 0, "Max": 0, "Unit": ""}
        for name, t in offered.types.items()
        if p.get("InstanceType") in {None, "", name} and cores in {0, t.cores} and memory in {0, t.memory}
    ]


def _status(*, has: bool) -> dict[str, str]:
    if has:
        return {"Status": "Available", "StatusCategory": "WithStock"}
    return {"Status": "SoldOut", "StatusCategory": "WithoutStock"}


@action(
    "ecs", "DescribeInstanceTypes", "",
    "InstanceTypes.N InstanceTypeFamily CpuArchitecture MinimumCpuCoreCount MaximumCpuCoreCount MinimumMemorySize "
    f"MaximumMemorySize InstanceFamilyLevel AdditionalAttributes.N {PAGES}",
)  # fmt: skip
def types(account: Account, p: Params) -> dict[str, Any]:
    wanted = p.plain("InstanceTypes")
    if len(wanted) > 10:
        raise ApiError(400, "InvalidParameter.InstanceTypes", "The specified InstanceTypes are not valid.")
    rows = [
        _type_row(name, t)
        for name, t in account.catalogue.types.items()
        if (not wanted or name in wanted)
        and p.get("InstanceTypeFamily") in {None, "", name.rpartition(".")[0]}
        and p.get("CpuArchitecture") in {None, "", t.arch}
        and t.cores >= p.number("MinimumCpuCoreCount")
        and t.cores <= p.number("MaximumCpuCoreCount", 1 << 16)
        and t.memory >= float(p.get("MinimumMemorySize") or 0)
        and t.memory <= float(p.get("MaximumMemorySize") or 1 << 20)
    ]
    return page(Params({**p, "MaxResults": p.get("MaxResults", "100")}), rows, "InstanceTypes", "InstanceType")


def _type_row(name: str, t: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("GPUAmount", "InitialCredit", "BaselineCredit", "LocalStorageAmount"), 0)
    return {
        **nothing, "InstanceTypeId": name, "InstanceTypeFamily": name.rpartition(".")[0], "CpuCoreCount": t.cores,
        "MemorySize": t.memory, "CpuArchitecture": t.arch, "GPUSpec": "", "LocalStorageCategory": "",
        "NvmeSupport": "unsupported", "EniQuantity": 3, "PrimaryEniQueueNumber": 2, "SecondaryEniQueueNumber": 2,
        "EniIpv6AddressQuantity": 6, "MaximumQueueNumberPerEni": 2, "TotalEniQueueQuantity": 4,
        "EniPrivateIpAddressQuantity": 6, "InstanceFamilyLevel": "EnterpriseLevel",
    }  # fmt: skip


@action(
    "ecs", "DescribeImages", "",
    "ImageId ImageName ImageFamily ImageOwnerAlias ImageOwnerId OSType Architecture Status InstanceType Usage "
    "ActionType IsSupportCloudinit IsSupportIoOptimized ShowExpired SnapshotId DryRun IsPublic ResourceGroupId "
    f"{PAGES}",
)  # fmt: skip
def images(account: Account, p: Params) -> dict[str, Any]:
    ids, kind = p.ids("ImageId"), account.catalogue.types.get(p.get("InstanceType", ""))
    arch = {"arm64" if kind.arch == "ARM" else "x86_64"} if kind else {"x86_64", "arm64"}
    rows = [
        {
            "ImageId": own, "ImageName": own, "ImageFamily": i.family, "Platform": i.platform, "OSName": i.os_name,
            "OSNameEn": i.os_name, "OSType": "linux", "Architecture": i.arch, "ImageOwnerAlias": i.owner,
            "Status": "Available", "Size": i.size, "Progress": "100%", "CreationTime": i.created, "Description": "",
            "Usage": "none", "IsSupportIoOptimized": True, "IsSupportCloudinit": True,
            "DiskDeviceMappings": {"DiskDeviceMapping": []}, "Tags": {"Tag": []},
        }
        for own, i in account.catalogue.images.items()
        if (ids is None or own in ids)
        and i.arch in arch & {p.get("Architecture") or i.arch}
        and p.get("ImageFamily") in {None, "", i.family}
        and p.get("ImageOwnerAlias") in {None, "", i.owner}
        and _fits(own, p.get("ImageName", ""))
    ]  # fmt: skip
    return page(p, rows, "Images", "Image")


def _fits(name: str, wanted: str) -> bool:
    return not wanted or (name.startswith(wanted.rstrip("*")) if wanted.endswith("*") else name == wanted)


@action(
    "ecs", "DescribePrice", "",
    "ResourceType InstanceType ImageId PriceUnit Period Amount SpotStrategy SpotDuration ZoneId InstanceNetworkType "
    "InternetChargeType InternetMaxBandwidthOut IoOptimized SystemDisk.Category SystemDisk.Size "
    "SystemDisk.PerformanceLevel DataDisk.N.Category DataDisk.N.Size DataDisk.N.PerformanceLevel OfferingType "
    "PlatformType SchedulerOptions.DedicatedHostId Platform Capacity AssuranceTimes InstanceAmount StartTime",
)  # fmt: skip
def price(account: Account, p: Params) -> dict[str, Any]:
    alone = p.get("ResourceType", "instance") == "disk"
    kind = account.catalogue.types.get(p.get("InstanceType", ""))
    if kind is None and not alone:
        raise ApiError(400, "InvalidInstanceType.ValueNotSupported", "The specified InstanceType is not supported.")
    spot = p.get("SpotStrategy", "NoSpot") != "NoSpot"
    amount, full = p.number("Amount", 1), kind.price if kind else 0.0
    disks = p.rows("DataDisk") if alone else [p.part("SystemDisk"), *p.rows("DataDisk")]
    size = sum(float(d.get("Size") or 40) for d in disks)
    now = full * (account.catalogue.spot_share if spot else 1)
    parts = [("instanceType", full, now), ("disk", size * 0.002, size * 0.002)]
    detail = [
        {"Resource": n, "OriginalPrice": a, "TradePrice": b, "DiscountPrice": a - b, "Rules": {"Rule": []}}
        for n, a, b in parts
    ]
    total, paid = (round(sum(part[n] for part in parts) * amount, 6) for n in (1, 2))
    values = {"OriginalPrice": total, "TradePrice": paid, "DiscountPrice": round(total - paid, 6), "Currency": "CNY"}
    return {"PriceInfo": {"Price": {**values, "DetailInfos": {"DetailInfo": detail}}, "Rules": {"Rule": []}}}


@action(
    "ecs", "DescribeSpotPriceHistory", "InstanceType",
    "NetworkType ZoneId OSType StartTime EndTime IoOptimized SpotDuration Offset DryRun",
)  # fmt: skip
def spot_prices(account: Account, p: Params) -> dict[str, Any]:
    kind = account.catalogue.types.get(p["InstanceType"])
    if kind is None:
        raise ApiError(400, "InvalidInstanceType.ValueNotSupported", "The specified InstanceType is not supported.")
    rows = [
        {"ZoneId": z, "InstanceType": p["InstanceType"], "NetworkType": "vpc", "Timestamp": "2026-01-01T00:00:00Z",
         "SpotPrice": round(kind.price * account.catalogue.spot_share, 4), "OriginPrice": kind.price}
        for z in account.catalogue.zones[p["RegionId"]]
        if p.get("ZoneId") in {None, "", z}
    ]  # fmt: skip
    return {"SpotPrices": {"SpotPriceType": rows}, "NextOffset": 0, "Currency": "CNY"}


@action("ecs", "DescribeAccountAttributes", "", "AttributeName.N ZoneId")
def attributes(account: Account, p: Params) -> dict[str, Any]:
    used = sum(account.catalogue.types[t["InstanceType"]].cores for t in account.store.all("instance"))
    values = {
        "max-postpaid-instance-vcpu-count": account.catalogue.quota_cores,
        "max-spot-instance-vcpu-count": account.catalogue.quota_cores,
        "used-postpaid-instance-vcpu-count": used,
        "used-spot-instance-vcpu-count": 0,
        "max-security-groups": 100,
    }
    wanted = p.plain("AttributeName") or list(values)
    rows = [
        {"AttributeName": name, "AttributeValues": {"ValueItem": [{"Value": str(values[name]), "ZoneId": ""}]}}
        for name in wanted
        if name in values
    ]
    return {"AccountAttributeItems": {"AccountAttributeItem": rows}}
