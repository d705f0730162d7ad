"""Which subnet a cluster gets, and which address a slot. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from provisioner.errors import CapacityError, UsageError
from provisioner.model.ids import HostName

FIRST_HOST = 10
LARGEST, SMALLEST = 16, 24
"""Prefix lengths that leave room for every slot."""

POOL = tuple(IPv4Network(f"10.213.{n}.0/24") for n in range(1, 255))


def parse_subnet(text: str) -> IPv4Network:
    """A subnet as the user wrote it. Raises UsageError naming the key."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise UsageError(
            f"network.cidr: {text!r} is no IPv4 subnet ({error})", hint="write it like 10.9.8.0/24"
        ) from error
    if not LARGEST <= network.prefixlen <= SMALLEST:
        raise UsageError(f"network.cidr: {text} must be between /{LARGEST} and /{SMALLEST}")
    if not network.is_private or network.is_loopback or network.is_link_local:
        raise UsageError(f"network.cidr: {text} is no private subnet", hint="use one of 10.0.0.0/8, 192.168.0.0/16 …")
    return network


def gateway_of(network: IPv4Network) -> str:
    """The machine's own address in the subnet."""
    return str(network.network_address + 1)


def address_of(network: IPv4Network, slot: int) -> str:
    """A slot's address, the same for life."""
    return str(network.network_address + FIRST_HOST + slot)


def with_prefix(address: str, network: IPv4Network) -> str:
    """`address/length`, as `ip` takes it."""
    return f"{address}/{network.prefixlen}"


def parse_routes(routes: Sequence[object], own_link: str = "") -> tuple[IPv4Network, ...]:
    """The IPv4 destinations of `ip -j route`, without defaults and without what goes through `own_link`."""
    found: list[IPv4Network] = []
    for route in routes:
        if not isinstance(route, dict) or route.get("dev") == own_link:
            continue
        try:
            network = IPv4Network(str(route.get("dst")), strict=False)
        except ValueError:
            continue
        if network.prefixlen > 0:
            found.append(network)
    return tuple(found)


def conflict(network: IPv4Network, others: Iterable[IPv4Network]) -> IPv4Network | None:
    """The first of `others` that shares addresses with `network`."""
    return next((other for other in others if other.overlaps(network)), None)


def free_subnet(taken: Sequence[IPv4Network], routes: Sequence[IPv4Network]) -> IPv4Network:
    """The first subnet of the pool that nobody uses. Raises CapacityError.

    A very wide route (a company's 10.0.0.0/8) covers the whole pool; only if nothing else is left it is put up with, as
    the narrower route of the cluster wins on this machine.
    """
    narrow = tuple(r for r in routes if r.prefixlen >= LARGEST)
    for used in (routes, narrow):
        for network in POOL:
            if conflict(network, (*taken, *used)) is None:
                return network
    raise CapacityError(
        "no subnet of 10.213.0.0/16 is free on this machine",
        hint="remove a cluster, or set network.cidr in the Infra document",
    )


def checked_subnet(network: IPv4Network, taken: Sequence[IPv4Network], routes: Sequence[IPv4Network]) -> IPv4Network:
    """A subnet that was asked for, if it is free. Raises UsageError naming what is in the way."""
    other = conflict(network, (*taken, *(r for r in routes if r.prefixlen >= LARGEST)))
    if other is not None:
        raise UsageError(
            f"network.cidr: {network} overlaps {other}, which this machine uses", hint="choose another subnet"
        )
    return network


def slot_conflict(slots: dict[HostName, int], name: HostName, slot: int) -> HostName | None:
    """Another host that has this slot."""
    return next((other for other, used in slots.items() if used == slot and other != name), None)
