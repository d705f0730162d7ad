"""Security groups with their rules, and key pairs."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, TAGS, action
from tests.clouds.alicloud.sim.store import Thing, page, tag_rows
from tests.clouds.alicloud.sim.wire import ApiError, Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account

_RULE = (
    "IpProtocol PortRange SourcePortRange Policy Priority NicType Description SourceCidrIp Ipv6SourceCidrIp "
    "SourceGroupId SourceGroupOwnerId SourceGroupOwnerAccount SourcePrefixListId DestCidrIp Ipv6DestCidrIp "
    "DestGroupId DestGroupOwnerId DestGroupOwnerAccount DestPrefixListId"
)
RULE = f"{_RULE} " + " ".join(f"Permissions.N.{word}" for word in _RULE.split())


def _group(account: Account, p: Params) -> Thing:
    return account.store.get("group", p["SecurityGroupId"], p["RegionId"])


@action(
    "ecs", "CreateSecurityGroup", "",
    f"VpcId SecurityGroupName Description SecurityGroupType ResourceGroupId ClientToken {TAGS}",
)  # fmt: skip
def create_group(account: Account, p: Params) -> dict[str, Any]:
    account.store.get("vpc", p.get("VpcId"), p["RegionId"])
    made = account.store.add(
        "group", p["RegionId"], p.tags(), VpcId=p["VpcId"], Rules=[], InnerAccessPolicy="Accept",
        SecurityGroupName=p.get("SecurityGroupName", ""), Description=p.get("Description", ""),
        SecurityGroupType=p.get("SecurityGroupType", "normal"),
    )  # fmt: skip
    return {"SecurityGroupId": made.id}


@action(
    "ecs", "DescribeSecurityGroups", "",
    "VpcId SecurityGroupId SecurityGroupIds SecurityGroupName SecurityGroupType ResourceGroupId FuzzyQuery DryRun "
    f"IsQueryEcsCount NetworkType ServiceManaged {TAGS} {PAGES}",
)  # fmt: skip
def describe_groups(account: Account, p: Params) -> dict[str, Any]:
    ids = p.ids("SecurityGroupIds") or p.ids("SecurityGroupId")

    def wanted(t: Thing) -> bool:
        same = all(not p.get(k) or t[k] == p[k] for k in ("VpcId", "SecurityGroupName"))
        return same and (ids is None or t.id in ids)

    fields = ("VpcId", "SecurityGroupName", "Description", "SecurityGroupType")
    rows = [
        {"SecurityGroupId": t.id, **{k: t[k] for k in fields}, "ResourceGroupId": "rg-sim", "ServiceManaged": False,
         "CreationTime": t.created, "Tags": tag_rows(t)}
        for t in account.store.listed("group", p, wanted)
    ]  # fmt: skip
    return page(p, rows, "SecurityGroups", "SecurityGroup")


@action("ecs", "DescribeSecurityGroupAttribute", "SecurityGroupId", f"Direction NicType Attribute {PAGES}")
def describe_group(account: Account, p: Params) -> dict[str, Any]:
    thing = _group(account, p)
    rules = [r for r in thing["Rules"] if p.get("Direction") in {None, "", "all", r["Direction"]}]
    same = ("SecurityGroupName", "VpcId", "Description", "InnerAccessPolicy")
    answer = {"SecurityGroupId": thing.id, "RegionId": thing.region, **{k: thing[k] for k in same}}
    return {**answer, "NextToken": "", "Permissions": {"Permission": rules}}


@action("ecs", "ModifySecurityGroupAttribute", "SecurityGroupId", "SecurityGroupName Description")
def modify_group(account: Account, p: Params) -> None:
    _group(account, p).fields.update({k: p[k] for k in ("SecurityGroupName", "Description") if k in p})


@action("ecs", "ModifySecurityGroupPolicy", "SecurityGroupId InnerAccessPolicy", "ClientToken")
def modify_group_policy(account: Account, p: Params) -> None:
    _group(account, p)["InnerAccessPolicy"] = p["InnerAccessPolicy"].capitalize()


@action("ecs", "DeleteSecurityGroup", "SecurityGroupId")
def delete_group(account: Account, p: Params) -> None:
    thing = _group(account, p)
    if account.store.all("instance", lambda t: thing.id in t["SecurityGroupIds"]):
        raise ApiError(403, "DependencyViolation", "There is still instance(s) in the specified security group.")
    account.store.remove(thing.id)


def _rule(part: dict[str, str], direction: str) -> dict[str, Any]:
    side = "Source" if direction == "ingress" else "Dest"
    names = (f"{side}CidrIp", f"Ipv6{side}CidrIp", f"{side}GroupId", f"{side}GroupOwnerAccount", f"{side}PrefixListId")
    return {
        **{k: part.get(k, "") for k in ("PortRange", *names)},
        "IpProtocol": part.get("IpProtocol", "").upper(), "Direction": direction,
        "NicType": part.get("NicType", "intranet"), "Description": part.get("Description", ""),
        "Policy": part.get("Policy", "accept").capitalize(), "Priority": part.get("Priority", "1"),
    }  # fmt: skip


def _is_same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    names = (set(a) | set(b)) - {"Description", "SecurityGroupRuleId", "CreateTime"}
    return all(a.get(k) == b.get(k) for k in names)


def _parts(p: Params) -> list[dict[str, str]]:
    return p.rows("Permissions") or [dict(p)]


def _authorize(account: Account, p: Params, direction: str) -> None:
    thing = _group(account, p)
    for part in _parts(p):
        rule = _rule(part, direction)
        if not rule["IpProtocol"] or not rule["PortRange"]:
            raise ApiError(400, "MissingParameter.IpProtocol", "IpProtocol and PortRange are mandatory.")
        if not any(_is_same(rule, r) for r in thing["Rules"]):
            number = f"sgr-{thing.id}-{len(thing['Rules'])}"
            thing["Rules"].append({**rule, "SecurityGroupRuleId": number, "CreateTime": thing.created})


def _revoke(account: Account, p: Params, direction: str) -> None:
    thing = _group(account, p)
    for part in _parts(p):
        rule = _rule(part, direction)
        thing["Rules"] = [r for r in thing["Rules"] if not _is_same(rule, r)]


@action("ecs", "AuthorizeSecurityGroup", "SecurityGroupId", f"ClientToken {RULE}")
def authorize(account: Account, p: Params) -> None:
    _authorize(account, p, "ingress")


@action("ecs", "AuthorizeSecurityGroupEgress", "SecurityGroupId", f"ClientToken {RULE}")
def authorize_out(account: Account, p: Params) -> None:
    _authorize(account, p, "egress")


@action("ecs", "RevokeSecurityGroup", "SecurityGroupId", f"ClientToken SecurityGroupRuleId.N {RULE}")
def revoke(account: Account, p: Params) -> None:
    _revoke(account, p, "ingress")


@action("ecs", "RevokeSecurityGroupEgress", "SecurityGroupId", f"ClientToken SecurityGroupRuleId.N {RULE}")
def revoke_out(account: Account, p: Params) -> None:
    _revoke(account, p, "egress")


@action("ecs", "ImportKeyPair", "KeyPairName PublicKeyBody", f"ResourceGroupId {TAGS}")
def import_key(account: Account, p: Params) -> dict[str, Any]:
    name = p["KeyPairName"]
    if account.store.all("keypair", lambda t: t["KeyPairName"] == name and t.region == p["RegionId"]):
        raise ApiError(400, "KeyPair.AlreadyExist", "The key pair already exist.")
    body = base64.b64decode(p["PublicKeyBody"].split()[1])
    mark = hashlib.md5(body, usedforsecurity=False).hexdigest()
    account.store.add("keypair", p["RegionId"], p.tags(), KeyPairName=name, KeyPairFingerPrint=mark)
    return {"KeyPairName": name, "KeyPairFingerPrint": mark}


@action("ecs", "DescribeKeyPairs", "", f"KeyPairName KeyPairFingerPrint ResourceGroupId {TAGS} {PAGES}")
def describe_keys(account: Account, p: Params) -> dict[str, Any]:
    found = account.store.listed("keypair", p, lambda t: t["KeyPairName"] == p.get("KeyPairName", t["KeyPairName"]))
    rows = [{**t.fields, "CreationTime": t.created, "ResourceGroupId": "", "Tags": tag_rows(t)} for t in found]
    return page(p, rows, "KeyPairs", "KeyPair")


@action("ecs", "DeleteKeyPairs", "KeyPairNames")
def delete_keys(account: Account, p: Params) -> None:
    names = p.ids("KeyPairNames") or []
    for thing in account.store.all("keypair", lambda t: t["KeyPairName"] in names and t.region == p["RegionId"]):
        account.store.remove(thing.id)
