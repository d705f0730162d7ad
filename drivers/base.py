"""The registry of providers: what `--provider` may name, and how its driver is made (imported only when asked for)."""

from __future__ import annotations

from types import MappingProxyType

from provisioner.errors import UsageError
from provisioner.model.driver import Driver, DriverRegistry, Surroundings


def _local(_around: Surroundings) -> Driver:
    from drivers.local.driver import LocalDriver

    return LocalDriver()


def _baremetal(around: Surroundings) -> Driver:
    from drivers.baremetal.driver import BaremetalDriver

    return BaremetalDriver(around)


def _alicloud(around: Surroundings) -> Driver:
    from drivers.alicloud.driver import AlicloudDriver

    return AlicloudDriver(around)


def _aws(around: Surroundings) -> Driver:
    from drivers.aws.driver import AwsDriver

    return AwsDriver(around)


DRIVERS: DriverRegistry = MappingProxyType(
    {"local": _local, "baremetal": _baremetal, "alicloud": _alicloud, "aws": _aws}
)
"""Every driver that is built, by the name that `--provider` takes."""

PLANNED: tuple[str, ...] = ()
"""Providers that the formats know and that no driver serves yet."""


def driver_names() -> tuple[str, ...]:
    """The names that `load_driver` serves."""
    return tuple(DRIVERS)


def load_driver(name: str, around: Surroundings) -> Driver:
    """The driver of a provider. Raises UsageError naming it when it is unknown or not built yet."""
    make = DRIVERS.get(name)
    if make is not None:
        return make(around)
    hint = f"use --provider {' or '.join(driver_names())}"
    if name in PLANNED:
        raise UsageError(f"provider {name!r} is not built yet", hint=hint)
    raise UsageError(f"there is no provider {name!r}", hint=hint)
