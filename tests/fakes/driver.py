"""A provider in memory: the promises of `model.driver.Driver`; its machines are those of the fake engine."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drivers.nocloud import NoCloud
from provisioner.errors import CapacityError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.driver import (
    Check,
    Choice,
    Dark,
    EngineNeeds,
    FoundCluster,
    FoundMachine,
    Marks,
    Offer,
    OutputSink,
    Refused,
    Surroundings,
)
from provisioner.model.hosts import InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, HostName, name_of

AROUND = Surroundings({}, Path("/nonexistent"), lambda: datetime(2026, 1, 1, tzinfo=UTC))
"""Nothing around a driver: no variable, no cache."""


@dataclass
class FakeDriver(NoCloud):
    """`machines` is shared with FakeEngine; `lacks` are failing checks, `no_room` those of new clusters; `stubborn` machines survive a sweep.

    `foreign` things stand in every network; `looked` lists the regions of every look.
    """

    machines: MutableMapping[tuple[str, str], InventoryHost]
    lacks: list[Check] = field(default_factory=list)
    no_room: list[Check] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    foreign: list[str] = field(default_factory=list)
    looked: list[tuple[str, ...]] = field(default_factory=list)
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

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), _dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        self.looked.append(regions)
        cids = sorted({cid for cid, _ in self.machines if name is None or name_of(ClusterId(cid)) == name})
        return tuple(
            FoundCluster(
                name_of(ClusterId(c)), ClusterId(c), self.name, tuple(sorted(h for d, h in self.machines if d == c))
            )
            for c in cids
        )

    def strangers(self, _region: str | None, _cid: ClusterId) -> tuple[str, ...]:
        return tuple(self.foreign)

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        mine = {host: machine for (of, host), machine in self.machines.items() if of == cid}
        return tuple(FoundMachine(h, m.machine_id, "running", m.address) for h, m in sorted(mine.items()))

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        return tuple(sorted(f"machine {host}" for found, host in self.machines if found == cid))

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        gone = [key for key in self.machines if key[0] == cid and key[1] not in self.stubborn]
        for key in gone:
            del self.machines[key]
        return tuple(sorted(f"machine {host}" for _, host in gone))


@dataclass
class FakeCloud(FakeDriver):
    """A provider that sells machines: `stock` lists `(zone, type, price)` in order of preference.

    The price that is bought at stays in the placement (None: nobody says one), and `priced` lists the hosts of every
    other question for one. `chosen` lists the refusals of every choice, `twins` what a look for strays ends,
    `orphaned` the ids that were known at every look for orphans.
    """

    stock: list[tuple[str, str, float | None]] = field(default_factory=lambda: [("z1", "small", 0.25)])
    chosen: list[tuple[Refused, ...]] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    orphaned: list[frozenset[str]] = field(default_factory=list)
    priced: list[frozenset[str]] = field(default_factory=list)
    checked: int = 0

    def region(self) -> str | None:
        return "r1"

    def needs(self) -> EngineNeeds:
        return EngineNeeds({"CLOUD_KEY": "hunter2-key"}, {"cloud": Path("/nonexistent")})

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        self.checked += 1
        return super().check(spec, standing=standing)

    def choose(
        self, accepted: Accepted, cid: ClusterId | None, refused: tuple[Refused, ...] = (), *, standing: frozenset[str]
    ) -> Choice:
        self.chosen.append(refused)
        hosts = {h.name: self._one(accepted, h.name, h.pool, refused, standing) for h in accepted.hosts}
        offers = tuple(
            Offer(HostName(name), str(on["zone"]), str(on["type"]), _number(on.get("price")), "USD")
            for name, on in hosts.items()
        )
        return Choice({"region": "r1", "account": "a1", "hosts": hosts}, offers, ("the cloud keeps no deadline",))

    def _one(
        self, accepted: Accepted, name: str, pool: str, refused: tuple[Refused, ...], standing: frozenset[str]
    ) -> dict[str, object]:
        old = accepted.placement.get("hosts", {}).get(name)  # type: ignore[attr-defined]
        out = {(r.zone, r.machine_type) for r in refused if r.pool == pool}
        if old and (name in standing or (refused and (old["zone"], old["type"]) not in out)):  # as the real ones do
            return dict(old)
        left = [one for one in self.stock if one[:2] not in out]
        if not left:
            raise CapacityError(f"pool {pool}: no machine is left to try")
        zone, kind, price = left[0]
        return {"zone": zone, "type": kind, "spot": False, **({} if price is None else {"price": price})}

    def prices(self, accepted: Accepted, hosts: frozenset[str]) -> Mapping[str, tuple[float, str]]:
        self.priced.append(hosts)
        asked = {(zone, kind): price for zone, kind, price in self.stock}
        placed = {name: on for name, on in accepted.placement["hosts"].items() if name in hosts}  # type: ignore[attr-defined]
        found = {name: asked.get((on["zone"], on["type"])) for name, on in placed.items()}
        return {name: (price, "USD") for name, price in found.items() if price is not None}

    def end_strays(self, _cid: ClusterId, _known: frozenset[str]) -> tuple[str, ...]:
        gone, self.twins = tuple(self.twins), []
        return gone

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:
        self.orphaned.append(known)
        return {h: m.machine_id for (c, h), m in self.machines.items() if c == cid and m.machine_id not in known}


def _number(price: object) -> float | None:
    return price if isinstance(price, float) else None
