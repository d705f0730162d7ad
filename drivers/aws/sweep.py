"""Removing what is ours by its tag, in dependency order, until a look finds nothing. Needs no state and no SSH."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from drivers.aws.api import Api, CodeError, filters, machines_of
from drivers.aws.failures import is_gone, of_code
from drivers.aws.look import MACHINE, ORDER, Found
from provisioner.errors import ProviderError, SealerError, worst_of

MACHINES_SECONDS = 300.0
"""EC2 takes up to some minutes to let a machine go."""
REST_SECONDS = 120.0
RULE = "security-group-rule"
FIRST_WAIT, LONGEST_WAIT = 1.0, 10.0
BUSY = frozenset({"DependencyViolation", "InvalidGroup.InUse", "ResourceInUse", "VolumeInUse", "IncorrectState"})
"""Something that is on its way out still holds it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How time passes."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def remove(
    api: Api, things: Iterable[Found], waiting: Waiting, rest_seconds: float = REST_SECONDS
) -> list[SealerError]:
    """Remove all of these; idempotent. What could not be removed is answered as errors, the rest is removed anyway."""
    todo = [thing for thing in things if thing.kind in ORDER]
    if any(thing.kind == "security-group" for thing in todo):
        todo = [thing for thing in todo if thing.kind != RULE]  # a rule goes with its group
    failed: list[SealerError] = []
    machines = [thing for thing in todo if thing.kind == MACHINE]
    try:
        end_machines(api, machines, waiting)
    except SealerError as error:
        failed.append(error)
    for kind in ORDER[1:]:
        for thing in (t for t in todo if t.kind == kind):
            try:
                _patiently(api, thing, waiting, 0.0 if failed else rest_seconds)  # it waits for what does not go
            except SealerError as error:
                failed.append(error)
    return failed


def end_machines(api: Api, machines: Iterable[Found], waiting: Waiting) -> None:
    """Terminate all at once and wait until they are gone; one that is refused keeps no other.

    Raises ProviderError (6) for what is left at the deadline, and as EC2 refused.
    """
    by_region: dict[str, list[str]] = {}
    for machine in machines:
        by_region.setdefault(machine.region, []).append(machine.id)
    refused: dict[str, SealerError] = {}
    for region, ids in by_region.items():
        refused |= _ends(api, region, ids)
    _until_gone(api, {r: [id_ for id_ in ids if id_ not in refused] for r, ids in by_region.items()}, waiting)
    if refused:
        raise worst_of(refused.values())


def _until_gone(api: Api, by_region: dict[str, list[str]], waiting: Waiting) -> None:
    until = waiting.monotonic() + MACHINES_SECONDS
    pause = FIRST_WAIT
    while left := {
        region: ids for region, names in by_region.items() if names and (ids := _living(api, region, names))
    }:
        if waiting.monotonic() > until:
            told = "; ".join(f"{', '.join(ids)} in {region}" for region, ids in left.items())
            raise ProviderError(f"still not gone after {MACHINES_SECONDS:.0f} s: {told}", hint="run the command again")
        waiting.sleep(pause)
        pause = min(LONGEST_WAIT, pause * 1.5)


def _ends(api: Api, region: str, ids: list[str]) -> dict[str, SealerError]:
    try:
        api.attempt("ec2", "terminate_instances", region, InstanceIds=ids)
    except CodeError as error:
        if len(ids) > 1:  # one that is gone, or protected, must not keep the others
            return {one: e for id_ in ids for one, e in _ends(api, region, [id_]).items()}
        if not is_gone(error.code):
            return {ids[0]: of_code(error.code, error.message, f"TerminateInstances {ids[0]}", region)}
    return {}


def _living(api: Api, region: str, ids: list[str]) -> list[str]:
    return [m["InstanceId"] for m in machines_of(api, region, ids) if m["State"]["Name"] != "terminated"]


def let_go(api: Api, tables: Iterable[Found], known: frozenset[str]) -> None:
    """Take away what these route tables are associated with beyond what is known.

    An association carries no tag, and EC2 refuses a second one of the same subnet.
    """
    for table in tables:
        answer = api.call("ec2", "describe_route_tables", table.region, RouteTableIds=[table.id])
        used = [a for t in answer.get("RouteTables", ()) for a in t.get("Associations", ()) if not a.get("Main")]
        for id_ in {str(a["RouteTableAssociationId"]) for a in used} - known:
            api.call("ec2", "disassociate_route_table", table.region, AssociationId=id_)


def _patiently(api: Api, thing: Found, waiting: Waiting, seconds: float) -> None:
    until = waiting.monotonic() + seconds
    pause = FIRST_WAIT
    while True:
        try:
            _STEPS[thing.kind](api, thing.region, thing.id)
        except CodeError as error:
            if is_gone(error.code):
                return
            if error.code not in BUSY or waiting.monotonic() > until:
                raise of_code(error.code, error.message, f"removing {thing}", thing.region) from error
        else:
            return
        waiting.sleep(pause)
        pause = min(LONGEST_WAIT, pause * 1.5)


def _group(api: Api, region: str, id_: str) -> None:
    """Its rules go with it."""
    api.attempt("ec2", "delete_security_group", region, GroupId=id_)


def _routes(api: Api, region: str, id_: str) -> None:
    answer = api.attempt("ec2", "describe_route_tables", region, RouteTableIds=[id_])
    for table in answer.get("RouteTables", ()):
        for used in table.get("Associations", ()):
            if not used.get("Main"):
                _forgiving(api, "disassociate_route_table", region, AssociationId=used["RouteTableAssociationId"])
    api.attempt("ec2", "delete_route_table", region, RouteTableId=id_)


def _gateway(api: Api, region: str, id_: str) -> None:
    answer = api.attempt("ec2", "describe_internet_gateways", region, InternetGatewayIds=[id_])
    for gateway in answer.get("InternetGateways", ()):
        for used in gateway.get("Attachments", ()):
            _forgiving(api, "detach_internet_gateway", region, InternetGatewayId=id_, VpcId=used["VpcId"])
    api.attempt("ec2", "delete_internet_gateway", region, InternetGatewayId=id_)


def _forgiving(api: Api, action: str, region: str, **arguments: Any) -> None:
    try:
        api.attempt("ec2", action, region, **arguments)
    except CodeError as error:
        if not is_gone(error.code):
            raise


def _simply(action: str, key: str, *, many: bool = False) -> Callable[[Api, str, str], None]:
    def step(api: Api, region: str, id_: str) -> None:
        api.attempt("ec2", action, region, **{key: [id_] if many else id_})

    return step


def _rule(api: Api, region: str, id_: str) -> None:
    """One that nobody recorded, in a group that stays: while it is there, it cannot be made again."""
    where = filters({"security-group-rule-id": id_})
    answer = api.attempt("ec2", "describe_security_group_rules", region, Filters=where)
    for rule in answer.get("SecurityGroupRules", ()):
        action = f"revoke_security_group_{'egress' if rule.get('IsEgress') else 'ingress'}"
        api.attempt("ec2", action, region, GroupId=rule["GroupId"], SecurityGroupRuleIds=[id_])


_STEPS: dict[str, Callable[[Api, str, str], None]] = {
    "spot-instances-request": _simply("cancel_spot_instance_requests", "SpotInstanceRequestIds", many=True),
    "volume": _simply("delete_volume", "VolumeId"),
    "network-interface": _simply("delete_network_interface", "NetworkInterfaceId"),
    RULE: _rule,
    "security-group": _group,
    "route-table": _routes,
    "internet-gateway": _gateway,
    "subnet": _simply("delete_subnet", "SubnetId"),
    "vpc": _simply("delete_vpc", "VpcId"),
}
