"""What the simulated account holds."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.clouds.alicloud.sim.wire import ApiError, Params, gone

# kind: (prefix of ids, code of the error for an unknown id, word of the tag calls)
KINDS = {
    "vpc": ("vpc", "InvalidVpcID.NotFound", "VPC"),
    "vswitch": ("vsw", "InvalidVSwitchId.NotFound", "VSWITCH"),
    "group": ("sg", "InvalidSecurityGroupId.NotFound", "securitygroup"),
    "keypair": ("kp", "InvalidKeyPair.NotFound", "keypair"),
    "instance": ("i", "InvalidInstanceId.NotFound", "instance"),
    "disk": ("d", "InvalidDiskId.NotFound", "disk"),
    "card": ("eni", "InvalidEniId.NotFound", "eni"),
}


@dataclass
class Thing:
    """One object of the account. `unseen` counts the listings that do not show it yet."""

    id: str
    kind: str
    region: str
    tags: dict[str, str]
    fields: dict[str, Any]
    created: str
    born: float = field(default_factory=time.monotonic)
    unseen: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = value


class Store:
    """All objects, in the order of their making; every access holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._things: dict[str, Thing] = {}
        self._numbers = itertools.count(1)
        self.tokens: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.lag = 0
        self._ghosts: list[Thing] = []

    def add(self, kind: str, region: str, tags: dict[str, str], **fields: Any) -> Thing:
        """Make an object with the next id."""
        own = f"{KINDS[kind][0]}-sim{next(self._numbers):08d}"
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        thing = Thing(own, kind, region, dict(tags), fields, created, unseen=self.lag)
        self._things[own] = thing
        return thing

    def get(self, kind: str, own: str | None, region: str = "") -> Thing:
        """The object with an id. Raises ApiError as the API does: 404 with NotFound."""
        thing = self._things.get(own or "")
        if thing is None or thing.kind != kind or (region and thing.region != region):
            raise gone(KINDS[kind][1], f"{kind} {own}")
        return thing

    def remove(self, own: str) -> None:
        """Take an object away."""
        self._things.pop(own, None)

    def all(self, kind: str = "", where: Callable[[Thing], bool] = lambda _thing: True) -> list[Thing]:
        """What there is, whether a listing shows it or not."""
        return [t for t in self._things.values() if kind in {"", t.kind} and where(t)]

    def listed(self, kind: str, p: Params, where: Callable[[Thing], bool] = lambda _thing: True) -> list[Thing]:
        """What a listing shows: of one region, with all the tags asked for, past its lag."""
        tags = p.tags()
        found = self.all(kind, lambda t: t.region == p["RegionId"] and where(t))
        found += [t for t in self._ghosts if t.kind == kind and t.region == p["RegionId"] and where(t)]
        shown = [t for t in found if all(k in t.tags and v in {"", t.tags[k]} for k, v in tags.items())]
        late = [t for t in shown if t in self._ghosts]
        for ghost in late:
            ghost.unseen -= 1
        self._ghosts = [g for g in self._ghosts if g.unseen > 0]
        return [t for t in shown if t in late or not self._still_unseen(t)]

    @staticmethod
    def _still_unseen(thing: Thing) -> bool:
        thing.unseen, late = max(0, thing.unseen - 1), thing.unseen > 0
        return late

    def vanish(self, instance: str) -> None:
        """End an instance with its disks and cards, as a reclaim or somebody at the console does.

        Where a rule says `lag`, so many listings still show it.
        """
        for thing in self.all("", lambda t: t.id == instance or t.fields.get("InstanceId") == instance):
            self.remove(thing.id)
            if thing.id == instance and self.lag:
                thing.unseen = self.lag
                self._ghosts.append(thing)

    def counts(self) -> dict[str, int]:
        """How many of each kind there are; empty if the account is."""
        with self.lock:
            kinds: Iterator[str] = (t.kind for t in self._things.values())
            return {kind: len(list(group)) for kind, group in itertools.groupby(sorted(kinds))}


MOST_PER_PAGE = {"SecurityGroups": 50, "Vpcs": 50, "VSwitches": 50}
"""The largest `PageSize` of a listing, where it is not 100: the service's own API references of DescribeSecurityGroups,
DescribeVpcs and DescribeVSwitches."""


def page(p: Params, rows: list[dict[str, Any]], outer: str, inner: str) -> dict[str, Any]:
    """One page of a listing, by number or by token, whichever the call asks for. Raises ApiError for a wrong one."""
    if "MaxResults" in p or "NextToken" in p:
        size = min(p.number("MaxResults", 10), 100)
        start = _from_token(p.get("NextToken", ""))
        rest = rows[start : start + size]
        token = f"next-{start + size}" if start + size < len(rows) else ""
        return {"TotalCount": len(rows), "MaxResults": size, "NextToken": token, outer: {inner: rest}}
    size, number = p.number("PageSize", 10), p.number("PageNumber", 1)
    if not 1 <= size <= MOST_PER_PAGE.get(outer, 100) or number < 1:
        raise ApiError(400, "InvalidParameter.PageSize", "The specified PageSize or PageNumber is not valid.")
    rest = rows[(number - 1) * size : number * size]
    return {"TotalCount": len(rows), "PageNumber": number, "PageSize": size, "NextToken": "", outer: {inner: rest}}


def _from_token(token: str) -> int:
    if token and not token.removeprefix("next-").isdigit():
        raise ApiError(400, "InvalidParameter.NextToken", "The specified NextToken is not valid.")
    return int(token.removeprefix("next-") or 0)


def tag_rows(thing: Thing, key: str = "TagKey", value: str = "TagValue") -> dict[str, Any]:
    """Tags as ECS writes them; VPC writes `Key` and `Value`."""
    return {"Tag": [{key: k, value: v} for k, v in sorted(thing.tags.items())]}
