"""Looking at clusters and reaching their hosts: `status`, `list`, `exec`, `ssh`. Nothing here changes a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from provisioner import operator, stage2
from provisioner.apply.facts import Reading, masker_of
from provisioner.apply.outputs import merge_outputs, show_outputs
from provisioner.errors import (
    AccessError,
    DeadlineError,
    HostError,
    ImageError,
    PreconditionError,
    SealerError,
    UsageError,
)
from provisioner.events import Warned
from provisioner.files import atomic_write, private_folder
from provisioner.infra.locks import cluster_folder, holder
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import OnDisks
from provisioner.model.deadline import is_expired
from provisioner.model.engine import StackState
from provisioner.model.grammar import BOUGHT, did_you_mean
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.images import PinnedImage
from provisioner.model.report import HostStatus, ListRow, StatusReport
from provisioner.model.secret import Value
from provisioner.settings import resolve_values
from provisioner.transport.hostkeys import known_hosts_text, needs_matched_key, needs_matched_way
from provisioner.transport.hostset import HostSet, open_hosts
from provisioner.transport.sshwords import SshFiles, ssh_words
from provisioner.world import ExecResult, World

START = "scripts/start.sh"


def require_cluster(world: World, name: ClusterName) -> tuple[StackState, Accepted, ClusterId]:
    """The state of a cluster that must be there. Raises UsageError (3) naming the clusters that are."""
    stored = world.engine.stored(name)
    if stored is None:
        hint = _lost(world, name) or nearest_cluster(world, name)
        raise UsageError(f"there is no cluster {name} here", hint=hint)
    if stored.accepted is None or stored.cid is None:
        at_work = holder(world.settings, name)
        hint = f"`{at_work.command}` is at work on it" if at_work else "run the same `up` again, or `down` to remove it"
        raise UsageError(f"cluster {name} is only begun: nothing of it is known yet", hint=hint)
    return stored, stored.accepted, stored.cid


def _lost(world: World, name: ClusterName) -> str:
    """A hint for a cluster whose hosts lie on this machine. Clouds are not asked: that takes credentials and seconds."""
    for provider in world.drivers:
        driver = None
        with contextlib.suppress(SealerError):  # whoever may not look there is told of the names
            driver = world.driver(provider) if provider not in BOUGHT else None
            if isinstance(driver, OnDisks) and driver.find(name):
                take = f"take it over with `sealer-cloud adopt {name} --provider {provider}`"
                return f"its hosts are on this machine (`sealer-cloud status {name} --provider {provider}`): {take}"
    look = f"if its state is lost and its machines live, name where they are: `sealer-cloud status {name} --provider PROVIDER`"
    return f"{nearest_cluster(world, name)}; {look}"


def nearest_cluster(world: World, name: str) -> str:
    """A hint for a name that no cluster has: the nearest one, else all that are here."""
    known = world.engine.names()
    return did_you_mean(name, known) or f"clusters here: {', '.join(known) or 'none'}"


async def require_keys(world: World, name: ClusterName) -> ClusterKeys:
    """The cluster's keys. Raises AccessError (5) where the state has none."""
    keys = await world.engine.keys(name)
    if keys is None:
        raise AccessError(f"the state of {name} holds no login key", hint=f"run `sealer-cloud up` for {name} again")
    return keys


async def status(world: World, name: ClusterName) -> StatusReport:
    """How every host is, by one read each; hosts that cannot be read are shown as such, not raised."""
    stored, accepted, cid = require_cluster(world, name)
    inventory = stored.inventory or Inventory(name, cid, ())
    reading = Reading(stage2.host_paths(accepted, cid), stage2.look_envs(env_source(world, accepted), inventory))
    keys = await require_keys(world, name)
    await operator.let_in(world, stored)
    async with await open_hosts(inventory, keys, world.connect, world.clock, patience=0) as hosts:
        facts = await stage2.read_hosts(hosts, reading)
    rows = _with_stopped(world, accepted, cid, stage2.read_status(inventory, facts))
    lock = holder(world.settings, name)
    early = "changing" if lock else "expired" if is_expired(accepted, world.clock.now()) else ""
    return StatusReport(
        cluster=name,
        cid=cid,
        image_reference=accepted.image.reference,
        image_digest=accepted.image.digest,
        provider=accepted.provider,
        phase=_phase(stored, rows, early, starts=_has_start(world, accepted)),
        hosts=rows,
        outputs=show_outputs(merge_outputs(inventory.hosts, facts), masker_of(reading)),
        expires_at=accepted.expires_at,
        lock=lock,
    )


def _with_stopped(
    world: World, accepted: Accepted, cid: ClusterId, rows: tuple[HostStatus, ...]
) -> tuple[HostStatus, ...]:
    """Silent hosts of this machine that are off are said to be so. Clouds are not asked: that takes credentials."""
    if all(row.state != "unreachable" for row in rows):
        return rows
    off: set[str] = set()
    with contextlib.suppress(SealerError):  # whoever may not look there is told what SSH says
        driver = world.driver(accepted.provider, accepted.endpoints)
        if isinstance(driver, OnDisks):
            off = {machine.host for machine in driver.inspect(cid) if machine.state == "stopped"}
    return tuple(replace(r, state="stopped") if r.state == "unreachable" and r.name in off else r for r in rows)


def list_clusters(world: World) -> tuple[ListRow, ...]:
    """All clusters of this state folder; a half-made one is listed with what is known."""
    rows = []
    for name in world.engine.names():
        try:
            stored = world.engine.stored(name)
        except PreconditionError as error:  # one damaged state must not hide the others
            world.events(Warned(f"{name}: {error.message}", error.hint))
            rows.append(ListRow(name, ClusterId(""), "", "(its state cannot be read)", 0, None))
            continue
        if stored is None:
            continue
        accepted = stored.accepted
        rows.append(
            ListRow(
                cluster=name,
                cid=stored.cid or ClusterId(""),
                provider=accepted.provider if accepted else "",
                image=accepted.image.reference if accepted else "",
                hosts=len(stored.inventory.hosts) if stored.inventory else 0,
                expires_at=accepted.expires_at if accepted else None,
            )
        )
    return tuple(rows)


async def exec_on(
    world: World, name: ClusterName, hosts: tuple[str, ...], argv: list[str], timeout: float
) -> tuple[ExecResult, ...]:
    """Run words on hosts (by name; none: all) at once. A host that fails is a result, not an exception."""
    stored, _, cid = require_cluster(world, name)
    inventory = stored.inventory or Inventory(name, cid, ())
    chosen = replace(inventory, hosts=tuple(_chosen(inventory, hosts)))
    await operator.let_in(world, stored)
    async with await open_hosts(chosen, await require_keys(world, name), world.connect, world.clock) as opened:
        return tuple(await asyncio.gather(*(_exec_one(opened, h.name, argv, timeout) for h in chosen.hosts)))


def ssh_argv(world: World, name: ClusterName, host: str) -> list[str]:
    """The system's ssh with pinned host keys and the login key, written 0600 beside the state, or the machine's own key.

    Raises UsageError (3) for an unknown host, PreconditionError (12) without ssh, HostError (7) where a key that is pinned
    by its fingerprint cannot be looked up.
    """
    stored, _, cid = require_cluster(world, name)
    inventory = stored.inventory or Inventory(name, cid, ())
    machine = _chosen(inventory, (host,))[0]
    program = shutil.which("ssh", path=world.settings.environ.get("PATH"))
    if program is None:
        raise PreconditionError("there is no ssh on this machine", hint="apt-get install openssh-client")
    keys = asyncio.run(require_keys(world, name))
    operator.let_in_now(world, stored)
    folder = private_folder(cluster_folder(world.settings, name) / "ssh")
    login = folder / "id_ed25519"
    _write_if_new(login, keys.login_private.reveal())
    identity = _own_key(machine.identity, login)
    way = _own_key(machine.jump.identity, identity) if machine.jump else identity
    return ssh_words(program, machine, SshFiles(identity, way, _pinned(world, inventory, machine, keys, folder)))


def _own_key(path: str | None, otherwise: Path) -> Path:
    return otherwise if path is None else Path(path).expanduser()


def _pinned(world: World, inventory: Inventory, machine: InventoryHost, keys: ClusterKeys, folder: Path) -> Path:
    """The file of pinned keys. `ssh` knows no fingerprints: where there is only one, our own connection tells the key."""
    known, hosts = folder / "known_hosts", inventory.hosts
    if needs_matched_key(machine) or needs_matched_way(machine):
        known = folder / f"known_hosts.{machine.name}"
        hosts = (asyncio.run(_with_shown_keys(world, machine, keys)),)
    _write_if_new(known, known_hosts_text(hosts))
    return known


async def _with_shown_keys(world: World, machine: InventoryHost, keys: ClusterKeys) -> InventoryHost:
    """The machine, pinned by the keys behind its fingerprints: shown to a connection of ours, and checked by it."""
    link = await world.connect(machine, keys)
    await link.close()
    if machine.jump is not None and needs_matched_way(machine):
        machine = replace(machine, jump=replace(machine.jump, host_keys=(link.way_key,)))
    return replace(machine, host_keys=(link.host_key,)) if needs_matched_key(machine) else machine


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        atomic_write(path, text.encode())


def _chosen(inventory: Inventory, names: tuple[str, ...]) -> list[InventoryHost]:
    unknown = [n for n in names if inventory.host(n) is None]
    if unknown:
        known = ", ".join(h.name for h in inventory.hosts) or "none"
        raise UsageError(f"{inventory.cluster} has no host {', '.join(unknown)}", hint=f"its hosts: {known}")
    return [h for h in inventory.hosts if not names or h.name in names]


async def _exec_one(hosts: HostSet, name: HostName, argv: list[str], timeout: float) -> ExecResult:
    try:
        result = await hosts.get(name).run(argv, timeout=timeout)
    except (HostError, DeadlineError) as error:
        return ExecResult(name, None, "", "", error.message)
    out, err = (data.decode("utf-8", "replace") for data in (result.stdout, result.stderr))
    return ExecResult(name, result.rc, out, err, "" if result.rc is not None else "the link died; its end is unknown")


def env_source(world: World, accepted: Accepted) -> stage2.EnvSource:
    """The env for scripts that look; a reference that leads nowhere is left out: looking must not need every secret.

    The image's own ENV is left out where the image is not in the store any more.
    """
    image = known_image(world, accepted)
    pools = {pool.name: _resolvable(world, pool.env) for pool in accepted.pools}
    return stage2.EnvSource(accepted, image.env if image else {}, _resolvable(world, accepted.env), pools)


def known_image(world: World, accepted: Accepted) -> PinnedImage | None:
    """The cluster's image, where the store still has it."""
    try:
        return world.images.resolve(f"{accepted.image.repository}@{accepted.image.digest}")
    except ImageError:
        return None


def _has_start(world: World, accepted: Accepted) -> bool:
    """True for an image that starts something: a host where that was never done is not ready."""
    image = known_image(world, accepted)
    try:
        return image is not None and START in world.images.changeset(image).texts
    except ImageError:
        return False


def _resolvable(world: World, env: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, text in env.items():
        with contextlib.suppress(AccessError):
            found |= resolve_values({key: text}, world.settings.environ)
    return found


def _phase(stored: StackState, rows: tuple[HostStatus, ...], early: str, *, starts: bool) -> str:
    """`early` is the phase of a cluster whose hosts do not matter to it."""
    if early:
        return early
    unstarted = {"empty", "laid"} if starts else {"empty"}
    if stored.pending or not rows or any(row.state in unstarted for row in rows):
        return "incomplete"
    states = {row.state for row in rows}
    if states <= {"stopped", "unreachable"}:
        return "stopped" if states == {"stopped"} else "unreachable"
    return "ready" if states <= {"healthy", "laid"} else "degraded"
