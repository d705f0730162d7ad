"""The ways to a cluster without state: over the disks of this machine, over an inventory; and what both have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from provisioner.apply.keep import read_record
from provisioner.draft import settle_request
from provisioner.errors import PreconditionError, SealerError, UsageError
from provisioner.events import Warned
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import ByInventory, Login, OnDisks
from provisioner.model.driver import Driver
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, HostName, name_of, parse_digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request
from provisioner.model.kept import Kept, parse_kept
from provisioner.model.paths import HostPaths
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.secret import Secret
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import World

NOBODY = ClusterKeys(Secret(""), "", Secret(""))
_ANY_IMAGE = "adopted:unknown"
"""Stands for the image while only the machines of an inventory are asked for."""


@dataclass(frozen=True, slots=True)
class AdoptArgs:
    """What `adopt` was told. `identity` is the login key, `host_keys` pins; both for machines that a cloud made."""

    name: ClusterName
    provider: str
    cid: str | None = None
    region: str | None = None
    user: str | None = None
    port: int = 22
    identity: Path | None = None
    host_keys: tuple[str, ...] = ()
    known_hosts: Path | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A cluster as it was read back. `adopt` names what is imported, as in `Driver.declare`; empty where creates adopt."""

    cid: ClusterId
    accepted: Accepted
    hmac: Secret
    adopt: Mapping[str, str] = field(default_factory=dict)


class Way(Protocol):
    """One way to a cluster without state."""

    async def cids(self) -> tuple[ClusterId, ...]:
        """The clusters of that name which a look finds."""

    async def take(self, cid: ClusterId) -> Taken:
        """Read it back; changes nothing. Raises UsageError (3), AccessError (5), HostError (7)."""

    async def login(self, taken: Taken) -> Login | None:
        """The key that its hosts let in from now on; None where users have their own."""

    def go_on(self, taken: Taken) -> str:
        """What to type where it was cut."""


def way_of(world: World, driver: Driver, args: AdoptArgs, files: Clusterfile) -> Way:
    """The way that this provider has. Raises UsageError (3) for one that has none yet."""
    if isinstance(driver, OnDisks):
        return _Disks(world, driver, args)
    if isinstance(driver, ByInventory):
        return _Listed(world, driver, args, files)
    raise UsageError(f"adopting from {driver.name} is not built yet", hint=down_hint(args.name, driver.name))


def down_hint(name: str, provider: str) -> str:
    """The other way out."""
    return f"`sealer-cloud down {name} --provider {provider}` removes it"


@dataclass(frozen=True, slots=True)
class _Disks:
    """Hosts whose disks lie on this machine."""

    world: World
    driver: OnDisks
    args: AdoptArgs

    async def cids(self) -> tuple[ClusterId, ...]:
        found = await asyncio.to_thread(self.driver.find, self.args.name)
        return tuple(cluster.cid for cluster in found)

    async def take(self, cid: ClusterId) -> Taken:
        records = await asyncio.to_thread(self.driver.kept, cid)
        kept = choose_record(self.world, records, cid, self.args.provider)
        demand_hosts(kept.accepted, records, f"its disk is gone; {down_hint(self.args.name, self.args.provider)}")
        return Taken(cid, kept.accepted, kept.hmac)

    async def login(self, taken: Taken) -> Login | None:
        return await asyncio.to_thread(self.driver.admit, taken.cid)

    def go_on(self, taken: Taken) -> str:
        return f"sealer-cloud up -n {taken.accepted.cluster}"


@dataclass(frozen=True, slots=True)
class _Listed:
    """Machines that an inventory names: it says how they are entered and known, and they whose cluster they are."""

    world: World
    driver: ByInventory
    args: AdoptArgs
    files: Clusterfile

    async def cids(self) -> tuple[ClusterId, ...]:
        held = await asyncio.to_thread(self.driver.held, self._listed())
        cids = {ClusterId(cid) for found in held.values() for cid in found if name_of(ClusterId(cid)) == self.args.name}
        return tuple(sorted(cids))

    async def take(self, cid: ClusterId) -> Taken:
        listed = self._listed()
        inventory = Inventory(self.args.name, cid, tuple(self.driver.entries(listed)))
        async with await open_hosts(inventory, NOBODY, self.world.connect, self.world.clock, patience=0) as hosts:
            records = await read_records(hosts, self.args.name, cid)
        kept = choose_record(self.world, records, cid, self.args.provider)
        return Taken(cid, self._as_listed(kept.accepted, listed), kept.hmac)

    async def login(self, taken: Taken) -> Login | None:  # noqa: ARG002 - the user's own keys
        return None

    def go_on(self, taken: Taken) -> str:
        return f"sealer-cloud up -n {taken.accepted.cluster}"

    def _listed(self) -> Accepted:
        """The inventory's machines as an accepted request; its image means nothing."""
        words = UpArgs(name=self.args.name, provider=self.args.provider, user=self.args.user)
        if self.args.identity:
            words = UpArgs(name=words.name, provider=words.provider, user=words.user, identity=str(self.args.identity))
        if self.files.cluster is None or not self.files.cluster.image:
            words = UpArgs(_ANY_IMAGE, words.name, words.provider, user=words.user, identity=words.identity)
        now = self.world.clock.now()
        request = settle_request(resolve_request(words, self.files, None, now=now), self.world)
        digest = parse_digest(f"sha256:{'0' * 64}")
        image = PinnedImage(request.image, request.image, digest, "", {}, {}, (), (), 0)
        return accept_request(request, image, None, now=now)

    def _as_listed(self, accepted: Accepted, listed: Accepted) -> Accepted:
        """The request with each machine as the inventory has it now: ways and keys may have changed, an address has not."""
        by_address = {machine.address: machine for machine in listed.machines}
        missing = [f"{m.name} ({m.address})" for m in accepted.machines if m.address not in by_address]
        if missing:
            raise UsageError(
                f"the inventory does not name {', '.join(missing)} of {self.args.name}",
                hint="give the file that the cluster was made with: -f Infra.yaml",
            )
        machines = tuple(by_address[m.address].model_copy(update={"name": m.name}) for m in accepted.machines)
        return accepted.model_copy(update={"machines": machines})


async def read_records(hosts: HostSet, name: ClusterName, cid: ClusterId) -> Mapping[HostName, bytes]:
    """What every host keeps, all at once. Raises HostError (7) for one that cannot be reached or read."""
    for error in hosts.failures.values():
        raise error
    paths = HostPaths(name, cid)

    async def read(host: InventoryHost) -> bytes:
        return await read_record(hosts.get(host.name), paths)

    found = await asyncio.gather(*(read(host) for host in hosts.inventory.hosts))
    return dict(zip((h.name for h in hosts.inventory.hosts), found, strict=True))


def choose_record(world: World, records: Mapping[HostName, bytes], cid: ClusterId, provider: str) -> Kept:
    """The record of the first master that has a good one.

    Raises UsageError (3) where no host keeps one: an older version made it, or its first `up` was cut;
    PreconditionError (12) where those that are kept cannot be read.
    """
    name = name_of(cid)
    good: dict[HostName, Kept] = {}
    bad: list[SealerError] = []
    for host in sorted(records, key=lambda host: (len(host), host)):
        try:
            if records[host]:
                good[host] = parse_kept(records[host], cid, host)
        except PreconditionError as error:
            bad.append(error)
    if not good:
        if bad:
            raise bad[0]
        raise UsageError(
            f"no host of {cid} keeps what was accepted: an older version made it, or its first `up` was cut",
            hint=down_hint(name, provider),
        )
    host, kept = next(iter(good.items()))
    if kept.accepted.provider != provider:
        raise UsageError(f"{cid} is on provider {kept.accepted.provider}, not {provider}")
    if any(other.accepted != kept.accepted for other in good.values()):
        world.events(Warned(f"the masters keep different requests, as a run was cut: that of {host} is taken"))
    return kept


def demand_hosts(accepted: Accepted, found: Mapping[HostName, object], why: str) -> None:
    """Refuse a cluster with a host whose machine is not there: taking it over would make one. Raises UsageError (3)."""
    missing = [host.name for host in accepted.wanted if host.name not in found]
    if missing:
        raise UsageError(f"{', '.join(missing)} of {accepted.cluster} cannot be found: {why}")
