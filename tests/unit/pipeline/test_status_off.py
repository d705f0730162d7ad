"""`status` of a cluster whose hosts are off: said so where this machine can see it, and not called degraded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from provisioner import access
from provisioner.model.adoption import Login
from provisioner.model.driver import FoundMachine
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.secret import Secret
from tests.fakes.driver import FakeDriver

from .conftest import Stage

APP = ClusterName("app")


@dataclass
class Here(FakeDriver):
    """A provider whose hosts are processes of this machine; those in `off` are not running."""

    off: set[str] = field(default_factory=set)

    def kept(self, _cid: ClusterId) -> Mapping[HostName, bytes]:
        return {}

    def admit(self, _cid: ClusterId) -> Login:
        return Login(Secret("none"), "")

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        hosts = [host for of, host in sorted(self.machines) if of == cid]
        return tuple(FoundMachine(h, h, "stopped" if h in self.off else "running") for h in hosts)


@pytest.mark.parametrize(
    ("silent", "off", "phase", "states"),
    [
        ({"n1"}, {"n1"}, "degraded", ["healthy", "healthy", "stopped"]),
        ({"m1", "m2", "n1"}, {"m1", "m2", "n1"}, "stopped", ["stopped"] * 3),
        ({"m1", "m2", "n1"}, {"n1"}, "unreachable", ["unreachable", "unreachable", "stopped"]),
        (set(), {"n1"}, "ready", ["healthy"] * 3),
    ],
)
async def test_hosts_that_are_off_are_said_to_be_off(
    stage: Stage, silent: set[str], off: set[str], phase: str, states: list[str]
) -> None:
    await stage.stand()
    stage.driver = Here(stage.engine.machines, off=off)
    for name in silent:
        stage.host(name).refuse = True
    report = await access.status(stage.world, APP)
    assert (report.phase, [h.state for h in report.hosts]) == (phase, states)
