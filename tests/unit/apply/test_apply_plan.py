"""Plans: what a change makes due, on whom, in which order, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apply_model import CONF, ENV, FILES, Model, accepted, changeset, digest, image

from provisioner.apply.plan import plan_apply
from provisioner.errors import HostError, InvalidFileError, StepError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.facts import HealthReading, HostFacts, OpenRun, Unreadable
from provisioner.model.ids import HostName, StepId
from provisioner.model.plan import ApplyPlan
from provisioner.model.secret import Secret, Value
from provisioner.model.steps import PutFile, RunScript, StepState

ALL = ["rootfs/image", "file/etc/auth", "file/etc/etcd.conf", "init/init.sh", "start/start.sh", "health/health.sh"]


def _shown(plan: ApplyPlan) -> list[str]:
    return [step.id for step in plan.steps]


def _on(names: str, *steps: str) -> list[str]:
    return [f"{name}/{step}" for name in names.split() for step in steps]


def _up(wanted: Accepted | None = None) -> tuple[Model, Accepted]:
    wanted = wanted or accepted()
    model = Model()
    model.sync(wanted)
    model.execute(plan_apply(model.inputs(wanted)))
    return model, wanted


def _env(plan: ApplyPlan, step: str) -> dict[str, object]:
    action = next(s.action for s in plan.steps if s.id == step)
    assert isinstance(action, RunScript)
    return dict(action.env)


def test_a_new_cluster_gets_every_step_in_order() -> None:
    model = Model()
    model.sync(accepted())
    plan = plan_apply(model.inputs(accepted()))
    assert _shown(plan) == [*_on("m1", *ALL), "cluster/cmd/1", *_on("m2 m3", *ALL)]
    assert {step.state for step in plan.steps} == {StepState.NEW}
    assert [step.title for step in plan.hosts[0].steps if not step.quiet] == [
        "rootfs",
        "etc/auth",
        "etc/etcd.conf",
        "init.sh",
        "start.sh",
        "health",
        "CMD 1/1",
    ]
    assert (plan.restarts, plan.joining, plan.provisional) == ((), (), False)
    assert [host.bytes_to_send for host in plan.hosts] == [changeset().total] * 3
    assert _env(plan, "m2/init/init.sh")["SEALER_PHASE"] == "create"


def test_the_plan_before_the_machines_shows_the_same_steps() -> None:
    wanted = accepted()
    before = replace(Model().inputs(wanted), keys=None, final=False, creating=frozenset(h.name for h in wanted.wanted))
    model = Model()
    model.sync(wanted)
    provisional, final = plan_apply(before), plan_apply(model.inputs(wanted))
    assert _shown(provisional) == _shown(final)
    assert provisional.provisional
    assert [s.state for s in provisional.steps] == [s.state for s in final.steps]
    assert [h.bytes_to_send for h in provisional.hosts] == [h.bytes_to_send for h in final.hosts]


def test_nothing_changed_is_nothing_to_do() -> None:
    model, wanted = _up()
    plan = plan_apply(model.inputs(wanted))
    assert not plan.changes
    assert [host.bytes_to_send for host in plan.hosts] == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "due", "restarts"),
    [
        ("UNUSED", [], ()),
        ("DISK", ["init/init.sh", "health/health.sh"], ()),
        ("LOGLEVEL", ["start/start.sh", "health/health.sh"], ("m2", "m3", "m1")),
        ("TICK", ["file/etc/etcd.conf", "start/start.sh", "health/health.sh"], ("m2", "m3", "m1")),
        ("TOKEN", ["file/etc/auth", "start/start.sh", "health/health.sh"], ("m2", "m3", "m1")),
    ],
)
def test_one_env_change_makes_exactly_its_dependents_due(name: str, due: list[str], restarts: tuple[str, ...]) -> None:
    model, wanted = _up()
    plan = plan_apply(model.inputs(wanted, values={**ENV, name: "changed"}))
    assert _shown(plan) == _on("m1 m2 m3", *due)
    assert plan.restarts == restarts
    assert {step.state for step in plan.steps} <= {StepState.CHANGED}


def test_a_script_without_an_env_line_depends_on_all_user_env() -> None:
    files = changeset(
        files={**FILES, "scripts/init.sh": b"#!/bin/sh\n", "scripts/start.sh": b"#!/bin/sh\n# sealer:env\n"}
    )
    model, wanted = Model(), accepted()
    model.sync(wanted)
    model.execute(plan_apply(model.inputs(wanted, changeset=files)))
    plan = plan_apply(model.inputs(wanted, changeset=files, values={**ENV, "UNUSED": "y"}))
    assert _shown(plan) == _on("m1 m2 m3", "init/init.sh", "health/health.sh")


def test_pool_env_touches_its_pool_alone() -> None:
    model, wanted = _up(accepted(3, 1))
    plan = plan_apply(model.inputs(wanted, pool_values={"nodes": {"LOGLEVEL": "debug"}}))
    assert _shown(plan) == _on("n1", "start/start.sh", "health/health.sh")
    assert plan.restarts == ("n1",)


def test_hosts_that_are_not_healthy_yet_restart_first() -> None:
    model, wanted = _up()
    inputs = model.inputs(wanted, values={**ENV, "TICK": "1"})
    facts = dict(inputs.facts)
    for name in ("m1", "m2"):
        found = facts[HostName(name)]
        assert isinstance(found, HostFacts)
        facts[HostName(name)] = replace(found, health=HealthReading(75 if name == "m1" else 0, ""))
    assert plan_apply(replace(inputs, facts=facts)).restarts == ("m1", "m2", "m3")
    assert plan_apply(inputs).restarts == ("m2", "m3", "m1")


def test_all_at_once_names_no_order() -> None:
    model, wanted = _up()
    plan = plan_apply(model.inputs(wanted, values={**ENV, "TICK": "1"}, all_at_once=True))
    assert plan.restarts == ()


def test_hosts_whose_processes_died_start_together() -> None:
    model, wanted = _up()
    model.hosts["m1"].started = model.hosts["m2"].started = False
    plan = plan_apply(model.inputs(wanted))
    assert _shown(plan) == _on("m1 m2", "start/start.sh", "health/health.sh")
    assert plan.restarts == ()


def test_a_rebooted_host_starts() -> None:
    model, wanted = _up()
    model.hosts["m3"].reboot()
    plan = plan_apply(model.inputs(wanted))
    assert _shown(plan) == _on("m3", "start/start.sh", "health/health.sh")
    assert plan.restarts == ()


def test_without_health_sh_the_boot_alone_says_that_a_host_is_down() -> None:
    files = changeset(files={path: raw for path, raw in FILES.items() if path != "scripts/health.sh"})
    model, wanted = Model(), accepted()
    model.sync(wanted)
    model.execute(plan_apply(model.inputs(wanted, changeset=files)))
    model.hosts["m3"].reboot()
    inputs = model.inputs(wanted, changeset=files)
    facts = {name: replace(f, health=None) for name, f in inputs.facts.items() if not isinstance(f, Unreadable)}
    plan = plan_apply(replace(inputs, facts=facts))
    assert _shown(plan) == ["m3/start/start.sh"]


def test_a_host_that_is_not_yet_healthy_is_waited_for_not_restarted() -> None:
    model, wanted = _up()
    inputs = model.inputs(wanted)
    facts = inputs.facts[HostName("m1")]
    assert not isinstance(facts, Unreadable)
    assert facts.health is not None
    waiting = replace(facts, health=replace(facts.health, rc=75))
    plan = plan_apply(replace(inputs, facts={**inputs.facts, HostName("m1"): waiting}))
    assert _shown(plan) == ["m1/health/health.sh"]


def test_an_upgrade_runs_all_again_one_host_after_another() -> None:
    model, wanted = _up(accepted(3, 1))
    new = {"image": image("b"), "changeset": changeset("b")}
    plan = plan_apply(model.inputs(wanted, **new))
    assert _shown(plan) == [*_on("m1", *ALL), "cluster/cmd/1", *_on("m2 m3 n1", *ALL)]
    assert plan.restarts == ("m2", "m3", "m1", "n1")
    assert _env(plan, "m1/start/start.sh")["SEALER_PHASE"] == "upgrade"
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted, **new)).changes
    assert "phase: create" in model.hosts["m1"].files["etc/etcd.conf"]


def test_a_rollback_sends_nothing_and_repeats_no_command() -> None:
    model, wanted = _up()
    model.execute(plan_apply(model.inputs(wanted, image=image("b"), changeset=changeset("b"))))
    plan = plan_apply(model.inputs(wanted))
    assert _shown(plan) == _on("m1 m2 m3", *ALL)
    assert [host.bytes_to_send for host in plan.hosts] == [0, 0, 0]


def test_a_rootfs_that_is_gone_is_laid_again_with_all_that_stood_on_it() -> None:
    model, wanted = _up()
    model.hosts["m2"].digests.clear()
    plan = plan_apply(model.inputs(wanted))
    assert _shown(plan) == _on("m2", *ALL)
    assert plan.hosts[1].bytes_to_send == changeset().total


def test_a_joining_host_changes_files_on_the_others_but_restarts_nobody() -> None:
    model, _ = _up()
    wanted = accepted(3, 1)
    provisional = plan_apply(model.inputs(wanted, creating=frozenset({HostName("n1")}), final=False))
    model.sync(wanted)
    plan = plan_apply(model.inputs(wanted))
    others = ["file/etc/etcd.conf", "reconfigure/reconfigure.sh", "health/health.sh"]
    assert _shown(plan) == [*_on("m1", *others), "cluster/member/n1", *_on("m2 m3", *others), *_on("n1", *ALL)]
    assert set(_shown(plan)) <= set(_shown(provisional))
    assert {s.state for s in provisional.hosts[1].steps} == {StepState.MAYBE}
    assert plan.joining == provisional.joining == ("n1",)
    assert plan.restarts == ()
    assert _env(plan, "n1/init/init.sh")["SEALER_PHASE"] == "join"
    add = next(s.action for s in plan.steps if s.id == "cluster/member/n1")
    assert isinstance(add, RunScript)
    assert (add.path, add.args) == ("scripts/member.sh", ("add", "n1", "10.0.0.13"))
    assert dict(add.env)["SEALER_HOST"] == "m1"
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted)).changes


def test_a_join_that_was_cut_goes_on_as_a_join() -> None:
    model, _ = _up()
    wanted = accepted(3, 1)
    model.sync(wanted)
    plan = plan_apply(model.inputs(wanted))
    only_add = replace(
        plan, hosts=tuple(replace(h, steps=tuple(s for s in h.steps if "member" in s.id)) for h in plan.hosts)
    )
    model.execute(only_add)
    plan = plan_apply(model.inputs(wanted))
    assert "cluster/member/n1" not in _shown(plan)
    assert plan.joining == ("n1",)
    assert _env(plan, "n1/start/start.sh")["SEALER_PHASE"] == "join"


def test_a_replaced_first_master_is_added_by_another_master() -> None:
    model, wanted = _up()
    model.hosts["m1"] = model.hosts["m1"].replaced()
    plan = plan_apply(model.inputs(wanted))
    assert plan.joining == ("m1",)
    assert _env(plan, "m1/start/start.sh")["SEALER_PHASE"] == "replace"
    add = next(s for s in plan.steps if s.id == "cluster/member/m1")
    assert (add.host, add.state) == ("m2", StepState.CHANGED)
    assert "cluster/cmd/1" not in _shown(plan)
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted)).changes


def test_a_new_first_master_leaves_cluster_steps_to_one_that_is_in_the_cluster() -> None:
    model, wanted = _up()
    model.hosts["m1"] = model.hosts["m1"].replaced()
    inputs = model.inputs(wanted, redo=frozenset({StepId("cluster/cmd/1")}))
    facts = {name: replace(f, health=None) for name, f in inputs.facts.items() if not isinstance(f, Unreadable)}
    plan = plan_apply(replace(inputs, facts=facts))
    assert {step.host for step in plan.steps if step.id.startswith("cluster/")} == {"m2"}


def test_a_master_that_lacks_a_members_record_is_told() -> None:
    model, wanted = _up()
    model.hosts["m3"].entries = [e for e in model.hosts["m3"].entries if e.step != "cluster/member/m1"]
    plan = plan_apply(model.inputs(wanted))
    assert [(s.id, s.quiet) for h in plan.hosts for s in h.steps] == [("cluster/member/m1", True)]


def test_commands_are_not_repeated_when_all_masters_are_replaced_in_turn() -> None:
    model, wanted = _up()
    for name in ("m1", "m2", "m3"):
        model.hosts[name] = model.hosts[name].replaced()
        plan = plan_apply(model.inputs(wanted))
        assert "cluster/cmd/1" not in _shown(plan)
        model.execute(plan)


def test_a_host_that_left_is_removed_from_the_members_once() -> None:
    model, _ = _up(accepted(3, 1))
    wanted = accepted(3, 0)
    model.sync(wanted)
    plan = plan_apply(model.inputs(wanted))
    remove = next(s.action for s in plan.steps if s.id == "cluster/member/n1")
    assert isinstance(remove, RunScript)
    assert remove.args == ("remove", "n1", "")
    assert dict(remove.env)["SEALER_PHASE"] == "leave"
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted)).changes


def test_a_host_that_comes_back_joins() -> None:
    model, _ = _up(accepted(3, 1))
    for nodes in (0, 1):
        wanted = accepted(3, nodes)
        model.sync(wanted)
        plan = plan_apply(model.inputs(wanted))
        model.execute(plan)
    assert _env(plan, "n1/start/start.sh")["SEALER_PHASE"] == "join"
    assert not plan_apply(model.inputs(accepted(3, 1))).changes


def test_an_unreadable_host_shows_all_that_it_may_need() -> None:
    model, wanted = _up()
    model.hosts["m2"].readable = False
    plan = plan_apply(model.inputs(wanted, final=False))
    every = [*ALL[:5], "reconfigure/reconfigure.sh", "health/health.sh"]
    assert _shown(plan) == _on("m2", *every)
    assert {step.state for step in plan.steps} == {StepState.MAYBE}
    assert plan.provisional


def test_with_all_masters_unreadable_members_and_commands_may_come_too() -> None:
    model, wanted = _up()
    for host in model.hosts.values():
        host.readable = False
    plan = plan_apply(model.inputs(wanted, final=False))
    assert {"cluster/cmd/1", "cluster/member/m1"} <= set(_shown(plan))


def test_a_final_plan_names_the_hosts_that_cannot_be_read() -> None:
    model, wanted = _up()
    model.hosts["m2"].readable = False
    with pytest.raises(HostError, match=r"m2 \(no route\)"):
        plan_apply(model.inputs(wanted))


def test_an_excluded_host_is_left_out() -> None:
    model, wanted = _up()
    model.hosts["m2"].readable = False
    out = wanted.model_copy(update={"excluded": ("m2",)})
    plan = plan_apply(model.inputs(out, values={**ENV, "TICK": "1"}))
    assert [host.name for host in plan.hosts if host.steps] == ["m1", "m3"]
    assert [host.bytes_to_send for host in plan.hosts] == [0, 0, 0]


def test_secrets_are_laid_0600_and_stay_secrets() -> None:
    model = Model()
    model.sync(accepted())
    plan = plan_apply(model.inputs(accepted()))
    files = {a.path: a for s in plan.hosts[0].steps if isinstance(a := s.action, PutFile)}
    assert files["etc/auth"].content == Secret("token: hush\n")
    assert files["etc/auth"].mode == 0o600
    assert files["etc/etcd.conf"].mode == 0o644
    assert "hush" not in repr(plan)


def test_a_typo_in_a_template_is_found_before_machines_are_made() -> None:
    wanted = accepted()
    files = {**FILES, "etc/etcd.conf.tmpl": CONF + b"{{ .TYPO }}"}
    before = replace(Model().inputs(wanted), keys=None, final=False, creating=frozenset(h.name for h in wanted.wanted))
    with pytest.raises(InvalidFileError, match=r"etc/etcd\.conf\.tmpl:5:4: the variable TYPO is not defined"):
        plan_apply(replace(before, changeset=changeset(files=files)))


def test_a_step_without_an_end_is_unknown_and_runs_again() -> None:
    model, wanted = _up()
    step = plan_apply(model.inputs(wanted, values={**ENV, "DISK": "x"})).steps[0]
    model.hosts["m1"].append(step, "intent", None, "r")
    plan = plan_apply(model.inputs(wanted))
    assert next((s.id, s.state) for s in plan.steps) == ("m1/init/init.sh", StepState.UNKNOWN)


def test_a_step_that_failed_since_runs_again() -> None:
    model, wanted = _up()
    step = plan_apply(model.inputs(wanted, values={**ENV, "DISK": "x"})).steps[0]
    model.hosts["m1"].append(step, "result", 1, "r")
    assert _shown(plan_apply(model.inputs(wanted))) == _on("m1", "init/init.sh", "health/health.sh")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"BIG": "x" * 102_401}, "BIG is longer than 100 KiB"),
        ({f"V{n}": Secret("x" * 100_000) for n in range(11)}, "longer than 1 MiB"),
        ({"my.var": "1"}, r"'my\.var' is no name"),
    ],
)
def test_env_that_no_host_could_take_is_refused_before_machines_are_made(values: dict[str, Value], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan_apply(replace(Model().inputs(accepted(), values={**ENV, **values}), final=False))


def test_redo_runs_a_step_again_and_knows_the_names() -> None:
    model, wanted = _up()
    plan = plan_apply(model.inputs(wanted, redo=frozenset({StepId("m2/init/init.sh"), StepId("cluster/cmd/1")})))
    assert _shown(plan) == ["cluster/cmd/1", *_on("m2", "init/init.sh", "health/health.sh")]
    with pytest.raises(UsageError, match="no such step"):
        plan_apply(model.inputs(wanted, redo=frozenset({StepId("m9/init/init.sh")})))
    with pytest.raises(UsageError, match="no such step"):
        plan_apply(model.inputs(wanted, assume_done=frozenset({StepId("m1/init/init.sh")})))


def test_a_cluster_needs_a_master() -> None:
    with pytest.raises(UsageError, match="master"):
        plan_apply(replace(Model().inputs(accepted(0, 1)), final=False))


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
        assert (_shown(assume), assume.changes) == ([], True)
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
        assert _shown(plan_apply(model.inputs(wanted))) == ["cluster/cmd/1"]

    def test_a_living_command_is_waited_for(self) -> None:
        model, wanted = self._cut()
        model.hosts["m1"].open_runs = (OpenRun("cluster/cmd/1", "r", alive=True, rc=None),)
        assert [s.state for s in plan_apply(model.inputs(wanted)).steps] == [StepState.UNKNOWN]

    @pytest.mark.parametrize(("rc", "shown"), [(0, []), (3, ["cluster/cmd/1"])])
    def test_an_end_that_the_wrapper_kept_is_used(self, rc: int, shown: list[str]) -> None:
        model, wanted = self._cut()
        model.hosts["m1"].open_runs = (OpenRun("cluster/cmd/1", "r", alive=False, rc=rc),)
        assert _shown(plan_apply(model.inputs(wanted))) == shown

    def test_any_master_that_says_done_is_believed_and_the_others_are_told(self) -> None:
        model, wanted = _up()
        for name in ("m1", "m3"):
            model.hosts[name].entries = [e for e in model.hosts[name].entries if e.step != "cluster/cmd/1"]
        plan = plan_apply(model.inputs(wanted))
        assert (_shown(plan), plan.changes) == ([], True)

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
            return "cluster/cmd/1" in _shown(
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
        assert "cluster/cmd/1" not in _shown(plan_apply(model.inputs(wanted)))

    def test_a_rule_that_cannot_be_read_is_refused(self) -> None:
        wanted = accepted(annotations={"sealer-cloud.cmd.1": "repeat=often"})
        with pytest.raises(UsageError, match=r"cmd\.1"):
            plan_apply(replace(Model().inputs(wanted), final=False))


def test_an_image_without_scripts_is_laid_and_nothing_runs() -> None:
    files = changeset(files={"bin/x": b"x"})
    model, wanted = Model(), accepted()
    model.sync(wanted)
    inputs = {"changeset": files, "image": image(cmd=())}
    plan = plan_apply(model.inputs(wanted, **inputs))
    assert _shown(plan) == _on("m1 m2 m3", "rootfs/image")
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted, **inputs)).changes
    assert digest("a") == model.hosts["m1"].current
