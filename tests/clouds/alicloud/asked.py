"""Requests as the product accepts them, and the driver as the product makes it, against a simulator."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drivers.alicloud.api import Waits
from drivers.alicloud.driver import AlicloudDriver
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool
from provisioner.model.driver import Surroundings
from provisioner.settings import load_settings
from tests.clouds.alicloud.sim.server import Simulator

CID, RUN = "demo-abc234", "20261124T100000Z-abcdef"
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


class Clock:
    """Time that passes by being slept away."""

    def __init__(self) -> None:
        self.slept = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def waits(self) -> Waits:
        return Waits(monotonic=lambda: self.slept, sleep=self.sleep, chance=lambda: 1.0)


def driver(simulator: Simulator, *, waits: Waits | None = None, **environ: str) -> AlicloudDriver:
    """The driver with the simulator's key, or what `environ` puts in its place."""
    around = Surroundings({**simulator.env, **environ}, load_settings().cache_dir, lambda: NOW)
    return AlicloudDriver(around, waits=waits or Clock().waits())


def accepted(masters: int = 1, nodes: int = 0, *, pool: dict[str, Any] | None = None, **fields: Any) -> Accepted:
    """A request; `pool` changes both pools."""
    both = {"cpu": 2, "memory": 4, **(pool or {})}
    pools = [("master", masters, "m"), ("node", nodes, "n")]
    hosts = [
        AcceptedHost(
            name=f"{letter}{number + 1}", pool=name, roles=(name,), slot=number + (100 if letter == "n" else 0)
        )
        for name, count, letter in pools
        for number in range(count)
    ]
    return Accepted(
        **{
            "cluster": "demo",
            "provider": "alicloud",
            "image": AcceptedImage(reference="app:v1", repository="app", digest=f"sha256:{'0' * 64}"),
            "pools": tuple(AcceptedPool(name=n, roles=(n,), count=c, **both) for n, c, _ in pools if c),
            "hosts": tuple(hosts),
            "data_root": "/var/lib/sealer/data",
            "region": "cn-hangzhou",
            **fields,
        }
    )


def chosen(one: AlicloudDriver, request: Accepted, standing: frozenset[str] = frozenset(), **more: Any) -> Accepted:
    """The request with what the driver chooses for it."""
    return request.model_copy(update={"placement": one.choose(request, None, standing=standing, **more).placement})
