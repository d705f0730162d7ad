"""What the simulated cloud offers: regions, zones, types, disks, images, prices, stock and quota. A test may change it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class MachineType:
    """A type of instance; `price` is per hour on demand."""

    cores: int
    memory: float
    price: float
    arch: str = "X86"


def _types() -> dict[str, MachineType]:
    return {
        "ecs.t6-c1m2.large": MachineType(2, 4, 0.12),
        "ecs.c7.large": MachineType(2, 4, 0.40),
        "ecs.g7.large": MachineType(2, 8, 0.50),
        "ecs.g6.large": MachineType(2, 8, 0.55),
        "ecs.c7.xlarge": MachineType(4, 8, 0.80),
        "ecs.g7.xlarge": MachineType(4, 16, 1.00),
        "ecs.g7.2xlarge": MachineType(8, 32, 2.00),
        "ecs.g8y.large": MachineType(2, 8, 0.42, "ARM"),
    }


@dataclass(frozen=True)
class Image:
    """A system image."""

    platform: str
    os_name: str
    created: str
    arch: str = "x86_64"
    family: str = ""
    owner: str = "system"
    size: int = 20


def _images() -> dict[str, Image]:
    return {
        "debian_12_6_x64_20G_alibase_20240711.vhd": Image(
            "Debian", "Debian  12.6 64 bit", "2024-07-15T02:00:00Z", family="acs:debian_12_6_x64"
        ),
        "debian_12_4_x64_20G_alibase_20231220.vhd": Image(
            "Debian", "Debian  12.4 64 bit", "2023-12-22T02:00:00Z", family="acs:debian_12_4_x64"
        ),
        "ubuntu_22_04_x64_20G_alibase_20240530.vhd": Image(
            "Ubuntu", "Ubuntu  22.04 64 bit", "2024-06-03T02:00:00Z", family="acs:ubuntu_22_04_x64"
        ),
        "ubuntu_24_04_x64_20G_alibase_20240812.vhd": Image(
            "Ubuntu", "Ubuntu  24.04 64 bit", "2024-08-15T02:00:00Z", family="acs:ubuntu_24_04_x64"
        ),
        "ubuntu_24_04_arm64_20G_alibase_20240812.vhd": Image(
            "Ubuntu", "Ubuntu  24.04 64 bit for ARM", "2024-08-15T02:00:00Z", "arm64", "acs:ubuntu_24_04_arm64"
        ),
        "aliyun_3_x64_20G_alibase_20240819.vhd": Image(
            "Aliyun",
            "Alibaba Cloud Linux  3.2104 LTS 64 bit",
            "2024-08-20T02:00:00Z",
            family="acs:alibaba_cloud_linux_3",
        ),
        "rockylinux_9_4_x64_20G_alibase_20240607.vhd": Image(
            "Rocky Linux", "Rocky Linux  9.4 64 bit", "2024-06-18T02:00:00Z", family="acs:rockylinux_9_4_x64"
        ),
    }


@dataclass
class Catalogue:
    """`sold_out` holds `(zone, type)`, `("", type)` and `(zone, "")`; `(zone, type, "spot")` for spot alone."""

    zones: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "cn-hangzhou": ("cn-hangzhou-h", "cn-hangzhou-i", "cn-hangzhou-j"),
            "cn-beijing": ("cn-beijing-k", "cn-beijing-l"),
        }
    )
    types: dict[str, MachineType] = field(default_factory=_types)
    images: dict[str, Image] = field(default_factory=_images)
    disks: tuple[str, ...] = ("cloud_efficiency", "cloud_ssd", "cloud_essd")
    disks_in: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sold_out: set[tuple[str, ...]] = field(default_factory=set)
    spot_share: float = 0.3
    quota_cores: int = 200

    def disks_of(self, zone: str) -> tuple[str, ...]:
        """Disk categories that a zone offers."""
        return self.disks_in.get(zone, self.disks)

    def has(self, zone: str, kind: str, *, spot: bool = False) -> bool:
        """True while a type can be had in a zone."""
        bare = not {(zone, kind), ("", kind), (zone, "")} & self.sold_out
        return bare and not (spot and (zone, kind, "spot") in self.sold_out)
