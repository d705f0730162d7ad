"""Looking up what is to be had: stock, types, disks, images, prices, quota. Reads only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from drivers.alicloud.api import Api
from drivers.alicloud.choose import DiskOffer, Stock, TypeFact, Want
from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.wire import items
from provisioner.errors import SealerError, UsageError
from provisioner.model.accepted import AcceptedOsImage

DEFAULT_IMAGE = "debian-12"
ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
_ARCH_OF = {"X86": "amd64", "x86_64": "amd64", "ARM": "arm64", "arm64": "arm64"}
_FAMILIES = {"alinux": "aliyun", "anolis": "anolisos", "rocky": "rockylinux", "alma": "almalinux"}
"""Names that people use, where the service calls its images otherwise."""
_SPECIAL = re.compile(r"(?i)gpu|uefi|container|cvm|trustedvm|_arm64_.*x64")
QUOTAS = tuple(f"{what}-{kind}-instance-vcpu-count" for kind in ("postpaid", "spot") for what in ("max", "used"))
MOST_NAMED = 10
"""Types that one DescribeInstanceTypes may name (its API reference)."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Price:
    """Per hour."""

    amount: float
    currency: str


@dataclass(frozen=True, slots=True)
class Bought:
    """What a price is asked for."""

    zone: str
    machine_type: str
    image_id: str
    system_disk: tuple[str, int] | None
    data_disks: tuple[tuple[str, int], ...]
    spot: bool


@dataclass(slots=True)
class Facts:
    """Look-ups in one region. What an endpoint does not serve, or the key may not ask, is "not known", with a note."""

    api: Api
    region: str
    notes: list[str] = field(default_factory=list)
    cpus: dict[str, int] = field(default_factory=dict)
    """vCPU of every type that was looked up."""

    def _optional(self, what: str, look: Callable[[], _T]) -> _T | None:
        try:
            return look()
        except SealerError as error:
            if error_kind(error) is not Kind.UNKNOWN_ACTION and not forbids(error):
                raise
            note = f"{what} not known: alicloud answers {error.evidence}"
            if note not in self.notes:
                self.notes.append(note)
            return None

    def _available(self, destination: str, spot: bool, **more: object) -> list[Any]:  # noqa: FBT001
        params = {
            "DestinationResource": destination,
            "ResourceType": "instance",
            "IoOptimized": "optimized",
            "NetworkCategory": "vpc",
            "InstanceChargeType": "PostPaid",
            "SpotStrategy": "SpotAsPriceGo" if spot else "NoSpot",
            **more,
        }
        answer = self.api.call("ecs", "DescribeAvailableResource", self.region, params)
        return items(answer, "AvailableZones", "AvailableZone")

    def stock(self, *, spot: bool) -> Stock | None:
        """Types with stock by zone; None where nobody says."""

        def look() -> Stock:
            return {
                str(zone["ZoneId"]): frozenset(str(r["Value"]) for r in _supported(zone, "InstanceType"))
                for zone in self._available("InstanceType", spot)
                if _has_stock(zone)
            }

        return self._optional("stock", look)

    def disks(
        self, zone: str, machine_type: str, system: str | None = None, *, spot: bool
    ) -> tuple[DiskOffer, ...] | None:
        """Categories offered for a type in a zone, for the system disk or (with its category) data disks."""
        what = "DataDisk" if system else "SystemDisk"
        more = {"ZoneId": zone, "InstanceType": machine_type, **({"SystemDiskCategory": system} if system else {})}
        zones = self._optional("disk categories", lambda: self._available(what, spot, **more))
        found = [r for z in zones or () if z.get("ZoneId") == zone for r in _supported(z, what)]
        listed = [
            a
            for z in zones or ()
            if z.get("ZoneId") == zone
            for a in items(z, "AvailableResources", "AvailableResource")
        ]
        if not listed:
            return None
        return tuple(DiskOffer(str(r["Value"]), int(r.get("Min") or 1), int(r.get("Max") or 1 << 16)) for r in found)

    def types(self, wants: Iterable[Want]) -> tuple[TypeFact, ...]:
        """What the types are that these pools may mean."""
        found: dict[str, TypeFact] = {}
        for params in {str(asked): asked for want in wants for asked in _type_filters(want)}.values():
            for row in self.api.tokens("DescribeInstanceTypes", self.region, ("InstanceTypes", "InstanceType"), params):
                fact = _type_fact(row)
                found[fact.name] = fact
                self.cpus[fact.name] = fact.cpu
        return tuple(found.values())

    def image(self, asked: AcceptedOsImage | None, arch: str) -> str:
        """The id of the newest public image of that name and architecture. Raises UsageError where there is none."""
        if asked is not None and asked.id:
            return asked.id
        name = (asked.name if asked else None) or DEFAULT_IMAGE
        params = {
            "ImageOwnerAlias": "system",
            "OSType": "linux",
            "Status": "Available",
            "Architecture": ARCHITECTURES[arch],
        }
        rows = self.api.pages("ecs", "DescribeImages", self.region, ("Images", "Image"), params)
        image = newest_image(rows, name, arch)
        if image is None:
            hint = "write osImage.id: the id of an image of yours or of the market place"
            raise UsageError(
                f"osImage.name: alicloud has no public image {name} for {arch} in {self.region}", hint=hint
            )
        return image

    def price(self, asked: Bought) -> Price | None:
        """Per hour, for one machine with its disks, without traffic; None where nobody says."""
        params: dict[str, object] = {
            "ResourceType": "instance",
            "ZoneId": asked.zone,
            "InstanceType": asked.machine_type,
            "ImageId": asked.image_id,
            "IoOptimized": "optimized",
            "InstanceNetworkType": "vpc",
            "PriceUnit": "Hour",
            "Period": 1,
            "Amount": 1,
            "SpotStrategy": "SpotAsPriceGo" if asked.spot else "NoSpot",
            "DataDisk": [{"Category": category, "Size": size} for category, size in asked.data_disks],
        }
        if asked.system_disk:
            params["SystemDisk"] = {"Category": asked.system_disk[0], "Size": asked.system_disk[1]}
        return self._price(params)

    def disk_price(self, zone: str, category: str, size: int) -> Price | None:
        """Per hour, for a disk of `size` GiB that no machine uses; None where nobody says."""
        disk = [{"Category": category, "Size": size}]
        return self._price({"ResourceType": "disk", "ZoneId": zone, "PriceUnit": "Hour", "DataDisk": disk})

    def _price(self, params: Mapping[str, object]) -> Price | None:
        answer = self._optional("prices", lambda: self.api.call("ecs", "DescribePrice", self.region, params))
        price: Any = ((answer or {}).get("PriceInfo") or {}).get("Price") or {}
        if price.get("TradePrice") is None:
            return None
        return Price(float(price["TradePrice"]), str(price.get("Currency") or ""))

    def quota(self) -> Mapping[str, int]:
        """The vCPU that the account may hold and holds, by the service's own names; empty where nobody says."""
        params = {"AttributeName": list(QUOTAS)}
        answer = self._optional("quota", lambda: self.api.call("ecs", "DescribeAccountAttributes", self.region, params))
        found = {}
        for row in items(answer or {}, "AccountAttributeItems", "AccountAttributeItem"):
            values = [str(v.get("Value")) for v in items(row, "AttributeValues", "ValueItem")]
            if values and values[0].isdigit():
                found[str(row.get("AttributeName"))] = int(values[0])
        return found


def _supported(zone: Mapping[str, Any], what: str) -> list[Any]:
    return [
        resource
        for offer in items(zone, "AvailableResources", "AvailableResource")
        if offer.get("Type") == what
        for resource in items(offer, "SupportedResources", "SupportedResource")
        if _has_stock(resource)
    ]


def _has_stock(row: Mapping[str, Any]) -> bool:
    """`ClosedWithStock` is stock that is not refilled: too thin to plan with, and RunInstances refuses it mostly."""
    return row.get("Status") == "Available" and row.get("StatusCategory", "WithStock") == "WithStock"


def _type_filters(want: Want) -> list[dict[str, object]]:
    if want.listed:
        return [
            {"InstanceTypes": list(want.listed[start : start + MOST_NAMED])}
            for start in range(0, len(want.listed), MOST_NAMED)
        ]
    fits: dict[str, object] = {
        "MinimumCpuCoreCount": want.cpu,
        "MaximumCpuCoreCount": max(2 * want.cpu, want.cpu + 2),
        "MinimumMemorySize": want.memory,
        "MaximumMemorySize": max(2 * want.memory, want.memory + 4),
    }
    return [fits]


def _type_fact(row: Mapping[str, Any]) -> TypeFact:
    return TypeFact(
        name=str(row["InstanceTypeId"]),
        cpu=int(row["CpuCoreCount"]),
        memory=float(row["MemorySize"]),
        arch=_ARCH_OF.get(str(row.get("CpuArchitecture") or "X86"), "other"),
    )


def image_prefix(name: str) -> str:
    """How the ids of public images of an operating system begin: `ubuntu-22.04` is `ubuntu_22_04_`."""
    family, _, version = name.partition("-")
    return "_".join([_FAMILIES.get(family, family), *re.split(r"[.-]", version)]).rstrip("_") + "_"


def newest_image(rows: Iterable[Mapping[str, Any]], name: str, arch: str) -> str | None:
    """The newest ordinary image of that name and architecture."""
    prefix = image_prefix(name)
    fitting = [
        (str(row.get("CreationTime") or ""), str(row["ImageId"]))
        for row in rows
        if str(row["ImageId"]).startswith(prefix)
        and not _SPECIAL.search(str(row["ImageId"]))
        and row.get("Architecture", ARCHITECTURES[arch]) == ARCHITECTURES[arch]
    ]
    return max(fitting)[1] if fitting else None
