"""Prices of what stands, and removal where something is in the way; by direct calls of the driver on the simulator."""

import pytest

from provisioner.errors import AccessError, ProviderError
from provisioner.model.ids import ClusterId, ClusterName
from tests.clouds.alicloud.asked import CID, accepted, chosen, driver
from tests.clouds.alicloud.client import good, run_words
from tests.clouds.alicloud.sim.faults import Fault, delete_refused

pytestmark = pytest.mark.clouds
OURS = ClusterId(CID)
HOME = "cn-hangzhou"


def marks(**more):
    """Our tags as the client writes them."""
    pairs = {"sealer-cloud:cid": CID, "sealer-cloud:cluster": "demo", **more}
    return {
        f"Tag__{n}__{part}": v
        for n, pair in enumerate(pairs.items(), 1)
        for part, v in zip(("Key", "Value"), pair, strict=True)
    }


def stand(alicloud, *hosts):
    """A cluster of ours: network, vSwitch, group and these hosts; all ids."""
    vpc = good(alicloud, "vpc", "CreateVpc", CidrBlock="10.8.0.0/16", **marks())["VpcId"]
    where = {"VpcId": vpc, "ZoneId": "cn-hangzhou-h", "CidrBlock": "10.8.0.0/24", "VSwitchName": f"{CID}-cn-hangzhou-h"}
    switch = good(alicloud, "vpc", "CreateVSwitch", **where)["VSwitchId"]
    group = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc, **marks())["SecurityGroupId"]
    disks = {"SystemDisk__Category": "cloud_essd", "SystemDisk__Size": 40}
    made = [run(alicloud, switch, group, **marks(**{"sealer-cloud:host": host}), **disks) for host in hosts]
    return vpc, switch, group, made


def run(alicloud, switch, group, **more):
    """One instance's id."""
    return good(alicloud, "ecs", "RunInstances", **run_words(switch, group, **more))["InstanceIdSets"]["InstanceIdSet"][
        0
    ]


def test_gc_sees_prices_by_one_question_per_kind_of_thing(alicloud):
    *_, machines = stand(alicloud, "m1", "m2", "m3")
    alone = [
        alicloud.account.store.add(
            "disk", HOME, {"sealer-cloud:cid": CID}, InstanceId="", Type="data", Category="cloud_essd", Size=100,
            DiskName="", VSwitchId="", VpcId="", Description="", Encrypted=False, PerformanceLevel="PL1",
        )
        for _ in range(2)
    ]  # fmt: skip
    one = driver(alicloud)
    found = {r.id: r for r in one.survey((HOME,)).resources}
    asked = chosen(one, accepted())
    assert {found[id_].price for id_ in machines} == {asked.placement["hosts"]["m1"]["price"]}
    assert {found[disk.id].price for disk in alone} == {0.2}
    assert all(r.price is None for r in found.values() if r.kind not in {"instance", "disk"})
    assert {r.currency for r in found.values()} == {"CNY", ""}
    alicloud.account.log.clear()
    one.survey((HOME,))
    assert alicloud.account.counts()["DescribePrice"] == 2
    alicloud.account.faults.add(Fault("DescribePrice", "Forbidden.RAM"))
    assert {r.price for r in one.survey((HOME,)).resources} == {None}


def test_standing_machines_keep_their_price_and_have_the_one_of_today(alicloud):
    one = driver(alicloud)
    request = chosen(one, accepted(masters=2, nodes=1))
    price = request.placement["hosts"]["m1"]["price"]
    start = len(alicloud.account.log)
    again = one.choose(request, None, standing=frozenset({"m1", "m2", "n1"}))
    assert [(o.price, o.currency) for o in again.offers] == [(price, "CNY")] * 3
    assert alicloud.account.counts(start) == {"GetCallerIdentity": 1}
    today = one.prices(request, frozenset({"m1", "m2"}))
    assert today == {"m1": (price, "CNY"), "m2": (price, "CNY")}
    assert len(alicloud.account.log) == start + 2


def test_what_is_not_provably_ours_is_named_and_kept(alicloud):
    vpc, switch, _, machines = stand(alicloud, "m1")
    one = driver(alicloud)
    one.within((HOME,))
    assert one.strangers(HOME, OURS) == ()
    where = {"VpcId": vpc, "ZoneId": "cn-hangzhou-i", "CidrBlock": "10.8.1.0/24", "VSwitchName": "printers"}
    other = good(alicloud, "vpc", "CreateVSwitch", **where)["VSwitchId"]
    card = alicloud.account.store.add(
        "card", HOME, {}, InstanceId="", VSwitchId=switch, Ip="10.8.0.99", Type="Secondary"
    )
    assert {line.split(" (")[0] for line in one.strangers(HOME, OURS)} == {
        f"network interface {card.id} in {HOME}",
        f"vswitch {other}",
    }
    alicloud.account.faults.add(Fault("DescribeNetworkInterfaces", "Forbidden.RAM"))
    assert [other in line for line in one.strangers(None, OURS)] == [True], "what may not be listed is left out"
    with pytest.raises(ProviderError, match=rf"vswitch {other} \(printers\); the network is left") as told:
        one.sweep(OURS)
    assert told.value.exit_code == 6
    ids = {thing.id for thing in alicloud.account.store.all()}
    assert {vpc, switch, other} <= ids
    assert machines[0] not in ids
    assert any(other in line and "not of this cluster" in line for line in one.leftovers(OURS))
    good(alicloud, "vpc", "DeleteVSwitch", VSwitchId=other)
    one.sweep(OURS)
    assert one.leftovers(OURS) == ()


def test_a_delete_that_is_refused_is_told_by_its_id_and_told_again(alicloud):
    *_, machines = stand(alicloud, "m1", "m2")
    kept = machines[0]
    fault = delete_refused()
    fault.where = {"InstanceId": kept}
    alicloud.account.faults.add(fault)
    one = driver(alicloud)
    one.within((HOME,))
    for _ in range(2):
        with pytest.raises(ProviderError, match=kept):
            one.sweep(OURS)
        left = "; ".join(one.leftovers(OURS))
        assert kept in left
        assert machines[1] not in left
        assert kept in {r.id for r in one.survey((HOME,)).resources}
    alicloud.account.faults.clear()
    one.sweep(OURS)
    assert one.leftovers(OURS) == ()


def test_a_region_that_refuses_or_is_silent_stops_no_other(alicloud):
    stand(alicloud, "m1")
    alicloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    dark = {}
    found = driver(alicloud).find(ClusterName("demo"), (), dark.__setitem__)
    assert [(f.cid, f.hosts, f.regions) for f in found] == [(CID, ("m1",), (HOME,))]
    assert type(dark["cn-beijing"]) is AccessError
    alicloud.account.faults.clear()
    alicloud.account.faults.add(Fault("DescribeVpcs", "Odd", where={"RegionId": "cn-beijing"}))
    assert driver(alicloud).find(ClusterName("demo"), (), dark.__setitem__) == found
    assert type(dark["cn-beijing"]) is ProviderError
    with pytest.raises(ProviderError):
        driver(alicloud).find(ClusterName("demo"))
    alicloud.account.faults.clear()
    alicloud.account.faults.add(Fault("DescribeInstances", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    start = len(alicloud.account.log)
    assert driver(alicloud).find(ClusterName("demo"), (HOME,))
    assert {call.params["RegionId"] for call in alicloud.account.log[start:]} == {HOME}
    with pytest.raises(AccessError):
        driver(alicloud).find(ClusterName("demo"), ("cn-beijing",), dark.__setitem__)
