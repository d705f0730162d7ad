"""The hash of a plan, and what may differ between the plan that was shown and the one that runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from apply_model import CID, CLUSTER, ENV, Model, accepted, image

from provisioner.apply.inputs import PlanInputs
from provisioner.apply.plan import plan_apply
from provisioner.model.accepted import Accepted, AcceptedMachine, AcceptedSsh
from provisioner.model.ids import ClusterId
from provisioner.model.plan import ApplyPlan, InfraPlan, Plan, ResourceChange
from provisioner.model.planhash import plan_hash, plan_to_markdown, steps_differ, summary_of
from provisioner.model.secret import Secret
from provisioner.model.steps import StepKind


def _inputs(wanted: Accepted | None = None) -> PlanInputs:
    model = Model()
    model.sync(wanted or accepted())
    return model.inputs(wanted or accepted())


def _plan(inputs: PlanInputs, **more: object) -> Plan:
    made = InfraPlan(create=(ResourceChange("sealer:local:Host", "m1", "10.0.0.1"),))
    pinned = inputs.image
    plan = Plan(CLUSTER, inputs.cid, "local", pinned.reference, pinned.digest, pinned.size, made, plan_apply(inputs))
    return replace(plan, **more)  # type: ignore[arg-type]


def _hash(inputs: PlanInputs, **more: object) -> str:
    return plan_hash(_plan(inputs, **more), inputs.accepted)


def test_the_hash_leaves_out_what_differs_between_equal_plans() -> None:
    base = _inputs()
    moved = tuple(replace(host, address="10.9.9.9", machine_id="x") for host in base.inventory.hosts)
    others = (
        replace(base, cid=ClusterId("etcd-zzzzzz")),
        replace(base, values={**ENV, "TOKEN": Secret("another")}),
        replace(base, inventory=replace(base.inventory, hosts=moved)),
        replace(base, accepted=accepted(expires_at="2026-11-24T12:00:00Z")),
    )
    assert {_hash(other) for other in others} == {_hash(base)}
    elsewhere = InfraPlan(create=(ResourceChange("sealer:local:Host", "m1", "10.9.9.9"),))
    assert _hash(base, infra=elsewhere) == _hash(base)
    assert _hash(base).startswith("sha256:")


def _placed(**machine: object) -> Accepted:
    return accepted(placement={"region": "a1", "hosts": {"m1": {"zone": "a1-b", **machine}}}, env={"PRICE": "1"})


def _operator(address: str, *, ssh: bool = False) -> Accepted:
    return accepted(placement={"region": "a1", "operator": {"address": address, "ssh": ssh}})


def _with_key(path: str, address: str = "10.0.0.1") -> Accepted:
    ssh = AcceptedSsh(private_key_file=path)
    machine = AcceptedMachine(name="m1", address=address, ssh=ssh, known_hosts_file=f"{path}/known_hosts")
    return accepted(machines=(machine,), ssh=ssh)


def test_the_hash_holds_no_price_and_no_path_of_the_operators_machine() -> None:
    def of(wanted: Accepted) -> str:
        return _hash(replace(_inputs(), accepted=wanted))

    assert of(_placed(priceLimit=0.4)) == of(_placed(priceLimit=0.5, price=1)) == of(_placed())
    assert of(_placed(zone="a1-c")) != of(_placed())
    assert of(_with_key("/home/a")) == of(_with_key("/home/b")) != of(_with_key("/home/a", "10.0.0.2"))
    assert (
        of(_operator("203.0.113.7/32")) == of(_operator("198.51.100.9/32")) != of(_operator("203.0.113.7/32", ssh=True))
    )
    assert of(accepted(ttl=3600)) != of(accepted(ttl=7200))
    assert of(accepted(env={"PRICE": "1"})) != of(accepted(env={"PRICE": "2"}))


@pytest.mark.parametrize(
    "change",
    [
        {"accepted": accepted(env={"A": "1"})},
        {"accepted": accepted(2)},
        {"accepted": accepted(protect=True)},
        {"image": image("b")},
        {"image": image(cmd=())},
    ],
)
def test_the_hash_shows_what_differs(change: dict[str, object]) -> None:
    assert _hash(replace(_inputs(), **change)) != _hash(_inputs())  # type: ignore[arg-type]


def test_the_hash_shows_what_happens_to_machines() -> None:
    gone = InfraPlan(delete=(ResourceChange("sealer:local:Host", "m1"),))
    assert _hash(_inputs(), infra=gone) != _hash(_inputs())


def _without(plan: ApplyPlan, word: str) -> ApplyPlan:
    return replace(
        plan, hosts=tuple(replace(h, steps=tuple(s for s in h.steps if word not in s.id)) for h in plan.hosts)
    )


def test_a_final_plan_may_hold_nothing_that_was_not_shown() -> None:
    final = plan_apply(_inputs())
    assert steps_differ(final, final) == []
    assert steps_differ(_without(final, "m1/init"), final) == ["m1/init/init.sh was not shown"]


def test_fewer_steps_are_right_only_where_hosts_were_not_read() -> None:
    final = plan_apply(_inputs())
    assert steps_differ(final, _without(final, "m1/init")) == ["m1/init/init.sh was shown and is not due any more"]
    assert steps_differ(replace(final, provisional=True), _without(final, "m1/init")) == []


def test_no_host_gets_more_bytes_than_were_shown() -> None:
    final = plan_apply(_inputs())
    less = replace(final, hosts=tuple(replace(h, bytes_to_send=1) for h in final.hosts))
    assert steps_differ(final, less) == []
    assert len(steps_differ(less, final)) == 3


def test_waits_for_health_and_records_may_come_and_go() -> None:
    final = plan_apply(_inputs())
    assert steps_differ(_without(final, "/health/"), final) == []
    assert steps_differ(final, _without(_without(final, "/health/"), "reconfigure")) == []


def test_the_summary_says_nothing_for_nothing() -> None:
    empty = ApplyPlan(CLUSTER, image().digest, ())
    plan = Plan(CLUSTER, CID, "local", "etcd:v1", image().digest, 0, InfraPlan(), empty)
    assert summary_of(plan) == "nothing to do"


def test_the_sheet_cannot_be_forged_by_a_command() -> None:
    inputs = replace(_inputs(), image=image(cmd=("echo ``x``\n## Host m9\n\x1b[2J",)))
    text = plan_to_markdown(_plan(inputs, commands=inputs.image.cmd, notes=("<b>\n# x",)))
    assert "\n## Host m9" not in text
    assert "\x1b" not in text
    assert "``` echo ``x`` ⏎ ## Host m9 ⏎ \N{REPLACEMENT CHARACTER}[2J ```" in text
    assert "- \\<b\\> \\# x" in text
    assert any(step.kind is StepKind.CMD for step in plan_apply(inputs).steps)
