"""All connections of one run: opened at once, one per host, failures kept beside the hosts that answered."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from provisioner.errors import HostError, HostKeyError
from provisioner.model.clock import Clock
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost
from provisioner.model.ids import HostName
from provisioner.transport.connection import Connect, Connection

CONCURRENCY = 64
PATIENCE = 4.0
"""Seconds of trying again where a host refuses at once: a machine that was just made may drop the first connections."""


class HostSet:
    """The hosts of a cluster, each with its one open connection or the reason why it has none."""

    def __init__(self, inventory: Inventory, keys: ClusterKeys, connect: Connect, clock: Clock) -> None:
        self.inventory = inventory
        self._keys = keys
        self._connect = connect
        self._clock = clock
        self._open: dict[HostName, Connection] = {}
        self._failures: dict[HostName, HostError] = {}
        self._joining: defaultdict[HostName, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def connections(self) -> Mapping[HostName, Connection]:
        """Open connections by host, in the order of the inventory."""
        return {h.name: self._open[h.name] for h in self.inventory.hosts if h.name in self._open}

    @property
    def failures(self) -> Mapping[HostName, HostError]:
        """Why a host has no connection."""
        return dict(self._failures)

    def get(self, name: HostName) -> Connection:
        """The connection of one host. Raises the HostError that kept it from opening."""
        if name in self._open:
            return self._open[name]
        raise self._failures.get(name) or HostError(f"{name} is no host of this cluster", host=name)

    async def reconnect(self, name: HostName, dead: Connection | None = None) -> Connection:
        """A fresh connection in place of a dead one. Raises HostError.

        Two works on a host may see its link die: the second takes what the first has opened, if it says which one died.
        """
        host = self.inventory.host(name)
        if host is None:
            raise HostError(f"{name} is no host of this cluster", host=name)
        async with self._joining[name]:
            old = self._open.get(name)
            if old is not None and dead is not None and old is not dead:
                return old
            self._open.pop(name, None)
            if old is not None:
                await old.close()
            await self._open_one(host, patience=0)
            return self.get(name)

    async def open_all(self, limit: int, patience: float) -> None:
        """Open every host, `limit` at a time, for `patience` seconds each; failures are kept, not raised."""
        gate = asyncio.Semaphore(limit)

        async def one(host: InventoryHost) -> None:
            async with gate:
                await self._open_one(host, patience=patience)

        await asyncio.gather(*(one(host) for host in self.inventory.hosts))

    async def _open_one(self, host: InventoryHost, *, patience: float) -> None:
        if host.running is False:
            self._failures[host.name] = HostError(
                f"{host.name} is stopped", host=host.name, hint="`sealer-cloud up` starts it again"
            )
            return
        give_up = self._clock.monotonic() + patience
        while True:
            try:
                self._open[host.name] = await self._connect(host, self._keys)
            except HostError as error:
                self._failures[host.name] = error
                if isinstance(error, HostKeyError) or self._clock.monotonic() >= give_up:
                    return
                await self._clock.sleep(0.2)
            else:
                self._failures.pop(host.name, None)
                return

    async def close(self) -> None:
        """Close all connections; never raises."""
        connections = list(self._open.values())
        self._open.clear()
        await asyncio.gather(*(c.close() for c in connections), return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_hosts(
    inventory: Inventory,
    keys: ClusterKeys,
    connect: Connect,
    clock: Clock,
    *,
    limit: int = CONCURRENCY,
    patience: float = PATIENCE,
) -> HostSet:
    """Connect to every machine at once, at most `limit` at a time. Hosts that fail stand in `failures`.

    `patience` (seconds) is for machines that were just made; 0 suits a look, where one that is off must cost no time.
    """
    hosts = HostSet(inventory, keys, connect, clock)
    try:
        await hosts.open_all(limit, patience)
    except BaseException:
        await hosts.close()
        raise
    return hosts
