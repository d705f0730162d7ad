"""The driver's program with the real engine, the real SDK and our plugin: real hosts in a simulated account."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provisioner.errors import CapacityError, SealerError
from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.driver import Marks, Refused, Visit
from provisioner.model.ids import ClusterId, ClusterName, RunId
from provisioner.settings import load_settings
from provisioner.stop import Stop
from stacks.program import build_program
from tests.clouds.aws.cloud import SECRET
from tests.clouds.aws.requests import CID, RUN, accepted, chosen
from tests.clouds.oldstate import names_in, with_old_names, without_triggers

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(400)]
NAME = ClusterName("demo")
PRIVATE_IN_BASE64 = "T1BFTlNTSCBQUklWQVRFIEtF"
"""A part of user-data as it stands in base64, at one of three offsets."""

DEADLINE = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
"""Ahead, whenever this runs: at its deadline a machine powers itself off."""
OLD_RULES = {"ingress-tcp-22-operator": "ingress-0", "ingress-udp-8000-8100-operator": "ingress-1"}
"""Rules were once named by their number."""


class Stage:
    """Stage 1 of one cluster in one account."""

    def __init__(self, cloud, tmp_path):
        found = load_settings()
        environ = {**found.environ, **cloud.environ}
        state = tmp_path / "state"
        self.cloud = cloud
        self.engine = PulumiEngine(replace(found, state_dir=state, environ=environ), Stop())
        self.driver = cloud.driver()
        self.steps = []
        self.ci = (None, None)

    def program(self, request, adopt=None):
        marks = Marks(ClusterId(CID), RunId(RUN), request.expires_at, *self.ci)
        return build_program(self.driver, self.driver.parse_spec(request), request, marks, adopt)

    def up(self, request, adopt=None):
        program = self.program(request, adopt)
        return asyncio.run(self.engine.up(NAME, CID, program, ignore, self.driver.needs()))

    def preview(self, request):
        return asyncio.run(self.engine.preview(NAME, CID, self.program(request), ignore, self.driver.needs()))

    def destroy(self):
        return asyncio.run(self.engine.destroy(NAME, ignore, self.driver.needs()))

    def state_text(self):
        """State, backups and history, as anybody who may read the backend sees them."""
        backend = self.engine._settings.state_dir / "backend"
        return "".join(p.read_text(errors="replace") for p in backend.rglob("*") if p.is_file())


@pytest.fixture
def stage(real_cloud, tmp_path):
    return Stage(real_cloud, tmp_path)


def test_two_machines_from_nothing_to_nothing(stage, tmp_path):
    cloud = stage.cloud
    network = {"ingress": [{"port": "8000-8100", "protocol": "udp", "from": "operator"}]}
    asked = accepted(cloud.image(), nodes=1, expires_at=DEADLINE, network=network)
    request = chosen(cloud.driver(SEALER_CLOUD_OPERATOR_CIDR="203.0.113.7/32"), asked)
    stage.ci = ("77", "team/shop")
    made = stage.up(request)
    machines = cloud.machines()
    assert set(machines) == {"m1", "n1"}
    assert {h.name: h.machine_id for h in made.hosts} == {n: m["InstanceId"] for n, m in machines.items()}
    assert all(m["MetadataOptions"]["HttpTokens"] == "required" for m in machines.values())
    tags = {t["Key"]: t["Value"] for t in machines["m1"]["Tags"]}
    assert tags["sealer-cloud:cid"] == CID
    assert tags["sealer-cloud:run"] == RUN
    assert tags["sealer-cloud:expires-at"] == DEADLINE
    assert (tags["sealer-cloud:ci-run"], tags["sealer-cloud:repo"]) == ("77", "team/shop")
    stage.ci = (None, None)  # from here on the commands come from a laptop: that takes no tag away
    state = stage.state_text()
    assert CID in state
    assert not [word for word in ("OPENSSH PRIVATE KEY", PRIVATE_IN_BASE64, SECRET) if word in state]

    # The operator comes from elsewhere now: a rule lets him in, and neither that nor his address is a change; nor are
    # the names of rules in the state of an older version, or that its machines do not say whose they are.
    with_old_names(tmp_path / "state", NAME, OLD_RULES)
    assert without_triggers(tmp_path / "state", NAME) == [CID, CID]
    away = cloud.driver(SEALER_CLOUD_OPERATOR_CIDR="198.51.100.9/32")
    known = stage.engine.stored(NAME).resource_ids
    assert "tcp 22, udp 8000-8100" in away.let_in(request, ClusterId(CID), Visit("0a1b2c3d", known))
    plan = stage.preview(chosen(away, request, frozenset({"m1", "n1"})))
    changes = (plan.plan.create, plan.plan.update, plan.plan.replace, plan.plan.delete)
    assert changes == ((), (), (), ()), plan.plan
    start = len(cloud.gate.log)
    stage.up(request)
    assert cloud.gate.mutations(start) == [], "rules are not re-made"
    assert names_in(tmp_path / "state", NAME, "ingress-") == set(OLD_RULES)

    assert stage.destroy().failed == ()
    assert cloud.standing() == []
    assert stage.driver.leftovers(CID) == ()


def test_no_stock_is_told_and_the_next_zone_serves(stage):
    cloud = stage.cloud
    request = accepted(cloud.image())
    first = chosen(stage.driver, request)
    zone = first.placement["hosts"]["m1"]["zone"]
    cloud.refusals.append({"zone": zone, "code": "InsufficientInstanceCapacity"})
    with pytest.raises(CapacityError) as caught:
        stage.up(first)
    assert (caught.value.code, caught.value.hosts) == ("InsufficientInstanceCapacity", ("m1",))
    refused = Refused("master", zone, "t3.medium", spot=False, code=caught.value.code)
    second = chosen(stage.driver, first, refused=(refused,))
    assert second.placement["hosts"]["m1"]["zone"] != zone
    made = stage.up(second)
    assert [h.name for h in made.hosts] == ["m1"]
    stage.destroy()
    assert cloud.standing() == []


def test_a_machine_made_but_not_recorded_is_adopted_not_bought_again(stage):
    cloud = stage.cloud
    request = chosen(stage.driver, accepted(cloud.image()))
    (cloud.folder / "die").touch()
    with pytest.raises(SealerError):
        stage.up(request)
    bought = {name: m["InstanceId"] for name, m in cloud.machines().items()}
    assert set(bought) == {"m1"}
    asyncio.run(stage.engine.repair(NAME))
    known = frozenset(stage.engine.stored(NAME).machine_ids)
    adopt = stage.driver.orphans(ClusterId(CID), known)
    assert adopt == bought
    stage.up(request, adopt)
    made = stage.up(request)
    assert [h.machine_id for h in made.hosts] == [bought["m1"]]
    assert {name: m["InstanceId"] for name, m in cloud.machines().items()} == bought
    assert stage.driver.sweep(ClusterId(CID))
    assert cloud.standing() == []
