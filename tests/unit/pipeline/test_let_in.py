"""When a command asks to be let in: before it connects to a cluster that stands, and never of a cluster that is open."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner import pipeline
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Visit
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.model.request import Clusterfile, InfraDoc
from tests.fakes.driver import FakeDriver

from .conftest import UP, YES, Stage, changed

APP = ClusterName("app")
RULES = {"ingress": [{"port": 22, "from": "operator", "protocol": "tcp"}]}
FILES = Clusterfile(infra=InfraDoc("local", network=RULES, said=frozenset({"network"})))


@dataclass
class Door(FakeDriver):
    """Notes every visit: whether it may act, and how many connections there were before it."""

    connects: list[str] = field(default_factory=list)
    visits: list[tuple[bool, int]] = field(default_factory=list)

    def let_in(self, _accepted: Accepted, _cid: ClusterId, visit: Visit) -> str:
        self.visits.append((visit.acting, len(self.connects)))
        return ""

    def seen(self) -> list[tuple[bool, int]]:
        """The visits since the last look, with the connections that came before each counted from then."""
        found, self.visits = self.visits, []
        self.connects.clear()
        return found


async def test_before_it_connects_and_without_changing_anything_for_a_plan(stage: Stage) -> None:
    stage.driver = door = Door(stage.engine.machines, connects=stage.connects)
    await stage.up(changed(UP, masters="1", nodes=None), files=FILES)
    assert door.seen() == [], "the program's own rules let the maker in"

    await stage.up(changed(UP, masters="1", nodes=None))
    assert door.seen() == [(True, 0)]
    await pipeline.plan(stage.world, changed(UP, masters="1", nodes=None), Clusterfile(), YES)
    assert door.seen() == [(False, 0)]
    await stage.up(changed(UP, masters="1", nodes="1"))
    assert door.seen() == [(True, 0), (True, 1)], "stage 1 may have asked for another rule"

    await pipeline.status(stage.world, APP)
    assert door.seen() == [(True, 0)]
    await pipeline.exec_on(stage.world, APP, ("m1",), ["true"], 30)
    assert door.seen() == [(True, 0)]


async def test_an_open_cluster_is_not_asked_about(stage: Stage) -> None:
    stage.driver = door = Door(stage.engine.machines)
    await stage.up(changed(UP, masters="1", nodes=None))
    await pipeline.status(stage.world, APP)
    assert door.seen() == []
