"""From the engine's events to a plan and to progress. Pure: `automation` turns the SDK's events into these values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from provisioner.errors import ProviderError
from provisioner.events import ResourceChanged
from provisioner.infra.statefile import is_real
from provisioner.model.engine import Destroyed
from provisioner.model.plan import HOST_KEY, InfraPlan, ResourceChange, is_machine, key_name

REFRESH = "refresh"
_PLAN_OPS = {
    "create": "create",
    "import": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "import-replacement": "replace",
    "read-replacement": "replace",
    "remove-pending-replace": "replace",
}
_MAKING = ("create", "create-replacement")
"""Not what a run that was cut left to delete: its machine is made already, with the pair that is recorded."""
_STRENGTH = ("same", "update", "create", "delete", "replace")
_OURS = "sealer:"
"""Types that do not count when a refresh finds all gone: our own reads say "gone" only where the disk or record is
gone, and those of keys and identities always say what the state says."""
_RESTARTING = {
    "instanceType": "instance type",
    "userData": "user data",
    "userDataBase64": "user data",
    "imageId": "OS image",
    "ami": "OS image",
    "vswitchId": "subnet",
}
"""Inputs of a cloud's machine that it changes by stopping and starting the machine, though the engine says "update"."""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One step of the engine: before it runs, when it is done, or when it has failed.

    `diffs` are the keys that changed; `gone` is True where a refresh found the resource missing.
    """

    urn: str
    type: str
    name: str
    op: str
    when: Literal["before", "done", "failed"]
    diffs: tuple[str, ...] = ()
    gone: bool = False


@dataclass(frozen=True, slots=True)
class DiagnosticSeen:
    """A message of the engine or of a provider; `urn` is empty where it concerns no resource."""

    severity: str
    message: str
    urn: str = ""


def to_plan(steps: Iterable[StepSeen]) -> InfraPlan:
    """What a preview says: every resource once, under its strongest operation, in a stable order.

    And what follows from it: a machine that is made, for a host that has its keys already, gets a fresh bootstrap pair.
    """
    steps = tuple(steps)
    fresh = {key_name(s.name) for s in steps if s.op in _MAKING and is_machine(s.type)}
    chosen: dict[str, tuple[str, StepSeen]] = {}
    for step in steps:
        op = _PLAN_OPS.get(step.op)
        if op is None or not is_real(step.type):
            continue
        if op == "same" and step.type == HOST_KEY and step.name in fresh:
            op = "update"
        before = chosen.get(step.urn)
        if before is None or _STRENGTH.index(op) > _STRENGTH.index(before[0]):
            chosen[step.urn] = (op, step)
    found = sorted(chosen.values(), key=lambda pair: (pair[1].type, natural(pair[1].name)))

    def of(wanted: str) -> tuple[ResourceChange, ...]:
        return tuple(ResourceChange(s.type, s.name, _detail(op, s)) for op, s in found if op == wanted)

    return InfraPlan(of("create"), of("update"), of("replace"), of("delete"), of("same"))


def to_event(step: StepSeen) -> ResourceChanged | None:
    """Progress for a person; None for what no person knows (the stack's root, providers)."""
    op = REFRESH if step.op == REFRESH else _PLAN_OPS.get(step.op)
    if op is None or not is_real(step.type) or step.when == "failed":
        return None
    return ResourceChanged(step.type, step.name, op, done=step.when == "done")


def to_destroyed(steps: Iterable[StepSeen]) -> Destroyed:
    """What a destroy deleted and what it could not, each once, in a stable order."""
    seen = [s for s in steps if s.op.startswith("delete") and is_real(s.type)]
    deleted = {s.urn: ResourceChange(s.type, s.name) for s in seen if s.when == "done"}
    failed = {s.urn: ResourceChange(s.type, s.name) for s in seen if s.when == "failed"}
    return Destroyed(_in_order(c for u, c in deleted.items() if u not in failed), _in_order(failed.values()))


def refuse_mass_loss(steps: Sequence[StepSeen]) -> None:
    """Refuse a refresh that finds everything gone at once: a deleted cloud key looks just like that.

    Raises ProviderError. Our local types are left out: their reads look at the disk itself.
    """
    read = [s for s in steps if s.op == REFRESH and s.when == "done" and _is_others(s.type)]
    if read and all(s.gone for s in read):
        raise ProviderError(
            f"the provider says that all {len(read)} resources of this cluster are gone",
            hint="check that the credentials and the account are the ones that made them; nothing was changed",
        )


def lost_of(steps: Iterable[StepSeen]) -> tuple[str, ...]:
    """Names of what a refresh found gone in a cloud, each once."""
    return tuple(dict.fromkeys(s.name for s in steps if s.op == REFRESH and s.gone and _is_others(s.type)))


def looked_at(resources: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """URNs of a state's resources that a refresh asks a cloud for."""
    return frozenset(str(r["urn"]) for r in resources if r.get("custom") and _is_others(str(r["type"])))


def _is_others(type_token: str) -> bool:
    return is_real(type_token) and not type_token.startswith(_OURS)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A sort key that puts m2 before m10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", name))


def _detail(op: str, step: StepSeen) -> str:
    if op != "update":
        return ""
    if step.type == HOST_KEY:
        return "fresh for the new machine"
    if not is_machine(step.type):
        return ", ".join(sorted(step.diffs))
    if {"running", "status"} & set(step.diffs):
        return "start again"
    words = sorted({_RESTARTING[key] for key in step.diffs if key in _RESTARTING})
    if words:
        return f"{', '.join(words)}: the machine is stopped and started"
    return ", ".join(sorted(step.diffs))


def _in_order(changes: Iterable[ResourceChange]) -> tuple[ResourceChange, ...]:
    return tuple(sorted(changes, key=lambda c: (c.type, natural(c.name))))
