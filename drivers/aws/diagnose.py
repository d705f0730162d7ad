"""Why a machine does not answer, as far as AWS can say. Reads only, and never fails."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

from drivers.aws.api import Api, filters
from drivers.aws.wayout import default_routes, leads_out
from provisioner.errors import SealerError

LINES = 8
WIDTH = 160
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_KEYS = re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)


def diagnose(api: Api, region: str, machine_id: str) -> tuple[str, ...]:
    """State, firewall and route, then the last lines of the console; what cannot be looked up is left out."""
    lines: list[str] = []
    machine: dict[str, Any] = {}
    with contextlib.suppress(SealerError, LookupError, TypeError):
        answer = api.call("ec2", "describe_instances", region, InstanceIds=[machine_id])
        machine = answer["Reservations"][0]["Instances"][0]
        lines.append(_state(machine))
    with contextlib.suppress(SealerError, LookupError, TypeError):
        lines.append(_firewall(api, region, machine))
    with contextlib.suppress(SealerError, LookupError, TypeError):
        lines.append(_route(api, region, machine))
    with contextlib.suppress(SealerError, LookupError, TypeError, ValueError):
        answer = api.call("ec2", "get_console_output", region, InstanceId=machine_id)
        lines += [f"console: {line}" for line in console_lines(_decoded(str(answer.get("Output", ""))))]
    return tuple(line for line in lines if line)


def console_lines(text: str) -> list[str]:
    """The last lines of a console, without control characters and keys, cut."""
    cleaned = [_CONTROL.sub("", line).strip() for line in _KEYS.sub("…", text).splitlines()]
    return [line[:WIDTH] for line in cleaned if line][-LINES:]


def _decoded(text: str) -> str:
    """Botocore decodes the console itself; other endpoints may answer it as it is on the wire."""
    if re.fullmatch(r"[A-Za-z0-9+/\s]+=*\s*", text) and "\n" not in text.strip():
        with contextlib.suppress(ValueError):
            return base64.b64decode(text).decode("utf-8", "replace")
    return text


def _state(machine: dict[str, Any]) -> str:
    reason = machine.get("StateReason", {}).get("Message", "")
    return f"the machine is {machine['State']['Name']}" + (f": {reason}" if reason else "")


def _firewall(api: Api, region: str, machine: dict[str, Any]) -> str:
    groups = [group["GroupId"] for group in machine["SecurityGroups"]]
    answer = api.call("ec2", "describe_security_groups", region, GroupIds=groups)
    rules = [
        f"{rule.get('FromPort', 'all')} from {source['CidrIp']}"
        for group in answer["SecurityGroups"]
        for rule in group.get("IpPermissions", ())
        for source in rule.get("IpRanges", ())
    ]
    return f"security group {', '.join(groups)} lets in: {', '.join(rules) or 'nothing from outside'}"


def _route(api: Api, region: str, machine: dict[str, Any]) -> str:
    address = machine.get("PublicIpAddress")
    where = filters({"association.subnet-id": machine["SubnetId"]})
    tables = api.call("ec2", "describe_route_tables", region, Filters=where).get("RouteTables", ())
    outside = default_routes(tables)
    way = f"by {outside[0].get('GatewayId') or 'another way'}" if outside else "missing in the subnet's own table"
    way += ", which is gone" if outside and not leads_out(tables) else ""
    return f"public address: {address or 'none'}; the default route is {way}"
