"""Plans as files: what a person signs, what scripts read. `UPDATE_GOLDEN=1 pytest tests/golden/plan` writes them anew."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "apply"))
from apply_model import CID, CLUSTER, ENV, Model, accepted, changeset, image

from provisioner.apply.inputs import PlanInputs
from provisioner.apply.plan import plan_apply
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Offer
from provisioner.model.ids import HostName
from provisioner.model.plan import InfraPlan, Plan, Price, ResourceChange
from provisioner.model.planhash import plan_hash, plan_to_json, plan_to_markdown

HERE = Path(__file__).parent
SCHEMA = HERE.parents[2] / "docs" / "schema" / "plan.schema.json"


def _up(wanted: Accepted) -> Model:
    model = Model()
    model.sync(wanted)
    model.execute(plan_apply(model.inputs(wanted)))
    return model


def _resources(*names: str) -> tuple[ResourceChange, ...]:
    return tuple(ResourceChange("sealer:local:Host", name) for name in names)


def _new() -> tuple[PlanInputs, InfraPlan]:
    wanted = accepted()
    creating = frozenset(host.name for host in wanted.wanted)
    network = ResourceChange("sealer:local:Network", "network")
    infra = InfraPlan(create=(ResourceChange("sealer:index:Intent", "intent"), network, *_resources("m1", "m2", "m3")))
    return replace(Model().inputs(wanted), keys=None, final=False, creating=creating), infra


def _same() -> tuple[PlanInputs, InfraPlan]:
    return _up(accepted()).inputs(accepted()), InfraPlan(same=_resources("m1", "m2", "m3"))


def _env() -> tuple[PlanInputs, InfraPlan]:
    return _up(accepted()).inputs(accepted(), values={**ENV, "TICK": "200"}), InfraPlan(same=_resources("m1"))


def _upgrade() -> tuple[PlanInputs, InfraPlan]:
    model = _up(accepted(3, 1))
    return model.inputs(accepted(3, 1), image=image("b"), changeset=changeset("b")), InfraPlan()


def _join() -> tuple[PlanInputs, InfraPlan]:
    model = _up(accepted())
    inputs = model.inputs(accepted(3, 1), creating=frozenset({HostName("n1")}), final=False)
    return inputs, InfraPlan(create=_resources("n1"))


def _unreadable() -> tuple[PlanInputs, InfraPlan]:
    model = _up(accepted())
    model.hosts["m2"].readable = False
    return model.inputs(accepted(), final=False), InfraPlan(update=_resources("m2"))


def _cloud() -> tuple[PlanInputs, InfraPlan]:
    inputs, _ = _new()
    machine = "alicloud:ecs/instance:Instance"
    created = tuple(ResourceChange(machine, name) for name in ("m1", "m2"))
    detail = "instance type: the machine is stopped and started"
    return inputs, InfraPlan(create=created, update=(ResourceChange(machine, "m3", detail),))


OFFERS = (
    Offer(HostName("m1"), "cn-x-h", "ecs.c7.large", 0.25, "CNY"),
    Offer(HostName("m2"), "cn-x-i", "ecs.c7.large", 0.125, "CNY", spot=True),
    Offer(HostName("m3"), "cn-x-h", "ecs.c7.large", 0.25, "CNY"),
)
CASES = {
    "new": _new,
    "same": _same,
    "env": _env,
    "upgrade": _upgrade,
    "join": _join,
    "unreadable": _unreadable,
    "cloud": _cloud,
}


def _plan(name: str) -> Plan:
    inputs, infra = CASES[name]()
    plan = Plan(
        cluster=CLUSTER,
        cid=None if name == "new" else CID,
        provider="local",
        image_reference=inputs.image.reference,
        image_digest=inputs.image.digest,
        image_size=inputs.image.size,
        infra=infra,
        apply=plan_apply(inputs),
        notes=("dropped setuid of bin/*",),
        data_root=inputs.accepted.data_root,
        commands=inputs.image.cmd,
        ports=(2379, 2380),
        offers=OFFERS if name == "cloud" else (),
        price=Price(0.625, "CNY", 1.25) if name == "cloud" else None,
    )
    return replace(plan, plan_hash=plan_hash(plan, inputs.accepted))


def _compare(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_plans_are_as_written(name: str) -> None:
    plan = _plan(name)
    document = plan_to_json(plan)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    _compare(f"{name}.json", json.dumps(document, indent=2) + "\n")
    _compare(f"{name}.md", plan_to_markdown(plan))


@pytest.mark.parametrize("name", CASES)
def test_no_secret_is_in_a_plan(name: str) -> None:
    plan = _plan(name)
    assert "hush" not in json.dumps(plan_to_json(plan)) + plan_to_markdown(plan) + repr(plan)
