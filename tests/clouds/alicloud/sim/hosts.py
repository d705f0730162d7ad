"""Instances that are real hosts."""

from __future__ import annotations

import base64

from tests.clouds.alicloud.sim.store import Thing
from tests.clouds.realhosts import RealHosts


class InstanceHosts:
    """What the account asks of real hosts, in its own terms."""

    def __init__(self, real: RealHosts) -> None:
        self.real = real

    def address(self, instance: Thing, vpc: Thing) -> str:
        """The address that the host will have."""
        return self.real.place(instance.id, vpc.id, instance["HostName"])

    def boot(self, instance: Thing) -> None:
        """Begin its boot; it runs once its user-data has."""
        instance["Status"] = "Pending"
        self.real.boot(instance.id, base64.b64decode(instance["UserData"]), lambda: self._runs(instance))

    def end(self, instance: Thing) -> None:
        """Take the host away."""
        self.real.end(instance.id)

    def console(self, instance: Thing) -> str:
        """What it said."""
        return self.real.console(instance.id)

    @staticmethod
    def _runs(instance: Thing) -> None:
        instance["Status"] = "Running"
