"""`down` and scale-down where machines stay: undone on each host, data kept, the state kept while one is not undone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner import pipeline
from provisioner.errors import PreconditionError, StepError, UsageError
from provisioner.events import Warned
from provisioner.model.engine import Previewed
from provisioner.model.ids import ClusterName
from provisioner.model.plan import ResourceChange
from provisioner.model.report import DownReport
from provisioner.model.site import ANYWHERE
from provisioner.world import DownPlan, UpChoice
from tests.fakes.engine import HOST

from .conftest import FILES, UP, Stage, Templates, changed

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CLEAN = b'#!/bin/sh\n# sealer:env\necho "$SEALER_HOST $SEALER_PHASE" >>$SEALER_DATA/clean\nexit $(cat $SEALER_DATA/rc 2>/dev/null || echo 0)\n'


@dataclass
class Staying(Stage):
    """As if the fake driver's machines stayed; `plans` are what the user was shown."""

    plans: list[DownPlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.images.add("app:v1", {**FILES, "scripts/clean.sh": CLEAN}, env={"COLOUR": "none"})

    def confirm_down(self, plan: DownPlan) -> bool:
        self.plans.append(plan)
        return self.answer

    async def leave(self, *, delete_data: bool = False) -> DownReport:
        return await pipeline.down(self.world, ClusterName("app"), ANYWHERE, self.confirm_down, delete_data=delete_data)

    def files(self, name: str) -> list[str]:
        """Every file on a host, but for the boot id."""
        folder = self.host(name).folder
        found = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink())
        return sorted(f for f in found if f != "boot_id")

    @property
    def warnings(self) -> str:
        return "\n".join(e.text for e in self.seen if isinstance(e, Warned))


@pytest.fixture
def stage(tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Staying:
    for module in ("removal", "staying"):
        monkeypatch.setattr(f"provisioner.{module}.STAYING", frozenset({"local"}))
    return Staying(tmp_path, templates=templates)


async def test_every_host_is_cleaned_and_only_its_data_stays(stage: Staying) -> None:
    await stage.stand()
    report = await stage.leave()
    assert report.left == ()
    data = "var/lib/sealer/data/app/data/"
    for name in ("m1", "m2", "n1"):
        assert stage.data(name, "clean") == [f"{name} leave"]
        assert stage.files(name) == [f"{data}clean", f"{data}init", f"{data}start"]
    assert {k.host for k in report.kept} == {"m1", "m2", "n1"}
    assert not stage.engine.stacks


async def test_the_question_lists_the_data_with_its_size(stage: Staying) -> None:
    await stage.stand()
    stage.answer = False
    (stage.host("m1").at("/var/lib/sealer/data/app/data") / "big").write_bytes(b"x" * 200_000)
    before = stage.files("m1")
    with pytest.raises(Exception, match="not confirmed"):
        await stage.leave()
    (plan,) = stage.plans
    assert (plan.stays, plan.delete_data) == (True, False)
    sizes = {k.host: k.size for k in plan.data}
    assert 200_000 <= (sizes["m1"] or 0) < 400_000
    assert {k.path for k in plan.data} == {"/var/lib/sealer/data/app/data"}
    assert stage.files("m1") == before, "a look changes nothing"


async def test_data_goes_where_that_is_said(stage: Staying) -> None:
    await stage.stand()
    report = await stage.leave(delete_data=True)
    assert (report.left, report.kept) == ((), ())
    assert [stage.files(n) for n in ("m1", "m2", "n1")] == [[], [], []]
    assert stage.plans[0].delete_data


async def test_data_behind_a_link_stays_though_data_is_deleted(stage: Staying, tmp_path: Path) -> None:
    await stage.stand()
    disk = tmp_path / "disk"
    data = stage.host("m1").at("/var/lib/sealer/data/app/data")
    data.rename(disk)
    data.symlink_to(disk)
    report = await stage.leave(delete_data=True)
    assert [(k.host, k.path, k.linked) for k in report.kept] == [("m1", str(disk), True)]
    assert {(k.host, k.linked) for k in stage.plans[0].data} == {("m1", True), ("m2", False), ("n1", False)}
    assert sorted(p.name for p in disk.iterdir()) == ["clean", "init", "start"]
    assert stage.files("m1") == []


async def test_a_host_that_does_not_answer_keeps_the_state_and_the_same_command_goes_on(stage: Staying) -> None:
    await stage.stand()
    stage.host("m2").refuse = True
    report = await stage.leave()
    assert len(report.left) == 1
    assert report.left[0].startswith("host m2: m2 refused the connection")
    assert "app" in stage.engine.stacks
    assert not [f for f in stage.files("m1") if "/data/" not in f]
    assert {k.host: k.size for k in stage.plans[0].data}["m2"] is None
    stage.host("m2").refuse = False
    report = await stage.leave()
    assert report.left == ()
    assert not [f for f in stage.files("m2") if "/app/data/" not in f]
    assert stage.data("m1", "clean") == ["m1 leave"], "what is undone is not undone again"
    assert not stage.engine.stacks


async def test_a_clean_script_that_fails_keeps_all_of_that_host(stage: Staying) -> None:
    await stage.stand()
    rc = stage.host("m1").at("/var/lib/sealer/data/app/data") / "rc"
    rc.write_text("5")
    report = await stage.leave()
    assert [line.split(":")[0] for line in report.left] == ["host m1"]
    assert "exit status 5" in report.left[0]
    assert "scripts/clean.sh" in report.left[0]
    assert [f for f in stage.files("m1") if f.endswith("ledger.jsonl")]
    rc.unlink()
    assert (await stage.leave()).left == ()


async def test_an_image_without_a_clean_script_is_said(stage: Staying) -> None:
    stage.images.add("app:v1", FILES, env={"COLOUR": "none"})
    await stage.up(changed(UP, masters="1", nodes="0"))
    assert (await stage.leave()).left == ()
    assert "no scripts/clean.sh" in stage.warnings


async def test_a_broken_state_is_never_looked_past(stage: Staying) -> None:
    await stage.stand()

    def broken(_cluster: object) -> object:
        raise PreconditionError("the state is torn")

    stage.engine.stored = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(PreconditionError, match="torn"):
        await stage.down("local")
    assert stage.engine.stacks


FEWER = UpChoice(yes=True, allow_delete=True)


async def test_a_host_that_leaves_is_undone_before_it_is_forgotten(stage: Staying) -> None:
    await stage.stand()
    await stage.up(changed(UP, nodes="0"), FEWER)
    assert stage.data("n1", "clean") == ["n1 leave"]
    assert not [f for f in stage.files("n1") if "/app/data/" not in f]
    assert "n1 leaves; its data stays: /var/lib/sealer/data/app/data" in stage.warnings
    assert stage.data("m1", "clean") == []
    assert [f for f in stage.files("m1") if f.endswith("ledger.jsonl")]


async def test_a_leaving_host_that_is_gone_for_good_does_not_hold_the_others(stage: Staying) -> None:
    await stage.stand()
    stage.host("n1").refuse = True
    await stage.up(changed(UP, nodes="0"), FEWER)
    assert "n1 leaves, but nothing could be undone there" in stage.warnings
    assert ("machine", "n1") not in stage.engine.machines


async def test_a_leaving_host_that_cannot_be_cleaned_stops_the_run_before_stage_1(stage: Staying) -> None:
    await stage.stand()
    (stage.host("n1").at("/var/lib/sealer/data/app/data") / "rc").write_text("7")
    with pytest.raises(StepError, match=r"clean\.sh on n1 failed with exit status 7"):
        await stage.up(changed(UP, nodes="0"), FEWER)
    assert any(host == "n1" for _, host in stage.engine.machines)


async def test_a_host_that_leaves_as_the_name_goes_to_another_image_is_undone_as_what_it_was(
    stage: Staying, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.images.add("other:v1", {**FILES, "scripts/clean.sh": CLEAN}, env={"COLOUR": "none"})
    await stage.up()
    preview = stage.engine.preview

    async def as_the_engine(*words: Any) -> Previewed:  # the fake looks for machines of the new cid alone
        seen = await preview(*words)
        return replace(seen, plan=replace(seen.plan, delete=(ResourceChange(HOST, "n1"),)))

    monkeypatch.setattr(stage.engine, "preview", as_the_engine)
    await stage.up(changed(UP, image="other:v1", nodes="0", replace=True, name="app"), FEWER)
    assert stage.data("n1", "clean") == ["n1 leave"]
    assert not [f for f in stage.files("n1") if "/app/data/" not in f]


async def test_a_machine_that_stays_is_not_given_to_another_cluster_of_the_name(
    stage: Staying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.replacing.STAYING", frozenset({"local"}))
    await stage.stand()
    stage.images.add("other:v1", FILES, env={"COLOUR": "none"})
    before = {name: stage.files(name) for name in ("m1", "m2", "n1")}
    stage.connects.clear()
    words = changed(UP, image="other:v1", nodes="0", replace=True, name="app")
    for attempt in (stage.plan(words), stage.up(words, FEWER)):
        with pytest.raises(UsageError, match="m1, m2 would stay: they hold app as it is") as told:
            await attempt
    assert told.value.exit_code == 3
    assert "`sealer-cloud down app`" in told.value.hint
    assert (stage.connects, stage.engine.mutations[3:]) == ([], []), "nobody was even asked"
    assert {name: stage.files(name) for name in before} == before
