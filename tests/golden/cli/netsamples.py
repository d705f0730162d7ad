"""Networks as the pipeline would give them."""

from __future__ import annotations

from dataclasses import replace

from provisioner.model.networks import NetworkPlan, Networks, Part, SharedNetwork
from provisioner.sharednet import Created, Deleted

PARTS = (Part("vpc", "vpc-1", cidr="10.0.0.0/16"), Part("subnet", "subnet-1", "z-a", "10.0.0.0/20"))
PLAN = NetworkPlan("ci", "r-1", "10.0.0.0/16", None, tuple(replace(part, id=None) for part in PARTS))


def network(**fields: object) -> SharedNetwork:
    one = SharedNetwork("ci", "cloud", "r-1", "vpc-1", "10.0.0.0/16", PARTS, run="20261124T100000Z-abcdef")
    return replace(one, **fields)  # type: ignore[arg-type]


def networks() -> Networks:
    used = network(clusters=("web-abc234",), occupants=("instance i-1\x1b[31m of cluster web-abc234",))
    rest = network(name="lost", id=None, cidr=None, parts=(Part("internet-gateway", "igw-1"),), run=None)
    return Networks((used, rest), (("cloud r-2", "not allowed\x1b[31m"),))


def created(**fields: object) -> Created:
    return replace(Created(network(), PLAN.parts), **fields)  # type: ignore[arg-type]


def deleted(**fields: object) -> Deleted:
    report = Deleted("ci", "cloud", "r-1", found=True, removed=tuple(map(str, PARTS)))
    return replace(report, **fields)  # type: ignore[arg-type]
