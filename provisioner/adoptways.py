"""The ways to a cluster without state: over the disks of this machine, over an inventory; and what both have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from provisioner.apply.keep import read_record
from provisioner.draft import settle_request
from provisioner.errors import AccessError, PreconditionError, SealerError, UsageError
from provisioner.events import Warned
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import Bought, ByInventory, ByTags, Login, OnDisks, Standing
from provisioner.model.driver import Driver
from provisioner.model.hosts import NO_KEYS, ClusterKeys, Inventory, InventoryHost, Jump, SshTarget
from provisioner.model.ids import ClusterId, ClusterName, HostName, name_of, parse_digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request
from provisioner.model.kept import Kept, parse_kept
from provisioner.model.paths import HostPaths
from provisioner.model.request import Clusterfile, UpArgs
from provisioner.model.secret import Secret
from provisioner.model.site import site_words
from provisioner.operator import let_in_blind
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import World

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
    files: tuple[str, ...] = ()
    """Those that say where the cloud is, as the user named them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A cluster as it was read back. `adopt` names what is imported, as in `Driver.declare`; empty where creates adopt."""

    cid: ClusterId
    accepted: Accepted
    hmac: Secret
    adopt: Mapping[str, str] = field(default_factory=dict)
    ci_run: str | None = None
    repo: str | None = None


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


def way_of(world: World, driver: Driver, args: AdoptArgs, files: Clusterfile, half: Inventory | None = None) -> Way:
    """The way that this provider has; `half` is what a cut `adopt` took over. Raises UsageError (3) for one that has none."""
    if isinstance(driver, OnDisks):
        return _Disks(world, driver, args)
    if isinstance(driver, ByInventory):
        return _Listed(world, driver, args, files)
    if isinstance(driver, ByTags):
        return _Tagged(world, driver, args, half)
    raise UsageError(f"adopting from {driver.name} is not built yet", hint=down_hint(args))


def down_hint(args: AdoptArgs) -> str:
    """The other way out."""
    return f"`sealer-cloud down {args.name} {site_words(args.provider, args.files)}` removes it"


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
        kept = choose_record(self.world, records, cid, self.args)
        demand_hosts(kept.accepted, records, f"its disk is gone; {down_hint(self.args)}")
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
        async with await open_hosts(inventory, NO_KEYS, self.world.connect, self.world.clock, patience=0) as hosts:
            records = await read_records(hosts, self.args.name, cid)
        kept = choose_record(self.world, records, cid, self.args)
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


@dataclass(frozen=True, slots=True)
class _Tagged:
    """Machines of a cloud: a tag says which are ours, and only their keys who answers at their addresses."""

    world: World
    driver: ByTags
    args: AdoptArgs
    half: Inventory | None

    async def cids(self) -> tuple[ClusterId, ...]:
        regions = (self.args.region,) if self.args.region else ()
        found = await asyncio.to_thread(self.driver.find, self.args.name, regions)
        return tuple(cluster.cid for cluster in found if self.half is None or cluster.cid == self.half.cid)

    async def take(self, cid: ClusterId) -> Taken:
        login = self._key()
        found = await asyncio.to_thread(self.driver.standing, cid, self.args.region)
        inventory = Inventory(self.args.name, cid, self._entries(found))
        keys = ClusterKeys(login.private, login.public, Secret(""))
        async with await open_hosts(inventory, keys, self.world.connect, self.world.clock, patience=0) as hosts:
            if hosts.failures and await let_in_blind(self.world, self.driver, cid, found.region, self.args.port):
                await asyncio.gather(*(hosts.reconnect(name) for name in hosts.failures), return_exceptions=True)
            records = await read_records(hosts, self.args.name, cid)
            shown = {f"{h.name}-identity": hosts.get(h.name).host_key for h in inventory.hosts}
        kept = choose_record(self.world, records, cid, self.args)
        accepted = kept.accepted.model_copy(update={"expires_at": found.expires_at, "region": found.region})
        demand_hosts(accepted, records, f"its machine is gone; {down_hint(self.args)}")
        imports = await asyncio.to_thread(self._imports, accepted, found)
        wanted = {f"{host.name}-identity" for host in accepted.hosts}
        adopt = {**imports, **{name: key for name, key in shown.items() if name in wanted}}
        return Taken(cid, accepted, kept.hmac, adopt, found.ci_run, found.repo)

    def _imports(self, accepted: Accepted, found: Standing) -> Mapping[str, str]:
        try:
            return self.driver.imports(accepted, found)
        except UsageError as error:  # what cannot be taken over can be removed; a driver knows no files that lead there
            error.hint = error.hint or down_hint(self.args)
            raise

    async def login(self, taken: Taken) -> Login | None:  # noqa: ARG002 - nothing changes: it is the one that they know
        return self._key()

    def go_on(self, taken: Taken) -> str:  # noqa: ARG002 - the seam's
        return f"run the same `adopt` again, or {down_hint(self.args)}"

    def _key(self) -> Login:
        from provisioner.transport.login import read_login  # asyncssh: 0.2 s that only connecting needs

        lacks = [] if self.args.identity else ["--identity FILE (the cluster's login key)"]
        lacks += [] if self.args.host_keys or self.args.known_hosts else ["--host-key SHA256:… or --known-hosts FILE"]
        if lacks or self.args.identity is None:
            raise AccessError(
                f"to enter the machines of {self.args.name} {' and '.join(lacks)} is needed: its state had them",
                hint=f"without them {down_hint(self.args)}",
            )
        return read_login(self.args.identity)

    def _entries(self, found: Standing) -> tuple[InventoryHost, ...]:
        """Hosts with a public address are entered there, the others through the first of those, if there is one."""
        door = next((machine for machine in found.machines if machine.public), None)
        return tuple(self._entry(machine, door) for machine in found.machines)

    def _entry(self, machine: Bought, door: Bought | None) -> InventoryHost:
        ssh = self._target(machine)
        jump = None
        if door is not None and not machine.public:
            through = self._target(door)
            taken = self.half.host(door.host) if self.half else None
            jump = Jump(through, (*(taken.host_keys if taken else ()), *self._pins(through)))
        # What a cut run has taken over shows its lasting key already.
        own = self.half.host(machine.host) if self.half else None
        pins = (*(own.host_keys if own else ()), *self._pins(ssh))
        return InventoryHost(machine.host, (), machine.address, ssh, pins, machine.id, jump=jump)

    def _target(self, machine: Bought) -> SshTarget:
        return SshTarget(machine.public or machine.address, self.args.port, self.args.user or "root")

    def _pins(self, target: SshTarget) -> tuple[str, ...]:
        if self.args.known_hosts is None:
            return self.args.host_keys
        from provisioner.transport.knownhosts import pins_from_known_hosts

        return (*self.args.host_keys, *pins_from_known_hosts(self.args.known_hosts, target.host, target.port))


async def read_records(hosts: HostSet, name: ClusterName, cid: ClusterId) -> Mapping[HostName, bytes]:
    """What every host keeps, all at once. Raises HostError (7) for one that cannot be reached or read."""
    for error in hosts.failures.values():
        raise error
    paths = HostPaths(name, cid)

    async def read(host: InventoryHost) -> bytes:
        return await read_record(hosts.get(host.name), paths)

    found = await asyncio.gather(*(read(host) for host in hosts.inventory.hosts))
    return dict(zip((h.name for h in hosts.inventory.hosts), found, strict=True))


def choose_record(world: World, records: Mapping[HostName, bytes], cid: ClusterId, args: AdoptArgs) -> Kept:
    """The record of the first master that has a good one.

    Raises UsageError (3) where no host keeps one: an older version made it, or its first `up` was cut;
    PreconditionError (12) where those that are kept cannot be read.
    """
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
            hint=down_hint(args),
        )
    host, kept = next(iter(good.items()))
    if kept.accepted.provider != args.provider:
        raise UsageError(
            f"{cid} is on provider {kept.accepted.provider}, not {args.provider}",
            hint=f"sealer-cloud adopt {args.name} --provider {kept.accepted.provider}",
        )
    if any(other.accepted != kept.accepted for other in good.values()):
        world.events(Warned(f"the masters keep different requests, as a run was cut: that of {host} is taken"))
    return kept


def demand_hosts(accepted: Accepted, found: Mapping[HostName, object], why: str) -> None:
    """Refuse a cluster with a host whose machine is not there: taking it over would make one. Raises UsageError (3)."""
    missing = [host.name for host in accepted.wanted if host.name not in found]
    if missing:
        raise UsageError(f"{', '.join(missing)} of {accepted.cluster} cannot be found: {why}")
