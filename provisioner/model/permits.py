"""What dry runs told of the caller's permissions: one line of a plan, or one error for all that is missing. Pure.

A cloud asked with `DryRun` makes nothing; it answers every such call with an error, and the code says what would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.errors import AccessError
from provisioner.model import tags
from provisioner.model.accepted import Accepted, AcceptedHost
from provisioner.model.ci import Ci
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, RunId

ALLOWED = "DryRunOperation"
"""Both clouds' code for "this would have been done" (EC2 API Reference, ECS and VPC API References: `DryRun`)."""
MADE = "it was done in earnest"
"""Our word for an endpoint that knows no dry run, as simulators do: what it made was taken away again."""
NOT_YET = "aaaaaa"
"""In place of the six characters of a cid, which a new cluster gets after its plan is read."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One dry run: the action as policies name it (`ecs:RunInstances`), and the service's own word for its answer."""

    action: str
    code: str
    refused: bool = False


def made(action: str, left: Iterable[str]) -> Tried:
    """The answer of an endpoint that made the thing; `left` are the ids of what could not be taken away again."""
    stands = ", ".join(left)
    return Tried(action, f"{MADE}, and {stands} stands: remove it" if stands else MADE)


def told(provider: str, tried: Iterable[Tried]) -> str:
    """The line of the plan. Raises AccessError (5) naming every action that was refused.

    Any other answer stops nothing: a dry run of what has no network yet may be answered with that.
    """
    tried = tuple(tried)
    if missing := [one for one in tried if one.refused]:
        raise AccessError(
            f"{provider}: these credentials may not do {' and '.join(one.action for one in missing)}"
            f" (a dry run answers {missing[0].code}); nothing was made",
            hint=f"`sealer-cloud doctor --permissions {provider}` prints the policy that is needed",
            evidence=missing[0].code,
        )
    return f"permission asked by dry run: {', '.join(map(_said, tried))}"


def _said(one: Tried) -> str:
    return f"{one.action} is {'allowed' if one.code == ALLOWED else f'not refused ({one.code})'}"


def dry_tags(accepted: Accepted, cid: ClusterId | None, ci: Ci, host: AcceptedHost | None = None) -> Mapping[str, str]:
    """The tags of what would be made: policies may ask for them, so a dry run without them would be refused wrongly."""
    more = {tags.HOST: str(host.name), tags.POOL: host.pool} if host else {}
    marks = Marks(cid or ClusterId(f"{accepted.cluster}-{NOT_YET}"), RunId("dry-run"), accepted.expires_at, *ci)
    return tags.tags_of(marks, accepted.tags, **more)
