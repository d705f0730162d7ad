"""Permission is looked up by dry runs before anything is made, and whose account this is is said where nobody tells."""

import json

import pytest

from provisioner.errors import AccessError
from provisioner.model.driver import Refused
from provisioner.model.permits import MADE
from tests.clouds.alicloud.asked import Clock, accepted, chosen, driver
from tests.clouds.alicloud.client import good, make_network
from tests.clouds.alicloud.sim.account import DRY, Key
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET
from tests.clouds.alicloud.sim.wire import Params

pytestmark = pytest.mark.clouds
NONE = frozenset()
DRY_RUN = {"DryRun": "true"}


def asked(account, start=0):
    """The dry runs since then."""
    return {name.removesuffix(DRY): n for name, n in account.counts(start).items() if name.endswith(DRY)}


def said(notes):
    """The line on permission, if there is one."""
    return "".join(note for note in notes if note.startswith("permission"))


def policy(alicloud, *without):
    """The printed policy, without these actions."""
    allowed = {a for part in json.loads(driver(alicloud).permissions())["Statement"] for a in part["Action"]}
    return frozenset(allowed - set(without))


def test_a_new_cluster_asks_once_for_machines_and_network_and_makes_nothing(alicloud):
    alicloud.account.allowed = policy(alicloud)
    choice = driver(alicloud).choose(accepted(3, 2), None, standing=NONE)
    assert asked(alicloud.account) == {"CreateVpc": 1, "RunInstances": 1}
    assert "vpc:CreateVpc is allowed, ecs:RunInstances is not refused" in said(choice.notes), "its network is not there"
    assert alicloud.account.mutations() == []
    assert alicloud.account.store.counts() == {}


def test_machines_more_are_one_question_and_none_where_all_stand(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted(1, 1))
    start = len(alicloud.account.log)
    assert said(one.choose(request, None, standing=frozenset({"m1"})).notes)
    assert asked(alicloud.account, start) == {"RunInstances": 1}
    start = len(alicloud.account.log)
    assert not said(one.choose(request, None, standing=frozenset({"m1", "n1"})).notes)
    place = request.placement["hosts"]["n1"]
    again = Refused("node", place["zone"], place["type"], spot=False, code="OperationDenied.NoStock")
    assert not said(one.choose(request, None, (again,), standing=NONE).notes), "the same run was permitted before"
    assert asked(alicloud.account, start) == {}


def test_in_a_network_that_stands_the_real_vswitch_is_asked_about(alicloud):
    _, switch, _ = make_network(alicloud)
    request = accepted(network={"subnets": [switch], "public": "none"}, tags={"team": "ci"})
    ci = {"GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "o/r"}
    driver(alicloud, **ci).choose(request, None, standing=NONE)
    assert asked(alicloud.account) == {"RunInstances": 1}
    params = next(c.params for c in alicloud.account.log if c.dry)
    assert (params["VSwitchId"], params["InternetMaxBandwidthOut"]) == (switch, "0")
    tags = {"team", "sealer-cloud:cid", "sealer-cloud:host", "sealer-cloud:ci-run", "sealer-cloud:repo"}
    assert tags <= {v for k, v in params.items() if k.endswith(".Key")}


@pytest.mark.parametrize("lacking", [("ecs:RunInstances",), ("vpc:CreateVpc",), ("vpc:CreateVpc", "ecs:RunInstances")])
def test_what_a_policy_forbids_is_named_before_anything_is_made(alicloud, lacking):
    alicloud.account.allowed = policy(alicloud, *lacking)
    with pytest.raises(AccessError, match=f"may not do {' and '.join(lacking)} ") as caught:
        driver(alicloud).choose(accepted(), None, standing=NONE)
    assert caught.value.exit_code == 5
    assert "sealer-cloud doctor --permissions alicloud" in caught.value.hint
    assert alicloud.account.store.counts() == {}


@pytest.mark.parametrize("code", ["Forbidden.RAM", "NoPermission", "Forbbiden.SubUser", "Forbedden.NotSupportRAM"])
def test_every_word_for_forbidden_is_one(alicloud, code):
    alicloud.account.faults.add(Fault("RunInstances", code, status=403, where=DRY_RUN))
    with pytest.raises(AccessError, match=code):
        driver(alicloud).choose(accepted(), None, standing=NONE)


@pytest.mark.parametrize("fault", ["OperationDenied.NoStock", "QuotaExceed.ElasticQuota", "UnsupportedOperation", ""])
def test_no_other_answer_stops(alicloud, fault):
    mode = "error" if fault else "drop"
    alicloud.account.faults.add(Fault("RunInstances", fault, mode=mode, where=DRY_RUN))
    notes = driver(alicloud, waits=Clock().waits()).choose(accepted(), None, standing=NONE).notes
    assert f"ecs:RunInstances is not refused ({fault or 'no answer'})" in said(notes)


def test_an_endpoint_that_knows_no_dry_run_is_left_as_it_was(alicloud, monkeypatch):
    monkeypatch.setattr(Params, "end_dry_run", lambda _: None)
    notes = driver(alicloud).choose(accepted(), None, standing=NONE).notes
    assert f"vpc:CreateVpc is not refused ({MADE})" in said(notes)
    assert alicloud.account.store.counts() == {}
    alicloud.account.faults.add(Fault("CreateVpc", mode="lose", times=1, where=DRY_RUN))
    alicloud.account.faults.add(Fault("DeleteVpc", "DependencyViolation"))
    notes = driver(alicloud, waits=Clock().waits()).choose(accepted(), None, standing=NONE).notes
    (left,) = alicloud.account.store.all()
    assert f"vpc:CreateVpc is not refused ({MADE}, and {left.id} stands: remove it)" in said(notes)


# ---------------------------------------------------------------- whose account


def lapse(notes):
    """The word that another account is not refused."""
    return [note for note in notes if "whose account" in note]


def test_where_neither_sts_nor_a_network_tells_the_plan_says_so(alicloud):
    away = driver(alicloud, ALIBABA_CLOUD_ENDPOINT_STS="")
    first = away.choose(accepted(), None, standing=NONE)
    assert "account" not in first.placement
    assert lapse(first.notes)
    start = len(alicloud.account.log)
    request = accepted(placement=first.placement)
    assert lapse(away.choose(request, None, standing=frozenset({"m1"})).notes), "nor later"
    assert len(alicloud.account.log) == start
    assert "GetCallerIdentity" not in alicloud.account.counts()


@pytest.mark.parametrize("away", ["no endpoint", "no answer"])
def test_without_sts_the_owner_of_a_network_is_the_account(alicloud, away):
    make_network(alicloud)
    if away == "no answer":
        alicloud.account.faults.add(Fault("GetCallerIdentity", mode="drop"))
    endpoint = {"ALIBABA_CLOUD_ENDPOINT_STS": ""} if away == "no endpoint" else {}
    one = driver(alicloud, waits=Clock().waits(), **endpoint)
    request = chosen(one, accepted())
    assert request.placement["account"] == "1000000000000001"
    assert lapse(one.choose(request, None, standing=frozenset({"m1"})).notes) == []
    foreign = request.model_copy(update={"placement": {**request.placement, "account": "2000000000000002"}})
    fresh = driver(alicloud, waits=Clock().waits(), **endpoint)
    lacks = [c for c in fresh.check(fresh.parse_spec(foreign), standing=True) if c.name == "account"]
    assert [(c.ok, c.access) for c in lacks] == [(False, True)]


def test_an_account_that_was_known_and_is_not_today_is_said(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted())
    alicloud.account.faults.add(Fault("GetCallerIdentity", "Forbidden.RAM", status=403))
    assert lapse(one.choose(request, None, standing=frozenset({"m1"})).notes)
    good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16")
    assert lapse(one.choose(request, None, standing=frozenset({"m1"})).notes) == []


def test_the_choice_and_the_check_ask_together_once(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted())
    alicloud.account.keys = {KEY_ID: Key(SECRET, account="2000000000000002")}
    start = len(alicloud.account.log)
    one.choose(request, None, standing=frozenset({"m1"}))
    lacks = [c for c in one.check(one.parse_spec(request), standing=True) if c.name == "account"]
    assert "2000000000000002" in lacks[0].detail
    assert alicloud.account.counts(start)["GetCallerIdentity"] == 1
