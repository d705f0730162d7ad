"""Stage 1 where machines are bought: choices, prices, fail-over, what a cut run left, one stage alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from provisioner.errors import AccessError, CapacityError, PreconditionError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.model.driver import Check
from provisioner.model.hosts import InventoryHost
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.plan import ResourceChange
from provisioner.model.planhash import plan_to_json
from tests.fakes.driver import FakeCloud
from tests.fakes.engine import HOST, accepted_hosts

from .conftest import FILES, UP, YES, Stage, changed

NO_STOCK = "OperationDenied.NoStock"


@pytest.fixture
def cloud(stage: Stage) -> Stage:
    stage.sell()
    return stage


def driver_of(stage: Stage) -> FakeCloud:
    assert isinstance(stage.driver, FakeCloud)
    return stage.driver


def warnings(stage: Stage) -> str:
    return "\n".join(e.text for e in stage.seen if isinstance(e, Warned))


async def cut(stage: Stage, host: str) -> None:
    """A run that dies after the cloud made `host` and before the state knew it; what comes then goes on unhindered."""

    def die(name: str) -> None:
        if name == f"up/made/{host}":
            raise ProviderError("killed")

    stage.engine._at = die
    with pytest.raises(ProviderError):
        await stage.up()
    stage.engine._at = lambda _name: None


def types(stage: Stage) -> dict[str, object]:
    return {name: on["type"] for name, on in accepted_hosts(stage.engine.stacks["app"].accepted).items()}


async def test_what_is_chosen_is_stored_shown_and_not_chosen_again(cloud: Stage) -> None:
    await cloud.stand()
    accepted = cloud.engine.stacks["app"].accepted
    assert accepted is not None
    assert accepted.region == "r1"
    assert accepted.placement["account"] == "a1"
    plan = cloud.asked[0]
    assert [(o.host, o.machine_type) for o in plan.offers] == [("m1", "small"), ("m2", "small"), ("n1", "small")]
    assert plan.price is not None
    assert (plan.price.per_hour, plan.price.currency, plan.price.until_deadline) == (0.75, "USD", None)
    assert "the cloud keeps no deadline" in plan.notes
    again = await cloud.up()
    assert not again.changed
    assert again.plan.price == plan.price  # as they were bought: of machines that stand nobody looks a price up
    assert driver_of(cloud).priced == []


async def test_every_engine_call_gets_what_the_provider_needs_and_no_plan_shows_it(cloud: Stage) -> None:
    await cloud.stand()
    await cloud.down()
    assert {n.environ.get("CLOUD_KEY") for n in cloud.engine.needed} == {"hunter2-key"}
    assert len(cloud.engine.needed) == 3  # preview, up, destroy
    assert "hunter2" not in f"{cloud.asked} {cloud.engine.needed} {cloud.seen}"


async def test_prices_reach_until_the_deadline_and_stand_in_the_json(cloud: Stage) -> None:
    plan = await cloud.plan(changed(UP, ttl="2h"))
    assert plan.price is not None
    assert plan.price.until_deadline == pytest.approx(1.5, abs=0.01)
    found = plan_to_json(plan)
    assert found["price"] == {"perHour": 0.75, "currency": "USD", "untilDeadline": plan.price.until_deadline}
    assert found["offers"][0] == {  # type: ignore[index]
        "host": "m1",
        "zone": "z1",
        "type": "small",
        "spot": False,
        "pricePerHour": 0.25,
        "currency": "USD",
    }


@pytest.mark.parametrize(
    ("price", "limit", "word"), [(0.25, 0.7, "0.75 USD per hour"), (None, 5.0, "m1, m2, n1 is not known")]
)
async def test_what_costs_too_much_or_nobody_knows_what_is_not_bought(
    cloud: Stage, price: float | None, limit: float, word: str
) -> None:
    driver_of(cloud).stock = [("z1", "small", price)]
    with pytest.raises(CapacityError, match=word) as told:
        await cloud.up(choice=replace(YES, max_price=limit))
    assert told.value.exit_code == 13
    assert not cloud.engine.calls[1:]
    with pytest.raises(CapacityError):
        await cloud.plan(choice=replace(YES, max_price=limit))


async def test_a_price_below_the_limit_is_bought_and_a_run_that_buys_nothing_is_not_asked(cloud: Stage) -> None:
    limited = replace(YES, max_price=0.75)
    await cloud.up(choice=limited)
    assert not (await cloud.up(choice=limited)).changed


async def test_only_the_pool_that_was_refused_moves_on_and_the_report_says_what_was_tried(cloud: Stage) -> None:
    driver_of(cloud).stock = [("z1", "small", 0.25), ("z2", "large", 0.5)]

    def sell_out(name: str) -> None:
        if name == "up/after/m2":  # the masters are made; then it is sold out
            cloud.engine.sold_out["z1", "small"] = NO_STOCK

    cloud.engine._at = sell_out
    report = await cloud.up()
    assert types(cloud) == {"m1": "small", "m2": "small", "n1": "large"}
    assert cloud.engine.mutations == ["make m1", "make m2", "make n1"]
    assert "node: no small in z1 (OperationDenied.NoStock); going on with n1: large in z2" in warnings(cloud)
    assert [o.machine_type for o in report.plan.offers] == ["small", "small", "large"]
    assert report.plan.price is not None
    assert report.plan.price.per_hour == 1.0  # those that stand keep the price they were bought at
    assert not (await cloud.up()).changed


async def test_when_nothing_is_left_the_error_says_all_that_was_tried(cloud: Stage) -> None:
    driver_of(cloud).stock = [("z1", "small", 0.25), ("z2", "small", 0.25)]
    cloud.engine.sold_out = {("z1", "small"): NO_STOCK, ("z2", "small"): "Zone.NotOnSale"}
    with pytest.raises(CapacityError) as told:
        await cloud.up()
    assert "master: no small in z1 (OperationDenied.NoStock); master: no small in z2 (Zone.NotOnSale)" in str(
        told.value
    )
    assert told.value.exit_code == 13
    assert not cloud.engine.mutations
    cloud.engine.sold_out.clear()
    assert (await cloud.up()).changed


@pytest.mark.parametrize("code", ["QuotaExceed.ElasticQuota", "InvalidAccountStatus.NotEnoughBalance"])
async def test_a_quota_stops_at_once_and_leaves_what_was_made_for_the_next_run(cloud: Stage, code: str) -> None:
    driver_of(cloud).stock = [("z1", "small", 0.25), ("z2", "large", 0.5)]

    def refuse(name: str) -> None:
        if name == "up/after/m1":
            cloud.engine.sold_out["z1", "small"] = code

    cloud.engine._at = refuse
    with pytest.raises(CapacityError, match=code):
        await cloud.up()
    assert len(driver_of(cloud).chosen) == 1
    assert cloud.engine.mutations == ["make m1"]
    assert not cloud.connects
    cloud.engine.sold_out.clear()
    cloud.engine._at = lambda _name: None
    await cloud.up()
    assert cloud.engine.mutations == ["make m1", "make m2", "make n1"]


async def test_any_other_error_stops_without_another_choice(cloud: Stage) -> None:
    cloud.engine.fail["create m2"] = "Code: InvalidParameter"
    with pytest.raises(ProviderError):
        await cloud.up()
    assert len(driver_of(cloud).chosen) == 1


async def test_failing_over_stops_at_the_price_limit(cloud: Stage) -> None:
    driver_of(cloud).stock = [("z1", "small", 0.25), ("z2", "large", 5.0)]
    cloud.engine.sold_out["z1", "small"] = NO_STOCK
    with pytest.raises(CapacityError, match=r"more than --max-price 1; tried: master: no small in z1"):
        await cloud.up(choice=replace(YES, max_price=1.0))
    assert not cloud.engine.mutations


@pytest.mark.parametrize("host", ["m1", "n1"])
async def test_a_cut_create_leaves_no_twin(cloud: Stage, host: str) -> None:
    await cut(cloud, host)
    before = dict(cloud.engine.machines)
    await cloud.up()
    assert f"import {host}" in cloud.engine.mutations
    assert not [m for m in cloud.engine.mutations if m.startswith("twin")]
    assert before.items() <= cloud.engine.machines.items()
    assert f"{host}: machine" in warnings(cloud)
    assert [c for c, _ in cloud.engine.calls].count("up") == 3  # the cut one, the importing one, the plain one
    assert not (await cloud.up()).changed


async def test_a_machine_that_is_taken_over_stays_what_it_was_bought_as(cloud: Stage) -> None:
    await cut(cloud, "n1")
    driver = driver_of(cloud)
    zone, kind, _price = driver.stock[0]
    driver.stock.insert(0, ("z9", "cheaper", 0.01))
    await cloud.up()
    placed = cloud.engine.stacks["app"].accepted.placement["hosts"]
    assert placed["n1"] == {"zone": zone, "type": kind, "spot": False, "price": 0.25}
    assert not (await cloud.up()).changed


@pytest.mark.parametrize(("hidden", "taken_over"), [(3, True), (99, False)])
async def test_a_machine_that_the_cloud_does_not_show_yet_is_looked_for_a_while(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch, hidden: int, *, taken_over: bool
) -> None:
    await cut(cloud, "n1")
    cloud.engine.cut = (frozenset({"n1"}), cloud.world.clock.now().timestamp())
    plain, looks = cloud.driver.orphans, []

    def late(cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:
        looks.append(cid)
        return plain(cid, known) if len(looks) > hidden else {}

    monkeypatch.setattr(cloud.driver, "orphans", late)
    await cloud.up()
    assert "n1: a run that was cut had begun to make it; it is looked for" in warnings(cloud)
    assert ("is taken over" in warnings(cloud)) == taken_over
    assert len(looks) == (hidden + 1 if taken_over else 11), "for half a minute"


async def test_what_a_cut_create_left_is_removed_before_the_engine_waits_for_its_network(cloud: Stage) -> None:
    await cut(cloud, "n1")
    report = await cloud.down()
    assert not cloud.engine.machines
    assert not report.left
    assert "the state does not know n1 (machine-3)" in warnings(cloud)


async def test_down_with_another_accounts_credentials_touches_nothing(cloud: Stage) -> None:
    await cloud.stand()
    driver = driver_of(cloud)
    driver.lacks = [
        Check("account", ok=False, detail="these keys are of account a2", hint="use those of a1", access=True)
    ]
    before = (dict(cloud.engine.machines), dict(cloud.engine.stacks), list(cloud.engine.mutations))
    for provider in (None, "local"):
        with pytest.raises(AccessError, match="account a2"):
            await cloud.down(provider)
    assert before == (cloud.engine.machines, cloud.engine.stacks, cloud.engine.mutations)


async def test_down_of_a_cut_run_goes_on_where_a_host_stands_twice(
    cloud: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut(cloud, "n1")

    def twice(_cid: object, _known: object) -> dict[str, str]:
        raise ProviderError("host n1 stands twice: i-1 and i-2")

    monkeypatch.setattr(cloud.driver, "orphans", twice)
    report = await cloud.down()
    assert not cloud.engine.machines
    assert not report.left
    assert "host n1 stands twice: i-1 and i-2: all machines are removed" in warnings(cloud)


async def test_a_machine_with_our_tags_and_no_place_is_named_and_left(cloud: Stage) -> None:
    await cloud.stand()
    cid = cloud.engine.stacks["app"].cid
    assert cid is not None
    machines: dict[tuple[str, str], InventoryHost] = cloud.engine.machines
    machines[cid, "n9"] = replace(machines[cid, "n1"], machine_id="stray")
    await cloud.up(changed(UP, nodes="2"))
    assert "machine stray (n9) carries this cluster's tags" in warnings(cloud)
    assert driver_of(cloud).orphaned == [frozenset({"machine-1", "machine-2", "machine-3"})]


async def test_a_run_that_makes_nothing_looks_for_no_orphans(cloud: Stage) -> None:
    await cloud.stand()
    await cloud.up()
    await cloud.up(changed(UP, env=("COLOUR=red",)))
    assert driver_of(cloud).orphaned == []


async def test_a_network_that_was_made_twice_is_ended_and_named(cloud: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    driver_of(cloud).twins = ["vpc vpc-2 in r1"]
    await cloud.up()
    assert "vpc vpc-2 in r1 was made twice" in warnings(cloud)
    driver_of(cloud).twins = ["vpc vpc-3 in r1"]
    await cloud.up(changed(UP, nodes="2"))
    assert "vpc-3" not in warnings(cloud), "a run that makes no network looks for no second one"

    def refused(*_: object) -> tuple[str, ...]:
        raise ProviderError("nobody answers")

    monkeypatch.setattr(cloud.driver, "end_strays", refused)
    await cloud.down()
    await cloud.up()
    assert "it is not known whether a part of the network was made twice: nobody answers" in warnings(cloud)


async def test_credentials_are_looked_at_again_after_a_person_has_read_the_plan(cloud: Stage) -> None:
    driver = driver_of(cloud)

    def confirm(_plan: object) -> bool:
        driver.lacks = [Check("account", ok=False, detail="these keys are of account a2", hint="use those of a1")]
        return True

    cloud.confirm = confirm  # type: ignore[method-assign]
    with pytest.raises(PreconditionError, match="account a2"):
        await cloud.up()
    assert not cloud.engine.mutations


async def test_a_key_that_is_deleted_after_the_preview_loses_no_machine(cloud: Stage) -> None:
    await cloud.stand()
    machines, ids = dict(cloud.engine.machines), cloud.engine.stored(ClusterName("app")).machine_ids  # type: ignore[union-attr]

    def gone(name: str) -> None:
        if name == "up/begin":
            cloud.engine.machines.clear()
            driver_of(cloud).lacks = [Check("credentials", ok=False, detail="no such key", access=True)]

    cloud.engine._at = gone
    with pytest.raises(AccessError, match="no such key"):
        await cloud.up(changed(UP, env=("COLOUR=red",)))
    assert cloud.engine.stored(ClusterName("app")).machine_ids == ids  # type: ignore[union-attr]
    cloud.engine._at = lambda _name: None
    driver_of(cloud).lacks = []
    cloud.engine.machines.update(machines)
    await cloud.up()
    assert cloud.engine.machines == machines


async def test_machines_alone_and_then_the_cluster_alone(cloud: Stage) -> None:
    machines = replace(YES, only="machines")
    with pytest.raises(PreconditionError, match="stage 1 has changes: intent"):
        await cloud.up(choice=replace(YES, only="cluster"))
    plan = await cloud.plan(choice=machines)
    assert not plan.apply.steps
    report = await cloud.up(choice=machines)
    assert (report.only, report.changed) == ("machines", True)
    assert [h.name for h in report.inventory.hosts] == ["m1", "m2", "n1"]
    assert not cloud.connects
    assert not (await cloud.up(choice=machines)).changed
    calls = len(cloud.engine.calls)
    report = await cloud.up(choice=replace(YES, only="cluster"))
    assert report.apply.steps
    assert ("up", "app") not in cloud.engine.calls[calls:]


async def test_the_run_of_a_ci_stands_in_the_marks(cloud: Stage) -> None:
    from provisioner.placing import marks_of

    accepted = cloud.engine.stacks["app"].accepted if (await cloud.up()) else None
    assert accepted is not None
    cid = cloud.engine.stacks["app"].cid
    for environ, expected in (
        ({"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "o/r"}, ("7", "o/r")),
        ({"CI_PIPELINE_ID": "8", "CI_PROJECT_PATH": "g/p"}, ("8", "g/p")),
        (
            {"BUILD_TAG": "jenkins-x-9", "GIT_URL": "https://me:pw@git.example/x,y"},
            ("jenkins-x-9", "https://git.example/x-y"),
        ),
        ({}, (None, None)),
    ):
        marks = marks_of(environ, accepted, cid, "r")  # type: ignore[arg-type]
        assert (marks.ci_run, marks.repo) == expected


async def test_a_machine_made_anew_gets_a_fresh_key_and_one_that_is_taken_over_keeps_its_own(cloud: Stage) -> None:
    await cut(cloud, "n1")
    assert cloud.engine.told == [{}], "keys of a new cluster are fresh"
    await cloud.up()
    cid = cloud.engine.stacks["app"].cid
    assert cid is not None
    stands = cloud.engine.machines[cid, "n1"].machine_id
    assert cloud.engine.told[1:] == [{"n1": stands}, {}]
    driver_of(cloud).stock = [("z1", "small", 0.25), ("z2", "small", 0.25)]
    cloud.engine.sold_out["z1", "small"] = NO_STOCK
    del cloud.engine.machines[cid, "n1"]
    await cloud.up()
    first, second = cloud.engine.told[3:]
    assert set(first) == {"n1-key"}
    assert first == second, "a pair that a machine was made with in this run is not made anew by its next try"
    await cloud.up()
    assert len(cloud.engine.told) == 5


@pytest.mark.parametrize("kept", ["update", "same"])
async def test_a_name_that_goes_over_takes_no_machine_of_the_old_cluster_along(cloud: Stage, kept: str) -> None:
    await cloud.stand()
    made = list(cloud.engine.mutations)
    cloud.engine._host_op = lambda _cid, _stack, wanted: (kept, ResourceChange(HOST, wanted.name))  # type: ignore[method-assign]
    cloud.images.add("other:v1", FILES)
    over = changed(UP, image="other:v1", name="app", replace=True)
    for act in (cloud.plan, cloud.up):
        with pytest.raises(UsageError, match="would keep m1, m2, n1") as told:
            await act(over)
        assert "`sealer-cloud down app`" in told.value.hint
    assert cloud.engine.mutations == made
