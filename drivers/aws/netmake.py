"""Making the parts of a network that clusters share, each tagged in its create call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.aws.api import Api, CodeError
from drivers.aws.failures import is_gone, of_code
from drivers.aws.sharednet import ATTACHED, GATEWAY, NAMES, ROUTED, ROUTES, SUBNET, VPC, WAY_OUT, rows_in
from drivers.aws.sweep import FIRST_WAIT, LONGEST_WAIT, Waiting
from drivers.aws.wayout import EVERYWHERE
from provisioner.model.networks import NetworkPlan, Part, Tell

AGAIN_SECONDS = 90.0
AGAIN = frozenset({"IncorrectState"})
"""What was made a moment ago is not ready for more; "too many requests" is waited for by the Api itself."""
DONE = frozenset({"Resource.AlreadyAssociated", "RouteAlreadyExists"})
"""What was to be made stands: an answer was lost, or another runner was quicker."""


class Making:
    """One run's creating. `once` is an Api that sends each call only once: EC2 makes a second VPC of a repeated call."""

    def __init__(self, once: Api, plan: NetworkPlan, marks: Mapping[str, str], waiting: Waiting) -> None:
        self._once = once
        self._plan = plan
        self._marks = marks
        self._waiting = waiting
        self._ids = _standing(once, plan)

    def part(self, part: Part) -> None:
        """Make one part."""
        steps = {
            VPC: self._vpc,
            NAMES: self._names,
            GATEWAY: self._gateway,
            ATTACHED: self._attach,
            ROUTES: self._routes,
            WAY_OUT: self._way_out,
            SUBNET: self._subnet,
            ROUTED: self._routed,
        }
        steps[part.kind](part)

    def _vpc(self, part: Part) -> None:
        answer = self._call("create_vpc", CidrBlock=part.cidr, TagSpecifications=self._tags(VPC))
        self._ids[VPC] = str(answer["Vpc"]["VpcId"])

    def _names(self, _part: Part) -> None:
        """Names for public addresses: off in a new VPC, and clusters' own networks have them."""
        self._call("modify_vpc_attribute", VpcId=self._ids[VPC], EnableDnsHostnames={"Value": True})

    def _gateway(self, _part: Part) -> None:
        answer = self._call("create_internet_gateway", TagSpecifications=self._tags(GATEWAY))
        self._ids[GATEWAY] = str(answer["InternetGateway"]["InternetGatewayId"])

    def _attach(self, _part: Part) -> None:
        self._call("attach_internet_gateway", InternetGatewayId=self._ids[GATEWAY], VpcId=self._ids[VPC])

    def _routes(self, _part: Part) -> None:
        answer = self._call("create_route_table", VpcId=self._ids[VPC], TagSpecifications=self._tags(ROUTES))
        self._ids[ROUTES] = str(answer["RouteTable"]["RouteTableId"])

    def _way_out(self, _part: Part) -> None:
        """A route whose gateway is gone still stands, and EC2 makes no second one beside it."""
        where = {"DestinationCidrBlock": EVERYWHERE, "GatewayId": self._ids[GATEWAY]}
        if not self._call("create_route", RouteTableId=self._ids[ROUTES], **where):
            self._call("replace_route", RouteTableId=self._ids[ROUTES], **where)

    def _subnet(self, part: Part) -> None:
        """Without public addresses by itself: a cluster's machines say which of them get one."""
        where = {"AvailabilityZone": part.zone, "CidrBlock": part.cidr}
        tags = self._tags(SUBNET, f"{self._plan.name}-{part.zone}")
        answer = self._call("create_subnet", VpcId=self._ids[VPC], **where, TagSpecifications=tags)
        self._ids[f"{SUBNET} {part.zone}"] = str(answer["Subnet"]["SubnetId"])

    def _routed(self, part: Part) -> None:
        subnet = part.id or self._ids[f"{SUBNET} {part.zone}"]
        self._call("associate_route_table", RouteTableId=self._ids[ROUTES], SubnetId=subnet)

    def _tags(self, kind: str, shown: str = "") -> list[dict[str, Any]]:
        every = {"Name": shown or f"{self._plan.name}-{kind}", **self._marks}
        return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in every.items()]}]

    def _call(self, action: str, **arguments: object) -> dict[str, Any]:
        """Again where the service is busy, or does not see yet what was made a moment ago; empty for what stands already."""
        until = self._waiting.monotonic() + AGAIN_SECONDS
        pause = FIRST_WAIT
        while True:
            try:
                return self._once.attempt("ec2", action, self._plan.region, **arguments)
            except CodeError as error:
                if error.code in DONE:
                    return {}
                late = self._waiting.monotonic() > until
                if late or not (error.code in AGAIN or is_gone(error.code)):
                    raise of_code(error.code, error.message, action, self._plan.region) from error
            self._waiting.sleep(pause)
            pause = min(LONGEST_WAIT, pause * 1.5)


def _standing(api: Api, plan: NetworkPlan) -> dict[str, str]:
    """The ids of the parts that a plan builds upon."""
    rows = next(iter(rows_in(api, plan.region, plan.name)), None)
    if rows is None:
        return {}
    ids = {
        VPC: rows.vpc["VpcId"] if rows.vpc else None,
        GATEWAY: next((g["InternetGatewayId"] for g in rows.gateways), None),
        ROUTES: next((t["RouteTableId"] for t in rows.tables), None),
    }
    return {kind: str(own) for kind, own in ids.items() if own}


def make(once: Api, plan: NetworkPlan, marks: Mapping[str, str], waiting: Waiting, tell: Tell) -> None:
    """Make the parts in their order; a cut run is continued by the next plan."""
    making = Making(once, plan, marks, waiting)
    for part in plan.parts:
        tell(str(part))
        making.part(part)
