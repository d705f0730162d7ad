"""Choosing for a whole request: looks up what the decision needs, decides, and writes the placement down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drivers.alicloud import choose, network
from drivers.alicloud.api import Api
from drivers.alicloud.choose import Candidate, Market, Want
from drivers.alicloud.facts import ARCHITECTURES, Bought, Facts, Price
from drivers.alicloud.prices import look_up
from drivers.alicloud.regions import demand_region
from drivers.alicloud.spec import Network, check_request
from provisioner.errors import CapacityError, UsageError
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedPool
from provisioner.model.deadline import check_new_machines
from provisioner.model.driver import Choice, Offer, Refused
from provisioner.model.ids import HostName
from provisioner.model.ingress import OPEN_NOTE, open_to_all


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the chooser."""

    accepted: Accepted
    region: str
    refused: tuple[Refused, ...]
    standing: frozenset[str]
    now: datetime
    account: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was chosen for one pool."""

    candidate: Candidate
    system_disk: str
    data_disk: str | None
    price: Price | None
    limit: float | None


def place(api: Api, ask: Ask) -> Choice:
    """The placement of a request.

    Raises UsageError before any call for what cannot be served, CapacityError (13) when nothing is left for a pool.
    """
    asked = check_request(ask.accepted)
    kept = _kept(ask)
    missing = [host for host in ask.accepted.hosts if host.name not in kept]
    notes = _word_on_ssh(ask)
    if not missing:
        return Choice({**ask.accepted.placement, "hosts": kept}, _standing_offers(kept), notes)
    check_new_machines(ask.accepted, ask.now)
    demand_region(api, ask.region)
    facts = Facts(api, ask.region)
    standing = network.look_up(api, ask.region, asked)
    arch = _arch(ask.accepted)
    answers = _answers(facts, ask, _pools(ask.accepted, missing), standing)
    image = _image(facts, ask, arch)
    answers = {name: _priced(facts, pool, answers[name], image) for name, pool in _pools(ask.accepted, missing).items()}
    _check_quota(facts, missing, answers)
    hosts = {h.name: kept.get(h.name) or _entry(answers[h.pool]) for h in ask.accepted.hosts}
    zones = tuple(dict.fromkeys([*_zones_before(ask), *(str(entry["zone"]) for entry in hosts.values())]))
    placement: dict[str, object] = {
        "region": ask.region,
        "zones": list(zones),
        "imageId": image,
        "imageUser": "root",
        "network": network.lay_out(asked, standing, _network_before(ask, asked, standing), zones),
        "hosts": hosts,
    }
    account = ask.accepted.placement.get("account") or ask.account()
    return Choice(
        {**placement, **({"account": account} if account else {})},
        (*_standing_offers(kept), *(_offer(h, answers[h.pool]) for h in missing)),
        (*notes, *(standing.notes if standing else ()), *_tried(ask), *facts.notes, *_keeper(ask)),
    )


def _kept(ask: Ask) -> dict[str, Any]:
    """Entries that stay: of standing hosts, and in a second choice of one run those that nobody refused."""
    before: Any = ask.accepted.placement.get("hosts") or {}
    refused = {(r.pool, r.zone, r.machine_type, r.spot) for r in ask.refused}
    kept = {}
    for host in ask.accepted.hosts:
        entry = before.get(host.name)
        if entry is None:
            continue
        again = ask.refused and (host.pool, entry["zone"], entry["type"], bool(entry.get("spot"))) not in refused
        if host.name in ask.standing or again:
            kept[host.name] = entry
    return kept


def _pools(accepted: Accepted, hosts: Iterable[AcceptedHost]) -> dict[str, AcceptedPool]:
    needed = {h.pool for h in hosts}
    return {pool.name: pool for pool in accepted.pools if pool.name in needed}


def _arch(accepted: Accepted) -> str:
    arch = (accepted.os_image.arch if accepted.os_image else None) or "amd64"
    if arch not in ARCHITECTURES:
        raise UsageError(f"osImage.arch: {arch!r} is not known", hint=f"use {' or '.join(ARCHITECTURES)}")
    return arch


def _answers(
    facts: Facts, ask: Ask, pools: Mapping[str, AcceptedPool], standing: network.Standing | None
) -> dict[str, Answer]:
    wants = {name: choose.want_of(pool, _arch(ask.accepted)) for name, pool in pools.items()}
    market = _market(facts, ask, tuple(wants.values()), standing)
    return {name: _answer(facts, ask, want, market) for name, want in wants.items()}


def _market(facts: Facts, ask: Ask, wants: tuple[Want, ...], standing: network.Standing | None) -> Market:
    types = facts.types(wants)
    stock = {
        spot: facts.stock(spot=spot) for spot in sorted({mode for want in wants for mode in choose.modes(want.spot)})
    }
    seen = {zone for by_zone in stock.values() for zone in by_zone or ()}
    allowed = tuple(standing.subnets) if standing and standing.only else ()
    listed = tuple(z for z in ask.accepted.zones if not allowed or z in allowed) or allowed
    if ask.accepted.zones and allowed and not set(ask.accepted.zones) & set(allowed):
        raise UsageError(
            f"zones: none of the named subnets is in {', '.join(ask.accepted.zones)}",
            hint=f"they are in {', '.join(allowed)}: name those zones, or other network.subnets",
        )
    if not listed and None in stock.values():
        raise UsageError("zones: alicloud does not say which zones have stock here", hint="write zones: or --zone")
    market = Market(listed or tuple(sorted(seen)), types, stock)
    # Zones that this cluster already uses come first, so that a new host joins the others.
    ordered = choose.order_zones(listed, wants, market)
    used = [] if listed else [z for z in _zones_before(ask) if z in ordered]
    return Market(tuple(dict.fromkeys([*used, *ordered])), types, stock)


def _zones_before(ask: Ask) -> tuple[str, ...]:
    before: Any = ask.accepted.placement.get("zones") or ()
    return tuple(str(zone) for zone in before) if _same_region(ask) and (ask.standing or ask.refused) else ()


def _same_region(ask: Ask) -> bool:
    return ask.accepted.placement.get("region") in {None, ask.region}


def _network_before(ask: Ask, asked: Network, standing: network.Standing | None) -> Mapping[str, Any]:
    """The ranges that a cut run may have made already stay, unless the request now means another network."""
    before: Any = ask.accepted.placement.get("network") or {}
    same = before.get("vpcId") == (standing.vpc_id if standing else None)
    moved = not standing and asked.cidr is not None and asked.cidr != before.get("cidr")
    return before if ask.standing or (same and not moved and _same_region(ask)) else {}


def _answer(facts: Facts, ask: Ask, want: Want, market: Market) -> Answer:
    lacking: list[str] = []
    for candidate in choose.candidates(want, market, ask.refused):
        zone, name = candidate.zone, candidate.machine_type
        system = choose.pick_disk(facts.disks(zone, name, spot=candidate.spot), [want.system_disk])
        data = system if not want.data_disks or system is None else _data_disk(facts, want, candidate, system)
        if system is None or data is None:
            lacking.append(f"{name} in {zone}: no disk of this size")
            continue
        return Answer(
            candidate,
            system,
            data if want.data_disks else None,
            None,
            want.spot.max_price if want.spot and candidate.spot else None,
        )
    why = choose.why_none(want, market, ask.refused)
    raise CapacityError(
        f"alicloud: {why}{f' ({chr(59).join(lacking)})' if lacking else ''}",
        hint="name other zones or instance types, or try later",
    )


def _data_disk(facts: Facts, want: Want, candidate: Candidate, system: str) -> str | None:
    offers = facts.disks(candidate.zone, candidate.machine_type, system, spot=candidate.spot)
    return choose.pick_disk(offers, want.data_disks)


def _image(facts: Facts, ask: Ask, arch: str) -> str:
    """The image that the cluster has already, so that a newer one replaces no machine; else the newest."""
    before = ask.accepted.placement.get("imageId")
    if before and (ask.standing or ask.refused):
        return str(before)
    return facts.image(ask.accepted.os_image, arch)


def _priced(facts: Facts, pool: AcceptedPool, answer: Answer, image: str) -> Answer:
    system = (answer.system_disk, pool.system_disk or choose.SYSTEM_DISK)
    data = tuple((answer.data_disk or answer.system_disk, size) for size in pool.data_disks)
    made = answer.candidate
    price = facts.price(Bought(made.zone, made.machine_type, image, system, data, made.spot))
    wanted = pool.spot.currency if pool.spot else None
    if price and answer.limit is not None and wanted and price.currency and wanted != price.currency:
        raise UsageError(
            f"spot.maxPrice of pool {pool.name} is in {wanted}, but this account pays in {price.currency}",
            hint=f"write it with currency: {price.currency}",
        )
    return Answer(made, answer.system_disk, answer.data_disk, price, answer.limit)


def _check_quota(facts: Facts, hosts: Iterable[AcceptedHost], answers: Mapping[str, Answer]) -> None:
    needed: dict[bool, int] = {}
    for host in hosts:
        made = answers[host.pool].candidate
        needed[made.spot] = needed.get(made.spot, 0) + facts.cpus.get(made.machine_type, 0)
    excess = choose.over_quota(needed, facts.quota())
    if excess:
        raise CapacityError(
            f"alicloud: the account's quota is too small: {excess}",
            hint="ask for more in the Quota Center, or use less",
        )


def _entry(answer: Answer) -> dict[str, object]:
    made = answer.candidate
    return {
        "zone": made.zone,
        "type": made.machine_type,
        "systemDisk": answer.system_disk,
        **({"dataDisk": answer.data_disk} if answer.data_disk else {}),
        **({"spot": True} if made.spot else {}),
        **({"priceLimit": answer.limit} if made.spot and answer.limit is not None else {}),
        **({"price": answer.price.amount, "priceCurrency": answer.price.currency} if answer.price else {}),
    }


def _offer(host: AcceptedHost, answer: Answer) -> Offer:
    made, price = answer.candidate, answer.price
    return Offer(
        HostName(host.name),
        made.zone,
        made.machine_type,
        price.amount if price else None,
        price.currency if price else "",
        made.spot,
    )


def _standing_offers(kept: Mapping[str, Any]) -> tuple[Offer, ...]:
    """Machines that stay, at the price that they were bought at."""
    return tuple(
        Offer(
            HostName(name),
            str(e["zone"]),
            str(e["type"]),
            float(e["price"]) if e.get("price") is not None else None,
            str(e.get("priceCurrency") or ""),
            bool(e.get("spot")),
        )
        for name, e in kept.items()
    )


def standing_prices(api: Api, region: str, accepted: Accepted, hosts: frozenset[str]) -> dict[str, tuple[float, str]]:
    """What the machines of these hosts cost today, per hour and in which currency: one question per kind of machine."""
    pools = {pool.name: pool for pool in accepted.pools}
    entries: Any = accepted.placement.get("hosts") or {}
    image = str(accepted.placement.get("imageId") or "")
    goods = {
        h.name: (region, _bought(pools[h.pool], entries[h.name], image))
        for h in accepted.hosts
        if h.name in hosts and h.name in entries
    }
    known = look_up(api, goods.values())
    return {name: (known[one].amount, known[one].currency) for name, one in goods.items() if one in known}


def _bought(pool: AcceptedPool, entry: Mapping[str, Any], image: str) -> Bought:
    system = str(entry["systemDisk"])
    return Bought(
        zone=str(entry["zone"]),
        machine_type=str(entry["type"]),
        image_id=image,
        system_disk=(system, pool.system_disk or choose.SYSTEM_DISK),
        data_disks=tuple((str(entry.get("dataDisk") or system), size) for size in pool.data_disks),
        spot=bool(entry.get("spot")),
    )


def _tried(ask: Ask) -> tuple[str, ...]:
    return tuple(
        f"pool {r.pool}: {r.machine_type} in {r.zone}{' (spot)' if r.spot else ''} was refused: {r.code}"
        for r in ask.refused
    )


def _word_on_ssh(ask: Ask) -> tuple[str, ...]:
    return (OPEN_NOTE,) if open_to_all(ask.accepted) else ()


def _keeper(ask: Ask) -> tuple[str, ...]:
    if ask.accepted.expires_at is None:
        return ()
    return (
        "the deadline of machines and disks is kept by alicloud (autoReleaseTime); network and groups cost nothing and wait for `gc`",
    )
