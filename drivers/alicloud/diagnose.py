"""Why a machine does not answer, as far as the service can say."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.wire import items
from provisioner.errors import SealerError

CONSOLE_LINES, LINE_LIMIT = 10, 200


def diagnose(api: Api, region: str, machine_id: str) -> tuple[str, ...]:
    """Status, address, what the security group lets in, the console's last lines. Never raises."""
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

    for what, look in (("machine", instance), ("security group", groups), ("console", console)):
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
