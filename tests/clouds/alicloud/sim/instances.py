"""Making, listing and ending instances with their disks and network cards."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, TAGS, action
from tests.clouds.alicloud.sim.store import Thing, page, tag_rows
from tests.clouds.alicloud.sim.wire import ApiError, Params, gone

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account

_KEPT = (
    "ImageId", "InstanceType", "InstanceName", "Description", "HostName", "UserData", "KeyPairName", "RamRoleName",
    "SpotStrategy", "AutoReleaseTime", "InternetChargeType", "CreditSpecification", "SpotInterruptionBehavior",
)  # fmt: skip
_DISK = (
    "Size Category DiskName Description PerformanceLevel DeleteWithInstance Encrypted KMSKeyId SnapshotId Device "
    "AutoSnapshotPolicyId EncryptAlgorithm StorageClusterId BurstingEnabled ProvisionedIops"
)
_RUN = (
    "ClientToken DryRun Amount InstanceName HostName Description SecurityGroupId SecurityGroupIds.N VSwitchId ZoneId "
    "KeyPairName PasswordInherit Password UserData InstanceChargeType InternetChargeType InternetMaxBandwidthOut "
    "InternetMaxBandwidthIn IoOptimized SpotStrategy SpotPriceLimit SpotDuration SpotInterruptionBehavior "
    "AutoReleaseTime RamRoleName DeletionProtection CreditSpecification PrivateIpAddress ResourceGroupId "
    "SecurityEnhancementStrategy HttpEndpoint HttpTokens HttpPutResponseHopLimit DeploymentSetId UniqueSuffix "
    "NetworkInterfaceQueueNumber ImageOptions.LoginAsNonRoot "
    + " ".join(f"SystemDisk.{w} DataDisk.N.{w}" for w in _DISK.split())
)


@action("ecs", "RunInstances", "ImageId InstanceType", f"{_RUN} {TAGS}")
def run_instances(account: Account, p: Params) -> dict[str, Any]:
    switch = account.store.get("vswitch", p.get("VSwitchId"), p["RegionId"])
    groups = p.plain("SecurityGroupIds") or [p.get("SecurityGroupId", "")]
    for group in groups:
        account.store.get("group", group, p["RegionId"])
    check_release(account, p.get("AutoReleaseTime", ""))
    _check_offer(account, p, switch)
    p.end_dry_run()
    made = [_make(account, p, switch, groups) for _ in range(p.number("Amount", 1))]
    return {"InstanceIdSets": {"InstanceIdSet": [t.id for t in made]}, "OrderId": "", "TradePrice": 0.0}


RELEASE_SOONEST, RELEASE_LATEST = timedelta(minutes=30), timedelta(days=3 * 365)


def check_release(account: Account, time: str) -> None:
    """Refuse a release sooner than in 30 minutes or later than in 3 years: the API reference of ModifyInstanceAutoReleaseTime.

    Raises ApiError.
    """
    if not time:
        return
    try:
        ahead = datetime.fromisoformat(time) - account.now()
    except (TypeError, ValueError):
        ahead = timedelta()
    if not RELEASE_SOONEST <= ahead <= RELEASE_LATEST:
        raise ApiError(400, "InvalidAutoReleaseTime.Malformed", "The specified parameter autoReleaseTime is not valid.")


def release_due(account: Account) -> None:
    """End the machines whose time has come."""
    now = account.now()
    for thing in account.store.all("instance", lambda t: bool(t["AutoReleaseTime"])):
        if datetime.fromisoformat(thing["AutoReleaseTime"]) <= now:
            _end(account, thing)


def _check_offer(account: Account, p: Params, switch: Thing) -> None:
    offered, zone, spot = account.catalogue, switch["ZoneId"], p.get("SpotStrategy", "NoSpot") != "NoSpot"
    kind = offered.types.get(p["InstanceType"])
    if kind is None:
        raise ApiError(403, "InvalidInstanceType.ValueNotSupported", "The specified InstanceType is not supported.")
    image = offered.images.get(p["ImageId"])
    if image is None:
        raise gone("InvalidImageId.NotFound", "ImageId")
    if (image.arch == "arm64") != (kind.arch == "ARM"):
        raise ApiError(403, "InstanceTypeNotSupported", "The image and the instance type do not fit.")
    for disk in (p.part("SystemDisk"), *p.rows("DataDisk")):
        if disk.get("Category", offered.disks_of(zone)[-1]) not in offered.disks_of(zone):
            raise ApiError(400, "InvalidSystemDiskCategory.ValueNotSupported", "The disk category is not supported.")
    if not offered.has(zone, p["InstanceType"], spot=spot):
        raise ApiError(403, "OperationDenied.NoStock", "The requested resource is sold out in the specified zone.")
    used = sum(offered.types[t["InstanceType"]].cores for t in account.store.all("instance"))
    if used + kind.cores > offered.quota_cores:
        raise ApiError(403, "QuotaExceed.ElasticQuota", "The vCPU quota of your account has been exceeded.")
    limit = float(p.get("SpotPriceLimit") or 0)
    if spot and p["SpotStrategy"] == "SpotWithPriceLimit" and limit < kind.price * offered.spot_share:
        raise ApiError(400, "InvalidSpotPriceLimit.LowerThanPublicPrice", "The limit is below the market price.")


def _make(account: Account, p: Params, switch: Thing, groups: list[str]) -> Thing:
    switch["Next"] += 1
    made = account.store.add(
        "instance", p["RegionId"], p.tags(), VSwitchId=switch.id, VpcId=switch["VpcId"], ZoneId=switch["ZoneId"],
        SecurityGroupIds=groups, Status="Running", InstanceChargeType=p.get("InstanceChargeType", "PostPaid"),
        SpotPriceLimit=float(p.get("SpotPriceLimit") or 0), SpotDuration=p.number("SpotDuration"),
        BandwidthOut=p.number("InternetMaxBandwidthOut"), DeletionProtection=p.flag("DeletionProtection"),
        **{k: p.get(k, "") for k in _KEPT},
    )  # fmt: skip
    made["SpotStrategy"] = made["SpotStrategy"] or "NoSpot"
    made["HostName"] = made["HostName"] or "iZ" + made.id.replace("-", "")
    made["PrivateIp"] = p.get("PrivateIpAddress") or str(ipaddress.ip_network(switch["CidrBlock"])[switch["Next"]])
    if account.hosts:
        made["PrivateIp"] = account.hosts.address(made, account.store.get("vpc", switch["VpcId"]))
    # The one address that really leads to the host is its public one, too.
    made["PublicIp"] = made["PrivateIp"] if account.hosts else f"203.0.113.{switch['Next'] % 250 + 1}"
    made["PublicIp"] = made["PublicIp"] if made["BandwidthOut"] else ""
    for kind, disk in (("system", p.part("SystemDisk")), *(("data", d) for d in p.rows("DataDisk"))):
        account.store.add(
            "disk", made.region, p.tags(), InstanceId=made.id, Type=kind, Category=disk.get("Category", "cloud_essd"),
            Size=int(disk.get("Size") or 40), DiskName=disk.get("DiskName", ""), VSwitchId="", VpcId="",
            Description=disk.get("Description", ""), Encrypted=disk.get("Encrypted") == "true",
            PerformanceLevel=disk.get("PerformanceLevel", "PL1"), SecurityGroupIds=[],
        )  # fmt: skip
    card = account.store.add("card", made.region, {}, InstanceId=made.id, VSwitchId=switch.id, Ip=made["PrivateIp"])
    made["CardId"] = card.id
    if account.hosts:
        account.hosts.boot(made)
    return made


_FILTERS = [
    "VpcId",
    "VSwitchId",
    "ZoneId",
    "InstanceName",
    "InstanceType",
    "ImageId",
    "Status",
    "KeyPairName",
    "SecurityGroupId",
]


@action(
    "ecs", "DescribeInstances", "",
    "InstanceIds VpcId VSwitchId ZoneId InstanceName InstanceType ImageId Status KeyPairName SecurityGroupId "
    "InstanceNetworkType PrivateIpAddresses ResourceGroupId AdditionalAttributes.N InstanceChargeType DryRun "
    f"{TAGS} {PAGES}",
)  # fmt: skip
def describe_instances(account: Account, p: Params) -> dict[str, Any]:
    ids = p.ids("InstanceIds")

    def wanted(t: Thing) -> bool:
        same = all(
            not p.get(k) or p[k] in (t["SecurityGroupIds"] if k == "SecurityGroupId" else [t[k]]) for k in _FILTERS
        )
        return same and (ids is None or t.id in ids)

    found = account.store.listed("instance", p, wanted)
    return page(p, [_row(account, t) for t in found], "Instances", "Instance")


def _row(account: Account, t: Thing) -> dict[str, Any]:
    kind = account.catalogue.types[t["InstanceType"]]
    image = account.catalogue.images[t["ImageId"]]
    same = (
        "ImageId", "InstanceType", "InstanceName", "Description", "HostName", "KeyPairName", "SpotStrategy", "Status",
        "SpotPriceLimit", "SpotDuration", "SpotInterruptionBehavior", "AutoReleaseTime", "InternetChargeType",
        "InstanceChargeType", "DeletionProtection", "CreditSpecification", "ZoneId",
    )  # fmt: skip
    card = {"NetworkInterfaceId": t["CardId"], "Type": "Primary", "PrimaryIpAddress": t["PrivateIp"]}
    return {
        **{k: t[k] for k in same}, **_address(t), "InstanceId": t.id, "RegionId": t.region,
        "CreationTime": _minutes(t.created), "StartTime": _minutes(t.created), "ExpiredTime": "2099-12-31T15:59Z",
        "InternetMaxBandwidthIn": 200, "InternetMaxBandwidthOut": t["BandwidthOut"], "ResourceGroupId": "",
        "StoppedMode": "Not-applicable", "Cpu": kind.cores, "Memory": int(kind.memory * 1024), "OSType": "linux",
        "OSName": image.os_name, "OSNameEn": image.os_name, "IoOptimized": True, "InstanceNetworkType": "vpc",
        "Tags": tag_rows(t), "SecurityGroupIds": {"SecurityGroupId": t["SecurityGroupIds"]},
        "NetworkInterfaces": {"NetworkInterface": [card]}, "OperationLocks": {"LockReason": []},
        "MetadataOptions": {"HttpTokens": "optional", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 0},
    }  # fmt: skip


def _address(t: Thing) -> dict[str, Any]:
    inside = {"IpAddress": [t["PrivateIp"]]}
    return {
        "PublicIpAddress": {"IpAddress": [t["PublicIp"]] if t["PublicIp"] else []},
        "InnerIpAddress": {"IpAddress": []},
        "EipAddress": {"IpAddress": "", "AllocationId": "", "InternetChargeType": ""},
        "VpcAttributes": {
            "VpcId": t["VpcId"],
            "VSwitchId": t["VSwitchId"],
            "NatIpAddress": "",
            "PrivateIpAddress": inside,
        },
    }


def _minutes(time: str) -> str:
    return f"{time[:16]}Z"


@action("ecs", "DeleteInstance", "InstanceId", "Force DryRun TerminateSubscription ForceStop")
def delete_instance(account: Account, p: Params) -> None:
    _delete(account, account.store.get("instance", p["InstanceId"], p["RegionId"]), force=p.flag("Force"))


@action("ecs", "DeleteInstances", "InstanceId.N", "Force DryRun TerminateSubscription ForceStop ClientToken")
def delete_instances(account: Account, p: Params) -> None:
    # All or none, as the API promises.
    for thing in [account.store.get("instance", own, p["RegionId"]) for own in p.plain("InstanceId")]:
        _delete(account, thing, force=p.flag("Force"))


def _delete(account: Account, thing: Thing, *, force: bool) -> None:
    if thing["DeletionProtection"]:
        raise ApiError(403, "InvalidOperation.DeletionProtection", "The instance is protected from deletion.")
    if thing["Status"] != "Stopped" and not force:
        raise ApiError(403, "IncorrectInstanceStatus", "The instance is not stopped.")
    _end(account, thing)


def _end(account: Account, thing: Thing) -> None:
    if account.hosts:
        account.hosts.end(thing)
    account.store.vanish(thing.id)


@action(
    "ecs", "DescribeDisks", "", f"DiskIds InstanceId DiskType Category ZoneId Status ResourceGroupId {TAGS} {PAGES}"
)
def describe_disks(account: Account, p: Params) -> dict[str, Any]:
    ids, kind = p.ids("DiskIds"), p.get("DiskType", "all")

    def wanted(t: Thing) -> bool:
        mine = t["InstanceId"] == p.get("InstanceId", t["InstanceId"])
        return mine and kind in {"all", "", t["Type"]} and (ids is None or t.id in ids)

    same = ("InstanceId", "Type", "Category", "Size", "DiskName", "Description", "Encrypted", "PerformanceLevel")
    rows = [
        {"DiskId": t.id, **{k: t[k] for k in same}, "Status": "In_use" if t["InstanceId"] else "Available", "KMSKeyId": "", "AutoSnapshotPolicyId": "",
         "StorageClusterId": "", "ProvisionedIops": 0, "BurstingEnabled": False, "RegionId": t.region,
         "CreationTime": t.created, "Tags": tag_rows(t)}
        for t in account.store.listed("disk", p, wanted)
    ]  # fmt: skip
    return page(p, rows, "Disks", "Disk")


@action(
    "ecs", "DescribeNetworkInterfaces", "",
    f"NetworkInterfaceId.N InstanceId VSwitchId VpcId Type Status SecurityGroupId {TAGS} {PAGES}",
)  # fmt: skip
def describe_cards(account: Account, p: Params) -> dict[str, Any]:
    ids, switch = p.plain("NetworkInterfaceId"), p.get("VSwitchId")
    found = account.store.listed(
        "card", p, lambda t: (not ids or t.id in ids) and (not switch or t["VSwitchId"] == switch)
    )
    rows = [
        {"NetworkInterfaceId": t.id, "VSwitchId": t["VSwitchId"], "InstanceId": t["InstanceId"],
         "Type": t.fields.get("Type", "Primary"), "Tags": tag_rows(t),
         "Status": "InUse", "NetworkInterfaceTrafficMode": "Standard", "QueuePairNumber": 0, "SourceDestCheck": False,
         "Attachment": {"NetworkCardIndex": 0}, "Ipv6Sets": {"Ipv6Set": []}, "PrivateIpAddress": t["Ip"],
         "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": t["Ip"], "Primary": True}]}}
        for t in found
    ]  # fmt: skip
    return page(p, rows, "NetworkInterfaceSets", "NetworkInterfaceSet")


@action("ecs", "DeleteDisk", "DiskId")
def delete_disk(account: Account, p: Params) -> None:
    disk = account.store.get("disk", p["DiskId"], p["RegionId"])
    if account.store.all("instance", lambda t: t.id == disk["InstanceId"]):
        raise ApiError(403, "IncorrectDiskStatus", "The disk is in use.")
    account.store.remove(disk.id)


def ids_of(account: Account, p: Params, name: str = "InstanceIds") -> list[Thing]:
    """The instances that a call names and that exist."""
    wanted = p.get(name) or "[]"
    own = json.loads(wanted) if wanted.startswith("[") else wanted.split(",")
    own = own or p.plain("InstanceId")
    return account.store.all("instance", lambda t: t.id in own and t.region == p["RegionId"])
