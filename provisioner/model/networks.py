"""Networks that clusters share (`network create`): what stands, what is wanted, and how a range is divided. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from provisioner.errors import UsageError

DEFAULT_CIDR = "10.0.0.0/16"
SHARE_BITS = 4
"""A subnet gets a sixteenth of the network: no region has more zones, and clusters of many sizes fit."""
LONGEST_PREFIX = 28
"""AWS makes no smaller subnet."""

Tell = Callable[[str], None]
"""Called with words before each change. May raise InterruptedRunError, which is let through: nothing is half done then."""


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """What is asked for: the zones that need a subnet (none named: all of the region), the range (None: the usual)."""

    name: str
    region: str
    zones: tuple[str, ...] = ()
    cidr: str | None = None
    words: str = ""
    """The flags that lead another command to the same place."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a network is made of, by the provider's own word. `id` None: to be made."""

    kind: str
    id: str | None = None
    zone: str | None = None
    cidr: str | None = None

    def __str__(self) -> str:
        """`vswitch vsw-1 10.0.0.0/20 in cn-hangzhou-h`, as far as known."""
        words = [self.kind, self.id, self.cidr, f"in {self.zone}" if self.zone else None]
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class SharedNetwork:
    """One network that stands, or its rest (`id` None: parts without their VPC).

    `clusters` are the cids of the clusters in it; `occupants` is everything in it that is not of the network itself,
    one line each: clusters' machines, and what others put there.
    """

    name: str
    provider: str
    region: str
    id: str | None
    cidr: str | None
    parts: tuple[Part, ...] = ()
    clusters: tuple[str, ...] = ()
    occupants: tuple[str, ...] = ()
    run: str | None = None

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that it has a subnet in."""
        return tuple(sorted({part.zone for part in self.parts if part.zone}))

    @property
    def taken(self) -> tuple[str, ...]:
        """The ranges of its own subnets."""
        return tuple(part.cidr for part in self.parts if part.cidr and part.zone)


@dataclass(frozen=True, slots=True)
class Networks:
    """What a look found, and the places that it could not look at, with the reason."""

    found: tuple[SharedNetwork, ...]
    not_looked_at: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What `make_network` will do: `parts` in their order. `vpc` is that of a network that stands in part."""

    name: str
    region: str
    cidr: str
    vpc: str | None
    parts: tuple[Part, ...]


def delete_words(wish: NetworkWish) -> str:
    """The command that removes it."""
    return f"sealer-cloud network delete {wish.name} {wish.words}".rstrip()


def the_one(found: Iterable[SharedNetwork], wish: NetworkWish) -> SharedNetwork | None:
    """The network that the wish means, if it stands.

    Raises UsageError where several have that name, and where it has another range than the one that is asked for.
    """
    standing = tuple(found)
    if len(standing) > 1:
        ids = ", ".join(n.id or "a rest without a VPC" for n in standing)
        raise UsageError(
            f"network {wish.name} stands {len(standing)} times in {wish.region}: {ids}",
            hint=f"`{delete_words(wish)}` removes them once they are empty",
        )
    one = standing[0] if standing else None
    if one and one.cidr and wish.cidr and IPv4Network(one.cidr) != IPv4Network(wish.cidr):
        raise UsageError(
            f"network {wish.name} stands in {wish.region} with {one.cidr}, not with {wish.cidr}",
            hint="a network keeps its range: leave --cidr out, or choose another name",
        )
    return one


def divide(cidr: str, zones: Iterable[str], taken: Iterable[str]) -> Mapping[str, str]:
    """A free range of a network for each zone, in their order. Raises UsageError where there is no room for all."""
    network = IPv4Network(cidr)
    prefix = max(network.prefixlen, min(network.prefixlen + SHARE_BITS, LONGEST_PREFIX))
    used = [IPv4Network(text) for text in taken]
    free = (c for c in network.subnets(new_prefix=prefix) if not any(c.overlaps(u) for u in used))
    wanted = tuple(dict.fromkeys(zones))
    ranges = {zone: str(subnet) for zone, subnet in zip(wanted, free, strict=False)}
    if len(ranges) < len(wanted):
        raise UsageError(
            f"{cidr} has no room for a subnet (/{prefix}) in each of {', '.join(wanted)}",
            hint="use a larger --cidr, or name fewer zones with --zone",
        )
    return ranges
