"""The operator comes from elsewhere, the cloud is elsewhere: the driver's own calls on a simulated account, no engine."""

from dataclasses import replace

import pytest

from drivers.aws.driver import AwsDriver
from provisioner.clock import SystemClock
from provisioner.errors import AccessError
from provisioner.model.driver import Visit
from provisioner.model.ids import ClusterId
from provisioner.operator import let_in_blind, machine_name
from provisioner.settings import load_settings
from provisioner.world import surroundings_of
from tests.clouds.aws.cloud import REGION
from tests.clouds.aws.gate import ACCOUNT
from tests.clouds.aws.made import make_network
from tests.clouds.aws.requests import CID, accepted, chosen
from tests.unit.test_operator import Scene

pytestmark = pytest.mark.clouds
HOME, AWAY, CAFE = "203.0.113.7/32", "198.51.100.9/32", "192.0.2.33/32"
RULES = {"ingress": [{"port": 22, "from": "operator"}, {"port": "8000-8100", "protocol": "udp", "from": "operator"}]}
LAPTOP, RUNNER = "0a1b2c3d", "ffffffff"


def at(cloud, cidr):
    """The driver of somebody whose network is this."""
    return cloud.driver(SEALER_CLOUD_OPERATOR_CIDR=cidr)


@pytest.fixture
def request_(cloud):
    return chosen(at(cloud, HOME), accepted(cloud.image(), network=RULES))


@pytest.fixture
def group(cloud):
    """The cluster's group as its program leaves it."""
    _, id_ = make_network(cloud)
    ec2 = cloud.client()
    own = [("tcp", 22, 22), ("udp", 8000, 8100)]
    ec2.authorize_security_group_ingress(
        GroupId=id_,
        IpPermissions=[
            {"IpProtocol": p, "FromPort": a, "ToPort": b, "IpRanges": [{"CidrIp": HOME}]} for p, a, b in own
        ],
    )
    return id_


def rules(cloud, group):
    found = cloud.client().describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return {
        (r["IpProtocol"], r["FromPort"], r["ToPort"], r["CidrIpv4"], r.get("Description", "")[:30])
        for r in found["SecurityGroupRules"]
        if not r["IsEgress"] and r.get("CidrIpv4")
    }


def calls(cloud, start):
    return [call.action for call in cloud.gate.log[start:]]


def let(cidr, who):
    name = f"sealer-cloud operator {who}"
    return {("tcp", 22, 22, cidr, name), ("udp", 8000, 8100, cidr, name)}


def test_the_program_keeps_the_address_of_the_create(cloud, request_):
    assert request_.placement["operator"] == {"address": HOME, "ssh": True}
    elsewhere = at(cloud, AWAY)
    again = elsewhere.choose(request_, ClusterId(CID), standing=frozenset({"m1"}))
    assert again.placement == request_.placement, "a changed address is no drift"
    spec = elsewhere.parse_spec(request_)
    assert [(rule.name, rule.cidr(spec.operator)) for rule in spec.ingress] == [
        ("ingress-tcp-22-operator", HOME),
        ("ingress-udp-8000-8100-operator", HOME),
    ]
    plain = cloud.driver().choose(accepted(cloud.image()), None, standing=frozenset())
    assert any("SSH is open to 0.0.0.0/0" in note for note in plain.notes)


def test_who_moves_is_let_in_by_one_rule_and_cuts_nobody_off(cloud, request_, group):
    own, cid, known = rules(cloud, group), ClusterId(CID), (group, "vpc-0a", "sgr-0a1b")

    start = len(cloud.gate.log)
    assert at(cloud, HOME).let_in(request_, cid, Visit(LAPTOP, known)) == ""
    assert calls(cloud, start) == ["DescribeSecurityGroupRules"]

    start = len(cloud.gate.log)
    assert "is not let in" in at(cloud, AWAY).let_in(request_, cid, Visit(LAPTOP, known, acting=False))
    assert not [call for call in cloud.gate.log[start:] if call.mutates]

    start = len(cloud.gate.log)
    assert AWAY in at(cloud, AWAY).let_in(request_, cid, Visit(LAPTOP, known))
    assert calls(cloud, start) == ["DescribeSecurityGroupRules", "AuthorizeSecurityGroupIngress"]
    assert rules(cloud, group) == own | let(AWAY, LAPTOP)

    at(cloud, CAFE).let_in(request_, cid, Visit(RUNNER, ()))
    assert rules(cloud, group) == own | let(AWAY, LAPTOP) | let(CAFE, RUNNER), "found by its tag"

    at(cloud, CAFE.replace("33", "34")).let_in(request_, cid, Visit(LAPTOP, known))
    moved = own | let(CAFE, RUNNER) | let(CAFE.replace("33", "34"), LAPTOP)
    assert rules(cloud, group) == moved, "an older rule of the same machine is replaced"

    one = cloud.driver()
    assert not [line for line in one.leftovers(cid) if "rule" in line]
    one.orphans(cid, frozenset(thing.id for thing in one._of(cid)))
    assert rules(cloud, group) == moved, "no orphans"
    assert one.sweep(cid)
    assert one.leftovers(cid) == ()
    assert at(cloud, AWAY).let_in(request_, cid, Visit(LAPTOP, ())) == "", "nothing is left to be let in to"


def test_the_printed_policy_is_enough_and_a_refusal_is_raised(cloud, request_, group):
    cloud.gate.policy = cloud.driver().permissions()
    assert at(cloud, AWAY).let_in(request_, ClusterId(CID), Visit(LAPTOP, (group,)))
    assert at(cloud, CAFE).let_in(request_, ClusterId(CID), Visit(LAPTOP, (group,)))
    cloud.gate.policy = None
    cloud.gate.fault("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", status=403)
    with pytest.raises(AccessError):
        at(cloud, AWAY).let_in(request_, ClusterId(CID), Visit(LAPTOP, (group,)))
    start = len(cloud.gate.log)
    assert cloud.driver().let_in(accepted("ami-1"), ClusterId(CID), Visit(LAPTOP, (group,))) == ""
    assert calls(cloud, start) == []


async def test_where_nothing_but_the_tag_is_known_it_is_let_in_in_the_machines_own_region(cloud, group, tmp_path):
    """As `adopt` asks: no state, no request, and the user's own region is another one."""
    scene, own = Scene(tmp_path), rules(cloud, group)

    async def asked(cid, cidr, port=22):
        start = len(cloud.gate.log)
        one = cloud.driver(SEALER_CLOUD_OPERATOR_CIDR=cidr, AWS_REGION="us-west-2")
        again = await let_in_blind(scene.world, one, ClusterId(cid), REGION, port)
        return again, cloud.gate.mutations(start)

    assert await asked(CID, AWAY) == (True, ["AuthorizeSecurityGroupIngress"])
    name = f"sealer-cloud operator {machine_name(scene.world)}"
    assert rules(cloud, group) == own | {("tcp", 22, 22, AWAY, name)}, "SSH alone, whatever else was open"
    assert [f"{AWAY} now: a rule lets it in (tcp 22)" in told.text for told in scene.seen] == [True]
    assert await asked(CID, AWAY) == (False, []), "it is not tried a third time"
    assert await asked("other-abc234", AWAY) == (False, []), "nobody else's group"
    assert await asked(CID, AWAY, port=2222) == (True, ["AuthorizeSecurityGroupIngress"])

    cloud.gate.fault("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", status=403)
    assert await asked(CID, CAFE) == (False, [])
    assert "it is not known whether demo-abc234 lets this machine in" in scene.seen[-1].text


@pytest.mark.parametrize("words", [("all",), ("ec2", "sts")])
def test_an_endpoint_of_the_request_alone_leads_there(cloud, words):
    """As the product makes its driver: no variable names the cloud, the accepted request does, for the plugin too."""
    environ = {k: v for k, v in cloud.environ.items() if k != "AWS_ENDPOINT_URL"}
    settings = replace(load_settings(environ), cache_dir=cloud.folder / "cache")
    around = surroundings_of(settings, SystemClock(), "aws", dict.fromkeys(words, cloud.url))
    one = AwsDriver(around, attempts=1)
    checks = one.check()
    assert [c.detail for c in checks if c.name == "aws credentials"] == [f"account {ACCOUNT}"]
    assert one.find(None) == ()
    said = {k: v for k, v in one.needs().environ.items() if k.startswith("AWS_ENDPOINT_URL")}
    assert set(said.values()) == {cloud.url}
    assert len(said) == len(words)
    assert one.region() == REGION


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "aws credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "aws account"),
    ],
)
def test_no_credentials_and_an_account_that_does_not_answer_are_two_things(cloud, tmp_path, more, name):
    """`doctor` takes the first for a cloud that this person does not use."""
    checks = cloud.driver(HOME=str(tmp_path), AWS_EC2_METADATA_DISABLED="true", **more).check()
    assert [c.name for c in checks if not c.ok] == [name]
