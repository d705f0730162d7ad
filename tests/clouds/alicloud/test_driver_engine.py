"""The driver's program with the real engine, SDK and plugin: real hosts in a simulated account."""

import json

import pytest

from provisioner.errors import CapacityError
from provisioner.model.accepted import AcceptedSpot
from provisioner.model.driver import Refused, Visit
from provisioner.model.ids import ClusterId
from tests.clouds.alicloud.asked import CID, NOW, RUN, accepted, chosen, driver
from tests.clouds.alicloud.client import good
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET
from tests.clouds.alicloud.stage import NAME, Stage
from tests.clouds.oldstate import names_in, with_old_names

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(600)]

OLD_RULES = {"ingress-tcp-22-operator": "ingress-0", "ingress-udp-8000-8100-operator": "ingress-1"}
"""Rules were once named by their number."""


def demand_asked_for(runs):
    """Both machines were bought as asked, and marked in the call that bought them."""
    assert len(runs) == 2
    keys = [(p, k) for p in runs for k in p if k.startswith("Tag.") and k.endswith("Key")]
    tags = {p[k]: p[k.replace("Key", "Value")] for p, k in keys}
    assert tags["sealer-cloud:cid"] == CID
    assert tags["sealer-cloud:run"] == RUN
    assert tags["team"] == "ci"
    assert {p["AutoReleaseTime"] for p in runs} == {"2026-11-25T10:05:00Z"}
    assert {(p["SpotStrategy"], p["SpotPriceLimit"]) for p in runs} == {("SpotWithPriceLimit", "0.3")}
    assert {(p["SystemDisk.Size"], p["DataDisk.1.Size"]) for p in runs} == {("60", "50")}


def test_two_machines_from_nothing_to_nothing(alicloud_hosts, tmp_path):
    """With no more rights than the policy that `doctor --permissions` prints."""
    stage, account = Stage(alicloud_hosts, tmp_path), alicloud_hosts.account
    account.now = lambda: NOW
    account.allowed = frozenset(a for s in json.loads(stage.driver.permissions())["Statement"] for a in s["Action"])
    pool = {"spot": AcceptedSpot(max_price=0.3), "data_disks": (50,), "system_disk": 60}
    network = {"ingress": [{"port": "8000-8100", "protocol": "udp", "from": "operator"}]}
    asked = accepted(nodes=1, tags={"team": "ci"}, expires_at="2026-11-25T10:00:00Z", pool=pool, network=network)
    request = chosen(driver(alicloud_hosts, SEALER_CLOUD_OPERATOR_CIDR="203.0.113.7/32"), asked)
    made = stage.up(request)
    hosts = {h.name: h for h in made.hosts}
    assert set(hosts) == {"m1", "n1"}
    assert hosts["m1"].jump is None
    assert hosts["n1"].jump.host_keys == hosts["m1"].host_keys
    demand_asked_for([c.params for c in account.log if c.action == "RunInstances" and not c.code])
    assert stage.driver.find(NAME)[0].hosts == ("m1", "n1")
    assert stage.driver.orphans(ClusterId(CID), frozenset({h.machine_id for h in made.hosts})) == {}

    text = stage.state_text()
    assert KEY_ID not in text
    assert SECRET not in text
    assert "OPENSSH PRIVATE KEY" not in text

    let_in_from_elsewhere(stage, alicloud_hosts, request)
    moved_and_started_in_place(stage, alicloud_hosts, request, hosts)
    assert stage.destroy().failed == ()
    assert stage.driver.leftovers(ClusterId(CID)) == ()


def let_in_from_elsewhere(stage, cloud, request):
    """The operator comes from elsewhere now: a rule lets him in, and neither that nor his address is a change.

    Nor are the names of rules in the state of an older version.
    """
    account, folder = cloud.account, stage.engine._settings.state_dir
    with_old_names(folder, NAME, OLD_RULES)
    stored = stage.engine.stored(NAME)
    away = driver(cloud, SEALER_CLOUD_OPERATOR_CIDR="198.51.100.9/32")
    assert "tcp 22, udp 8000-8100" in away.let_in(request, ClusterId(CID), Visit("0a1b2c3d", stored.resource_ids))
    start = len(account.log)
    plan = stage.preview(chosen(away, request, frozenset({"m1", "n1"})))
    assert (plan.create, plan.update, plan.replace, plan.delete) == ((), (), (), ())
    assert account.mutations(start) == []


def moved_and_started_in_place(stage, cloud, request, hosts):
    """The deadline is moved, and a machine that was stopped is started."""
    account, allowed = cloud.account, cloud.account.allowed
    account.allowed = None
    good(cloud, "ecs", "StopInstance", InstanceId=hosts["n1"].machine_id)
    start, later = len(account.log), request.model_copy(update={"expires_at": "2026-11-25T12:00:00Z"})
    account.allowed = allowed
    plan = stage.preview(later)
    assert (plan.create, plan.replace, plan.delete) == ((), (), ())
    kept = {h.name: h for h in stage.up(later).hosts}
    assert {n: h.machine_id for n, h in kept.items()} == {n: h.machine_id for n, h in hosts.items()}
    assert not {"AuthorizeSecurityGroup", "RevokeSecurityGroup"} & set(account.counts(start)), "rules are not re-made"
    assert names_in(stage.engine._settings.state_dir, NAME, "ingress-") == set(OLD_RULES)
    assert account.counts(start)["ModifyInstanceAutoReleaseTime"] == 2
    assert account.counts(start)["StartInstance"] == 1
    assert "StopInstance" not in account.counts(start)


def test_no_stock_is_told_by_host_and_the_next_choice_is_made(alicloud_hosts, tmp_path):
    stage, account = Stage(alicloud_hosts, tmp_path), alicloud_hosts.account
    request = chosen(
        stage.driver, accepted(zones=("cn-hangzhou-h", "cn-hangzhou-i"), pool={"instance_types": ("ecs.g7.large",)})
    )
    account.faults.add(Fault("RunInstances", "OperationDenied.NoStock", status=403, where={"ZoneId": "cn-hangzhou-h"}))
    with pytest.raises(CapacityError) as caught:
        stage.up(request)
    assert "OperationDenied.NoStock" in caught.value.message + caught.value.evidence
    refused = Refused("master", "cn-hangzhou-h", "ecs.g7.large", spot=False, code="OperationDenied.NoStock")
    again = chosen(stage.driver, request, refused=(refused,))
    assert again.placement["hosts"]["m1"]["zone"] == "cn-hangzhou-i"
    assert [h.name for h in stage.up(again).hosts] == ["m1"]

    assert stage.driver.sweep(ClusterId(CID))
    assert stage.driver.leftovers(ClusterId(CID)) == ()


def test_a_machine_that_no_state_knows_is_adopted_not_bought_again(alicloud_hosts, tmp_path):
    stage, account = Stage(alicloud_hosts, tmp_path), alicloud_hosts.account
    account.now = lambda: NOW
    request = chosen(stage.driver, accepted(expires_at="2026-11-25T10:00:00Z"))
    (made,) = stage.up(request).hosts
    stage.lose("Instance::m1", "HostIdentity::m1-identity")
    own = stage.driver.orphans(ClusterId(CID), frozenset())
    assert own == {"m1": made.machine_id}
    stage.up(request, own)
    (kept,) = stage.up(request).hosts
    assert (kept.machine_id, kept.host_keys) == (made.machine_id, made.host_keys)
    assert account.counts()["RunInstances"] == 1
    assert not {"StopInstance", "ModifyInstanceAttribute"} & set(account.counts())
    assert "OPENSSH PRIVATE KEY" not in stage.state_text()
    assert stage.destroy().failed == ()
    assert stage.driver.leftovers(ClusterId(CID)) == ()
