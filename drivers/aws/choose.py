"""Which machine each new host becomes: zones in order, types, spot then on-demand. Pure: all facts are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from drivers.aws.placement import Placed, Placement
from provisioner.errors import CapacityError, UsageError
from provisioner.model.accepted import Accepted, AcceptedPool, AcceptedSpot
from provisioner.model.driver import Offer, Refused
from provisioner.model.ids import HostName

CPU, MEMORY = 2, 4
"""vCPU and GiB where the request says nothing: what a Kubernetes master needs."""
FAMILIES = ("t3a", "t3", "m7i-flex", "m7a", "m7i", "m6a", "m6i", "m5", "t4g", "m8g", "m7g", "m6g", "c7i", "c6i", "r7i")
"""General purpose first, cheap before dear; an unknown family comes after these."""
STANDARD = frozenset("acdhimrtz")
"""The families that share the quota which we look up ("Running On-Demand Standard instances")."""
SUBNET_BITS = 4
"""A network of our own holds up to 16 subnets, one per zone."""
SMALLEST = 28
CIDR = "10.0.0.0/16"
MIB = 1024


@dataclass(frozen=True, slots=True)
class MachineType:
    """An instance type; memory in MiB, `arch` in EC2's words, `spot` False where it is not sold as spot."""

    name: str
    cpu: int
    memory: int
    arch: tuple[str, ...]
    spot: bool = True
    special: bool = False
    """Bare metal, or with GPUs or the like: only by name."""

    @property
    def family(self) -> str:
        """`m5` of `m5.large`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a look at the account found. `zones` in order of preference; `room`: vCPU left, by spot; None: not known."""

    account: str
    region: str
    zones: tuple[str, ...]
    image: str
    arch: str
    types: Mapping[str, MachineType] = field(default_factory=dict)
    sold: frozenset[tuple[str, str]] = frozenset()
    """(zone, type) pairs that are offered at all."""
    spot: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Spot prices now, USD per hour, by zone and type."""
    room: Mapping[bool, int | None] = field(default_factory=dict)
    root_device: str = ""
    """What the image calls its system disk, like `/dev/xvda`; empty where it does not say."""
    vpc: str | None = None
    subnets: Mapping[str, str] = field(default_factory=dict)
    """Existing subnets by zone, where the network is not ours."""
    notes: tuple[str, ...] = ()
    """What could not be looked up, for a person."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to make a pool's machines."""

    zone: str
    machine: MachineType
    spot: bool


def kept(accepted: Accepted, old: Placement | None, standing: frozenset[str]) -> dict[str, Placed]:
    """The machines that stay as they are, in the order of the request."""
    if old is None:
        return {}
    return {h.name: old.hosts[h.name] for h in accepted.hosts if h.name in standing and h.name in old.hosts}


def place(
    accepted: Accepted,
    old: Placement | None,
    facts: Facts,
    refused: tuple[Refused, ...],
    standing: frozenset[str],
) -> Placement:
    """Every wanted host placed. Raises CapacityError (13) naming what was tried, UsageError for a wish nobody sells."""
    stays = kept(accepted, old, standing)
    left = dict(facts.room)
    chosen: dict[str, Placed] = dict(stays)
    for pool in accepted.pools:
        names = [h.name for h in accepted.hosts if h.pool == pool.name and h.name not in stays]
        if names:
            found = _pick(pool, len(names), facts, refused, left)
            placed = _placed(found, pool, facts)
            chosen |= dict.fromkeys(names, placed)
    hosts = {h.name: chosen[h.name] for h in accepted.hosts}
    return _with_subnets(accepted, old, facts, hosts)


def with_prices(placement: Placement, prices: Mapping[str, float | None]) -> Placement:
    """The placement with what its new hosts (all of `prices`) are bought at."""
    hosts = {name: replace(on, price=prices[name]) if name in prices else on for name, on in placement.hosts.items()}
    return replace(placement, hosts=hosts)


def offers_of(accepted: Accepted, placement: Placement) -> tuple[Offer, ...]:
    """What is, or was, bought, in the order of the hosts."""
    return tuple(
        Offer(
            host=HostName(h.name),
            zone=placement.hosts[h.name].zone,
            machine_type=placement.hosts[h.name].machine_type,
            price=placement.hosts[h.name].price,
            currency="USD",
            spot=placement.hosts[h.name].spot,
        )
        for h in accepted.hosts
        if h.name in placement.hosts
    )


def matching(pool: AcceptedPool, facts: Facts) -> list[MachineType]:
    """The types that serve a pool, best first: as listed, else the smallest that holds cpu and memory."""
    if pool.instance_types:
        return [_listed(name, pool, facts) for name in pool.instance_types]
    cpu, memory = pool.cpu or CPU, (pool.memory or MEMORY) * MIB
    fits = [
        t
        for t in facts.types.values()
        if t.cpu >= cpu and t.memory >= memory and facts.arch in t.arch and not t.special
    ]
    return sorted(fits, key=lambda t: (t.cpu, t.memory, _rank(t), t.name))


def candidates(pool: AcceptedPool, facts: Facts) -> Iterator[Candidate]:
    """Every way in order: spot before on-demand, within it zones in order, within a zone the best type first."""
    types = matching(pool, facts)
    for spot in _markets(pool.spot):
        for zone in facts.zones:
            for machine in types:
                if (zone, machine.name) in facts.sold and (machine.spot or not spot):
                    yield Candidate(zone, machine, spot)


def subnet_cidr(network: str, taken: frozenset[str], zone: str) -> str:
    """A zone's own part of a network, by its letter; the next one that is free where another zone has it.

    By its letter: a zone that was given up may still have its subnet while the next choice is made.
    Raises CapacityError when all are taken.
    """
    whole = IPv4Network(network)
    prefix = min(whole.prefixlen + SUBNET_BITS, SMALLEST)
    parts = [str(part) for part in whole.subnets(new_prefix=max(prefix, whole.prefixlen))]
    first = (ord(zone[-1]) - ord("a")) % len(parts)
    for part in (*parts[first:], *parts[:first]):
        if part not in taken:
            return part
    raise CapacityError(f"network.cidr {network} has no room for one more zone", hint="use a larger network, like /16")


def _pick(
    pool: AcceptedPool, count: int, facts: Facts, refused: tuple[Refused, ...], left: dict[bool, int | None]
) -> Candidate:
    said: list[str] = []
    no = {(r.zone, r.machine_type, r.spot): r.code for r in refused if r.pool == pool.name}
    for way in candidates(pool, facts):
        why = no.get((way.zone, way.machine.name, way.spot)) or _obstacle(way, pool.spot, count, facts, left)
        if not why:
            room = left.get(way.spot)
            if room is not None and way.machine.name[0] in STANDARD:
                left[way.spot] = room - count * way.machine.cpu
            return way
        said.append(f"{way.zone} {way.machine.name}{' spot' if way.spot else ''}: {why}")
    raise _nothing_left(pool, facts, said)


def _obstacle(
    way: Candidate, spot: AcceptedSpot | None, count: int, facts: Facts, left: Mapping[bool, int | None]
) -> str:
    price = facts.spot.get((way.zone, way.machine.name)) if way.spot else None
    limit = spot.max_price if spot else None
    if price is not None and limit is not None and price > limit:
        return f"the spot price is {price:g} USD, above {limit:g}"
    room, need = left.get(way.spot), count * way.machine.cpu
    if room is not None and need > room and way.machine.name[0] in STANDARD:
        return f"{need} vCPU are more than the {max(0, room)} left in the account's quota"
    return ""


def _nothing_left(pool: AcceptedPool, facts: Facts, said: list[str]) -> CapacityError:
    tried = "; ".join(said[:8]) + (f"; and {len(said) - 8} more" if len(said) > 8 else "")  # noqa: PLR2004
    if not said:
        wanted = ", ".join(pool.instance_types) or f"{pool.cpu or CPU} vCPU and {pool.memory or MEMORY} GiB"
        tried = f"nobody sells {wanted} ({facts.arch}) in {', '.join(facts.zones)}"
    return CapacityError(
        f"no machine for pool {pool.name}: {tried}",
        hint="name other zones or instance types, allow on-demand, or raise the quota",
    )


def _placed(way: Candidate, pool: AcceptedPool, facts: Facts) -> Placed:
    limit = pool.spot.max_price if pool.spot and way.spot else None
    return Placed(way.zone, way.machine.name, facts.image, way.spot, limit)


def _with_subnets(accepted: Accepted, old: Placement | None, facts: Facts, hosts: Mapping[str, Placed]) -> Placement:
    used = dict.fromkeys(h.zone for h in hosts.values())
    base = Placement(facts.account, facts.region, hosts)
    if facts.vpc:
        return replace(base, vpc=facts.vpc, subnets={zone: facts.subnets[zone] for zone in used})
    cidr = (old.cidr if old else None) or str(accepted.network.get("cidr") or CIDR)
    before = old.subnets if old else {}
    subnets = {zone: text for zone, text in before.items() if zone in used}
    for zone in used:
        if zone not in subnets:
            subnets[zone] = before.get(zone) or subnet_cidr(
                cidr, frozenset({*before.values(), *subnets.values()}), zone
            )
    return replace(base, cidr=cidr, subnets=subnets)


def _markets(spot: AcceptedSpot | None) -> tuple[bool, ...]:
    if spot is None:
        return (False,)
    return (True, False) if spot.fallback == "on-demand" else (True,)


def _listed(name: str, pool: AcceptedPool, facts: Facts) -> MachineType:
    found = facts.types.get(name)
    if found is None:
        raise UsageError(
            f"pool {pool.name}: there is no instance type {name!r} in {facts.region}",
            hint="correct instanceType, or leave it out and say cpu and memory",
        )
    if facts.arch not in found.arch:
        raise UsageError(
            f"pool {pool.name}: {name} is {'/'.join(found.arch)}, but the image is {facts.arch}",
            hint="set osImage.arch, or name another type",
        )
    return found


def _rank(machine: MachineType) -> int:
    return FAMILIES.index(machine.family) if machine.family in FAMILIES else len(FAMILIES)
