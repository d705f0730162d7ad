"""What a cluster hands to a command beside it: outputs, an inventory with keys, and what to keep of it afterwards."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner import operator, stage2
from provisioner.access import env_source, require_cluster, require_keys
from provisioner.apply.facts import Reading, masker_of
from provisioner.apply.output import Masker
from provisioner.apply.outputs import merge_outputs
from provisioner.errors import DeadlineError, HostError
from provisioner.files import atomic_write, private_folder
from provisioner.infra.locks import cluster_folder
from provisioner.model.facts import HostFacts
from provisioner.model.hosts import Inventory, InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Secret, Value, reveal
from provisioner.transport.hostkeys import known_hosts_text
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.world import World

PREFIX = "SEALER_OUTPUT_"
VERSION = 1
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9]")
_KEEP_SECONDS = 60.0
_KEEP_LIMIT = 8 << 20
_KEEP = """\
cd "$1/$2" || exit
[ ! -f ledger.jsonl ] || cat ledger.jsonl
echo '@logs'
find . -type f -name log | sort | while read -r log; do
  echo "== $log"
  tail -c 262144 "$log"
done
"""
"""Run on a host with our folder there and the cid: the ledger, then all step logs; nothing else there is for other eyes."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """A cluster's outputs; secret ones are Secrets. `unread`: hosts that did not answer, whose own may be missing."""

    cluster: ClusterName
    cid: ClusterId
    values: Mapping[str, Value]
    unread: tuple[str, ...] = ()

    @property
    def secret(self) -> tuple[str, ...]:
        """The keys whose values are secret."""
        return tuple(key for key, value in self.values.items() if isinstance(value, Secret))


@dataclass(frozen=True, slots=True)
class Kept:
    """What is worth keeping of one host: its ledger and its step logs, secrets masked; or why there is nothing."""

    host: HostName
    ledger: bytes
    logs: bytes
    reason: str = ""


async def read_outputs(world: World, name: ClusterName) -> Outputs:
    """What the cluster's scripts said, by one read per host. Raises UsageError (3), HostError (7) if no host answers."""
    stored, accepted, cid = require_cluster(world, name)
    inventory = stored.inventory or Inventory(name, cid, ())
    keys = await require_keys(world, name)
    await operator.let_in(world, stored)
    async with await open_hosts(inventory, keys, world.connect, world.clock, patience=0) as hosts:
        facts = await stage2.read_hosts(hosts, Reading(stage2.host_paths(accepted, cid)))
    unread = tuple(host for host, found in facts.items() if not isinstance(found, HostFacts))
    if len(unread) == len(facts):
        raise HostError(f"no host of {name} answers", hint=f"sealer-cloud status {name}")
    return Outputs(name, cid, merge_outputs(inventory.hosts, facts), unread)


def output_env(outputs: Mapping[str, Value]) -> dict[str, Value]:
    """The outputs as variables: `SEALER_OUTPUT_` and the key in capitals, what is no letter or digit as `_`."""
    return {PREFIX + _NOT_IN_NAMES.sub("_", key.upper()): value for key, value in outputs.items()}


def command_env(outputs: Outputs, inventory: Path) -> dict[str, str]:
    """What a command of `with` gets besides its own environment; secret outputs too: it is the user's own command."""
    ours = {key: reveal(value).replace("\0", "") for key, value in output_env(outputs.values).items()}
    return {**ours, "SEALER_CLUSTER": outputs.cluster, "SEALER_INVENTORY": str(inventory)}


async def write_inventory(world: World, name: ClusterName) -> Path:
    """The hosts with how to reach them, as JSON beside the state, 0600, with login key and `known_hosts` as files."""
    stored, accepted, cid = require_cluster(world, name)
    inventory = stored.inventory or Inventory(name, cid, ())
    keys = await require_keys(world, name)
    folder = private_folder(cluster_folder(world.settings, name) / "ssh")
    identity, known = folder / "id_ed25519", folder / "known_hosts"
    atomic_write(identity, keys.login_private.reveal().encode())
    atomic_write(known, known_hosts_text(inventory.hosts).encode())
    document = {
        "schemaVersion": VERSION,
        "cluster": name,
        "cid": cid,
        "provider": accepted.provider,
        "knownHostsFile": str(known),
        "hosts": [_host(host, identity) for host in inventory.hosts],
    }
    path = folder / "inventory.json"
    atomic_write(path, (json.dumps(document, indent=2) + "\n").encode())
    return path


def _host(host: InventoryHost, identity: Path) -> dict[str, object]:
    found: dict[str, object] = {
        "name": host.name,
        "address": host.address,
        "roles": list(host.roles),
        "ssh": {"host": host.ssh.host, "port": host.ssh.port, "user": host.ssh.user},
        "privateKeyFile": host.identity or str(identity),
        "jump": None,
    }
    if host.jump:
        target = host.jump.target
        found["jump"] = {"host": target.host, "port": target.port, "user": target.user}
    return found


async def collect(world: World, name: ClusterName) -> tuple[Kept, ...]:
    """Ledgers and step logs of all hosts, known secrets masked. A host that does not answer gives its reason."""
    stored, accepted, cid = require_cluster(world, name)
    if stored.inventory is None:
        return ()
    source = env_source(world, accepted)
    paths = stage2.host_paths(accepted, cid)
    masker = masker_of(Reading(paths, stage2.look_envs(source, stored.inventory)))
    keys = await require_keys(world, name)
    await operator.let_in(world, stored)
    async with await open_hosts(stored.inventory, keys, world.connect, world.clock, patience=0) as hosts:
        names = [host.name for host in stored.inventory.hosts]
        return tuple(await asyncio.gather(*(_keep(hosts, host, paths, masker) for host in names)))


async def _keep(hosts: HostSet, name: HostName, paths: HostPaths, masker: Masker) -> Kept:
    try:
        argv = ("sh", "-c", _KEEP, "sh", paths.state_root, paths.cid)
        result = await hosts.get(name).run(argv, timeout=_KEEP_SECONDS, limit=_KEEP_LIMIT)
    except (HostError, DeadlineError) as error:
        return Kept(name, b"", b"", error.message)
    ledger, _, logs = result.stdout.partition(b"@logs\n")
    return Kept(name, masker.mask(ledger), masker.mask(logs), "" if result.ok else f"reading ended with {result.rc}")


def write_kept(folder: Path, kept: Iterable[Kept]) -> tuple[str, ...]:
    """One ledger and one log file per host below `folder`; returns why some are missing."""
    for one in kept:
        if one.ledger:
            atomic_write(folder / f"{one.host}.ledger.jsonl", one.ledger)
        if one.logs:
            atomic_write(folder / f"{one.host}.log", one.logs)
    return tuple(f"{one.host}: {one.reason}" for one in kept if one.reason)
