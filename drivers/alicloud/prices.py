"""What things that stand cost per hour, for `gc`: one question per kind of thing, never one per thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.facts import Bought, Facts, Price
from provisioner.errors import SealerError

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DiskAlone:
    """A disk that no machine uses."""

    zone: str
    category: str
    size: int


Goods = tuple[str, Bought | DiskAlone]
"""Region and what stands there, as far as its price depends on it."""


def machine_goods(region: str, row: Row, disks: Iterable[Row]) -> Goods:
    """A machine, as DescribeInstances shows it, with the disks that DescribeDisks shows in use."""
    mine = [disk for disk in disks if disk.get("InstanceId") == row.get("InstanceId")]
    system = [_size(disk) for disk in mine if disk.get("Type") == "system"]
    return region, Bought(
        zone=str(row.get("ZoneId") or ""),
        machine_type=str(row.get("InstanceType") or ""),
        image_id=str(row.get("ImageId") or ""),
        system_disk=system[0] if system else None,
        data_disks=tuple(sorted(_size(disk) for disk in mine if disk.get("Type") != "system")),
        spot=str(row.get("SpotStrategy") or "NoSpot") != "NoSpot",
    )


def disk_goods(region: str, row: Row) -> Goods:
    """A disk alone, as DescribeDisks shows it."""
    category, size = _size(row)
    return region, DiskAlone(str(row.get("ZoneId") or ""), category, size)


def look_up(api: Api, goods: Iterable[Goods]) -> dict[Goods, Price]:
    """Prices of these, each asked once; what nobody says is left out. Never raises: a price is good to know, no more."""
    found: dict[Goods, Price] = {}
    for one in dict.fromkeys(goods):
        region, what = one
        facts = Facts(api, region)
        try:
            price = (
                facts.price(what) if isinstance(what, Bought) else facts.disk_price(what.zone, what.category, what.size)
            )
        except SealerError:
            continue
        if price is not None:
            found[one] = price
    return found


def _size(disk: Row) -> tuple[str, int]:
    return str(disk.get("Category") or ""), int(disk.get("Size") or 0)
