"""What is chosen before anything is made: region, zones, machine types, marks; and whether it may cost that much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from provisioner.errors import CapacityError
from provisioner.model.accepted import Accepted, AcceptedPool
from provisioner.model.ci import ci_of
from provisioner.model.deadline import check_new_machines
from provisioner.model.driver import Choice, Driver, Marks, Offer
from provisioner.model.engine import Previewed
from provisioner.model.failover import over_price
from provisioner.model.grammar import BOUGHT
from provisioner.model.hosts import StackOutputs
from provisioner.model.ids import ClusterId, RunId
from provisioner.model.plan import InfraPlan, Price, is_machine


async def place(
    driver: Driver, accepted: Accepted, before: Accepted | None, cid: ClusterId | None, standing: frozenset[str]
) -> tuple[Accepted, Choice]:
    """Have the driver choose; the request then holds region and placement, as a provider without them leaves it.

    `before` is the stored request of the same cluster, `standing` its hosts that have a machine. Raises CapacityError
    (13) when nothing is to be had, AccessError (5).
    """
    known: dict[str, object] = {}
    if accepted.region is None:
        known["region"] = before.region if before and before.region else await asyncio.to_thread(driver.region)
    if not accepted.placement and before:
        known["placement"] = before.placement
    asked = accepted.model_copy(update=known)
    choice = await asyncio.to_thread(driver.choose, asked, cid, standing=standing)
    placed = with_placement(asked, choice)
    offers = await asyncio.to_thread(_whole_price, driver, placed, choice.offers, standing)
    stay = stay_notes(before, placed, standing) if before and placed.placement else ()
    return placed, replace(choice, offers=in_order(offers, accepted), notes=(*choice.notes, *stay))


def stay_notes(before: Accepted, accepted: Accepted, standing: frozenset[str]) -> tuple[str, ...]:
    """What a person should know who wants other machines than those that stand: a choice is made once for each."""
    old = {pool.name: _kind_of(pool) for pool in before.pools}
    notes = []
    for pool in accepted.pools:
        hosts = [h.name for h in accepted.hosts if h.pool == pool.name and h.name in standing]
        if hosts and old.get(pool.name, _kind_of(pool)) != _kind_of(pool):
            notes.append(
                f"{', '.join(hosts)} of pool {pool.name} stay as they were bought: cpu, memory, instanceType and spot "
                "hold for machines that are bought from now on"
            )
    return tuple(notes)


def _kind_of(pool: AcceptedPool) -> tuple[object, ...]:
    return pool.cpu, pool.memory, pool.instance_types, pool.spot


def with_starts(seen: Previewed, provider: str) -> InfraPlan:
    """The engine's plan, with the stopped machines of a cloud that the engine itself would leave stopped."""
    infra, stopped = seen.plan, stopped_machines(seen.outputs, provider)
    starts = [c for c in infra.same if is_machine(c.type) and c.name in stopped]
    return replace(
        infra,
        same=tuple(c for c in infra.same if c not in starts),
        update=(*infra.update, *(replace(c, detail="start again") for c in starts)),
    )


def demand_time(accepted: Accepted, infra: InfraPlan, now: datetime) -> None:
    """Refuse machines for which the deadline is too near; those that are gone show in the preview alone.

    Raises UsageError (3).
    """
    if any(is_machine(c.type) for c in (*infra.create, *infra.replace)):
        check_new_machines(accepted, now)


def stopped_machines(outputs: StackOutputs, provider: str) -> dict[str, str]:
    """Hosts of a cloud that a look found stopped: name → machine's id."""
    return {h.name: h.machine_id for h in outputs.hosts if h.running is False} if provider in BOUGHT else {}


def _whole_price(
    driver: Driver, placed: Accepted, offers: tuple[Offer, ...], standing: frozenset[str]
) -> tuple[Offer, ...]:
    """Where something is bought, the whole cluster's price counts: machines that were placed without one are looked up."""
    unpriced = frozenset(str(offer.host) for offer in offers if offer.price is None and offer.host in standing)
    if not unpriced or not any(offer.host not in standing for offer in offers):
        return offers
    known = driver.prices(placed, unpriced)
    return tuple(
        replace(offer, price=known[offer.host][0], currency=known[offer.host][1])
        if offer.price is None and offer.host in known
        else offer
        for offer in offers
    )


def in_order(offers: Iterable[Offer], accepted: Accepted) -> tuple[Offer, ...]:
    """Offers in the order of the hosts."""
    order = {host.name: number for number, host in enumerate(accepted.hosts)}
    return tuple(sorted(offers, key=lambda offer: order.get(offer.host, len(order))))


def with_placement(accepted: Accepted, choice: Choice) -> Accepted:
    """The request as the driver will keep to it."""
    return accepted.model_copy(update={"placement": dict(choice.placement)})


def marks_of(environ: Mapping[str, str], accepted: Accepted, cid: ClusterId, run: RunId) -> Marks:
    """What every resource of this run is tagged with; under a CI also its run and repository."""
    return Marks(cid, run, accepted.expires_at, *ci_of(environ))


def known_offers(offers: Iterable[Offer], before: Iterable[Offer]) -> tuple[Offer, ...]:
    """Offers, with the prices of earlier in this run for machines that stand since: nobody looks them up again."""
    old = {_what(offer): offer for offer in before}
    return tuple(
        replace(offer, price=same.price, currency=same.currency)
        if offer.price is None and (same := old.get(_what(offer)))
        else offer
        for offer in offers
    )


def _what(offer: Offer) -> tuple[object, ...]:
    return offer.host, offer.zone, offer.machine_type, offer.spot


def demand_price(offers: tuple[Offer, ...], price: Price | None, limit: float | None, standing: frozenset[str]) -> None:
    """Refuse what costs more than `limit` per hour, or nobody knows what, before anything is bought.

    A run that buys nothing is not asked for prices. Raises CapacityError (13).
    """
    buys = any(offer.host not in standing for offer in offers)
    reason = over_price(offers, price, limit) if buys else ""
    if reason:
        raise CapacityError(
            f"{reason}; nothing was bought", hint="raise --max-price, or ask for fewer or smaller machines"
        )
