"""Steps whose end is unknown, and CMD: once per cluster and digest, never repeated by guess."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apply_model import ENV, Model, accepted, changeset, image
from planning import on, shown, up

from provisioner.apply.plan import plan_apply
from provisioner.errors import StepError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.facts import OpenRun
from provisioner.model.ids import StepId
from provisioner.model.steps import StepState


def test_a_step_without_an_end_is_unknown_and_runs_again() -> None:
    model, wanted = up()
    step = plan_apply(model.inputs(wanted, values={**ENV, "DISK": "x"})).steps[0]
    model.hosts["m1"].append(step, "intent", None, "r")
    plan = plan_apply(model.inputs(wanted))
    assert next((s.id, s.state) for s in plan.steps) == ("m1/init/init.sh", StepState.UNKNOWN)


def test_a_step_that_failed_since_runs_again() -> None:
    model, wanted = up()
    step = plan_apply(model.inputs(wanted, values={**ENV, "DISK": "x"})).steps[0]
    model.hosts["m1"].append(step, "result", 1, "r")
    assert shown(plan_apply(model.inputs(wanted))) == on("m1", "init/init.sh", "health/health.sh")


def test_redo_runs_a_step_again_and_knows_the_names() -> None:
    model, wanted = up()
    plan = plan_apply(model.inputs(wanted, redo=frozenset({StepId("m2/init/init.sh"), StepId("cluster/cmd/1")})))
    assert shown(plan) == ["cluster/cmd/1", *on("m2", "init/init.sh", "health/health.sh")]
    with pytest.raises(UsageError, match="no such step"):
        plan_apply(model.inputs(wanted, redo=frozenset({StepId("m9/init/init.sh")})))
    with pytest.raises(UsageError, match="no such step"):
        plan_apply(model.inputs(wanted, assume_done=frozenset({StepId("m1/init/init.sh")})))


class TestCommands:
    """CMD: once per cluster and digest, never repeated by guess."""

    def _cut(self, **rules: str) -> tuple[Model, Accepted]:
        """A cluster whose CMD began and has no end."""
        model, wanted = Model(), accepted(annotations=rules)
        model.sync(wanted)
        plan = plan_apply(model.inputs(wanted))
        command = next(s for s in plan.steps if s.id == "cluster/cmd/1")
        strip = tuple(replace(h, steps=tuple(s for s in h.steps if s.id != command.id)) for h in plan.hosts)
        model.execute(replace(plan, hosts=strip))
        model.hosts["m1"].append(command, "intent", None, "r")
        return model, wanted

    def test_an_unknown_end_is_refused_with_both_ways_out(self) -> None:
        model, wanted = self._cut()
        with pytest.raises(StepError) as caught:
            plan_apply(model.inputs(wanted))
        assert "--redo cluster/cmd/1" in caught.value.hint
        assert "--assume-done cluster/cmd/1" in caught.value.hint

    def test_redo_and_assume_done_are_honoured(self) -> None:
        model, wanted = self._cut()
        ids = frozenset({StepId("cluster/cmd/1")})
        redo = plan_apply(model.inputs(wanted, redo=ids))
        assert [(s.id, s.state) for s in redo.steps] == [("cluster/cmd/1", StepState.UNKNOWN)]
        assume = plan_apply(model.inputs(wanted, assume_done=ids))
        assert (shown(assume), assume.changes) == ([], True)
        model.execute(assume)
        assert not plan_apply(model.inputs(wanted)).changes

    def test_another_commands_unknown_end_stops_nobody(self) -> None:
        model, wanted = self._cut()
        plan = plan_apply(model.inputs(wanted.model_copy(update={"cmd": ("another",)})))
        assert [(s.id, s.state) for s in plan.steps] == [("cluster/cmd/1", StepState.NEW)]

    @pytest.mark.parametrize("rule", ["repeat=once", "repeat=once env=TICK"])
    def test_an_unknown_end_of_what_may_run_once_is_refused_whatever_changed(self, rule: str) -> None:
        model, wanted = self._cut(**{"sealer-cloud.cmd.1": rule})
        for more in ({"image": image("b"), "changeset": changeset("b")}, {"values": {**ENV, "TICK": "9"}}):
            with pytest.raises(StepError, match="its end is unknown"):
                plan_apply(model.inputs(wanted, **more))
        ids = frozenset({StepId("cluster/cmd/1")})
        assert plan_apply(model.inputs(wanted, assume_done=ids, values={**ENV, "TICK": "9"})).changes

    def test_an_idempotent_command_is_simply_repeated(self) -> None:
        model, wanted = self._cut(**{"sealer-cloud.cmd.1": "idempotent=true"})
        assert shown(plan_apply(model.inputs(wanted))) == ["cluster/cmd/1"]

    def test_a_living_command_is_waited_for(self) -> None:
        model, wanted = self._cut()
        model.hosts["m1"].open_runs = (OpenRun("cluster/cmd/1", "r", alive=True, rc=None),)
        assert [s.state for s in plan_apply(model.inputs(wanted)).steps] == [StepState.UNKNOWN]

    @pytest.mark.parametrize(("rc", "due"), [(0, []), (3, ["cluster/cmd/1"])])
    def test_an_end_that_the_wrapper_kept_is_used(self, rc: int, due: list[str]) -> None:
        model, wanted = self._cut()
        model.hosts["m1"].open_runs = (OpenRun("cluster/cmd/1", "r", alive=False, rc=rc),)
        assert shown(plan_apply(model.inputs(wanted))) == due

    def test_any_master_that_says_done_is_believed_and_the_others_are_told(self) -> None:
        model, wanted = up()
        for name in ("m1", "m3"):
            model.hosts[name].entries = [e for e in model.hosts[name].entries if e.step != "cluster/cmd/1"]
        plan = plan_apply(model.inputs(wanted))
        assert (shown(plan), plan.changes) == ([], True)

    @pytest.mark.parametrize(
        ("rule", "same", "env", "image_b"),
        [
            ("", False, False, True),
            ("env=TICK", False, True, True),
            ("repeat=once env=TICK", False, False, False),
            ("repeat=always", True, True, True),
        ],
    )
    def test_rules_say_when_it_runs_again(self, rule: str, same: bool, env: bool, image_b: bool) -> None:
        labels = {"sealer-cloud.cmd.1": rule} if rule else {}
        model, wanted = Model(), accepted()
        model.sync(wanted)
        model.execute(plan_apply(model.inputs(wanted, image=image(labels=labels))))

        def due(sign: str = "a", **more: object) -> bool:
            pinned = image(sign, labels=labels)
            return "cluster/cmd/1" in shown(
                plan_apply(model.inputs(wanted, image=pinned, changeset=changeset(sign), **more))
            )

        assert (due(), due(values={**ENV, "TICK": "9"}), due("b")) == (same, env, image_b)

    def test_the_request_replaces_the_commands_and_their_labels(self) -> None:
        model, wanted = Model(), accepted(cmd=("one", "two"))
        model.sync(wanted)
        plan = plan_apply(model.inputs(wanted, image=image(labels={"sealer-cloud.cmd.1": "idempotent=true"})))
        commands = [s for s in plan.steps if s.id.startswith("cluster/cmd/")]
        assert [s.title for s in commands] == ["CMD 1/2", "CMD 2/2"]
        assert [getattr(s.action, "idempotent", None) for s in commands] == [False, False]

    def test_an_empty_request_runs_none(self) -> None:
        model, wanted = Model(), accepted(cmd=())
        model.sync(wanted)
        assert "cluster/cmd/1" not in shown(plan_apply(model.inputs(wanted)))

    def test_a_rule_that_cannot_be_read_is_refused(self) -> None:
        wanted = accepted(annotations={"sealer-cloud.cmd.1": "repeat=often"})
        with pytest.raises(UsageError, match=r"cmd\.1"):
            plan_apply(replace(Model().inputs(wanted), final=False))
