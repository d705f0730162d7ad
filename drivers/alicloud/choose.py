"""Which zone, type and disk each pool gets: a decision over facts that were looked up before. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.model.accepted import AcceptedPool, AcceptedSpot
from provisioner.model.driver import Refused

DEFAULT_CPU, DEFAULT_MEMORY = 2, 4
"""What a pool gets that says nothing: the least that a small cluster's master runs on."""
SYSTEM_DISK = 40
DISK_ORDER = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_efficiency", "cloud_ssd", "cloud")
"""Best first: general purpose before the older and the slower ones."""
MOST_TYPES = 12

_NEVER = re.compile(r"ecs\.(ebm|scc|gn|vgn|sgn|f\d|video|i\d|d\d|ga|xn4|n1|n2|e3|sn1$|sn2$|se1$).*")
"""Bare metal, accelerators, local disks that die with the machine, and families that are no longer sold."""
_GENERAL = re.compile(r"ecs\.(g|c|r|u|gm|cm|hf[gcr]|sn\dne|se\dne)\d*[a-z]*(-c\S+)?\..+")
_GENERATION = re.compile(r"ecs\.[a-z]+?(\d+)")


@dataclass(frozen=True, slots=True)
class TypeFact:
    """A machine type: vCPU, GiB, `amd64` or `arm64`."""

    name: str
    cpu: int
    memory: float
    arch: str = "amd64"


@dataclass(frozen=True, slots=True)
class DiskOffer:
    """A disk category that a zone offers for a type, and the sizes in GiB that it takes."""

    category: str
    smallest: int = 1
    largest: int = 1 << 16


Stock = Mapping[str, frozenset[str]]
"""Zone to the types that are to be had there now."""


@dataclass(frozen=True, slots=True)
class Want:
    """What one pool asks for."""

    pool: str
    cpu: int
    memory: int
    arch: str
    listed: tuple[str, ...] = ()
    spot: AcceptedSpot | None = None
    system_disk: int = SYSTEM_DISK
    data_disks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer for a pool."""

    zone: str
    machine_type: str
    spot: bool


@dataclass(frozen=True, slots=True)
class Market:
    """What is to be had: zones in the order to try them, types, stock by spot (None: nobody says)."""

    zones: tuple[str, ...]
    types: tuple[TypeFact, ...]
    stock: Mapping[bool, Stock | None] = field(default_factory=dict)


def want_of(pool: AcceptedPool, arch: str) -> Want:
    """What a pool of the request asks for, with the defaults."""
    return Want(
        pool=pool.name,
        cpu=pool.cpu or DEFAULT_CPU,
        memory=pool.memory or DEFAULT_MEMORY,
        arch=arch,
        listed=pool.instance_types,
        spot=pool.spot,
        system_disk=pool.system_disk or SYSTEM_DISK,
        data_disks=pool.data_disks,
    )


def matching(want: Want, types: Iterable[TypeFact]) -> tuple[str, ...]:
    """The types that serve a pool, best first: the listed ones as listed, else the smallest that are large enough.

    Of equal size, families of general use come first, newer before older.
    """
    by_name = {t.name: t for t in types if t.arch == want.arch}
    if want.listed:
        return tuple(name for name in want.listed if name in by_name)
    fitting = [
        t for t in by_name.values() if t.cpu >= want.cpu and t.memory >= want.memory and not _NEVER.fullmatch(t.name)
    ]
    return tuple(t.name for t in sorted(fitting, key=_rank))[:MOST_TYPES]


def _rank(fact: TypeFact) -> tuple[int, float, bool, int, str]:
    generation = _GENERATION.match(fact.name)
    return fact.cpu, fact.memory, not _GENERAL.fullmatch(fact.name), -int(generation[1]) if generation else 0, fact.name


def modes(spot: AcceptedSpot | None) -> tuple[bool, ...]:
    """Spot before on-demand, and on-demand only where the request says so."""
    if spot is None:
        return (False,)
    return (True, False) if spot.fallback == "on-demand" else (True,)


def order_zones(listed: tuple[str, ...], wants: Iterable[Want], market: Market) -> tuple[str, ...]:
    """Listed zones as listed; else those first where the scarcest pool has the most types to choose from."""
    if listed:
        return listed
    wants = tuple(wants)

    def scarcest(zone: str) -> int:
        return min((len([c for c in _all(want, market) if c.zone == zone]) for want in wants), default=0)

    return tuple(sorted(market.zones, key=lambda zone: (-scarcest(zone), zone)))


def candidates(want: Want, market: Market, refused: Iterable[Refused] = ()) -> tuple[Candidate, ...]:
    """All answers for a pool in the order to try them, without those that were refused in this run."""
    said_no = {(r.zone, r.machine_type, r.spot) for r in refused if r.pool == want.pool}
    return tuple(c for c in _all(want, market) if (c.zone, c.machine_type, c.spot) not in said_no)


def _all(want: Want, market: Market) -> Iterable[Candidate]:
    names = matching(want, market.types)
    for spot in modes(want.spot):
        stock = market.stock.get(spot)
        for zone in market.zones:
            for name in names:
                if stock is None or name in stock.get(zone, frozenset()):
                    yield Candidate(zone, name, spot)


def pick_disk(offers: tuple[DiskOffer, ...] | None, sizes: Iterable[int]) -> str | None:
    """The best category that takes all these sizes; the usual one where nobody says what is offered, None without any."""
    if offers is None:
        return DISK_ORDER[0]
    sizes = tuple(sizes)
    serving = {o.category for o in offers if all(o.smallest <= size <= o.largest for size in sizes)}
    return next((category for category in DISK_ORDER if category in serving), None)


def why_none(want: Want, market: Market, refused: Iterable[Refused]) -> str:
    """Why a pool has no candidate left, for a person."""
    names = matching(want, market.types)
    if not names and want.listed:
        return f"pool {want.pool}: none of {', '.join(want.listed)} is a type of {want.arch} in this region"
    if not names:
        return f"pool {want.pool}: no type of {want.arch} has {want.cpu} vCPU and {want.memory} GiB"
    tried = [
        f"{r.machine_type} in {r.zone}{' (spot)' if r.spot else ''}: {r.code}" for r in refused if r.pool == want.pool
    ]
    if tried:
        return f"pool {want.pool}: nothing is left; tried {'; '.join(tried)}"
    kind = "spot " if modes(want.spot) == (True,) else ""
    return f"pool {want.pool}: no {kind}stock of {', '.join(names)} in {', '.join(market.zones) or 'any zone'}"


def over_quota(vcpus: Mapping[bool, int], quota: Mapping[str, int]) -> str | None:
    """Why these machines (vCPU by spot) would not be allowed, or None. Unknown quotas allow."""
    for spot, needed in vcpus.items():
        kind = "spot" if spot else "postpaid"
        most = quota.get(f"max-{kind}-instance-vcpu-count")
        used = quota.get(f"used-{kind}-instance-vcpu-count", 0)
        if needed and most is not None and used + needed > most:
            sort = "spot" if spot else "on-demand"
            return f"{needed} more vCPU of {sort} machines are needed, and {max(most - used, 0)} of {most} are free"
    return None
