"""Machines that stand: started again in place where they were stopped by hand, and what they cost today."""

from __future__ import annotations

from datetime import datetime

from drivers.aws.api import Api, CodeError, filters
from drivers.aws.facts import on_demand_price, spot_prices
from drivers.aws.failures import of_code
from drivers.aws.placement import Placement
from drivers.aws.sweep import FIRST_WAIT, LONGEST_WAIT, MACHINES_SECONDS, Waiting
from provisioner.errors import ProviderError

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
    batches = api.pages("ec2", "describe_instances", region, "Reservations", Filters=filters({"instance-id": ids}))
    machines = [machine for batch in batches for machine in batch.get("Instances", ())]
    return [m["InstanceId"] for m in machines if m["State"]["Name"] != "running"]


def standing_prices(
    api: Api, placement: Placement, hosts: frozenset[str], now: datetime
) -> dict[str, tuple[float, str]]:
    """What these hosts cost today, USD per hour: one look-up per type, and one for all spot machines."""
    placed = {name: on for name, on in placement.hosts.items() if name in hosts}
    spot = {on.machine_type for on in placed.values() if on.spot}
    market = spot_prices(api, placement.region, spot, now) if spot else {}
    types = sorted({on.machine_type for on in placed.values() if not on.spot})
    listed = {name: on_demand_price(api, placement.region, name) for name in types}
    found = {
        name: market.get((on.zone, on.machine_type)) if on.spot else listed[on.machine_type]
        for name, on in placed.items()
    }
    return {name: (price, "USD") for name, price in found.items() if price is not None}
