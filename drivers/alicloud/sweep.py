"""Looking and removing by tag alone, without any state: find, leftovers, orphans, survey, sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from drivers.alicloud.api import Api
from drivers.alicloud.codes import Kind, error_kind
from drivers.alicloud.wire import items, tags_in
from provisioner.errors import AccessError, ProviderError, SealerError, worst_of
from provisioner.model import tags
from provisioner.model.driver import FoundCluster, FoundResource, Survey
from provisioner.model.ids import ClusterId, ClusterName, name_of

REGIONS_AT_ONCE = 16
GONE_SECONDS, DEPENDENCY_SECONDS = 300.0, 180.0
PAUSE = 2.0
LAG_SECONDS = 4.0
"""How long after a cut run a machine may not show up yet: a look that finds none is repeated."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that stands in the account."""

    kind: str
    id: str
    region: str
    name: str
    tags: Mapping[str, str]
    created: str | None = None
    vpc: str | None = None
    subnet: str | None = None

    @property
    def cid(self) -> str | None:
        """The cluster that it says it belongs to."""
        return self.tags.get(tags.CID)

    def __str__(self) -> str:
        return f"{self.kind} {self.id}{f' ({self.name})' if self.name else ''} in {self.region}"


@dataclass(frozen=True, slots=True)
class Kinds:
    """How one kind is listed and deleted."""

    kind: str
    product: str
    listing: str
    path: tuple[str, str]
    key: str
    name: str
    delete: str


INSTANCE = Kinds(
    "instance", "ecs", "DescribeInstances", ("Instances", "Instance"), "InstanceId", "InstanceName", "DeleteInstance"
)
DISK = Kinds("disk", "ecs", "DescribeDisks", ("Disks", "Disk"), "DiskId", "DiskName", "DeleteDisk")
GROUP = Kinds(
    "security group",
    "ecs",
    "DescribeSecurityGroups",
    ("SecurityGroups", "SecurityGroup"),
    "SecurityGroupId",
    "SecurityGroupName",
    "DeleteSecurityGroup",
)
SUBNET = Kinds(
    "vswitch", "vpc", "DescribeVSwitches", ("VSwitches", "VSwitch"), "VSwitchId", "VSwitchName", "DeleteVSwitch"
)
VPC = Kinds("vpc", "vpc", "DescribeVpcs", ("Vpcs", "Vpc"), "VpcId", "VpcName", "DeleteVpc")
PARTS = (GROUP, SUBNET, VPC)
"""What a network is made of."""
ALL = (INSTANCE, DISK, *PARTS)
"""In the order in which they can be removed."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, looked at through its API. `known` are the regions to look in (none: all that it can see)."""

    api: Api
    home: str
    known: tuple[str, ...] = ()

    def regions(self) -> tuple[str, ...]:
        """Where to look."""
        if self.known:
            return self.known
        try:
            answer = self.api.call("ecs", "DescribeRegions", self.home)
        except ProviderError as error:
            if error_kind(error) is Kind.UNKNOWN_ACTION:
                return (self.home,)
            raise
        return tuple(str(r["RegionId"]) for r in items(answer, "Regions", "Region")) or (self.home,)

    def listed(self, kinds: Kinds, region: str, **params: object) -> list[Thing]:
        """All things of a kind that answer to these filters."""
        rows = self.api.pages(kinds.product, kinds.listing, region, kinds.path, params)
        return [_thing(kinds, row, region) for row in rows if kinds is not DISK or row.get("Status") != "In_use"]

    def ours(self, region: str, cid: ClusterId | None = None) -> list[Thing]:
        """Everything with our tags in a region, of one cluster or all; in the order in which it can be removed."""
        tag = {"Key": tags.CID, **({"Value": str(cid)} if cid else {})}
        found = [
            t for kinds in ALL for t in self.listed(kinds, region, Tag=[tag]) if t.cid and (cid is None or t.cid == cid)
        ]
        mine = {t.id: t for t in [*found, *self.untagged(region, found, cid)]}
        return _sorted(t for t in mine.values() if tags.SHARED not in t.tags)  # what clusters share is nobody's

    def untagged(self, region: str, found: Iterable[Thing], cid: ClusterId | None) -> list[Thing]:
        """The vSwitches that a cut run left before they had tags (a moment later than all else): name and network tell whose."""
        owner = {t.id: t for t in found if t.kind == VPC.kind}
        rest = []
        for thing in self.listed(SUBNET, region) if cid or owner else ():
            home = owner.get(thing.vpc or "")
            shared = tags.SHARED in thing.tags
            if thing.cid is None and not shared and (home or (cid and thing.name.startswith(f"{cid}-"))):
                marks = {**(home.tags if home else {}), tags.CID: str(cid or (home.cid if home else ""))}
                rest.append(Thing(thing.kind, thing.id, region, thing.name, marks, thing.created, thing.vpc))
        return rest

    def strangers(self, region: str, ours: Iterable[Thing], cid: ClusterId) -> list[Thing]:
        """Machines that stand in this cluster's own network without belonging to it: they would keep it from going."""
        networks = [t.id for t in ours if t.kind == VPC.kind]
        return [t for vpc in networks for t in self.listed(INSTANCE, region, VpcId=vpc) if t.cid != cid]


def _sorted(things: Iterable[Thing]) -> list[Thing]:
    order = {kinds.kind: index for index, kinds in enumerate(ALL)}
    return sorted(things, key=lambda t: (order[t.kind], t.name, t.id))


def _thing(kinds: Kinds, row: Mapping[str, Any], region: str) -> Thing:
    inner: Any = row.get("VpcAttributes") or {}
    return Thing(
        kind=kinds.kind,
        id=str(row[kinds.key]),
        region=region,
        name=str(row.get(kinds.name) or ""),
        tags=tags_in(row),
        created=str(row["CreationTime"]) if row.get("CreationTime") else None,
        vpc=str(row.get("VpcId") or inner.get("VpcId") or "") or None,
        subnet=str(row.get("VSwitchId") or inner.get("VSwitchId") or "") or None,
    )


def _everywhere(account: Account, look: Callable[[str], list[Thing]]) -> list[Thing]:
    regions = account.regions()
    if len(regions) == 1:
        return look(regions[0])
    with ThreadPoolExecutor(REGIONS_AT_ONCE) as pool:
        return [thing for found in pool.map(look, regions) for thing in found]


def forbids(error: AccessError) -> bool:
    """True where the key is good and may not look there: policies often name the regions of their users."""
    return error.evidence.startswith(("Forbidden", "NoPermission", "NotAuthorized"))


def _allowed(account: Account, look: Callable[[str], list[Thing]]) -> Callable[[str], list[Thing]]:
    """The same look, blind where the policy forbids it: where we may not even look, we made nothing. Home must answer."""

    def careful(region: str) -> list[Thing]:
        try:
            return look(region)
        except AccessError as error:
            if region == account.home or not forbids(error):
                raise
            return []

    return careful


def find(account: Account, name: ClusterName | None) -> tuple[FoundCluster, ...]:
    """Clusters by their tags, all or by name."""

    def look(region: str) -> list[Thing]:
        key = {"Key": tags.CLUSTER, "Value": str(name)} if name else {"Key": tags.CID}
        return [t for kinds in (INSTANCE, GROUP, VPC) for t in account.listed(kinds, region, Tag=[key])]

    things = [t for t in _everywhere(account, _allowed(account, look)) if t.cid]
    cids = sorted({str(t.cid) for t in things})
    hosts = {
        cid: tuple(sorted({t.tags[tags.HOST] for t in things if t.cid == cid and tags.HOST in t.tags})) for cid in cids
    }
    return tuple(FoundCluster(name_of(ClusterId(cid)), ClusterId(cid), "alicloud", hosts[cid]) for cid in cids)


def leftovers(account: Account, cid: ClusterId) -> tuple[str, ...]:
    """Everything of a cluster that is still there, and the strangers in its network, one line each."""

    def look(region: str) -> list[Thing]:
        ours = account.ours(region, cid)
        return [*ours, *account.strangers(region, ours, cid)]

    return tuple(
        str(t) if t.cid == cid else f"{t} stands in its network and is not of this cluster"
        for t in _everywhere(account, _allowed(account, look))
    )


def orphans(account: Account, cid: ClusterId, known: frozenset[str]) -> dict[str, str]:
    """Machines of a cluster that the state does not know: host → id. Raises ProviderError where one host has two.

    Parts of a network that it does not know are removed: a vSwitch that nobody recorded would keep its addresses from
    the one that is made next.
    """

    def look(region: str) -> list[Thing]:
        found = account.listed(INSTANCE, region, Tag=[{"Key": tags.CID, "Value": str(cid)}])
        return [t for t in found if t.cid == cid and t.id not in known and tags.HOST in t.tags]

    found = _everywhere(account, look)
    if not found:
        account.api.waits.sleep(LAG_SECONDS)
        found = _everywhere(account, look)
    by_host: dict[str, str] = {}
    for thing in found:
        host = thing.tags[tags.HOST]
        if host in by_host:
            raise ProviderError(
                f"host {host} of {cid} stands twice: {by_host[host]} and {thing.id}",
                hint="delete the one that is not wanted, then run the same command",
            )
        by_host[host] = thing.id
    if any(not one.startswith("i-") for one in known):  # else we were told of machines alone
        _end_strays(account, cid, known)
    return by_host


def _end_strays(account: Account, cid: ClusterId, known: frozenset[str]) -> None:
    """Never waits: what is in use is no stray, or goes with its machine later."""

    def look(region: str) -> list[Thing]:
        tag = {"Key": tags.CID, "Value": str(cid)}
        tagged = [t for kinds in PARTS for t in account.listed(kinds, region, Tag=[tag]) if t.cid == cid]
        named = [t for t in account.untagged(region, tagged, cid) if t.name.startswith(f"{cid}-")]
        return _sorted([*tagged, *named])

    by_kind = {kinds.kind: kinds for kinds in PARTS}
    for thing in _everywhere(account, look):
        if thing.id not in known:
            with contextlib.suppress(ProviderError):
                delete(account, by_kind[thing.kind], thing, patience=0.0)


def survey(account: Account) -> Survey:
    """Everything with our tags; a region that refuses is named with the reason, not skipped."""
    refused: list[tuple[str, str]] = []

    def look(region: str) -> list[Thing]:
        try:
            shared = [t for kinds in (SUBNET, VPC) for t in account.listed(kinds, region, Tag=[{"Key": tags.SHARED}])]
            return [*account.ours(region), *(t for t in shared if not t.cid and tags.SHARED in t.tags)]
        except SealerError as error:
            if isinstance(error, AccessError) and not forbids(error):
                raise
            refused.append((region, error.message))
            return []

    things = _everywhere(account, look)
    return Survey(tuple(_found(t) for t in things), tuple(sorted(refused)))


def _found(thing: Thing) -> FoundResource:
    return FoundResource(
        kind=thing.kind,
        id=thing.id,
        region=thing.region,
        name=thing.name,
        cid=tags.cid_in(thing.tags),
        run=thing.tags.get(tags.RUN),
        created=thing.created,
        expires_at=thing.tags.get(tags.EXPIRES_AT),
        ci_run=thing.tags.get(tags.CI_RUN),
        shared=thing.tags.get(tags.SHARED),
        repo=thing.tags.get(tags.REPO),
    )


def sweep(account: Account, cid: ClusterId) -> tuple[str, ...]:
    """Remove everything of a cluster by its tags, in the order of dependency; idempotent. Returns what is gone.

    Raises ProviderError naming what does not go away: strangers in its network, or what the service keeps refusing.
    """
    gone: list[str] = []
    failed: list[SealerError] = []
    look = _allowed(account, lambda region: account.ours(region, cid))
    for region in account.regions():
        ours = look(region)
        if not ours:
            continue
        strangers = account.strangers(region, ours, cid)
        keep = {VPC.kind, SUBNET.kind} if strangers else set()
        for kinds in ALL:
            these = [t for t in ours if t.kind == kinds.kind and t.kind not in keep]
            removed, errors = _remove(account, kinds, these, 0.0 if failed else DEPENDENCY_SECONDS)
            gone += [str(t) for t in removed]
            failed += errors
        if strangers:
            names = ", ".join(f"{t.id}{f' ({t.name})' if t.name else ''}" for t in strangers)
            failed.append(
                ProviderError(
                    f"machines that are not of {cid} stand in its network in {region}: {names}; the network is left",
                    hint="remove them, then run the same command",
                )
            )
    if failed:
        raise _all_in_one(failed)
    return tuple(gone)


def _all_in_one(failed: list[SealerError]) -> SealerError:
    """The error that decides, with the words of all: whoever must clear up needs every id."""
    worst = worst_of(failed)
    words = dict.fromkeys([worst.message, *(e.message for e in failed)])
    return type(worst)("; ".join(words), hint=worst.hint, evidence=worst.evidence)


def _remove(
    account: Account, kinds: Kinds, things: Iterable[Thing], patience: float
) -> tuple[list[Thing], list[SealerError]]:
    """What went and what did not: one machine that the service keeps must not keep the others, which cost money."""
    gone: list[Thing] = []
    failed: list[SealerError] = []
    for thing in things:
        try:
            delete(account, kinds, thing, 0.0 if failed else patience)
            gone.append(thing)
        except SealerError as error:
            failed.append(error)
    if kinds is INSTANCE and gone:
        try:
            _wait_gone(account, tuple(gone))
        except SealerError as error:
            failed.append(error)
    return gone, failed


def delete(account: Account, kinds: Kinds, thing: Thing, patience: float = DEPENDENCY_SECONDS) -> None:
    """Delete one thing, for `patience` seconds while something that depends on it is going. Raises ProviderError (6)."""
    waits = account.api.waits
    start = waits.monotonic()
    force = {"Force": True} if kinds is INSTANCE else {}
    while True:
        try:
            account.api.call(kinds.product, kinds.delete, thing.region, {kinds.key: thing.id, **force})
        except SealerError as error:
            kind = error_kind(error)
            if kind is Kind.GONE:
                return
            if kind is not Kind.DEPENDS or waits.monotonic() - start >= patience:
                raise _left(thing, error) from error
        else:
            return
        waits.sleep(PAUSE)


def _left(thing: Thing, error: SealerError) -> SealerError:
    if isinstance(error, AccessError):
        return error
    return ProviderError(f"{thing} is left: {error.message}", hint=error.hint, evidence=error.evidence)


def _wait_gone(account: Account, things: tuple[Thing, ...]) -> None:
    waits, region = account.api.waits, things[0].region
    start, left = waits.monotonic(), {t.id for t in things}
    while left:
        listed = {t.id for t in account.listed(INSTANCE, region, Tag=[{"Key": tags.CID, "Value": str(things[0].cid)}])}
        left &= listed
        if left and waits.monotonic() - start > GONE_SECONDS:
            raise ProviderError(
                f"alicloud did not remove {', '.join(sorted(left))} within {GONE_SECONDS:.0f} s",
                hint="run the same command again",
            )
        if left:
            waits.sleep(PAUSE)
