"""What was chosen for a cluster, as values and as the JSON that the request keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioner.errors import PreconditionError

DISK = "gp3"
"""Every zone offers it, and it costs less than gp2 at any size."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One host's machine. `price_limit` (USD per hour) only for spot; None there: up to the on-demand price.

    `price` is what it was bought at, USD per hour; None where nobody said one.
    """

    zone: str
    machine_type: str
    image: str
    spot: bool = False
    price_limit: float | None = None
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A cluster's machines and where its subnets are.

    `vpc` None: the network is ours, and `subnets` are zone → CIDR; else they are zone → id of an existing subnet.
    """

    account: str
    region: str
    hosts: Mapping[str, Placed] = field(default_factory=dict)
    subnets: Mapping[str, str] = field(default_factory=dict)
    vpc: str | None = None
    cidr: str | None = None

    def to_json(self, user: str) -> dict[str, object]:
        """The JSON object; its keys `region`, `zones`, `imageId`, `imageUser`, `hosts` are those of every cloud."""
        images = [host.image for host in self.hosts.values()]
        return {
            "account": self.account,
            "region": self.region,
            "zones": [*self.subnets],
            "imageId": images[-1] if images else "",
            "imageUser": user,
            "vpc": self.vpc,
            "cidr": self.cidr,
            "subnets": dict(self.subnets),
            "hosts": {name: _host_json(host) for name, host in self.hosts.items()},
        }


def parse_placement(raw: Mapping[str, object]) -> Placement | None:
    """The stored placement; None where nothing was chosen yet. Raises PreconditionError (12) for a broken one."""
    if not raw:
        return None
    try:
        hosts, subnets = _object(raw, "hosts"), _object(raw, "subnets")
        return Placement(
            account=str(raw["account"]),
            region=str(raw["region"]),
            hosts={str(name): _host(host) for name, host in hosts.items()},
            subnets={str(zone): str(subnet) for zone, subnet in subnets.items()},
            vpc=str(raw["vpc"]) if raw.get("vpc") else None,
            cidr=str(raw["cidr"]) if raw.get("cidr") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"the stored placement cannot be read: {type(error).__name__}: {error}"
        raise PreconditionError(
            what, hint="restore the state from a backup, or use the version that wrote it"
        ) from error


def _object(raw: Mapping[str, object], key: str) -> Mapping[str, Any]:
    value = raw[key]
    if not isinstance(value, Mapping):
        raise TypeError(f"{key} must be an object")
    return value


def _host_json(host: Placed) -> dict[str, object]:
    return {
        "zone": host.zone,
        "type": host.machine_type,
        "imageId": host.image,
        "systemDisk": DISK,
        "dataDisk": DISK,
        "spot": host.spot,
        "priceLimit": host.price_limit,
        **({"price": host.price} if host.price is not None else {}),
    }


def _host(raw: Mapping[str, object]) -> Placed:
    limit, price = raw.get("priceLimit"), raw.get("price")
    return Placed(
        zone=str(raw["zone"]),
        machine_type=str(raw["type"]),
        image=str(raw["imageId"]),
        spot=bool(raw.get("spot")),
        price_limit=float(limit) if isinstance(limit, (int, float)) else None,
        price=float(price) if isinstance(price, (int, float)) else None,
    )
