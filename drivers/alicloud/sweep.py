"""Looking and removing by tag alone, without any state: find, leftovers, orphans, survey, sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from drivers.alicloud.codes import Kind, error_kind, forbids
from drivers.alicloud.facts import Price
from drivers.alicloud.prices import disk_goods, look_up, machine_goods
from drivers.alicloud.things import (
    ALL,
    DISK,
    GROUP,
    INSTANCE,
    PARTS,
    SUBNET,
    VPC,
    Account,
    Kinds,
    Thing,
    each,
    ends_machine,
    everywhere,
    in_order,
)
from drivers.orphans import by_host
from provisioner.errors import AccessError, ProviderError, SealerError, worst_of
from provisioner.model import tags
from provisioner.model.driver import Dark, FoundCluster, FoundResource, Survey, unsure_of
from provisioner.model.ids import ClusterId, ClusterName, name_of

GONE_SECONDS, DEPENDENCY_SECONDS = 300.0, 180.0
PAUSE = 2.0
LAG_SECONDS = 4.0
"""How long after a cut run a machine may not show up yet: a look that finds none is repeated."""


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


def find(account: Account, name: ClusterName | None, dark: Dark | None = None) -> tuple[FoundCluster, ...]:
    """Clusters by their tags, all or by name; see `Driver.find`."""
    refused: dict[str, SealerError] = {}

    def look(region: str) -> list[Thing]:
        key = {"Key": tags.CLUSTER, "Value": str(name)} if name else {"Key": tags.CID}
        return [t for kinds in (INSTANCE, GROUP, VPC) for t in account.listed(kinds, region, Tag=[key])]

    def told(region: str) -> list[Thing]:
        try:
            return look(region)
        except SealerError as error:
            if isinstance(error, AccessError) and not forbids(error):
                raise
            refused[region] = error
            return []

    regions = account.regions()
    things = [t for t in each(regions, told if dark else _allowed(account, look)) if t.cid]
    if dark is None:
        return _clusters(things)
    if len(refused) == len(regions):
        raise worst_of(refused.values())
    for region, error in sorted(refused.items()):
        dark(region, error)
    return _clusters(things)


def _clusters(things: list[Thing]) -> tuple[FoundCluster, ...]:
    found = []
    for cid in sorted({str(t.cid) for t in things}):
        mine = [t for t in things if t.cid == cid]
        hosts = tuple(sorted({t.tags[tags.HOST] for t in mine if tags.HOST in t.tags}))
        where = tuple(sorted({t.region for t in mine}))
        found.append(FoundCluster(name_of(ClusterId(cid)), ClusterId(cid), "alicloud", hosts, where))
    return tuple(found)


def leftovers(account: Account, cid: ClusterId) -> tuple[str, ...]:
    """Everything of a cluster that is still there, and the strangers in its network, one line each."""

    def look(region: str) -> list[Thing]:
        ours = account.ours(region, cid)
        return [*ours, *account.strangers(region, ours, cid)]

    return tuple(
        str(t) if t.cid == cid else f"{t} stands in its network and is not of this cluster"
        for t in everywhere(account, _allowed(account, look))
    )


def orphans(account: Account, cid: ClusterId, known: frozenset[str]) -> dict[str, str]:
    """Machines of a cluster that the state does not know: host → id. Raises ProviderError where one host has two.

    Parts of a network that it does not know are removed: a vSwitch that nobody recorded would keep its addresses from
    the one that is made next.
    """

    def look(region: str) -> list[Thing]:
        found = account.listed(INSTANCE, region, Tag=[{"Key": tags.CID, "Value": str(cid)}])
        return [t for t in found if t.cid == cid and t.id not in known and tags.HOST in t.tags]

    found = everywhere(account, look)
    if not found:
        account.api.waits.sleep(LAG_SECONDS)
        found = everywhere(account, look)
    region = found[0].region if found else account.home
    machines = by_host(((thing.tags[tags.HOST], thing.id) for thing in found), cid, ends_machine(region))
    if any(not one.startswith("i-") for one in known):  # else we were told of machines alone
        end_strays(account, cid, known)
    return machines


def end_strays(account: Account, cid: ClusterId, known: frozenset[str]) -> tuple[str, ...]:
    """Remove parts of a cluster's network that the state does not know; a line for each that went.

    Never waits: what is in use is no stray, or goes with its machine later.
    """

    def look(region: str) -> list[Thing]:
        tag = {"Key": tags.CID, "Value": str(cid)}
        tagged = [t for kinds in PARTS for t in account.listed(kinds, region, Tag=[tag]) if t.cid == cid]
        named = [t for t in account.untagged(region, tagged, cid) if t.name.startswith(f"{cid}-")]
        return in_order([*tagged, *named])

    by_kind = {kinds.kind: kinds for kinds in PARTS}
    gone: list[str] = []
    for thing in everywhere(account, look):
        if thing.id not in known:
            with contextlib.suppress(ProviderError, AccessError):  # one that is refused must not hide those that went
                delete(account, by_kind[thing.kind], thing, patience=0.0)
                gone.append(str(thing))
    return tuple(gone)


def survey(account: Account) -> Survey:
    """Everything with our tags; a region that refuses is named with the reason, not skipped. Raises where all do."""
    refused: dict[str, SealerError] = {}

    def look(region: str) -> list[Thing]:
        try:
            shared = [t for kinds in (SUBNET, VPC) for t in account.listed(kinds, region, Tag=[{"Key": tags.SHARED}])]
            return [*account.ours(region), *(t for t in shared if not t.cid and tags.SHARED in t.tags)]
        except SealerError as error:
            if isinstance(error, AccessError) and not forbids(error):
                raise
            refused[region] = error
            return []

    regions = account.regions()
    things = each(regions, look)
    if len(refused) == len(regions):  # "nothing found" would be a comfort that nobody has looked for
        raise worst_of(refused.values())
    prices = _prices(account, things)
    dark = tuple((region, error.message) for region, error in sorted(refused.items()))
    found = tuple(_found(t, prices.get(t.id)) for t in things)
    return Survey(found, dark, unsure_of(refused.items(), account.known or (account.home,)))


def _prices(account: Account, things: Iterable[Thing]) -> dict[str, Price]:
    """By id, of machines (with the disks that they use) and of disks alone."""
    machines = [t for t in things if t.kind == INSTANCE.kind]
    used: dict[str, list[Any]] = {}
    for region in {t.region for t in machines}:
        where = {"Tag": [{"Key": tags.CID}], "Status": "In_use"}
        try:
            used[region] = list(account.api.pages(DISK.product, DISK.listing, region, DISK.path, where))
        except SealerError:  # it was listed a moment ago; a price is good to know, no more
            used[region] = []
    goods = {t.id: machine_goods(t.region, t.row, used[t.region]) for t in machines}
    goods |= {t.id: disk_goods(t.region, t.row) for t in things if t.kind == DISK.kind}
    known = look_up(account.api, goods.values())
    return {id_: known[one] for id_, one in goods.items() if one in known}


def _found(thing: Thing, price: Price | None) -> FoundResource:
    return FoundResource(
        kind=thing.kind,
        id=thing.id,
        region=thing.region,
        name=thing.name,
        cid=tags.cid_in(thing.tags),
        run=thing.tags.get(tags.RUN),
        created=thing.created,
        expires_at=thing.tags.get(tags.EXPIRES_AT),
        price=price.amount if price else None,
        currency=price.currency if price else "",
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
            removed, errors = _remove(account, kinds, these, 0.0 if failed or strangers else DEPENDENCY_SECONDS)
            gone += [str(t) for t in removed]
            failed += errors
        if strangers:
            names = ", ".join(f"{t.kind} {t.id}{f' ({t.name})' if t.name else ''}" for t in strangers)
            failed.append(
                ProviderError(
                    f"what is not of {cid} stands in its network in {region}: {names}; the network is left",
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
