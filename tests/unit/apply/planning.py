"""What the tests of plans share: a cluster of the model that is up, and plans as they are shown."""

from __future__ import annotations

from apply_model import Model, accepted

from provisioner.apply.plan import plan_apply
from provisioner.model.accepted import Accepted
from provisioner.model.plan import ApplyPlan
from provisioner.model.steps import RunScript

ALL = ["rootfs/image", "file/etc/auth", "file/etc/etcd.conf", "init/init.sh", "start/start.sh", "health/health.sh"]


def shown(plan: ApplyPlan) -> list[str]:
    return [step.id for step in plan.steps]


def on(names: str, *steps: str) -> list[str]:
    return [f"{name}/{step}" for name in names.split() for step in steps]


def up(wanted: Accepted | None = None) -> tuple[Model, Accepted]:
    wanted = wanted or accepted()
    model = Model()
    model.sync(wanted)
    model.execute(plan_apply(model.inputs(wanted)))
    return model, wanted


def env_of(plan: ApplyPlan, step: str) -> dict[str, object]:
    action = next(s.action for s in plan.steps if s.id == step)
    assert isinstance(action, RunScript)
    return dict(action.env)
