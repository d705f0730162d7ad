"""Stage 1 alone: the driver's program with the real engine, SDK and plugin, in this process."""

import asyncio
from dataclasses import replace

from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, ClusterName, RunId
from provisioner.settings import load_settings
from provisioner.stop import Stop
from stacks.program import build_program
from tests.clouds.alicloud.asked import CID, RUN, driver
from tests.clouds.oldstate import edited

NAME = ClusterName("demo")


class Stage:
    """Stage 1 of one cluster in one account. `plugin` starts ours, or one that stands in for it."""

    def __init__(self, simulator, tmp_path, plugin=None):
        found = load_settings()
        self.simulator = simulator
        environ = {k: v for k, v in found.environ.items() if not k.startswith(("ALIBABA_CLOUD", "ALICLOUD"))}
        self.engine = PulumiEngine(
            replace(found, state_dir=tmp_path / "state", environ={**environ, **simulator.env}), Stop(), plugin=plugin
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
        with edited(self.engine._settings.state_dir, NAME) as resources:
            before = len(resources)
            resources[:] = [r for r in resources if not r["urn"].endswith(urns)]
            assert len(resources) == before - len(urns)

    def state_text(self):
        """The engine's state, its backups and history: not our own 0600 cache of the login key."""
        folders = self.engine._settings.state_dir.rglob(".pulumi")
        texts = [p.read_text(errors="replace") for folder in folders for p in folder.rglob("*") if p.is_file()]
        assert texts
        return "".join(texts)
