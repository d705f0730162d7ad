"""What carries a cluster's tags and stands in no state: machines that a cut run bought, parts that were made twice."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.aws import look
from drivers.aws.api import Api
from drivers.aws.sweep import Waiting, remove
from drivers.orphans import by_host
from provisioner.model import tags as words
from provisioner.model.ids import ClusterId

KINDS = look.NETWORK | {"security-group"}
"""What may be made twice, costs nothing and holds nothing."""


def bought(found: Iterable[look.Found], cid: ClusterId) -> dict[str, str]:
    """The machines among these: host → id. Raises ProviderError where one host has two."""
    pairs = ((t.tags.get(words.HOST), t.id) for t in found if t.kind == look.MACHINE)
    return by_host(((host, own) for host, own in pairs if host), cid)


def end_strays(api: Api, things: Iterable[look.Found], waiting: Waiting) -> tuple[str, ...]:
    """Remove what of these is a network's, in the order of dependency; a line for each that went. Never waits."""
    parts = sorted((t for t in things if t.kind in KINDS), key=lambda t: look.rank(t.kind))
    return tuple(str(t) for t in parts if not remove(api, [t], waiting, rest_seconds=-1))
