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
    machines = [t for t in found if t.kind == look.MACHINE and t.tags.get(words.HOST)]
    region = machines[0].region if machines else ""
    return by_host(((t.tags[words.HOST], t.id) for t in machines), cid, ends_machine(region))


def ends_machine(region: str) -> str:
    """The command of AWS's own tool; an id belongs behind it."""
    return f"aws ec2 terminate-instances --region {region} --instance-ids"


def end_strays(api: Api, things: Iterable[look.Found], waiting: Waiting) -> tuple[str, ...]:
    """Remove what of these is a network's, in the order of dependency; a line for each that went. Never waits."""
    parts = sorted((t for t in things if t.kind in KINDS), key=lambda t: look.rank(t.kind))
    return tuple(str(t) for t in parts if not remove(api, [t], waiting, rest_seconds=-1))
