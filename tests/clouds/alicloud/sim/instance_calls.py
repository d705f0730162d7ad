"""What is asked and changed of an instance that exists."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, action
from tests.clouds.alicloud.sim.instances import check_release, ids_of
from tests.clouds.alicloud.sim.store import Thing, page
from tests.clouds.alicloud.sim.wire import Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account


def _instance(account: Account, p: Params) -> Thing:
    return account.store.get("instance", p["InstanceId"], p["RegionId"])


@action("ecs", "DescribeInstanceAttribute", "InstanceId")
def describe_attribute(account: Account, p: Params) -> dict[str, Any]:
    t = _instance(account, p)
    return {"InstanceId": t.id, "Status": t["Status"], "EnableJumboFrame": False, "ZoneId": t["ZoneId"]}


@action("ecs", "DescribeInstanceStatus", "", f"InstanceId.N ZoneId {PAGES}")
def describe_status(account: Account, p: Params) -> dict[str, Any]:
    ids = p.plain("InstanceId")
    found = account.store.listed("instance", p, lambda t: not ids or t.id in ids)
    rows = [{"InstanceId": t.id, "Status": t["Status"]} for t in found]
    return page(p, rows, "InstanceStatuses", "InstanceStatus")


@action("ecs", "DescribeInstanceMaintenanceAttributes", "", f"InstanceId.N {PAGES}")
def describe_maintenance(account: Account, p: Params) -> dict[str, Any]:
    rows = [
        {"InstanceId": t.id, "MaintenanceWindows": {"MaintenanceWindow": []}, "NotifyOnMaintenance": False,
         "ActionOnMaintenance": {"Value": "AutoRecover"}}
        for t in ids_of(account, p)
    ]  # fmt: skip
    return {"MaintenanceAttributes": {"MaintenanceAttribute": rows}}


@action("ecs", "DescribeInstanceAttachmentAttributes", "InstanceIds", PAGES)
def describe_attachment(account: Account, p: Params) -> dict[str, Any]:
    rows = [{"InstanceId": t.id, "PrivatePoolOptionsMatchCriteria": "Open"} for t in ids_of(account, p)]
    return {"Instances": {"Instance": rows}}


@action("ecs", "DescribeInstanceRamRole", "InstanceIds", f"RamRoleName {PAGES}")
def describe_role(account: Account, p: Params) -> dict[str, Any]:
    # One row for each, role or not: the provider's look-up of instances drops those without a row.
    rows = [{"InstanceId": t.id, "RamRoleName": t["RamRoleName"]} for t in ids_of(account, p)]
    return {"RegionId": p["RegionId"], "InstanceRamRoleSets": {"InstanceRamRoleSet": rows}}


@action("ecs", "DescribeUserData", "InstanceId")
def describe_user_data(account: Account, p: Params) -> dict[str, Any]:
    t = _instance(account, p)
    return {"InstanceId": t.id, "RegionId": t.region, "UserData": t["UserData"]}


@action("ecs", "GetInstanceConsoleOutput", "InstanceId", "RemoveSymbols DryRun")
def console_output(account: Account, p: Params) -> dict[str, Any]:
    t = _instance(account, p)
    text = account.hosts.console(t) if account.hosts else "Linux version 6.1.0\nlogin: "
    output = base64.b64encode(text.encode()).decode()
    return {"InstanceId": t.id, "ConsoleOutput": output, "LastUpdateTime": t.created}


@action(
    "ecs", "ModifyInstanceAttribute", "InstanceId",
    "InstanceName Description HostName UserData CreditSpecification DeletionProtection Password SecurityGroupIds.N "
    "EnableJumboFrame Recyclable",
)  # fmt: skip
def modify_attribute(account: Account, p: Params) -> None:
    t = _instance(account, p)
    t.fields.update({k: p[k] for k in ("InstanceName", "Description", "HostName", "UserData") if k in p})
    if "DeletionProtection" in p:
        t["DeletionProtection"] = p.flag("DeletionProtection")


@action("ecs", "ModifyInstanceAutoReleaseTime", "InstanceId", "AutoReleaseTime")
def modify_release(account: Account, p: Params) -> None:
    check_release(account, p.get("AutoReleaseTime", ""))
    _instance(account, p)["AutoReleaseTime"] = p.get("AutoReleaseTime", "")


@action("ecs", "ModifyInstanceSpec", "InstanceId", "InstanceType ClientToken AllowMigrateAcrossZone Async")
def modify_spec(account: Account, p: Params) -> None:
    _instance(account, p)["InstanceType"] = p["InstanceType"]


@action("ecs", "StopInstance", "InstanceId", "ForceStop StoppedMode ConfirmStop DryRun Hibernate")
def stop(account: Account, p: Params) -> None:
    _instance(account, p)["Status"] = "Stopped"


@action("ecs", "StartInstance", "InstanceId", "DryRun InitLocalDisk SourceRegionId")
def start(account: Account, p: Params) -> None:
    _instance(account, p)["Status"] = "Running"


@action("ecs", "JoinSecurityGroup", "SecurityGroupId", "InstanceId NetworkInterfaceId")
def join(account: Account, p: Params) -> None:
    groups = _instance(account, p)["SecurityGroupIds"]
    groups.append(account.store.get("group", p["SecurityGroupId"]).id)


@action("ecs", "LeaveSecurityGroup", "SecurityGroupId", "InstanceId NetworkInterfaceId")
def leave(account: Account, p: Params) -> None:
    _instance(account, p)["SecurityGroupIds"].remove(p["SecurityGroupId"])
