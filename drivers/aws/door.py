"""Letting the operator in where he is now: rules of the cluster's security group beside those of the program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from drivers.aws.api import Api, CodeError, filters
from drivers.aws.failures import is_gone, of_code
from provisioner.model import tags as words
from provisioner.model.driver import Visit
from provisioner.model.ids import ClusterId
from provisioner.model.ingress import ALL, Admission, GroupRule, Guest, Opening, admission, admitted_words

_GROUP_ID = re.compile(r"sg-[0-9a-f]+")
_HIGHEST = 65535
_DONE = re.compile(r"InvalidPermission\.(Duplicate|NotFound)|InvalidSecurityGroupRuleId\.NotFound")
"""Another command of this machine was quicker."""


def let_in(api: Api, region: str, cid: ClusterId, guest: Guest, visit: Visit) -> str:
    """As `Driver.let_in`, for a region and a guest that are known. A cluster that has no group yet needs nothing."""
    group = _group(api, region, cid, visit.known)
    if group is None:
        return ""
    change = admission(_rules(api, region, group), guest)
    if visit.acting:
        _change(api, region, group, change, guest)
    return admitted_words(change, guest, acting=visit.acting)


def _group(api: Api, region: str, cid: ClusterId, known: Iterable[str]) -> str | None:
    """The group that the state knows; without one, or with several, it is found by its tag."""
    ids = [id_ for id_ in known if _GROUP_ID.fullmatch(id_)]
    if len(ids) != 1:
        tag = filters({f"tag:{words.CID}": str(cid)})
        ids = [
            str(g["GroupId"])
            for g in api.pages("ec2", "describe_security_groups", region, "SecurityGroups", Filters=tag)
        ]
    return ids[0] if ids else None


def _rules(api: Api, region: str, group: str) -> list[GroupRule]:
    asked = {"Filters": filters({"group-id": group})}
    rows = api.pages("ec2", "describe_security_group_rules", region, "SecurityGroupRules", **asked)
    return [rule for row in rows if (rule := _rule(row))]


def _rule(row: Mapping[str, Any]) -> GroupRule | None:
    """A rule that lets an IPv4 network in; None for any other."""
    if row.get("IsEgress") or not row.get("CidrIpv4"):
        return None
    protocol = ALL if row["IpProtocol"] == "-1" else str(row["IpProtocol"])
    first, last = int(row.get("FromPort", -1)), int(row.get("ToPort", -1))
    first, last = (1, _HIGHEST) if first < 0 else (first, last)
    id_, text = str(row["SecurityGroupRuleId"]), str(row.get("Description") or "")
    return GroupRule(id_, first, last, protocol, str(row["CidrIpv4"]), text)


def _change(api: Api, region: str, group: str, change: Admission, guest: Guest) -> None:
    """The new rule comes first: nobody is locked out between the two calls. Without a tag: it is no thing of its own."""
    if change.add:
        rules = [_words(opening, guest.description) for opening in change.add]
        _quietly(api, "authorize_security_group_ingress", region, GroupId=group, IpPermissions=rules)
    if change.drop:
        ids = [rule.id for rule in change.drop]
        _quietly(api, "revoke_security_group_ingress", region, GroupId=group, SecurityGroupRuleIds=ids)


def _quietly(api: Api, action: str, region: str, **arguments: object) -> None:
    try:
        api.attempt("ec2", action, region, **arguments)
    except CodeError as error:
        if not _DONE.fullmatch(error.code) and not is_gone(error.code):
            raise of_code(error.code, error.message, action, region) from error


def _words(opening: Opening, description: str) -> dict[str, object]:
    return {
        "IpProtocol": opening.protocol,
        "FromPort": opening.first,
        "ToPort": opening.last,
        "IpRanges": [{"CidrIp": str(opening.source), "Description": description}],
    }
