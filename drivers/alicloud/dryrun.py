"""Whether the caller may make what was chosen: asked by dry runs, before anything is made.

Sources: `DryRun` of RunInstances (ECS API Reference) and of CreateVpc (VPC API Reference): nothing is made, a request that
would be done is answered with DryRunOperation, one that a policy forbids with Forbidden.RAM.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.codes import forbids
from drivers.alicloud.spec import BANDWIDTH, AlicloudSpec, Machine, parse_spec
from drivers.alicloud.wire import items
from provisioner.errors import SealerError
from provisioner.model.accepted import Accepted
from provisioner.model.ci import Ci
from provisioner.model.ids import ClusterId
from provisioner.model.permits import ALLOWED, Tried, dry_tags, made, told


def permission(
    api: Api, accepted: Accepted, cid: ClusterId | None, standing: frozenset[str], *, ci: Ci
) -> tuple[str, ...]:
    """The plan's line on machines to make, and on a network where one is to be made; nothing where all stands.

    `accepted` holds its placement, `ci` is who asks. One call for the machines, one for a network. Raises AccessError (5).
    """
    new = [host for host in accepted.hosts if host.name not in standing]
    if not new:
        return ()
    spec = parse_spec(accepted, None)
    machine = next(m for m in spec.machines if m.name == new[0].name)
    network = {"CidrBlock": spec.cidr, "Tag": _tag(dry_tags(accepted, cid, ci))}
    asked: list[tuple[str, str, Mapping[str, object]]] = []
    if spec.vpc_id is None and not standing:
        asked.append(("vpc", "CreateVpc", network))
    asked.append(("ecs", "RunInstances", machine_request(spec, machine, dry_tags(accepted, cid, ci, new[0]))))
    return (told("alicloud", [_try(api, spec.region, *one) for one in asked]),)


def machine_request(spec: AlicloudSpec, machine: Machine, tags: Mapping[str, str]) -> dict[str, object]:
    """One machine as it would be bought: policies may look at any of this. Group and new vSwitches are not there yet."""
    category, size = machine.system_disk
    subnet = next((one.id for one in spec.subnets if one.zone == machine.zone), None)
    return {
        "Amount": 1,
        "ZoneId": machine.zone,
        "ImageId": spec.image_id,
        "InstanceType": machine.machine_type,
        "InstanceChargeType": "PostPaid",
        "InternetChargeType": "PayByTraffic",
        "InternetMaxBandwidthOut": BANDWIDTH if machine.public else 0,
        "VSwitchId": subnet,
        "SystemDisk": {"Category": category, "Size": size},
        "DataDisk": [{"Category": kind, "Size": gib} for kind, gib in machine.data_disks],
        "SpotStrategy": machine.spot_strategy,
        "SpotPriceLimit": machine.price_limit if machine.spot else None,
        "Tag": _tag(tags),
    }


def _tag(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _try(api: Api, region: str, product: str, action: str, params: Mapping[str, object]) -> Tried:
    name = f"{product}:{action}"
    try:
        # The token is for an endpoint that knows no dry run: an answer that is lost there must not make a second one.
        answer = api.call(product, action, region, {**params, "DryRun": True, "ClientToken": uuid.uuid4().hex})
    except SealerError as error:
        code = error.evidence or "no answer"
        return Tried(name, code, refused=code != ALLOWED and forbids(error))
    return made(name, _undo(api, region, answer))


def _undo(api: Api, region: str, answer: Mapping[str, Any]) -> list[str]:
    """Take away what a dry run made; the ids of what does not go. It carries our tags, so `gc` lists it."""
    machines = items(answer, "InstanceIdSets", "InstanceIdSet")
    calls: list[tuple[str, str, dict[str, object]]] = [
        *(("ecs", "DeleteInstance", {"InstanceId": one, "Force": True}) for one in machines),
        *(("vpc", "DeleteVpc", {"VpcId": one}) for one in [answer.get("VpcId")] if one),
    ]
    left = []
    for product, action, params in calls:
        try:
            api.call(product, action, region, params)
        except SealerError:
            left += [str(params.get("InstanceId") or params["VpcId"])]
    return left
