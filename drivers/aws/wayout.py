"""Default routes: whether one leads anywhere. EC2 keeps a route whose gateway is gone, as a "blackhole". Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drivers.aws.api import Api, filters
from drivers.aws.placement import Placement
from provisioner.errors import SealerError

EVERYWHERE = "0.0.0.0/0"
DEAD = "blackhole"
"""The state of a route whose target was deleted or detached (Route, EC2 API Reference)."""


def default_routes(tables: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of these route tables, dead ones too."""
    return [r for t in tables for r in t.get("Routes", ()) if r.get("DestinationCidrBlock") == EVERYWHERE]


def leads_out(tables: Iterable[Mapping[str, Any]]) -> bool:
    """True where one of these has a default route that is none of the dead ones."""
    return any(route.get("State") != DEAD for route in default_routes(tables))


def dead_ends(api: Api, placement: Placement, shared: object) -> tuple[str, ...]:
    """A note on each subnet of an existing network whose default route is dead; what may not be looked at has none.

    `shared` is the network's name where it is one that `network create` makes, and so puts right.
    """
    if placement.vpc is None:
        return ()
    where = filters({"vpc-id": placement.vpc})
    try:
        tables = list(api.pages("ec2", "describe_route_tables", placement.region, "RouteTables", Filters=where))
    except SealerError:
        return ()
    cure = (
        f"`sealer-cloud network create {shared} --provider aws` puts it right"
        if shared
        else "who runs that network can put it right"
    )
    return tuple(
        f"the default route of {subnet} in {placement.vpc} leads nowhere, its gateway is gone; {cure}"
        for subnet in placement.subnets.values()
        if any(route.get("State") == DEAD for route in default_routes(_of(tables, subnet)))
    )


def _of(tables: Iterable[Mapping[str, Any]], subnet: str) -> list[Mapping[str, Any]]:
    """The table of a subnet: its own, else the network's main one."""
    own = [t for t in tables if any(a.get("SubnetId") == subnet for a in t.get("Associations", ()))]
    return own or [t for t in tables if any(a.get("Main") for a in t.get("Associations", ()))]
