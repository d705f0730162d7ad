"""When the cloud has none left: which choices are out, in which words, and what a plan may cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Offer, Refused
from provisioner.model.plan import Price
from provisioner.model.refusals import FAILS_OVER, meaning_of


def refused_by(accepted: Accepted, hosts: Iterable[str], code: str) -> tuple[Refused, ...]:
    """What must not be tried again, one entry per pool that a failed host is of; empty: going on is senseless.

    That is so for codes that no other choice helps against (quota, balance), and where it is unknown what the host was
    to be.
    """
    if meaning_of(code) not in FAILS_OVER:
        return ()
    pools = {host.name: host.pool for host in accepted.hosts}
    chosen = _chosen(accepted.placement)
    found = [
        Refused(pools[name], str(on["zone"]), str(on["type"]), bool(on.get("spot")), code)
        for name in hosts
        if name in pools and (on := chosen.get(name)) and "zone" in on and "type" in on
    ]
    return tuple(dict.fromkeys(found))


def refusal_lines(refused: Sequence[Refused]) -> tuple[str, ...]:
    """What was tried, one line each: `workers: no ecs.c7.large (spot) in cn-x-h (OperationDenied.NoStock)`."""
    return tuple(
        f"{r.pool}: no {r.machine_type}{' (spot)' if r.spot else ''} in {r.zone} ({r.code})"
        for r in dict.fromkeys(refused)
    )


def moved_lines(before: Accepted, after: Accepted) -> tuple[str, ...]:
    """What the hosts that moved will be now: `n1, n2: ecs.c7.large in cn-x-i`."""
    old, new = _chosen(before.placement), _chosen(after.placement)
    groups: dict[str, list[str]] = {}
    for host in after.hosts:
        on = new.get(host.name)
        if on is not None and on != old.get(host.name):
            spot = " (spot)" if on.get("spot") else ""
            groups.setdefault(f"{on.get('type')}{spot} in {on.get('zone')}", []).append(host.name)
    return tuple(f"{', '.join(names)}: {what}" for what, names in groups.items())


def price_of(offers: Sequence[Offer], now: datetime, expires_at: str | None) -> Price | None:
    """What all machines cost together per hour, and from now until the deadline.

    None where nothing is bought, a price is unknown, or they are in different currencies.
    """
    prices = [offer.price for offer in offers if offer.price is not None]
    currencies = {offer.currency for offer in offers}
    if not offers or len(prices) < len(offers) or len(currencies) > 1:
        return None
    total = sum(prices)
    hours = hours_left(now, expires_at)
    return Price(total, currencies.pop(), None if hours is None else total * hours)


def hours_left(now: datetime, expires_at: str | None) -> float | None:
    """Hours until a deadline, none below 0; None where there is no deadline."""
    if expires_at is None:
        return None
    return max(0.0, (datetime.fromisoformat(expires_at) - now).total_seconds() / 3600)


def over_price(offers: Sequence[Offer], price: Price | None, limit: float | None) -> str:
    """Why a plan may not be bought under `--max-price`, in words; empty: it may."""
    if limit is None or not offers:
        return ""
    if price is None:
        unknown = ", ".join(offer.host for offer in offers if offer.price is None) or "machines in several currencies"
        return f"--max-price {limit:g} is given, and the price of {unknown} is not known"
    if price.per_hour > limit:
        return (
            f"the machines would cost {price.per_hour:.4g} {price.currency} per hour, more than --max-price {limit:g}"
        )
    return ""


def _chosen(placement: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    hosts = placement.get("hosts")
    if not isinstance(hosts, Mapping):
        return {}
    return {str(name): on for name, on in hosts.items() if isinstance(on, Mapping)}
