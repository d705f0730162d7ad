"""A provider in memory with networks that clusters share: the promises of `model.driver.Driver` for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from provisioner.errors import ProviderError
from provisioner.model.networks import (
    DEFAULT_CIDR,
    NetworkPlan,
    Networks,
    NetworkWish,
    Part,
    SharedNetwork,
    Tell,
    divide,
    the_one,
)
from provisioner.model.tags import RUN
from tests.fakes.driver import FakeCloud

ZONES = ("z1", "z2")


@dataclass
class NetworkCloud(FakeCloud):
    """`nets` are its networks by id. `lag` looks do not show what was made; `breaks` parts of that kind are not made;

    `keeps` kinds are not removed. `marks` are the tags of the last create call.
    """

    nets: dict[str, SharedNetwork] = field(default_factory=dict)
    lag: int = 0
    breaks: set[str] = field(default_factory=set)
    keeps: set[str] = field(default_factory=set)
    marks: dict[str, str] = field(default_factory=dict)
    home: str | None = "r1"
    name: str = "aws"

    def region(self) -> str | None:
        return self.home

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> Networks:
        if self.lag:
            self.lag -= 1
            return Networks(())
        known = (n for n in self.nets.values() if name in {None, n.name} and (not regions or n.region in regions))
        return Networks(tuple(known))

    def plan_network(self, wish: NetworkWish) -> NetworkPlan:
        standing = the_one(self.networks((wish.region,), wish.name).found, wish)
        lacking = [z for z in wish.zones or ZONES if not standing or z not in standing.zones]
        cidr = standing.cidr if standing and standing.cidr else wish.cidr or DEFAULT_CIDR
        ranges = divide(cidr, lacking, standing.taken if standing else ())
        head = () if standing else (Part("vpc", cidr=cidr),)
        parts = (*head, *(Part("subnet", zone=z, cidr=c) for z, c in ranges.items()))
        return NetworkPlan(wish.name, wish.region, cidr, standing.id if standing else None, parts)

    def make_network(self, plan: NetworkPlan, tags: Mapping[str, str], tell: Tell) -> None:
        self.marks = dict(tags)
        own = plan.vpc or f"vpc-{len(self.nets) + 1}"
        for part in plan.parts:
            tell(str(part))
            if part.kind in self.breaks:
                raise ProviderError(f"the cloud refused a {part.kind}")
            old = self.nets.get(own) or SharedNetwork(
                plan.name, self.name, plan.region, own, plan.cidr, run=tags.get(RUN)
            )
            made = replace(part, id=own if part.kind == "vpc" else f"{own}-{part.zone}")
            self.nets[own] = replace(old, parts=(*old.parts, made))

    def remove_network(self, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:
        refused = []
        for part in reversed(network.parts):
            tell(str(part))
            if part.kind in self.keeps:
                refused.append(f"{part} is kept")
                continue
            now = self.nets[str(network.id)]
            self.nets[str(network.id)] = replace(now, parts=tuple(p for p in now.parts if p.id != part.id))
        if not self.nets[str(network.id)].parts:
            del self.nets[str(network.id)]
        return tuple(refused)
