"""What may be deleted by tag: a table of what a person would expect, and that nothing else ever goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.model.driver import FoundResource
from provisioner.model.ids import ClusterId
from provisioner.model.leftovers import GRACE, NOBODY, Fate, Leftover, Named, judge

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CID = ClusterId("app-abcdef")


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def resource(
    deadline: str | None = None, *, cid: str | None = CID, run: str | None = "r1", ci: str | None = None
) -> FoundResource:
    return FoundResource(
        kind="instance",
        id="i-1",
        region="here",
        name="m1",
        cid=ClusterId(cid) if cid else None,
        run=run,
        created=at(-300),
        expires_at=deadline,
        price=0.5,
        currency="USD",
        ci_run=ci,
    )


def verdict(*resources: FoundResource, named: Named = NOBODY) -> Leftover:
    (found,) = judge("cloud", resources, NOW, named)
    return found


@pytest.mark.parametrize(
    ("deadlines", "fate"),
    [
        ([at(-15)], Fate.EXPIRED),
        ([at(-14.9)], Fate.WAITS),
        ([at(60)], Fate.WAITS),
        ([None], Fate.UNKNOWN),
        (["soon"], Fate.UNKNOWN),
        (["2026-11-24T00:00:00"], Fate.UNKNOWN),
        ([""], Fate.UNKNOWN),
        ([at(-60), at(-16)], Fate.EXPIRED),
        ([at(-60), at(60)], Fate.WAITS),
        ([at(-60), None], Fate.UNKNOWN),
    ],
)
def test_only_a_deadline_long_past_lets_go(deadlines: list[str | None], fate: Fate) -> None:
    found = verdict(*(resource(d) for d in deadlines))
    assert (found.fate, found.goes) == (fate, fate is Fate.EXPIRED)
    assert found.why


@pytest.mark.parametrize(
    ("named", "goes"),
    [
        (Named(cluster="app"), True),
        (Named(cluster=CID), True),
        (Named(cluster="ap"), False),
        (Named(cluster="app-zzzzzz"), False),
        (Named(run="r1"), True),
        (Named(run="77"), True),
        (Named(run="r2"), False),
        (Named(cluster="app", run="r1"), True),
        (Named(cluster="app", run="r2"), False),
        (Named(cluster="other", run="r1"), False),
    ],
)
def test_what_is_named_goes_whatever_its_deadline(named: Named, goes: bool) -> None:
    assert verdict(resource(at(60), ci="77"), named=named).goes is goes
    assert verdict(resource(None, ci="77"), named=named).goes is goes


def test_where_something_is_named_the_expired_ones_stay() -> None:
    found = judge("cloud", [resource(at(-60)), resource(at(-60), cid="shop-abcdef")], NOW, Named(cluster="shop"))
    assert [(f.cid, f.goes) for f in found] == [("shop-abcdef", True), (CID, False)]


def test_a_run_that_made_only_a_part_does_not_own_the_cluster() -> None:
    found = verdict(resource(run="r1"), resource(run="r2"), named=Named(run="r2"))
    assert not found.goes
    assert "only a part" in found.why


@pytest.mark.parametrize("cid", [None, "", "../../etc-abcdef", "app", "app-ABCDEF"])
def test_without_a_cluster_id_nothing_goes(cid: str | None) -> None:
    for named in (NOBODY, Named(run="r1"), Named(cluster=cid or "app")):
        assert not verdict(resource(at(-600), cid=cid), named=named).goes


def test_age_and_price_of_the_whole() -> None:
    found = verdict(resource(at(-60)), replace(resource(at(-30)), price=None, created=at(-400)))
    assert (found.price, found.currency, found.created, found.expires_at) == (0.5, "USD", at(-400), at(-30))
    nothing = verdict(replace(resource(), price=None, created=None))
    assert (nothing.price, nothing.currency, nothing.created, nothing.expires_at) == (None, "", None, None)


times = st.one_of(st.none(), st.text(max_size=5), st.integers(-100, 100).map(at))
cids = st.sampled_from([None, "", "app-abcdef", "app-bbbbbb", "shop-abcdef", "bad", "../x-abcdef"])
runs = st.sampled_from([None, "r1", "r2"])
resources = st.lists(st.builds(lambda d, c, r, i: resource(d, cid=c, run=r, ci=i), times, cids, runs, runs), max_size=8)
names = st.builds(Named, st.sampled_from([None, "app", "shop", "app-abcdef"]), runs)


@given(resources, names)
def test_nothing_goes_without_a_reason_on_each_of_its_resources(found: list[FoundResource], named: Named) -> None:
    judged = judge("cloud", found, NOW, named)
    assert sum(len(left.resources) for left in judged) == len(found), "each is in exactly one verdict"
    for left in (j for j in judged if j.goes):
        assert left.cid in {"app-abcdef", "app-bbbbbb", "shop-abcdef"}
        for one in left.resources:
            assert one.cid == left.cid
            if named.cluster:
                assert named.cluster in {one.cid, str(one.cid)[:-7]}
            if named.run:
                assert named.run in {one.run, one.ci_run}
            if named == NOBODY:
                assert one.expires_at
                assert NOW - datetime.fromisoformat(one.expires_at) >= GRACE


def test_networks_that_clusters_share_never_go_and_are_named() -> None:
    part = replace(resource(at(-100), cid=None, run="77"), shared="ci")
    found = verdict(part, replace(part, id="i-2", shared="web"), named=Named(run="77"))
    assert (found.goes, found.why) == (False, "networks that clusters share: ci, web; `network delete` ends them")
    assert verdict(part, replace(part, shared=None)).why == "it carries no cluster's tag"


@pytest.mark.parametrize(
    ("named", "goes"),
    [
        (Named(run="77"), True),
        (Named(run="77", repo="team/shop"), True),
        (Named(run="77", repo="team/other"), False),
        (Named(run="r1", repo="team/other"), True),  # an id of ours is one in the world
    ],
)
def test_a_run_of_a_ci_is_one_of_its_repository(named: Named, goes: bool) -> None:
    assert verdict(replace(resource(at(60), ci="77"), repo="team/shop"), named=named).goes is goes


def test_what_carries_no_repository_is_no_run_of_one() -> None:
    bare = resource(at(60), ci="77")
    assert not verdict(bare, named=Named(run="77", repo="team/shop")).goes
    half = verdict(bare, replace(bare, id="i-2", repo="team/shop"), named=Named(run="77", repo="team/shop"))
    assert (half.goes, half.why) == (False, "only a part of it was made by run 77: name the cluster")
