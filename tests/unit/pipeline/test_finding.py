"""Where the state is lost and a file says where the cloud is: what a look finds, and that it goes to that place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from provisioner import finding
from provisioner.adopting import AdoptArgs, adopt
from provisioner.errors import AccessError, UsageError
from provisioner.events import Warned
from provisioner.gc import GcChoice, gc
from provisioner.model.driver import Dark, FoundCluster, Surroundings
from provisioner.model.ids import ClusterName
from provisioner.model.networks import NetworkWish
from provisioner.model.report import LostReport, StatusReport
from provisioner.model.request import Clusterfile, InfraDoc
from provisioner.model.site import Site
from provisioner.pipeline import down
from provisioner.sharednet import create_network, delete_network, list_networks
from provisioner.world import World
from tests.fakes.driver import FakeCloud
from tests.fakes.networks import NetworkCloud

from .conftest import Stage

APP = ClusterName("app")
STACK = {"all": "https://stack.example"}
USUAL, NAMED = None, "https://stack.example"
AWS = Site("aws", "r1", STACK, ("Infra.yaml",))


@dataclass
class TwoPlaces:
    """A provider at two addresses: only one of them has the cluster. `asked` are the addresses that drivers were led to."""

    stage: Stage
    home: str | None = NAMED
    asked: list[str | None] = field(default_factory=list)
    cloud: type[FakeCloud] = FakeCloud

    def world(self, environ: Mapping[str, str] | None = None) -> World:
        self.stage.environ = dict(environ or {})
        return replace(self.stage.world, drivers={"aws": self._driver})

    def _driver(self, around: Surroundings) -> FakeCloud:
        place = around.environ.get("AWS_ENDPOINT_URL")
        self.asked.append(place)
        machines = self.stage.engine.machines if place == self.home else {}
        return self.cloud(machines, name="aws")


async def lose(stage: Stage) -> TwoPlaces:
    """A cluster that stands at the named place, and no state of it."""
    await stage.stand()
    stage.engine.stacks.clear()
    stage.seen.clear()
    stage.connects.clear()
    return TwoPlaces(stage)


async def test_what_stands_is_shown_and_no_machine_is_entered(stage: Stage) -> None:
    places = await lose(stage)
    report = await finding.status(places.world(), APP, AWS)
    assert isinstance(report, LostReport)
    (cluster,) = report.found
    assert [(m.host, m.state) for m in cluster.machines] == [("m1", "running"), ("m2", "running"), ("n1", "running")]
    assert cluster.things == ("machine m1", "machine m2", "machine n1")
    assert report.words == "--provider aws -f Infra.yaml"
    assert (stage.connects, set(places.asked)) == ([], {NAMED})


async def test_a_name_that_nothing_carries_is_not_found(stage: Stage) -> None:
    places = await lose(stage)
    with pytest.raises(UsageError, match="no cluster app here, and nothing in aws carries its name"):
        await finding.status(places.world(), APP, Site("aws"))
    with pytest.raises(UsageError, match="no cluster app here") as caught:
        await finding.status(places.world(), APP)
    assert "sealer-cloud status app --provider PROVIDER" in caught.value.hint
    with pytest.raises(UsageError, match="carry no tag") as staying:
        await finding.status(places.world(), APP, Site("baremetal"))
    assert "sealer-cloud adopt app --provider baremetal -f" in staying.value.hint


async def test_a_state_that_is_here_answers(stage: Stage) -> None:
    await stage.stand()
    assert isinstance(await finding.status(stage.world, APP, AWS), StatusReport)


class Dim(FakeCloud):
    """One region refuses; the other has the machines, where there are any."""

    def find(
        self, name: ClusterName | None, regions: tuple[str, ...] = (), dark: Dark | None = None
    ) -> tuple[FoundCluster, ...]:
        assert dark is not None
        dark("r2", AccessError("may not look"))
        return super().find(name, regions)


async def test_a_region_that_is_dark_is_told_and_proves_nothing(stage: Stage) -> None:
    places = await lose(stage)
    places.cloud = Dim
    report = await finding.status(places.world(), APP, AWS)
    assert isinstance(report, LostReport)
    assert report.not_looked_at == (("aws r2", "may not look"),)
    (warning,) = [e for e in stage.seen if isinstance(e, Warned)]
    assert warning.text == "aws r2 was not looked at: may not look"
    assert warning.hint == "if it is there: `sealer-cloud status app --provider aws -f Infra.yaml`"
    with pytest.raises(AccessError, match="could not be looked at in r2"):
        await finding.status(places.world(), APP, Site("aws"))


@pytest.mark.parametrize(
    ("site", "environ", "place"),
    [
        (Site("aws"), {}, USUAL),
        (AWS, {}, NAMED),
        (AWS, {"AWS_ENDPOINT_URL": "https://mine.example"}, "https://mine.example"),
    ],
)
async def test_down_looks_and_sweeps_at_the_place_that_is_meant(
    site: Site, environ: dict[str, str], place: str | None, stage: Stage
) -> None:
    places = await lose(stage)
    report = await down(places.world(environ), APP, site, lambda _plan: True)
    assert set(places.asked) == {place}
    assert bool(report.removed) == (place == NAMED) != bool(stage.engine.machines)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (Site("local", None, {"all": "https://b"}), "with no endpoints, and the file says endpoints all: https://b"),
        (Site("aws"), "is on provider local"),
    ],
)
async def test_a_file_that_leads_elsewhere_than_the_state_is_refused(site: Site, words: str, stage: Stage) -> None:
    await stage.stand()
    with pytest.raises(UsageError, match=words):
        await down(stage.world, APP, site, lambda _plan: True)
    assert len(stage.engine.machines) == 3


async def test_another_region_than_the_states_is_refused(stage: Stage) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    assert stack.accepted
    stage.engine.stacks["app"] = replace(stack, accepted=stack.accepted.model_copy(update={"region": "r1"}))
    with pytest.raises(UsageError, match="in region r1, and the file says r2"):
        await down(stage.world, APP, Site(None, "r2"), lambda _plan: True)


async def test_gc_looks_at_the_named_place_alone(stage: Stage) -> None:
    places = await lose(stage)
    await gc(places.world(), GcChoice("aws", ("r1",), endpoints=STACK), lambda _going: True)
    assert set(places.asked) == {NAMED}
    places.asked.clear()
    await gc(places.world(), GcChoice("aws"), lambda _going: True)
    assert set(places.asked) == {USUAL}


async def test_adopt_finds_at_the_named_place_and_region(stage: Stage) -> None:
    places = await lose(stage)
    args = AdoptArgs(APP, "aws", region="r1")
    files = Clusterfile(infra=InfraDoc("aws", endpoints=STACK, said=frozenset({"endpoints"})))
    with pytest.raises(UsageError, match="adopting from aws is not built yet"):  # the fake has no way; it was led there
        await adopt(places.world(), args, files, lambda _plan: True)
    assert places.asked == [NAMED]


async def test_networks_are_made_listed_and_deleted_at_the_named_place(stage: Stage) -> None:
    stack = NetworkCloud(stage.engine.machines, name="aws")
    asked: list[str | None] = []

    def lead(around: Surroundings) -> NetworkCloud:
        asked.append(around.environ.get("AWS_ENDPOINT_URL"))
        return stack

    world = replace(stage.world, drivers={"aws": lead})
    await create_network(world, AWS, NetworkWish("ci", ""), lambda _plan: True)
    assert [n.name for n in (await list_networks(world, AWS, AWS.regions)).found] == ["ci"]
    assert (await delete_network(world, AWS, "ci", lambda _found: True)).removed
    assert asked == [NAMED] * 3
