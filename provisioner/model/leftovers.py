"""What `gc` and `down --run` may delete: one decision per cluster, from the tags of what stands. Pure.

A cluster goes as a whole, so whatever speaks for one of its resources speaks for all: the one with the latest deadline, or
with none, decides. That no state knows a cluster says nothing: another person's state folder may.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from provisioner.model.driver import FoundResource
from provisioner.model.ids import ClusterId, is_cid, name_of

GRACE = timedelta(minutes=15)
"""A deadline must be this long past: the cloud's own release may still be at work, and clocks differ."""


class Fate(StrEnum):
    """What becomes of a cluster that a survey found."""

    EXPIRED = "expired"
    NAMED = "named"
    WAITS = "waits for its deadline"
    UNKNOWN = "owner unknown"


@dataclass(frozen=True, slots=True)
class Named:
    """What a person named: a cluster by name or cid, a run by its id (ours or the CI's). Nothing named: None.

    Ids of a CI's runs are unique within a repository alone: where `repo` is known, both must match.
    """

    cluster: str | None = None
    run: str | None = None
    repo: str | None = None

    def made(self, resource: FoundResource) -> bool:
        """True for what the run that is named made."""
        return self.run == resource.run or self.by_ci(resource)

    def by_ci(self, resource: FoundResource) -> bool:
        """True where the id is the CI's own."""
        return self.run == resource.ci_run and self.repo in {None, resource.repo}


NOBODY = Named()
"""Nothing named: only deadlines count."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """All resources that one account holds of one cluster (`cid` None: they carry no cid), and what becomes of them."""

    cid: ClusterId | None
    provider: str
    resources: tuple[FoundResource, ...]
    fate: Fate
    why: str
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Where the services of that account are, as a request of ours says it; empty: at the usual place."""

    @property
    def goes(self) -> bool:
        """True for what may be deleted."""
        return self.fate in {Fate.EXPIRED, Fate.NAMED}

    @property
    def expires_at(self) -> str | None:
        """The latest deadline among them; None where one carries none."""
        deadlines = [_time_of(r.expires_at) for r in self.resources]
        known = [d for d in deadlines if d is not None]
        if len(known) < len(deadlines) or not known:
            return None
        return next(r.expires_at for r in self.resources if _time_of(r.expires_at) == max(known))

    @property
    def created(self) -> str | None:
        """When the oldest of them was made, where the account says it."""
        known = {time: r.created for r in self.resources if (time := _time_of(r.created)) is not None}
        return known[min(known)] if known else None

    @property
    def price(self) -> float | None:
        """Per hour, of all whose price is known; None where none is."""
        known = [r.price for r in self.resources if r.price is not None]
        return sum(known) if known else None

    @property
    def currency(self) -> str:
        """The currency of `price`."""
        return next((r.currency for r in self.resources if r.price is not None), "")


def judge(provider: str, resources: Iterable[FoundResource], now: datetime, named: Named) -> tuple[Leftover, ...]:
    """Group by cluster and decide; what goes stands first, then by cid. Where something is named, only that may go."""
    clusters: dict[ClusterId | None, list[FoundResource]] = {}
    for resource in resources:
        clusters.setdefault(resource.cid or None, []).append(resource)
    found = [_leftover(provider, cid, tuple(group), now, named) for cid, group in clusters.items()]
    return tuple(sorted(found, key=lambda left: (not left.goes, left.cid is None, left.cid or "")))


def _leftover(
    provider: str, cid: ClusterId | None, group: tuple[FoundResource, ...], now: datetime, named: Named
) -> Leftover:
    fate, why = decide(cid, group, now, named)
    return Leftover(cid, provider, group, fate, why)


def decide(cid: ClusterId | None, group: Sequence[FoundResource], now: datetime, named: Named) -> tuple[Fate, str]:
    """The fate of one cluster's resources (all of one cid), and why, in words."""
    if cid is None:
        return Fate.UNKNOWN, _no_cluster(group)
    if not is_cid(cid):
        return Fate.UNKNOWN, "its tag is no cluster id"
    if named.cluster or named.run:
        return _by_name(cid, group, named) or _kept(group, now)
    deadlines = [_time_of(r.expires_at) for r in group]
    if group and all(d is not None and now - d >= GRACE for d in deadlines):
        return Fate.EXPIRED, "its deadline is past"
    return _kept(group, now)


def repos_of(found: Iterable[Leftover], named: Named) -> tuple[str, ...]:
    """The repositories that a CI's run of the named id was of, among what goes; empty for one that carries none."""
    parts = [r for left in found if left.goes for r in left.resources if named.run and named.by_ci(r)]
    return tuple(sorted({r.repo or "" for r in parts}))


def _no_cluster(group: Sequence[FoundResource]) -> str:
    shared = sorted({r.shared for r in group if r.shared})
    if shared and all(r.shared for r in group):
        return f"networks that clusters share: {', '.join(shared)}; `network delete` ends them"
    return "it carries no cluster's tag"


def _by_name(cid: ClusterId, group: Sequence[FoundResource], named: Named) -> tuple[Fate, str] | None:
    if named.cluster and named.cluster not in {cid, name_of(cid)}:
        return None
    if named.run and (not group or not all(named.made(r) for r in group)):
        partly = any(named.made(r) for r in group)
        return (Fate.UNKNOWN, f"only a part of it was made by run {named.run}: name the cluster") if partly else None
    return Fate.NAMED, f"named by {'--run' if named.run else '--cluster'}"


def _kept(group: Sequence[FoundResource], now: datetime) -> tuple[Fate, str]:
    deadlines = [_time_of(r.expires_at) for r in group]
    if any(d is None for d in deadlines) or not deadlines:
        lacking = "carries no deadline" if all(d is None for d in deadlines) else "a part of it carries no deadline"
        return Fate.UNKNOWN, f"{lacking}: `gc --cluster` names it"
    waiting = max(d for d in deadlines if d is not None)
    if now - waiting < GRACE:
        return Fate.WAITS, "its deadline is not 15 minutes past"
    return Fate.UNKNOWN, "it was not named"


def _time_of(text: str | None) -> datetime | None:
    """The time that a tag says; None for none, for what is no time, and for one without a zone."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None
