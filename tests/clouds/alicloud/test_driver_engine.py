"""The driver's program with the real engine, SDK and plugin: real hosts in a simulated account."""

import asyncio
from dataclasses import replace

import pytest

from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.accepted import AcceptedSpot
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, ClusterName, RunId
from provisioner.settings import load_settings
from provisioner.stop import Stop
from stacks.program import build_program
from tests.clouds.alicloud.asked import CID, RUN, accepted, chosen, driver
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(600)]
NAME = ClusterName("demo")


class Stage:
    """Stage 1 of one cluster in one account."""

    def __init__(self, simulator, tmp_path):
        found = load_settings()
        self.simulator = simulator
        environ = {k: v for k, v in found.environ.items() if not k.startswith(("ALIBABA_CLOUD", "ALICLOUD"))}
        self.engine = PulumiEngine(replace(found, state_dir=tmp_path / "state", environ={**environ, **simulator.env}), Stop())
        self.driver = driver(simulator)

    def program(self, request, adopt=None):
        marks = Marks(ClusterId(CID), RunId(RUN), request.expires_at)
        return build_program(self.driver, self.driver.parse_spec(request), request, marks, adopt)

    def up(self, request, adopt=None):
        return asyncio.run(self.engine.up(NAME, CID, self.program(request, adopt), ignore, self.driver.needs()))

    def preview(self, request):
        return asyncio.run(self.engine.preview(NAME, CID, self.program(request), ignore, self.driver.needs())).plan

    def destroy(self):
        return asyncio.run(self.engine.destroy(NAME, ignore, self.driver.needs()))

    def state_text(self):
        return "".join(p.read_text(errors="replace") for p in self.engine._settings.state_dir.rglob("*") if p.is_file())


def test_two_machines_from_nothing_to_nothing(alicloud_hosts, tmp_path):
    stage, account = Stage(alicloud_hosts, tmp_path), alicloud_hosts.account
    request = chosen(stage.driver, accepted(nodes=1, tags={"team": "ci"}, expires_at="2026-11-25T10:00:00Z"))
    made = stage.up(request)
    hosts = {h.name: h for h in made.hosts}
    assert set(hosts) == {"m1", "n1"}
    assert hosts["m1"].jump is None
    assert hosts["n1"].jump.host_keys == hosts["m1"].host_keys
    runs = [c.params for c in account.log if c.action == "RunInstances" and not c.code]
    assert len(runs) == 2
    tags = {v: p[k.replace("Key", "Value")] for p in runs for k, v in p.items() if k.startswith("Tag.") and k.endswith("Key")}
    assert tags["sealer-cloud:cid"] == CID
    assert tags["sealer-cloud:run"] == RUN
    assert tags["team"] == "ci"
    assert {p["AutoReleaseTime"] for p in runs} == {"2026-11-25T10:00:00Z"}
    assert stage.driver.find(NAME)[0].hosts == ("m1", "n1")
    assert stage.driver.orphans(ClusterId(CID), frozenset({h.machine_id for h in made.hosts})) == {}

    text = stage.state_text()
    assert KEY_ID not in text
    assert SECRET not in text
    assert "OPENSSH PRIVATE KEY" not in text

    start = len(account.log)
    plan = stage.preview(request)
    assert not (plan.create or plan.update or plan.replace or plan.delete), plan
    assert account.mutations(start) == []

    assert stage.destroy().failed == ()
    assert stage.driver.leftovers(ClusterId(CID)) == ()
