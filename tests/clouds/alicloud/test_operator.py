"""The operator comes from elsewhere, the cloud is elsewhere, the region is nowhere: the driver's own calls, no engine."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drivers.alicloud.driver import AlicloudDriver
from drivers.alicloud.sweep import DEPENDENCY_SECONDS
from provisioner.clock import SystemClock
from provisioner.errors import AccessError, PreconditionError, UsageError
from provisioner.events import Warned
from provisioner.lookup import looker
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Visit
from provisioner.model.ids import ClusterId
from provisioner.operator import let_in_blind, machine_name
from provisioner.settings import load_settings
from provisioner.world import surroundings_of
from tests.clouds.alicloud.asked import CID, Clock, accepted, chosen, driver
from tests.clouds.alicloud.client import good, make_network
from tests.clouds.alicloud.sim.faults import Fault
from tests.clouds.alicloud.sim.server import Simulator
from tests.clouds.alicloud.sim.tls import make_certificates
from tests.unit.test_operator import Scene

pytestmark = pytest.mark.clouds
HOME, AWAY, CAFE = "203.0.113.7/32", "198.51.100.9/32", "192.0.2.33/32"
RULES = {"ingress": [{"port": 22, "from": "operator"}, {"port": "8000-8100", "protocol": "udp", "from": "operator"}]}
LAPTOP, RUNNER = "0a1b2c3d", "ffffffff"


def at(simulator: Simulator, cidr: str) -> AlicloudDriver:
    """The driver of somebody whose network is this."""
    return driver(simulator, SEALER_CLOUD_OPERATOR_CIDR=cidr)


@pytest.fixture
def request_(alicloud: Simulator) -> Accepted:
    return chosen(at(alicloud, HOME), accepted(network=RULES))


@pytest.fixture
def group(alicloud: Simulator) -> str:
    """The cluster's group as its program leaves it."""
    vpc, _, _ = make_network(alicloud)
    words = {"Tag__1__Key": "sealer-cloud:cid", "Tag__1__Value": CID}
    made = good(alicloud, "ecs", "CreateSecurityGroup", VpcId=vpc, **words)["SecurityGroupId"]
    for protocol, ports in (("tcp", "22/22"), ("udp", "8000/8100")):
        own = {"IpProtocol": protocol, "PortRange": ports, "SourceCidrIp": HOME, "NicType": "intranet"}
        good(alicloud, "ecs", "AuthorizeSecurityGroup", SecurityGroupId=made, Policy="accept", Priority=1, **own)
    return made


def rules(simulator: Simulator, group: str) -> set[tuple[str, str, str]]:
    answer = good(simulator, "ecs", "DescribeSecurityGroupAttribute", SecurityGroupId=group)
    found = answer["Permissions"]["Permission"]
    return {(r["PortRange"], r["SourceCidrIp"], r["Description"][:30]) for r in found}


def test_the_program_keeps_the_address_of_the_create(alicloud: Simulator, request_: Accepted) -> None:
    assert request_.placement["operator"] == {"address": HOME, "ssh": True}
    elsewhere = at(alicloud, AWAY)
    again = elsewhere.choose(request_, ClusterId(CID), standing=frozenset({"m1"}))
    assert again.placement == request_.placement, "a changed address is no drift"
    spec = elsewhere.parse_spec(request_)
    assert [(rule.name, rule.cidr(spec.operator)) for rule in spec.ingress] == [
        ("ingress-tcp-22-operator", HOME), ("ingress-udp-8000-8100-operator", HOME),
    ]  # fmt: skip


def test_who_moves_is_let_in_by_one_rule_and_cuts_nobody_off(
    alicloud: Simulator, request_: Accepted, group: str
) -> None:
    own = rules(alicloud, group)
    cid, known = ClusterId(CID), (group, "vpc-sim1", f"{group}:ingress:tcp:22/22:intranet:{HOME}:accept:1")
    log, account = alicloud.account.log, alicloud.account

    start = len(log)
    assert at(alicloud, HOME).let_in(request_, cid, Visit(LAPTOP, known)) == ""
    assert account.counts(start) == {"DescribeSecurityGroupAttribute": 1}

    start = len(log)
    line = at(alicloud, AWAY).let_in(request_, cid, Visit(LAPTOP, known, acting=False))
    assert "is not let in" in line
    assert account.mutations(start) == []

    line = at(alicloud, AWAY).let_in(request_, cid, Visit(LAPTOP, known))
    assert AWAY in line
    assert account.counts(start)["AuthorizeSecurityGroup"] == 1
    mine = {(p, AWAY, f"sealer-cloud operator {LAPTOP}") for p in ("22/22", "8000/8100")}
    assert rules(alicloud, group) == own | mine

    at(alicloud, CAFE).let_in(request_, cid, Visit(RUNNER, ()))
    theirs = {(p, CAFE, f"sealer-cloud operator {RUNNER}") for p in ("22/22", "8000/8100")}
    assert rules(alicloud, group) == own | mine | theirs, "found by its tag, as the state was not at hand"

    assert at(alicloud, HOME).let_in(request_, cid, Visit(LAPTOP, known)) == ""
    assert rules(alicloud, group) == own | theirs, "home again: what let the café in is gone"

    one = driver(alicloud)
    assert not one.orphans(cid, frozenset(known))
    assert one.sweep(cid)
    assert one.leftovers(cid) == ()
    assert at(alicloud, AWAY).let_in(request_, cid, Visit(LAPTOP, known)) == "", "nothing is left to be let in to"


def test_a_refusal_is_raised_and_open_clusters_ask_nothing(alicloud: Simulator, request_: Accepted, group: str) -> None:
    alicloud.account.faults.add(Fault("AuthorizeSecurityGroup", "Forbidden.RAM"))
    with pytest.raises(AccessError):
        at(alicloud, AWAY).let_in(request_, ClusterId(CID), Visit(LAPTOP, (group,)))
    start = len(alicloud.account.log)
    assert driver(alicloud).let_in(accepted(), ClusterId(CID), Visit(LAPTOP, (group,))) == ""
    assert len(alicloud.account.log) == start


async def test_where_nothing_but_the_tag_is_known_it_is_let_in_in_the_machines_own_region(
    alicloud: Simulator, group: str, tmp_path: Path
) -> None:
    """As `adopt` asks: no state, no request, and the user's own region is another one."""
    scene, account, own = Scene(tmp_path), alicloud.account, rules(alicloud, group)

    async def asked(cid: str, cidr: str, port: int = 22) -> tuple[bool, list[str]]:
        start, region = len(account.log), "cn-hangzhou"
        one = driver(alicloud, SEALER_CLOUD_OPERATOR_CIDR=cidr, ALIBABA_CLOUD_REGION_ID="cn-beijing")
        again = await let_in_blind(scene.world, one, ClusterId(cid), region, port)
        return again, account.mutations(start)

    assert await asked(CID, AWAY) == (True, ["AuthorizeSecurityGroup"])
    name = f"sealer-cloud operator {machine_name(scene.world)}"
    assert rules(alicloud, group) == own | {("22/22", AWAY, name)}, "SSH alone, whatever else the request had opened"
    (told,) = scene.seen
    assert isinstance(told, Warned)
    assert f"{AWAY} now: a rule lets it in (tcp 22)" in told.text
    assert await asked(CID, AWAY) == (False, []), "it is not tried a third time"
    assert await asked("other-abc234", AWAY) == (False, []), "nobody else's group"
    assert await asked(CID, AWAY, port=2222) == (True, ["AuthorizeSecurityGroup"])

    account.faults.add(Fault("AuthorizeSecurityGroup", "Forbidden.RAM"))
    assert (await asked(CID, CAFE))[0] is False
    assert "it is not known whether demo-abc234 lets this machine in" in scene.seen[-1].text


def test_an_endpoint_of_the_request_alone_leads_there(alicloud: Simulator) -> None:
    """As the product makes its driver: no variable names the cloud, the accepted request does, for the plugin too."""
    environ = {k: v for k, v in alicloud.env.items() if not k.startswith("ALIBABA_CLOUD_ENDPOINT")}
    settings = load_settings({**environ, "HOME": "/nonexistent"})
    where = dict.fromkeys(("ecs", "vpc", "sts"), alicloud.endpoint)
    around = surroundings_of(settings, SystemClock(), "alicloud", where)
    one = AlicloudDriver(around, waits=Clock().waits())
    assert next(c for c in one.check() if c.name == "credentials").ok
    assert one.choose(accepted(), None, standing=frozenset()).placement["region"] == "cn-hangzhou"
    cache = replace(around, cache_dir=load_settings().cache_dir)
    needs = AlicloudDriver(cache, waits=Clock().waits()).needs().environ
    assert needs["ALIBABA_CLOUD_ENDPOINT_ECS"] == alicloud.endpoint


def test_the_address_is_what_an_https_service_says_and_a_proxy_is_not_asked(tmp_path: Path) -> None:
    trusted, context = make_certificates(tmp_path)

    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ip" else 302)
            self.send_header("Location", "/ip")
            self.end_headers()
            self.wfile.write(b"8.8.4.4\n")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"https://127.0.0.1:{server.server_address[1]}"
        environ = {"HOME": "/nonexistent", "SSL_CERT_FILE": str(trusted), "HTTPS_PROXY": "http://127.0.0.1:9"}
        look_up = looker(load_settings(environ))
        assert look_up(f"{base}/ip") == "8.8.4.4"
        with pytest.raises(PreconditionError, match="did not tell it"):
            look_up(f"{base}/elsewhere")
        with pytest.raises(PreconditionError, match="did not tell it"):
            looker(load_settings({"HOME": "/nonexistent"}))(f"{base}/ip")
        server.shutdown()


def test_a_region_that_is_none_is_wrong_use_and_the_regions_are_named(alicloud: Simulator) -> None:
    clock = Clock()
    with pytest.raises(UsageError, match="no region 'cn-hangzhuo'") as caught:
        driver(alicloud, waits=clock.waits()).choose(accepted(region="cn-hangzhuo"), None, standing=frozenset())
    assert "did you mean cn-hangzhou?" in caught.value.hint
    assert "cn-beijing" in caught.value.hint
    assert clock.slept < DEPENDENCY_SECONDS / 10
