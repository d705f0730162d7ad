"""Networks: VPC, vSwitches, the system's route table."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, TAGS, action
from tests.clouds.alicloud.sim.store import Thing, page, tag_rows
from tests.clouds.alicloud.sim.wire import ApiError, Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account

GROUP = "rg-sim"


def vpc_row(account: Account, thing: Thing) -> dict[str, Any]:
    switches = account.store.all("vswitch", lambda t: t["VpcId"] == thing.id)
    return {
        "VpcId": thing.id, "VpcName": thing["VpcName"], "CidrBlock": thing["CidrBlock"], "Status": "Available",
        "Description": thing["Description"], "CreationTime": thing.created, "RegionId": thing.region,
        "VRouterId": f"vrt-{thing.id}", "IsDefault": False, "ClassicLinkEnabled": False, "EnabledIpv6": False,
        "Ipv6CidrBlock": "", "ResourceGroupId": GROUP, "DnsHostnameStatus": "DISABLED", "OwnerId": 1000000000000001,
        "Tags": tag_rows(thing, "Key", "Value"), "VSwitchIds": {"VSwitchId": [s.id for s in switches]},
        "SecondaryCidrBlocks": {"SecondaryCidrBlock": []}, "UserCidrs": {"UserCidr": []},
        "Ipv6CidrBlocks": {"Ipv6CidrBlock": []}, "RouterTableIds": {"RouterTableIds": [f"vtb-{thing.id}"]},
    }  # fmt: skip


def switch_row(thing: Thing) -> dict[str, Any]:
    same = ("VpcId", "ZoneId", "CidrBlock", "VSwitchName", "Description")
    return {
        "VSwitchId": thing.id, **{k: thing[k] for k in same}, "Status": "Available", "CreationTime": thing.created,
        "IsDefault": False, "Ipv6CidrBlock": "", "AvailableIpAddressCount": 200, "ResourceGroupId": GROUP,
        "OwnerId": 1000000000000001, "Tags": tag_rows(thing, "Key", "Value"),
        "RouteTable": {"RouteTableId": f"vtb-{thing['VpcId']}", "RouteTableType": "System"},
    }  # fmt: skip


@action("vpc", "CreateVpc", "CidrBlock", f"VpcName Description ClientToken DryRun EnableIpv6 ResourceGroupId {TAGS}")
def create_vpc(account: Account, p: Params) -> dict[str, Any]:
    block = _block(p["CidrBlock"])
    if not block.is_private:
        raise ApiError(400, "InvalidCidrBlock.Malformed", "The specified CidrBlock is no private network.")
    p.end_dry_run()
    made = account.store.add(
        "vpc", p["RegionId"], p.tags(), CidrBlock=p["CidrBlock"], VpcName=p.get("VpcName", ""),
        Description=p.get("Description", ""), DefaultRoute=("", ""),
    )  # fmt: skip
    ids = {"VpcId": made.id, "VRouterId": f"vrt-{made.id}", "RouteTableId": f"vtb-{made.id}"}
    return {**ids, "ResourceGroupId": GROUP}


@action("vpc", "DescribeVpcAttribute", "VpcId", "IsDefault")
def describe_vpc(account: Account, p: Params) -> dict[str, Any]:
    return vpc_row(account, account.store.get("vpc", p["VpcId"], p["RegionId"]))


@action("vpc", "DescribeVpcs", "", f"VpcId VpcName IsDefault ResourceGroupId DryRun {TAGS} {PAGES}")
def describe_vpcs(account: Account, p: Params) -> dict[str, Any]:
    ids, name = p.ids("VpcId"), p.get("VpcName")
    found = account.store.listed(
        "vpc", p, lambda t: (ids is None or t.id in ids) and (not name or t["VpcName"] == name)
    )
    return page(p, [vpc_row(account, t) for t in found], "Vpcs", "Vpc")


@action("vpc", "DescribeRouteTableList", "", f"VpcId RouterId RouteTableId RouterType RouteTableName {PAGES}")
def describe_route_tables(account: Account, p: Params) -> dict[str, Any]:
    rows = [
        {
            "RouteTableId": f"vtb-{t.id}", "RouterId": f"vrt-{t.id}", "VpcId": t.id, "Description": "",
            "RouteTableType": "System", "RouteTableName": "", "ResourceGroupId": GROUP, "RouterType": "VRouter",
            "RoutePropagationEnable": True, "Status": "Available", "CreationTime": t.created,
        }
        for t in account.store.all("vpc", lambda t: t.id == p.get("VpcId", t.id))
    ]  # fmt: skip
    return page(p, rows, "RouterTableList", "RouterTableListType")


@action(
    "vpc", "DescribeRouteEntryList", "RouteTableId", f"RouteEntryType DestinationCidrBlock RouteEntryStatus {PAGES}"
)
def describe_routes(account: Account, p: Params) -> dict[str, Any]:
    vpc = account.store.get("vpc", p["RouteTableId"].removeprefix("vtb-"))
    switches = account.store.all("vswitch", lambda t: t["VpcId"] == vpc.id)
    rows = [
        {"RouteTableId": p["RouteTableId"], "DestinationCidrBlock": s["CidrBlock"], "Type": "System",
         "Status": "Available", "NextHops": {"NextHop": [{"NextHopType": "local"}]}}
        for s in switches
    ]  # fmt: skip
    rows += [
        {"RouteTableId": p["RouteTableId"], "DestinationCidrBlock": "0.0.0.0/0", "Type": "Custom", "Status": "Available",
         "NextHops": {"NextHop": [{"NextHopType": kind, "NextHopId": hop}]}}
        for kind, hop in [vpc["DefaultRoute"]] if hop
    ]  # fmt: skip
    wanted = p.get("DestinationCidrBlock")
    return page(p, [r for r in rows if wanted in {None, r["DestinationCidrBlock"]}], "RouteEntrys", "RouteEntry")


@action("vpc", "ModifyVpcAttribute", "VpcId", "VpcName Description CidrBlock EnableIPv6")
def modify_vpc(account: Account, p: Params) -> None:
    thing = account.store.get("vpc", p["VpcId"], p["RegionId"])
    thing.fields.update({k: p[k] for k in ("VpcName", "Description") if k in p})


@action("vpc", "DeleteVpc", "VpcId", "ForceDelete DryRun ClientToken")
def delete_vpc(account: Account, p: Params) -> None:
    thing = account.store.get("vpc", p["VpcId"], p["RegionId"])
    for kind, word in (("vswitch", "VSwitch"), ("group", "SecurityGroup")):
        if account.store.all(kind, lambda t: t["VpcId"] == thing.id):
            raise ApiError(400, f"DependencyViolation.{word}", f"Specified VPC has dependent {word}.")
    account.store.remove(thing.id)


@action(
    "vpc", "CreateVSwitch", "VpcId ZoneId CidrBlock",
    f"VSwitchName Description ClientToken DryRun Ipv6CidrBlock {TAGS}",
)  # fmt: skip
def create_switch(account: Account, p: Params) -> dict[str, Any]:
    vpc = account.store.get("vpc", p["VpcId"], p["RegionId"])
    block = _block(p["CidrBlock"])
    if p["ZoneId"] not in account.catalogue.zones[p["RegionId"]]:
        raise ApiError(400, "InvalidZoneId.Unknown", "The specified zone is not one of this region.")
    if not block.subnet_of(_block(vpc["CidrBlock"])):
        raise ApiError(400, "InvalidCidrBlock.Mismatch", "Specified CIDR block is not in the VPC.")
    others = account.store.all("vswitch", lambda t: t["VpcId"] == vpc.id)
    if any(block.overlaps(_block(t["CidrBlock"])) for t in others):
        raise ApiError(400, "InvalidCidrBlock.Overlapped", "Specified CIDR block is overlapped.")
    p.end_dry_run()
    made = account.store.add(
        "vswitch", p["RegionId"], p.tags(), VpcId=vpc.id, ZoneId=p["ZoneId"], CidrBlock=p["CidrBlock"],
        VSwitchName=p.get("VSwitchName", ""), Description=p.get("Description", ""), Next=10,
    )  # fmt: skip
    return {"VSwitchId": made.id}


@action("vpc", "DescribeVSwitchAttributes", "VSwitchId", "DryRun")
def describe_switch(account: Account, p: Params) -> dict[str, Any]:
    return switch_row(account.store.get("vswitch", p["VSwitchId"], p["RegionId"]))


@action("vpc", "DescribeVSwitches", "", f"VpcId VSwitchId ZoneId VSwitchName IsDefault ResourceGroupId {TAGS} {PAGES}")
def describe_switches(account: Account, p: Params) -> dict[str, Any]:
    ids = p.ids("VSwitchId")

    def wanted(t: Thing) -> bool:
        same = all(not p.get(k) or t[k] == p[k] for k in ("VpcId", "ZoneId", "VSwitchName"))
        return same and (ids is None or t.id in ids)

    return page(p, [switch_row(t) for t in account.store.listed("vswitch", p, wanted)], "VSwitches", "VSwitch")


@action("vpc", "ModifyVSwitchAttribute", "VSwitchId", "VSwitchName Description")
def modify_switch(account: Account, p: Params) -> None:
    thing = account.store.get("vswitch", p["VSwitchId"], p["RegionId"])
    thing.fields.update({k: p[k] for k in ("VSwitchName", "Description") if k in p})


@action("vpc", "DeleteVSwitch", "VSwitchId", "DryRun ClientToken")
def delete_switch(account: Account, p: Params) -> None:
    thing = account.store.get("vswitch", p["VSwitchId"], p["RegionId"])
    if account.store.all("instance", lambda t: t["VSwitchId"] == thing.id):
        raise ApiError(400, "DependencyViolation", "Specified VSwitch has dependent resources.")
    account.store.remove(thing.id)


def _block(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise ApiError(400, "InvalidCidrBlock.Malformed", "The specified CidrBlock is not valid.") from None
