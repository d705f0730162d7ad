"""Hosts by name, once and for ever: `m1…`, `n1…`, `<role>1…`, with slots that stay. Pure and deterministic.

A host that stays keeps name and slot whatever happens around it. A new one takes the lowest number and slot that no
host has, one that leaves in the same change included: so nothing is made under a name that is still being removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from provisioner.model.accepted import Accepted, AcceptedHost
from provisioner.model.hosts import is_master
from provisioner.model.request import Pool

_SHORT = {"master": "m", "node": "n"}
_NUMBERED = re.compile(r"(?P<prefix>.*[^0-9])(?P<number>[0-9]+)")


def name_hosts(pools: tuple[Pool, ...], stored: Accepted | None) -> tuple[AcceptedHost, ...]:
    """The hosts of all pools, masters first, then by slot. Scale-down takes a pool's highest numbers."""
    before = stored.hosts if stored else ()
    names, slots = {h.name for h in before}, {h.slot for h in before}
    origins = _match_pools(pools, stored)
    hosts: list[AcceptedHost] = []
    for pool in pools:
        old = sorted((h for h in before if h.pool == origins.get(pool.name)), key=_number)
        kept = old[: pool.count]
        prefix = _prefix(pool, pools, old)
        hosts += [AcceptedHost(name=h.name, pool=pool.name, roles=pool.roles, slot=h.slot) for h in kept]
        for _ in range(pool.count - len(kept)):
            name, slot = free_name(prefix, names), free_slot(slots)
            names.add(name)
            slots.add(slot)
            hosts.append(AcceptedHost(name=name, pool=pool.name, roles=pool.roles, slot=slot))
    return tuple(sorted(hosts, key=lambda host: (not is_master(host.roles), host.slot)))


def _match_pools(pools: tuple[Pool, ...], stored: Accepted | None) -> dict[str, str]:
    """New pool name → stored pool name: the same name, else the only one left on both sides with the first role."""
    if stored is None:
        return {}
    same = {pool.name: pool.name for pool in pools if any(s.name == pool.name for s in stored.pools)}
    old = [s for s in stored.pools if s.name not in same]
    new = [p for p in pools if p.name not in same]
    for pool in new:
        found = [s.name for s in old if s.roles[0] == pool.roles[0]]
        rivals = [p for p in new if p.roles[0] == pool.roles[0]]
        if len(found) == 1 and len(rivals) == 1:
            same[pool.name] = found[0]
    return same


def _prefix(pool: Pool, pools: tuple[Pool, ...], old: Iterable[AcceptedHost]) -> str:
    """What a pool's hosts are called already, else its first role, else (shared with others) its own name."""
    for host in old:
        if match := _NUMBERED.fullmatch(host.name):
            return match["prefix"]
    role = pool.roles[0]
    shared = sum(other.roles[0] == role for other in pools) > 1
    return _as_prefix(pool.name if shared and pool.name != role else _SHORT.get(role, role))


def short_role(role: str) -> str:
    """What hosts of a role are called, before their number."""
    return _as_prefix(_SHORT.get(role, role))


def _as_prefix(word: str) -> str:
    return f"{word}-" if word[-1].isdigit() else word


def _number(host: AcceptedHost) -> tuple[int, str]:
    match = _NUMBERED.fullmatch(host.name)
    return (int(match["number"]) if match else 0, host.name)


def free_name(prefix: str, taken: set[str]) -> str:
    """The name with the lowest number that nobody has."""
    number = 1
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


def free_slot(taken: set[int]) -> int:
    """The lowest slot that nobody has."""
    slot = 0
    while slot in taken:
        slot += 1
    return slot
