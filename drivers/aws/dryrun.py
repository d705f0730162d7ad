"""Whether the caller may make what was chosen: asked by dry runs, before anything is made.

Source: `DryRun` in the EC2 API Reference: DryRunOperation with the permission, UnauthorizedOperation without it. The
request must look like the real one: Karpenter's was refused by policies that ask for metadata options, and, without a
subnet, failed for accounts without a default VPC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from drivers.aws.api import Api, CodeError
from drivers.aws.failures import DENIED
from drivers.aws.placement import DISK
from drivers.aws.spec import DEVICES, AwsHost, parse_aws
from provisioner.errors import SealerError
from provisioner.model.accepted import Accepted
from provisioner.model.ci import Ci
from provisioner.model.ids import ClusterId
from provisioner.model.permits import Tried, dry_tags, made, told
from provisioner.model.tags import CID

FORBIDDEN = DENIED - {"OptInRequired"}
"""What a policy says; a region or an image that nobody subscribed to is another matter."""
ELSEWHERE = "refused for what stands in for a network or group that is not made yet"
_RESOURCE = re.compile(r"on resource: \S*:([a-z-]+)/")
_STAND_INS = frozenset({"subnet", "vpc", "security-group", "network-interface"})


def permission(
    api: Api, accepted: Accepted, cid: ClusterId | None, standing: frozenset[str], root_device: str, *, ci: Ci
) -> tuple[str, ...]:
    """The plan's line on machines to make, and on a network where one is to be made; nothing where all stands.

    `accepted` holds its placement, `ci` is who asks. One call for the machines, one for a network. Raises AccessError (5).
    """
    new = [host for host in accepted.hosts if host.name not in standing]
    if not new:
        return ()
    spec = parse_aws(accepted)
    place, host = spec.placement, next(h for h in spec.hosts if h.wanted.name == new[0].name)
    subnet = place.subnets.get(host.placed.zone) if place.vpc else None
    tried = []
    if place.vpc is None and not standing:
        shown = _shown(dry_tags(accepted, cid, ci), "network")
        network = {"CidrBlock": place.cidr, "TagSpecifications": _marked(shown, "vpc")}
        tried.append(_try(api, place.region, "create_vpc", network, frozenset()))
    marked = _marked(_shown(dry_tags(accepted, cid, ci, new[0]), new[0].name), "instance", "volume")
    request = {**machine_request(host, subnet, root_device), "TagSpecifications": marked}
    stand_ins = frozenset({"security-group"}) if subnet else _STAND_INS
    return (told("aws", [*tried, _try(api, place.region, "run_instances", request, stand_ins)]),)


def machine_request(host: AwsHost, subnet: str | None, root_device: str) -> dict[str, object]:
    """One machine as it would be bought; `subnet` None: that is not there yet, and EC2 looks at its default one."""
    placed = host.placed
    card = {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": host.public}
    where = {"NetworkInterfaces": [card]} if subnet else {"Placement": {"AvailabilityZone": placed.zone}}
    sizes = [(root_device, host.system_disk), *zip(DEVICES, host.data_disks, strict=False)]
    disks = [
        {"DeviceName": device, "Ebs": {"VolumeSize": size, "VolumeType": DISK, "DeleteOnTermination": True}}
        for device, size in sizes
        if device
    ]
    limit = {} if placed.price_limit is None else {"MaxPrice": f"{placed.price_limit:g}"}
    spot = {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": limit}} if placed.spot else {}
    return {
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": placed.image,
        "InstanceType": placed.machine_type,
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        **where,
        **({"BlockDeviceMappings": disks} if disks else {}),
        **spot,
    }


def _shown(tags: Mapping[str, str], name: str) -> dict[str, str]:
    """With the name that the real thing has in the console: many policies ask for one."""
    return {"Name": f"{tags[CID]}-{name}", **tags}


def _marked(tags: Mapping[str, str], *kinds: str) -> list[dict[str, object]]:
    each = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": each} for kind in kinds]


def _try(api: Api, region: str, action: str, request: Mapping[str, object], stand_ins: frozenset[str]) -> Tried:
    name = f"ec2:{'RunInstances' if action == 'run_instances' else 'CreateVpc'}"
    try:
        answer = api.attempt("ec2", action, region, **request, DryRun=True)
    except CodeError as error:
        # A policy may well keep machines to tagged networks, and so out of the one that stands in for ours.
        about = _RESOURCE.search(error.message)
        elsewhere = about is not None and about[1] in stand_ins
        refused = error.code in FORBIDDEN
        return Tried(name, ELSEWHERE if refused and elsewhere else error.code, refused=refused and not elsewhere)
    except SealerError:
        return Tried(name, "no answer")
    return made(name, _undo(api, region, answer))


def _undo(api: Api, region: str, answer: Mapping[str, Any]) -> list[str]:
    """Take away what a dry run made; the ids of what does not go. It carries our tags, so `gc` lists it."""
    machines = [str(machine["InstanceId"]) for machine in answer.get("Instances") or ()]
    network = [str(answer["Vpc"]["VpcId"])] if answer.get("Vpc") else []
    try:
        if machines:
            api.call("ec2", "terminate_instances", region, InstanceIds=machines)
        for own in network:
            api.call("ec2", "delete_vpc", region, VpcId=own)
    except SealerError:
        return [*machines, *network]
    return []
