"""Plans for hosts that join, are replaced or leave: members are told once, nobody else restarts."""

from __future__ import annotations

from dataclasses import replace

from apply_model import accepted
from planning import ALL, env_of, on, shown, up

from provisioner.apply.plan import plan_apply
from provisioner.model.facts import Unreadable
from provisioner.model.ids import HostName, StepId
from provisioner.model.steps import RunScript, StepState


def test_a_joining_host_changes_files_on_the_others_but_restarts_nobody() -> None:
    model, _ = up()
    wanted = accepted(3, 1)
    provisional = plan_apply(model.inputs(wanted, creating=frozenset({HostName("n1")}), final=False))
    model.sync(wanted)
    plan = plan_apply(model.inputs(wanted))
    others = ["file/etc/etcd.conf", "reconfigure/reconfigure.sh", "health/health.sh"]
    assert shown(plan) == [*on("m1", *others), "cluster/member/n1", *on("m2 m3", *others), *on("n1", *ALL)]
    assert set(shown(plan)) <= set(shown(provisional))
    assert {s.state for s in provisional.hosts[1].steps} == {StepState.MAYBE}
    assert plan.joining == provisional.joining == ("n1",)
    assert plan.restarts == ()
    assert env_of(plan, "n1/init/init.sh")["SEALER_PHASE"] == "join"
    add = next(s.action for s in plan.steps if s.id == "cluster/member/n1")
    assert isinstance(add, RunScript)
    assert (add.path, add.args) == ("scripts/member.sh", ("add", "n1", "10.0.0.13"))
    assert dict(add.env)["SEALER_HOST"] == "m1"
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted)).changes


def test_a_join_that_was_cut_goes_on_as_a_join() -> None:
    model, _ = up()
    wanted = accepted(3, 1)
    model.sync(wanted)
    plan = plan_apply(model.inputs(wanted))
    only_add = replace(
        plan, hosts=tuple(replace(h, steps=tuple(s for s in h.steps if "member" in s.id)) for h in plan.hosts)
    )
    model.execute(only_add)
    plan = plan_apply(model.inputs(wanted))
    assert "cluster/member/n1" not in shown(plan)
    assert plan.joining == ("n1",)
    assert env_of(plan, "n1/start/start.sh")["SEALER_PHASE"] == "join"


def test_a_replaced_first_master_is_added_by_another_master() -> None:
    model, wanted = up()
    model.hosts["m1"] = model.hosts["m1"].replaced()
    plan = plan_apply(model.inputs(wanted))
    assert plan.joining == ("m1",)
    assert env_of(plan, "m1/start/start.sh")["SEALER_PHASE"] == "replace"
    add = next(s for s in plan.steps if s.id == "cluster/member/m1")
    assert (add.host, add.state) == ("m2", StepState.CHANGED)
    assert "cluster/cmd/1" not in shown(plan)
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted)).changes


def test_a_new_first_master_leaves_cluster_steps_to_one_that_is_in_the_cluster() -> None:
    model, wanted = up()
    model.hosts["m1"] = model.hosts["m1"].replaced()
    inputs = model.inputs(wanted, redo=frozenset({StepId("cluster/cmd/1")}))
    facts = {name: replace(f, health=None) for name, f in inputs.facts.items() if not isinstance(f, Unreadable)}
    plan = plan_apply(replace(inputs, facts=facts))
    assert {step.host for step in plan.steps if step.id.startswith("cluster/")} == {"m2"}


def test_a_master_that_lacks_a_members_record_is_told() -> None:
    model, wanted = up()
    model.hosts["m3"].entries = [e for e in model.hosts["m3"].entries if e.step != "cluster/member/m1"]
    plan = plan_apply(model.inputs(wanted))
    assert [(s.id, s.quiet) for h in plan.hosts for s in h.steps] == [("cluster/member/m1", True)]


def test_commands_are_not_repeated_when_all_masters_are_replaced_in_turn() -> None:
    model, wanted = up()
    for name in ("m1", "m2", "m3"):
        model.hosts[name] = model.hosts[name].replaced()
        plan = plan_apply(model.inputs(wanted))
        assert "cluster/cmd/1" not in shown(plan)
        model.execute(plan)


def test_a_host_that_left_is_removed_from_the_members_once() -> None:
    model, _ = up(accepted(3, 1))
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
    model, _ = up(accepted(3, 1))
    for nodes in (0, 1):
        wanted = accepted(3, nodes)
        model.sync(wanted)
        plan = plan_apply(model.inputs(wanted))
        model.execute(plan)
    assert env_of(plan, "n1/start/start.sh")["SEALER_PHASE"] == "join"
    assert not plan_apply(model.inputs(accepted(3, 1))).changes
