"""What carries a cluster's tags and stands in no state: machines that a cut run bought, parts that were made twice."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.aws import look
from drivers.aws.api import Api
from drivers.aws.sweep import Waiting, remove
from provisioner.errors import ProviderError
from provisioner.model import tags as words
from provisioner.model.ids import ClusterId

KINDS = look.NETWORK | {"security-group"}
"""What may be made twice, costs nothing and holds nothing."""


def bought(found: Iterable[look.Found], cid: ClusterId) -> dict[str, str]:
    """The machines among these: host → id. Raises ProviderError where one host has two."""
    machines: dict[str, str] = {}
    for thing in (t for t in found if t.kind == look.MACHINE and t.tags.get(words.HOST)):
        host = thing.tags[words.HOST]
        if host in machines:
            raise ProviderError(
                f"host {host} of {cid} stands twice: {machines[host]} and {thing.id}",
                hint="delete the one that is not wanted, then run the same command",
            )
        machines[host] = thing.id
    return machines


def end_strays(api: Api, things: Iterable[look.Found], waiting: Waiting) -> tuple[str, ...]:
    """Remove what of these is a network's, in the order of dependency; a line for each that went. Never waits."""
    parts = sorted((t for t in things if t.kind in KINDS), key=lambda t: look.rank(t.kind))
    return tuple(str(t) for t in parts if not remove(api, [t], waiting, rest_seconds=-1))
