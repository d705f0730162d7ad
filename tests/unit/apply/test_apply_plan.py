"""Plans: what a change makes due, on whom, in which order, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apply_model import CONF, ENV, FILES, Model, accepted, changeset, digest, image
from planning import ALL, env_of, on, shown, up

from provisioner.apply.plan import plan_apply
from provisioner.errors import HostError, InvalidFileError, UsageError
from provisioner.model.facts import HealthReading, HostFacts, Unreadable
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret, Value
from provisioner.model.steps import PutFile, StepState


def test_a_new_cluster_gets_every_step_in_order() -> None:
    model = Model()
    model.sync(accepted())
    plan = plan_apply(model.inputs(accepted()))
    assert shown(plan) == [*on("m1", *ALL), "cluster/cmd/1", *on("m2 m3", *ALL)]
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
    assert env_of(plan, "m2/init/init.sh")["SEALER_PHASE"] == "create"


def test_the_plan_before_the_machines_shows_the_same_steps() -> None:
    wanted = accepted()
    before = replace(Model().inputs(wanted), keys=None, final=False, creating=frozenset(h.name for h in wanted.wanted))
    model = Model()
    model.sync(wanted)
    provisional, final = plan_apply(before), plan_apply(model.inputs(wanted))
    assert shown(provisional) == shown(final)
    assert provisional.provisional
    assert [s.state for s in provisional.steps] == [s.state for s in final.steps]
    assert [h.bytes_to_send for h in provisional.hosts] == [h.bytes_to_send for h in final.hosts]


def test_nothing_changed_is_nothing_to_do() -> None:
    model, wanted = up()
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
    model, wanted = up()
    plan = plan_apply(model.inputs(wanted, values={**ENV, name: "changed"}))
    assert shown(plan) == on("m1 m2 m3", *due)
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
    assert shown(plan) == on("m1 m2 m3", "init/init.sh", "health/health.sh")


def test_pool_env_touches_its_pool_alone() -> None:
    model, wanted = up(accepted(3, 1))
    plan = plan_apply(model.inputs(wanted, pool_values={"nodes": {"LOGLEVEL": "debug"}}))
    assert shown(plan) == on("n1", "start/start.sh", "health/health.sh")
    assert plan.restarts == ("n1",)


def test_hosts_that_are_not_healthy_yet_restart_first() -> None:
    model, wanted = up()
    inputs = model.inputs(wanted, values={**ENV, "TICK": "1"})
    facts = dict(inputs.facts)
    for name in ("m1", "m2"):
        found = facts[HostName(name)]
        assert isinstance(found, HostFacts)
        facts[HostName(name)] = replace(found, health=HealthReading(75 if name == "m1" else 0, ""))
    assert plan_apply(replace(inputs, facts=facts)).restarts == ("m1", "m2", "m3")
    assert plan_apply(inputs).restarts == ("m2", "m3", "m1")


def test_all_at_once_names_no_order() -> None:
    model, wanted = up()
    plan = plan_apply(model.inputs(wanted, values={**ENV, "TICK": "1"}, all_at_once=True))
    assert plan.restarts == ()


def test_hosts_whose_processes_died_start_together() -> None:
    model, wanted = up()
    model.hosts["m1"].started = model.hosts["m2"].started = False
    plan = plan_apply(model.inputs(wanted))
    assert shown(plan) == on("m1 m2", "start/start.sh", "health/health.sh")
    assert plan.restarts == ()


def test_a_rebooted_host_starts() -> None:
    model, wanted = up()
    model.hosts["m3"].reboot()
    plan = plan_apply(model.inputs(wanted))
    assert shown(plan) == on("m3", "start/start.sh", "health/health.sh")
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
    assert shown(plan) == ["m3/start/start.sh"]


def test_a_host_that_is_not_yet_healthy_is_waited_for_not_restarted() -> None:
    model, wanted = up()
    inputs = model.inputs(wanted)
    facts = inputs.facts[HostName("m1")]
    assert not isinstance(facts, Unreadable)
    assert facts.health is not None
    waiting = replace(facts, health=replace(facts.health, rc=75))
    plan = plan_apply(replace(inputs, facts={**inputs.facts, HostName("m1"): waiting}))
    assert shown(plan) == ["m1/health/health.sh"]


@pytest.mark.parametrize(
    ("events", "steps"),
    [
        (["healthy", "ran out"], ["start/start.sh", "health/health.sh"]),
        (["healthy"], ["health/health.sh"]),
        (["ran out"], ["health/health.sh"]),
        (["healthy", "ran out", "healthy"], ["health/health.sh"]),
        (["healthy", "ran out", "started"], ["health/health.sh"]),
        (["healthy", "ran out", "started", "ran out"], ["health/health.sh"]),
    ],
)
def test_a_host_that_was_healthy_and_did_not_become_so_again_starts_anew(events: list[str], steps: list[str]) -> None:
    model, wanted = up()
    first = plan_apply(model.inputs(wanted, values={**ENV, "LOGLEVEL": "debug"}))
    start, health = (next(s for s in first.steps if s.id == f"m1/{i}") for i in ("start/start.sh", "health/health.sh"))
    host = model.hosts["m1"]
    settled = next(entry for entry in reversed(host.entries) if entry.step == start.id)
    start = replace(start, inputs=settled.inputs)
    for step, rc in [
        (start, 0),
        *({"healthy": (health, 0), "ran out": (health, 75), "started": (start, 0)}[e] for e in events),
    ]:
        host.append(step, "intent", None, "r")
        host.append(step, "result", rc, "r")
    facts = {HostName(name): replace(_read(model, name), health=HealthReading(75, "")) for name in ("m1", "m2")}
    inputs = model.inputs(wanted)
    plan = plan_apply(replace(inputs, facts={**inputs.facts, **facts}))
    assert shown(plan) == [*on("m1", *steps), "m2/health/health.sh"]
    assert plan.restarts == ()


def _read(model: Model, name: str) -> HostFacts:
    facts = model.hosts[name].facts()
    assert isinstance(facts, HostFacts)
    return facts


def test_an_upgrade_runs_all_again_one_host_after_another() -> None:
    model, wanted = up(accepted(3, 1))
    new = {"image": image("b"), "changeset": changeset("b")}
    plan = plan_apply(model.inputs(wanted, **new))
    assert shown(plan) == [*on("m1", *ALL), "cluster/cmd/1", *on("m2 m3 n1", *ALL)]
    assert plan.restarts == ("m2", "m3", "m1", "n1")
    assert env_of(plan, "m1/start/start.sh")["SEALER_PHASE"] == "upgrade"
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted, **new)).changes
    assert "phase: create" in model.hosts["m1"].files["etc/etcd.conf"]


def test_a_rollback_sends_nothing_and_repeats_no_command() -> None:
    model, wanted = up()
    model.execute(plan_apply(model.inputs(wanted, image=image("b"), changeset=changeset("b"))))
    plan = plan_apply(model.inputs(wanted))
    assert shown(plan) == on("m1 m2 m3", *ALL)
    assert [host.bytes_to_send for host in plan.hosts] == [0, 0, 0]


def test_a_rootfs_that_is_gone_is_laid_again_with_all_that_stood_on_it() -> None:
    model, wanted = up()
    model.hosts["m2"].digests.clear()
    plan = plan_apply(model.inputs(wanted))
    assert shown(plan) == on("m2", *ALL)
    assert plan.hosts[1].bytes_to_send == changeset().total


def test_an_unreadable_host_shows_all_that_it_may_need() -> None:
    model, wanted = up()
    model.hosts["m2"].readable = False
    plan = plan_apply(model.inputs(wanted, final=False))
    every = [*ALL[:5], "reconfigure/reconfigure.sh", "health/health.sh"]
    assert shown(plan) == on("m2", *every)
    assert {step.state for step in plan.steps} == {StepState.MAYBE}
    assert plan.provisional


def test_with_all_masters_unreadable_members_and_commands_may_come_too() -> None:
    model, wanted = up()
    for host in model.hosts.values():
        host.readable = False
    plan = plan_apply(model.inputs(wanted, final=False))
    assert {"cluster/cmd/1", "cluster/member/m1"} <= set(shown(plan))


def test_a_final_plan_names_the_hosts_that_cannot_be_read() -> None:
    model, wanted = up()
    model.hosts["m2"].readable = False
    with pytest.raises(HostError, match=r"m2 \(no route\)"):
        plan_apply(model.inputs(wanted))


def test_an_excluded_host_is_left_out() -> None:
    model, wanted = up()
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


def test_a_cluster_needs_a_master() -> None:
    with pytest.raises(UsageError, match="master"):
        plan_apply(replace(Model().inputs(accepted(0, 1)), final=False))


def test_an_image_without_scripts_is_laid_and_nothing_runs() -> None:
    files = changeset(files={"bin/x": b"x"})
    model, wanted = Model(), accepted()
    model.sync(wanted)
    inputs = {"changeset": files, "image": image(cmd=())}
    plan = plan_apply(model.inputs(wanted, **inputs))
    assert shown(plan) == on("m1 m2 m3", "rootfs/image")
    model.execute(plan)
    assert not plan_apply(model.inputs(wanted, **inputs)).changes
    assert digest("a") == model.hosts["m1"].current
