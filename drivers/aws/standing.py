"""Machines that stand: started again in place where they were stopped by hand; and what machines cost today."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from drivers.aws.api import Api, CodeError, machines_of
from drivers.aws.choose import Facts, with_prices
from drivers.aws.facts import on_demand_price, spot_prices
from drivers.aws.failures import of_code
from drivers.aws.look import Sold
from drivers.aws.placement import Placement
from drivers.aws.sweep import FIRST_WAIT, LONGEST_WAIT, MACHINES_SECONDS, Waiting
from provisioner.errors import ProviderError, SealerError

STILL_STOPPING = "IncorrectInstanceState"


def start_machines(api: Api, region: str, ids: tuple[str, ...], waiting: Waiting) -> None:
    """Start them and wait until all run. Raises ProviderError (6) naming those that do not, CapacityError (13)."""
    until = waiting.monotonic() + MACHINES_SECONDS
    pause, asked = FIRST_WAIT, False
    while True:
        asked = asked or _asked(api, region, ids)
        idle = _idle(api, region, ids)
        if asked and not idle:
            return
        if waiting.monotonic() > until:
            hint = "look at them in the console, then run the same command again"
            raise ProviderError(f"still not running in {region}: {', '.join(idle or ids)}", hint=hint)
        waiting.sleep(pause)
        pause = min(LONGEST_WAIT, pause * 1.5)


def _asked(api: Api, region: str, ids: tuple[str, ...]) -> bool:
    """False while one of them is still on its way down."""
    try:
        api.attempt("ec2", "start_instances", region, InstanceIds=list(ids))
    except CodeError as error:
        if error.code == STILL_STOPPING:
            return False
        raise of_code(error.code, error.message, f"StartInstances {', '.join(ids)}", region) from error
    return True


def _idle(api: Api, region: str, ids: tuple[str, ...]) -> list[str]:
    return [m["InstanceId"] for m in machines_of(api, region, ids) if m["State"]["Name"] != "running"]


def priced(api: Api, facts: Facts, placement: Placement, new: tuple[str, ...]) -> Placement:
    """The placement with what its new hosts are bought at."""
    placed = {name: placement.hosts[name] for name in new}
    types = sorted({on.machine_type for on in placed.values() if not on.spot})
    listed = {name: on_demand_price(api, facts.region, name) for name in types}
    prices = {
        name: facts.spot.get((on.zone, on.machine_type)) if on.spot else listed[on.machine_type]
        for name, on in placed.items()
    }
    return with_prices(placement, prices)


def standing_prices(
    api: Api, placement: Placement, hosts: frozenset[str], now: datetime
) -> dict[str, tuple[float, str]]:
    """What these hosts cost today, USD per hour; those of which nobody says it are left out."""
    sold: dict[str, Sold] = {
        name: (placement.region, on.zone, on.machine_type, on.spot)
        for name, on in placement.hosts.items()
        if name in hosts
    }
    prices = prices_of(api, sold.values(), now)
    return {name: (prices[one], "USD") for name, one in sold.items() if one in prices}


def prices_of(api: Api, sold: Iterable[Sold], now: datetime) -> dict[Sold, float]:
    """What machines cost now, USD per hour: one look-up per type, and one per region for all its spot machines.

    What nobody says is left out, and nothing is raised: a price is good to know, no more.
    """
    kinds = sorted(set(sold))
    listed = {
        key: on_demand_price(api, *key) for key in {(region, name) for region, _, name, spot in kinds if not spot}
    }
    market = {region: _market(api, region, kinds, now) for region in {one[0] for one in kinds if one[3]}}
    found = {
        (region, zone, name, spot): market[region].get((zone, name)) if spot else listed[region, name]
        for region, zone, name, spot in kinds
    }
    return {one: price for one, price in found.items() if price is not None}


def _market(api: Api, region: str, kinds: Iterable[Sold], now: datetime) -> dict[tuple[str, str], float]:
    try:
        return spot_prices(api, region, {name for where, _, name, spot in kinds if spot and where == region}, now)
    except SealerError:
        return {}
