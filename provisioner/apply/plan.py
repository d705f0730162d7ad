"""Planning stage 2: from what is wanted and what was read to an ApplyPlan. Pure; says what runs, never runs it.

Order of restarts, one host at a time: hosts that are not healthy yet, as they serve nobody; masters after the first, then
the first master, then nodes. So a bad change meets a host that carries no cluster-scoped work, and nodes follow a control
plane that stands.
"""

from __future__ import annotations

from provisioner.apply.clusterplan import cmd_step, plan_commands, plan_members
from provisioner.apply.contract import Script, commands_of
from provisioner.apply.env import Phase
from provisioner.apply.hostplan import plan_read, plan_unread, restarts
from provisioner.apply.inputs import PlanInputs
from provisioner.apply.scene import HEALTHY, Scene, read_scene
from provisioner.apply.wire import render_env
from provisioner.errors import UsageError
from provisioner.model.hosts import WantedHost, is_master
from provisioner.model.ids import HostName, StepId, step_id
from provisioner.model.plan import ApplyPlan, HostPlan
from provisioner.model.steps import Step, StepKind, StepState


def plan_apply(inputs: PlanInputs) -> ApplyPlan:
    """The plan for these inputs; provisional where a host could not be read or has no machine yet.

    Raises InvalidFileError (a template), ImageError (a label or target), UsageError (an id of --redo that is none, no
    master, env that is too long), StepError (a CMD whose end is unknown), HostError (a final plan and a host that was not read).
    """
    scene = read_scene(inputs)
    _check_ids(scene)
    for host in scene.hosts:
        render_env(scene.user(host).items())  # what no host could take is refused before machines are made
    steps = {host.name: _host_steps(scene, host) for host in scene.hosts}
    rolling = () if inputs.all_at_once else _restarts(scene, steps)
    joining = tuple(host.name for host in scene.hosts if scene.joins(host))
    steps[scene.first] += (*plan_members(scene), *plan_commands(scene))
    return ApplyPlan(
        cluster=scene.paths.cluster,
        digest=inputs.image.digest,
        hosts=tuple(_host_plan(scene, host, steps.get(host.name, ())) for host in inputs.accepted.wanted),
        restarts=rolling,
        joining=joining,
        provisional=len(scene.read) < len(scene.hosts) or not scene.peers_known,
    )


def phases_of(inputs: PlanInputs) -> dict[HostName, Phase]:
    """SEALER_PHASE of every host's scripts in that plan. Raises as `plan_apply` does."""
    scene = read_scene(inputs)
    return {host.name: scene.phase(host) for host in scene.hosts}


def _host_steps(scene: Scene, host: WantedHost) -> tuple[Step, ...]:
    facts = scene.read.get(host.name)
    if facts is not None:
        return plan_read(scene, host, facts)
    exists = host.name not in scene.inputs.creating and scene.inputs.inventory.host(host.name)
    return plan_unread(scene, host, StepState.MAYBE if exists else StepState.NEW)


def _host_plan(scene: Scene, host: WantedHost, steps: tuple[Step, ...]) -> HostPlan:
    facts = scene.read.get(host.name)
    excluded = host.name in scene.inputs.accepted.excluded
    held = facts is not None and scene.inputs.image.digest in facts.digests
    return HostPlan(host.name, host.roles, 0 if held or excluded else scene.inputs.changeset.total, steps)


def _restarts(scene: Scene, steps: dict[HostName, tuple[Step, ...]]) -> tuple[HostName, ...]:
    hosts = [host for host in scene.hosts if restarts(scene, host, steps[host.name])]
    order = sorted(hosts, key=lambda h: (_is_well(scene, h), not is_master(h.roles), h.name == scene.first))
    return tuple(host.name for host in order)


def _is_well(scene: Scene, host: WantedHost) -> bool:
    health = scene.read[host.name].health
    return health is None or health.rc == HEALTHY


def _check_ids(scene: Scene) -> None:
    commands = commands_of(scene.inputs.accepted.cmd, scene.inputs.image)
    cluster = {cmd_step(number) for number, _ in enumerate(commands, start=1)}
    _refuse_others("--assume-done", scene.inputs.assume_done, cluster)
    _refuse_others("--redo", scene.inputs.redo, cluster | _host_ids(scene))


def _host_ids(scene: Scene) -> set[StepId]:
    kinds = {Script.INIT: StepKind.INIT, Script.START: StepKind.START, Script.RECONFIGURE: StepKind.RECONFIGURE}
    keys = [(kind, str(script)) for script, kind in kinds.items() if script in scene.contract.scripts]
    keys += [(StepKind.FILE, item.target) for item in scene.contract.templates]
    keys.append((StepKind.ROOTFS, "image"))
    return {step_id(host.name, kind, key) for host in scene.hosts for kind, key in keys}


def _refuse_others(flag: str, given: frozenset[StepId], known: set[StepId]) -> None:
    wrong = sorted(given - known)
    if wrong:
        hint = (
            f"steps that it takes: {', '.join(sorted(known))}" if known else "no step of this cluster can be named here"
        )
        raise UsageError(f"{flag} {wrong[0]}: this cluster has no such step", hint=hint)
