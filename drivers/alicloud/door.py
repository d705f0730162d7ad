"""Letting the operator in where he is now: rules of the cluster's security group beside those of the program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind
from drivers.alicloud.things import GROUP
from provisioner.errors import ProviderError
from provisioner.model.driver import Visit
from provisioner.model.ids import ClusterId
from provisioner.model.ingress import ALL, Admission, GroupRule, Guest, Opening, admission, admitted_words
from provisioner.model.tags import CID

_GROUP_ID = re.compile(r"sg-[A-Za-z0-9]+")
_PORTS = re.compile(r"(-?\d+)/(-?\d+)")
_HIGHEST = 65535


def let_in(api: Api, region: str, cid: ClusterId, guest: Guest, visit: Visit) -> str:
    """As `Driver.let_in`, for a region and a guest that are known. A cluster that has no group yet needs nothing."""
    found = _group(api, region, cid, visit.known)
    if found is None:
        return ""
    group, rules = found
    change = admission(rules, guest)
    if visit.acting:
        _change(api, region, group, change, guest)
    return admitted_words(change, guest, acting=visit.acting)


def _group(api: Api, region: str, cid: ClusterId, known: Iterable[str]) -> tuple[str, list[GroupRule]] | None:
    """The cluster's group with its rules: by the state's id in one call, else by its tag in two."""
    ids = [id_ for id_ in known if _GROUP_ID.fullmatch(id_)]
    if len(ids) != 1:
        tag = [{"Key": CID, "Value": str(cid)}]
        ids = [str(row[GROUP.key]) for row in api.pages("ecs", GROUP.listing, region, GROUP.path, {"Tag": tag})]
    for group in ids:
        try:
            return group, _rules(api, region, group)
        except ProviderError as error:
            if error_kind(error) is not Kind.GONE:
                raise
    return None


def _rules(api: Api, region: str, group: str) -> list[GroupRule]:
    asked = {"SecurityGroupId": group, "Direction": "ingress"}
    rows: list[Any] = list(api.tokens("DescribeSecurityGroupAttribute", region, ("Permissions", "Permission"), asked))
    return [rule for row in rows if (rule := _rule(row))]


def _rule(row: Mapping[str, Any]) -> GroupRule | None:
    """A rule that lets an IPv4 network in; None for any other."""
    ports = _PORTS.fullmatch(str(row.get("PortRange") or ""))
    if not ports or not row.get("SourceCidrIp") or str(row.get("Policy")).lower() != "accept":
        return None
    first, last = int(ports[1]), int(ports[2])
    first, last = (1, _HIGHEST) if first < 0 else (first, last)
    protocol = str(row.get("IpProtocol") or "").lower()
    words = str(row.get("Description") or "")
    return GroupRule("", first, last, ALL if protocol == "all" else protocol, str(row["SourceCidrIp"]), words)


def _change(api: Api, region: str, group: str, change: Admission, guest: Guest) -> None:
    """Both calls may be sent twice: what is there is not added, what is gone is not missed. The new rule comes first."""
    for action, rules in (
        ("AuthorizeSecurityGroup", [{**_words(o), "Description": guest.description} for o in change.add]),
        ("RevokeSecurityGroup", [_words(rule.opening) for rule in change.drop]),
    ):
        if rules:
            api.call("ecs", action, region, {"SecurityGroupId": group, "Permissions": rules})


def _words(opening: Opening) -> dict[str, str]:
    return {
        "IpProtocol": opening.protocol.upper(),
        "PortRange": f"{opening.first}/{opening.last}",
        "SourceCidrIp": str(opening.source),
        "NicType": "intranet",
        "Policy": "accept",
        "Priority": "1",
    }
