"""Why a machine does not answer, as far as the service can say."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.wire import items
from provisioner.errors import SealerError

CONSOLE_LINES, LINE_LIMIT = 10, 200
EVERYWHERE = "0.0.0.0/0"


def diagnose(api: Api, region: str, machine_id: str) -> tuple[str, ...]:
    """Status, address, what the security group lets in, the way out, the console's last lines. Never raises."""
    found: list[str] = []
    rows: list[dict[str, Any]] = []

    def instance() -> list[str]:
        answer = api.call("ecs", "DescribeInstances", region, {"InstanceIds": f'["{machine_id}"]'})
        rows.extend(items(answer, "Instances", "Instance"))
        return [_status(row) for row in rows] or [f"alicloud has no machine {machine_id} any more"]

    def groups() -> list[str]:
        return [
            _group(api, region, group) for row in rows for group in items(row, "SecurityGroupIds", "SecurityGroupId")
        ]

    def console() -> list[str]:
        answer = api.call("ecs", "GetInstanceConsoleOutput", region, {"InstanceId": machine_id})
        return console_lines(str(answer.get("ConsoleOutput") or ""))

    def route() -> list[str]:
        return [_route(api, region, str(row["VpcAttributes"]["VSwitchId"])) for row in rows]

    looks = (("machine", instance), ("security group", groups), ("route", route), ("console", console))
    for what, look in looks:
        found += _tried(what, look)
    return tuple(found)


def _tried(what: str, look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    except SealerError as error:
        return [f"{what}: not known ({error.evidence or error.message})"]
    except (KeyError, TypeError, ValueError) as error:
        return [f"{what}: the answer cannot be read ({type(error).__name__})"]


def _status(row: dict[str, Any]) -> str:
    address = ", ".join(items(row, "PublicIpAddress", "IpAddress")) or "none"
    return f"machine is {row.get('Status')}, public address {address}"


def _group(api: Api, region: str, group: str) -> str:
    answer = api.call(
        "ecs", "DescribeSecurityGroupAttribute", region, {"SecurityGroupId": group, "Direction": "ingress"}
    )
    rules = [
        f"{r.get('IpProtocol', '').lower()} {r.get('PortRange')} from {r.get('SourceCidrIp') or r.get('SourceGroupId')}"
        for r in items(answer, "Permissions", "Permission")
    ]
    return f"security group {group} lets in: {'; '.join(rules) or 'nothing'}"


def _route(api: Api, region: str, subnet: str) -> str:
    """Where answers go: a machine's public address needs no entry, but one that stands is what holds."""
    row = api.call("vpc", "DescribeVSwitchAttributes", region, {"VSwitchId": subnet})
    table = str(row["RouteTable"]["RouteTableId"])
    asked = {"RouteTableId": table, "DestinationCidrBlock": EVERYWHERE}
    answer = api.call("vpc", "DescribeRouteEntryList", region, asked)
    hops = [
        f"by {hop.get('NextHopType')} {hop.get('NextHopId') or ''}".rstrip() + f", {entry.get('Status')}"
        for entry in items(answer, "RouteEntrys", "RouteEntry")
        if entry.get("DestinationCidrBlock") == EVERYWHERE
        for hop in items(entry, "NextHops", "NextHop")
    ]
    none = "not in it: enough for a public address, unless its network has an IPv4 gateway"
    return f"route table {table} of {subnet}: the default route is {'; '.join(hops) or none}"


def console_lines(encoded: str) -> list[str]:
    """The last lines of a console, without what could steer a terminal and without anything like a key."""
    text = base64.b64decode(encoded, validate=False).decode("utf-8", "replace")
    lines, inside = [], False
    for raw in text.splitlines():
        inside = inside or "PRIVATE KEY" in raw
        line = "".join(c for c in raw if c.isprintable()).strip()
        if line and not inside:
            lines.append(line[:LINE_LIMIT])
        inside = inside and "END" not in raw
    return [f"console: {line}" for line in lines[-CONSOLE_LINES:]]
