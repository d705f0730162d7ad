"""The record that masters keep of their cluster: written where a read found another one, read back by `adopt`."""

from __future__ import annotations

import asyncio

from provisioner.apply.context import RunContext
from provisioner.apply.perform import Performer
from provisioner.apply.wire import host_argv, parse_reply
from provisioner.errors import LOOK_THERE, DeadlineError, HostError
from provisioner.events import Warned
from provisioner.model.accepted import Accepted
from provisioner.model.facts import HostFacts
from provisioner.model.hosts import ClusterKeys, is_master
from provisioner.model.ids import HostName
from provisioner.model.kept import KEPT_LIMIT, kept_digest, kept_text
from provisioner.model.paths import HostPaths
from provisioner.transport.connection import Connection
from provisioner.transport.hostset import HostSet

SECONDS = 60.0


async def keep_record(hosts: HostSet, context: RunContext, accepted: Accepted, keys: ClusterKeys) -> None:
    """Have every master that could be read keep this request; one that already does costs nothing. Failing is a warning."""
    text = kept_text(context.paths.cid, accepted, keys)
    digest = kept_digest(text)
    performer = Performer(hosts, context)
    stale = [
        host.name
        for host in accepted.wanted
        if is_master(host.roles)
        and host.name in hosts.connections
        and isinstance(facts := context.facts.get(host.name), HostFacts)
        and facts.kept != digest
    ]

    async def tell(name: HostName) -> None:
        try:
            await performer.call(name, "keep", len(text), stdin=text)
        except (HostError, DeadlineError) as error:
            context.events(Warned(f"{name} keeps no record of this cluster, so it cannot be adopted: {error.message}"))

    await asyncio.gather(*(tell(name) for name in stale))


async def read_record(connection: Connection, paths: HostPaths) -> bytes:
    """What a host keeps of the cluster, empty where it keeps nothing. Raises HostError (7), DeadlineError (11)."""
    result = await connection.run(host_argv(paths, "kept"), timeout=SECONDS, limit=2 * KEPT_LIMIT)
    if not result.ok:
        raise HostError(
            f"{connection.name} could not be read (exit status {result.rc})",
            host=connection.name,
            hint=LOOK_THERE,
        )
    return parse_reply(result.stdout, connection.name).get("kept", b"")
