"""Networks that clusters share on the simulated cloud: made whole or in part, found by tag, removed when empty."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import AccessError, ProviderError, UsageError
from provisioner.model.ids import ClusterId
from provisioner.model.networks import NetworkWish
from provisioner.model.site import Site
from provisioner.model.tags import network_tags
from provisioner.sharednet import create_network, delete_network
from tests.clouds.alicloud.asked import RUN, Clock, accepted, chosen, driver
from tests.clouds.alicloud.client import good, run_words
from tests.clouds.alicloud.scene import down_words, make_user
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.unit.test_operator import Scene

pytestmark = pytest.mark.clouds
REGION = "cn-hangzhou"
ZONES = ("cn-hangzhou-h", "cn-hangzhou-i")
WISH = NetworkWish("ci", REGION, ZONES)
TOLD: list[str] = []
INFRA = """\
apiVersion: sealer.io/v2
kind: Infra
spec:
  provider: alicloud
  zones: [cn-hangzhou-i]
  network: {shared: ci}
"""


def make(one, wish=WISH, run=RUN):
    plan = one.plan_network(wish)
    one.make_network(plan, network_tags("ci", run, "77", None), TOLD.append)
    return plan.parts


def only(one, name="ci"):
    (found,) = one.networks((REGION,), name).found
    return found


def test_a_network_is_made_marked_used_and_removed(alicloud):
    """With no more rights than the policy that `doctor --permissions` prints."""
    account, one = alicloud.account, driver(alicloud)
    account.allowed = frozenset(a for s in json.loads(one.permissions())["Statement"] for a in s["Action"])
    assert one.networks((REGION,), "ci").found == ()
    TOLD.clear()
    assert [str(p) for p in make(one)] == TOLD == [
        "vpc 10.0.0.0/16", "vswitch 10.0.0.0/20 in cn-hangzhou-h", "vswitch 10.0.16.0/20 in cn-hangzhou-i",
    ]  # fmt: skip
    made = [c.params for c in account.log if c.action.startswith("Create")]
    assert all({f"Tag.{n}.Key" for n in (1, 2, 3)} <= set(p) for p in made), "tagged in the call that makes it"
    assert len({p["ClientToken"] for p in made}) == 3
    network = only(one)
    assert (network.cidr, network.zones, network.clusters, network.occupants, network.run) == (
        "10.0.0.0/16", ZONES, (), (), RUN,
    )  # fmt: skip
    assert one.plan_network(WISH).parts == (), "nothing to do"
    placement = chosen(one, accepted(network={"shared": "ci"}, zones=ZONES[:1])).placement["network"]
    assert placement == {
        "vpcId": network.id, "cidr": "10.0.0.0/16", "subnets": {ZONES[0]: {"id": network.parts[1].id}},
    }  # fmt: skip

    assert one.sweep(ClusterId("ci-abc234")) == (), "no cluster's, whatever its name"
    assert {r.cid for r in one.survey((REGION,)).resources} == {None}
    account.allowed |= {"ecs:*"}
    foreign = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=network.id)["SecurityGroupId"]
    tag = {"Tag__1__Key": "sealer-cloud:cid", "Tag__1__Value": "web-abc234"}
    words = run_words(network.parts[1].id, foreign, **tag)
    machine = good(alicloud, "ecs", "RunInstances", **words)["InstanceIdSets"]["InstanceIdSet"][0]
    used = only(one)
    assert used.clusters == ("web-abc234",)
    assert sorted(line.split()[0] for line in used.occupants) == ["instance", "security"]
    assert any(machine in line and "of cluster web-abc234" in line for line in used.occupants)
    assert len(one.sweep(ClusterId("web-abc234"))) == 1
    good(alicloud, "ecs", "DeleteSecurityGroup", SecurityGroupId=foreign)

    assert only(one).parts == network.parts, "a cluster's end leaves it"
    assert one.remove_network(only(one), TOLD.append) == ()
    assert account.store.counts() == {}


def test_a_network_that_is_called_like_a_cluster_is_no_clusters(alicloud):
    """vSwitches of clusters may have no tag for a moment and are known by their name: these must not be taken for such."""
    one, name = driver(alicloud), "web-abc234"
    one.make_network(
        one.plan_network(NetworkWish(name, REGION, ZONES)), network_tags(name, RUN, None, None), TOLD.append
    )
    before, cid = only(one, name), ClusterId(name)
    assert one.orphans(cid, frozenset({"vpc-of-its-own"})) == {}
    assert (one.leftovers(cid), one.sweep(cid)) == ((), ())
    assert only(one, name) == before


def test_a_cut_create_is_continued_and_differences_are_refused(alicloud):
    account, one = alicloud.account, driver(alicloud)
    account.faults.add(Fault("CreateVSwitch", "InvalidZoneId.Unknown", where={"ZoneId": ZONES[1]}))
    with pytest.raises(ProviderError, match=r"InvalidZoneId\.Unknown"):
        make(one)
    account.faults.clear()
    assert [str(p) for p in make(one)] == ["vswitch 10.0.16.0/20 in cn-hangzhou-i"]
    assert account.store.counts() == {"vpc": 1, "vswitch": 2}
    with pytest.raises(UsageError, match=r"with 10\.0\.0\.0/16, not with 10\.9\.0\.0/16"):
        one.plan_network(NetworkWish("ci", REGION, ZONES, "10.9.0.0/16"))
    with pytest.raises(UsageError, match=r"cn-hangzhou-z: no such zone in cn-hangzhou"):
        one.plan_network(NetworkWish("ci", REGION, ("cn-hangzhou-z",)))
    every = one.plan_network(NetworkWish("ci", REGION)).parts
    assert {p.zone for p in every} == set(account.catalogue.zones[REGION]) - set(ZONES)


def test_lost_answers_make_nothing_twice_and_a_busy_network_is_waited_for(alicloud):
    account, clock = alicloud.account, Clock()
    account.faults.add(Fault("CreateVpc", mode="lose", times=1))
    account.faults.add(Fault("CreateVSwitch", "IncorrectVpcStatus", times=2))
    account.faults.add(Fault("DeleteVpc", "DependencyViolation.VSwitch", times=2))
    one = driver(alicloud, waits=clock.waits())
    make(one)
    assert account.store.counts() == {"vpc": 1, "vswitch": 2}
    account.faults.add(Fault("DeleteVSwitch", "OperationDenied.Kept", where={"VSwitchId": only(one).parts[1].id}))
    refused = one.remove_network(only(one), TOLD.append)
    assert any("OperationDenied.Kept" in line for line in refused)
    assert [p.kind for p in only(one).parts] == ["vpc", "vswitch"], "the rest went"
    account.faults.clear()
    assert one.remove_network(only(one), TOLD.append) == ()
    assert account.store.counts() == {}


def test_the_run_after_one_that_never_heard_of_its_network_goes_on_with_it(alicloud):
    account = alicloud.account
    account.faults.add(Fault("CreateVpc", mode="lose"))
    with pytest.raises(ProviderError, match="does not answer"):
        make(driver(alicloud))
    account.faults.clear()
    assert account.store.counts() == {"vpc": 1}
    make(driver(alicloud), run="20261124T110000Z-fedcba")
    assert account.store.counts() == {"vpc": 1, "vswitch": 2}


async def test_a_twin_of_a_network_that_does_not_show_up_in_time_is_named_and_goes_with_it(alicloud, tmp_path):
    """The cloud lost the answer and shows what it made to nobody, also to the look before another is made."""
    account, clock, looks = alicloud.account, Clock(), 2
    account.faults.add(Fault("CreateVpc", mode="lose", lag=looks))
    world = replace(Scene(tmp_path).world, drivers={"alicloud": lambda _: driver(alicloud, waits=clock.waits())})
    words = (world, Site("alicloud", REGION), WISH, lambda _plan: True)
    with pytest.raises(ProviderError, match="does not answer"):
        await create_network(*words)
    account.faults.clear()
    with pytest.raises(ProviderError, match="finds vpc-") as caught:
        await create_network(*words)
    twins = {t.id for t in account.store.all("vpc")}
    assert len(twins) == 2
    assert all(own in caught.value.message for own in twins)
    start = len(account.log)
    with pytest.raises(UsageError, match="stands 2 times") as again:
        await create_network(*words)
    assert all(own in again.value.message for own in twins)
    assert account.mutations(start) == [], "never a third"
    gone = await delete_network(world, Site("alicloud", REGION), "ci", lambda _found: True)
    assert gone.left == ()
    assert account.store.counts() == {}


def test_a_list_names_the_regions_that_refuse(alicloud):
    one = driver(alicloud)
    make(one)
    alicloud.account.faults.add(Fault("DescribeVpcs", "Forbidden.RAM", where={"RegionId": "cn-beijing"}))
    networks = one.networks()
    assert [(n.name, n.region) for n in networks.found] == [("ci", REGION)]
    assert [region for region, _ in networks.not_looked_at] == ["cn-beijing"]
    with pytest.raises(AccessError):
        one.networks(("cn-beijing",))
    alicloud.account.faults.add(Fault("DescribeVpcs", "Forbidden.RAM"))
    with pytest.raises(AccessError, match=r"Forbidden\.RAM"):
        one.networks()
    with pytest.raises(AccessError):
        driver(alicloud, ALIBABA_CLOUD_ACCESS_KEY_SECRET="no").networks()
    with pytest.raises(ProviderError, match="does not answer"):
        driver(alicloud, ALIBABA_CLOUD_ENDPOINT_VPC="127.0.0.1:9").plan_network(WISH)


@pytest.mark.engine
@pytest.mark.hosts
@pytest.mark.timeout(600)
def test_a_cluster_lives_in_it_and_leaves_it(tmp_path: Path, alicloud_hosts: Simulator) -> None:
    """From its making by the command to its end, under the policy that is printed."""
    account, name = alicloud_hosts.account, ("ci", "--provider", "alicloud")
    user = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "user" / "data", "web")
    policy = user.ok("doctor", "--permissions", "alicloud").json
    account.allowed = frozenset(action for part in policy["Statement"] for action in part["Action"])
    made = user.ok("network", "create", *name, "--yes", "-o", "json").json
    assert (made["changed"], made["network"]["zones"]) == (True, sorted(account.catalogue.zones[REGION]))
    start, network = len(account.log), {t.id for t in account.store.all()}
    assert user.ok("network", "create", *name, "-o", "json").json["changed"] is False
    assert account.mutations(start) == []

    tiny.build(user, "app:v1", tiny.BASIC)
    (user.home / "Infra").write_text(INFRA)
    user.ok("up", "app:v1", "-f", "Infra", "-n", "web", "--masters", "1", "--yes", timeout=300.0)
    (machine,) = account.store.all("instance")
    assert machine["VSwitchId"] in network
    listed = user.ok("network", "list", "--provider", "alicloud", "--region", REGION, "-o", "json").json["networks"]
    assert [len(n["clusters"]) for n in listed] == [1]
    refused = user.run("network", "delete", *name, "--yes")
    assert refused.rc == 3
    assert machine.id in refused.err
    assert {t.id for t in account.store.all()} > network

    shutil.rmtree(user.home / "state")  # by tag alone: the way of removing that could take too much
    user.ok(*down_words("web"), timeout=300.0)
    assert {t.id for t in account.store.all()} == network
    assert "networks that clusters share: ci" in user.ok("gc", "--yes", "--provider", "alicloud").out
    assert {t.id for t in account.store.all()} == network
    user.ok("network", "delete", *name, "--yes")
    assert account.store.counts() == {}
    assert "there is no network" in user.ok("network", "delete", *name, "--yes").out
