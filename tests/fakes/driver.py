"""A provider in memory: the promises of `model.driver.Driver`; its machines are those of the fake engine."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drivers.nocloud import NoCloud
from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Check, FoundCluster, Marks, OutputSink, Surroundings
from provisioner.model.hosts import InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, name_of

AROUND = Surroundings({}, Path("/nonexistent"), lambda: datetime(2026, 1, 1, tzinfo=UTC))
"""Nothing around a driver: no variable, no cache."""


@dataclass
class FakeDriver(NoCloud):
    """`machines` is shared with FakeEngine; `lacks` are failing checks, `no_room` those of new clusters; `stubborn` machines survive a sweep."""

    machines: MutableMapping[tuple[str, str], InventoryHost]
    lacks: list[Check] = field(default_factory=list)
    no_room: list[Check] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    name: str = "local"

    def parse_spec(self, accepted: Accepted) -> object:
        for pool in accepted.pools:
            if pool.cpu is not None:
                raise UsageError(f"provider {self.name} cannot set cpu (pool {pool.name})")
        return accepted.wanted

    def check(self, _spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        room = () if standing else tuple(self.no_room)
        return (Check("memory", ok=True, detail="all of it"), *self.lacks, *room)

    def declare(
        self, _spec: object, _marks: Marks, _intent: object, _sink: OutputSink, _adopt: Mapping[str, str]
    ) -> list[object]:
        raise NotImplementedError("the fake engine runs no program")

    def find(self, name: ClusterName | None) -> tuple[FoundCluster, ...]:
        cids = sorted({cid for cid, _ in self.machines if name is None or name_of(ClusterId(cid)) == name})
        return tuple(
            FoundCluster(
                name_of(ClusterId(c)), ClusterId(c), self.name, tuple(sorted(h for d, h in self.machines if d == c))
            )
            for c in cids
        )

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        return tuple(sorted(f"machine {host}" for found, host in self.machines if found == cid))

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        gone = [key for key in self.machines if key[0] == cid and key[1] not in self.stubborn]
        for key in gone:
            del self.machines[key]
        return tuple(sorted(f"machine {host}" for _, host in gone))
