"""Stage 1 alone: the driver's program with the real engine, SDK and plugin, in this process."""

import asyncio
import json
from dataclasses import replace

from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, ClusterName, RunId
from provisioner.settings import load_settings
from provisioner.stop import Stop
from stacks.program import build_program
from tests.clouds.alicloud.asked import CID, RUN, driver

NAME = ClusterName("demo")


class Stage:
    """Stage 1 of one cluster in one account."""

    def __init__(self, simulator, tmp_path):
        found = load_settings()
        self.simulator = simulator
        environ = {k: v for k, v in found.environ.items() if not k.startswith(("ALIBABA_CLOUD", "ALICLOUD"))}
        self.engine = PulumiEngine(
            replace(found, state_dir=tmp_path / "state", environ={**environ, **simulator.env}), Stop()
        )
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

    def lose(self, *urns):
        """Take resources out of the state, as a run that was killed between the call and the record does."""
        (file,) = self.engine._settings.state_dir.rglob(".pulumi/stacks/**/demo.json")
        state = json.loads(file.read_text())
        latest = state["checkpoint"]["latest"]
        before = len(latest["resources"])
        latest["resources"] = [r for r in latest["resources"] if not r["urn"].endswith(urns)]
        assert len(latest["resources"]) == before - len(urns)
        file.write_text(json.dumps(state))
        for noted in file.parent.glob("*.attrs"):  # the checksum of what was there
            noted.unlink()

    def state_text(self):
        """The engine's state, its backups and history: not our own 0600 cache of the login key."""
        folders = self.engine._settings.state_dir.rglob(".pulumi")
        texts = [p.read_text(errors="replace") for folder in folders for p in folder.rglob("*") if p.is_file()]
        assert texts
        return "".join(texts)
