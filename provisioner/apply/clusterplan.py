"""Steps of the whole cluster, under the first master: members that come and go, CMDs. Pure.

They are recorded on all masters and done if any says so; a master that lacks a record gets a quiet one, so that no
record is lost when masters are replaced one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from provisioner.apply.contract import CmdRule, Repeat, Script, cmd_rule, commands_of
from provisioner.apply.due import done_entries, open_run
from provisioner.apply.env import Phase
from provisioner.apply.members import member_step
from provisioner.apply.scene import Scene
from provisioner.errors import StepError
from provisioner.model.facts import HostFacts
from provisioner.model.hosts import WantedHost
from provisioner.model.ids import CLUSTER_SCOPE, HostName, StepId, step_id
from provisioner.model.secret import reveal
from provisioner.model.steps import Action, Record, RunCommand, RunScript, Step, StepKind, StepState


def cmd_step(number: int) -> StepId:
    """The id of the CMD with that number, from 1."""
    return step_id(CLUSTER_SCOPE, StepKind.CMD, str(number))


def plan_members(scene: Scene) -> Iterator[Step]:
    """member.sh add for hosts that enter a cluster that stands, remove for those that left; else quiet records."""
    for host in scene.hosts:
        if host.name in scene.read or scene.members.exist or scene.members.blind:
            yield from _member(scene, host)
    wanted = [host.name for host in scene.inputs.accepted.wanted]
    for name in scene.members.left(wanted):
        run = _run_member(scene, ("remove", name, ""), Phase.LEAVE)
        step = _member_step(scene, name, f"member remove {name}", StepState.CHANGED)
        inputs = scene.members.gone_inputs(name)
        yield replace(step, inputs=inputs, action=run or Record(), quiet=run is None)


def _member(scene: Scene, host: WantedHost) -> Iterator[Step]:
    members, machine = scene.members, scene.machine(host.name)
    way = scene.way_in(host)
    title = f"member add {host.name}"
    if members.blind and members.recorded_way(host.name, machine) is None:
        shown = Script.MEMBER in scene.contract.scripts
        yield replace(_member_step(scene, host.name, title, StepState.MAYBE), quiet=not shown)
        return
    inputs = members.inputs(host.name, machine, way)
    if machine and members.everywhere(host.name, inputs):
        return
    recorded = members.recorded_way(host.name, machine) is not None
    state = StepState.NEW if members.latest(host.name) is None else StepState.CHANGED
    step = replace(_member_step(scene, host.name, title, state), inputs=inputs if machine else None)
    run = None
    if way is not Phase.CREATE and not recorded:
        run = _run_member(scene, ("add", host.name, scene.peer(host.name).address), way)
    quiet = run is None
    action = None if run and not scene.peers_known else run or Record()
    yield replace(step, action=action, quiet=quiet)


def _member_step(scene: Scene, name: str, title: str, state: StepState) -> Step:
    return Step(member_step(name), scene.first, StepKind.MEMBER, title, state)


def _run_member(scene: Scene, args: tuple[str, ...], phase: Phase) -> RunScript | None:
    if Script.MEMBER not in scene.contract.scripts:
        return None
    return RunScript(Script.MEMBER.path, args, scene.script_env(_first(scene), phase), scene.inputs.step_timeout)


def _first(scene: Scene) -> WantedHost:
    return next(host for host in scene.hosts if host.name == scene.first)


def plan_commands(scene: Scene) -> tuple[Step, ...]:
    """The CMDs that are due. Raises StepError naming all whose end is unknown and that may not be repeated."""
    planner = _Commands(scene)
    commands = commands_of(scene.inputs.accepted.cmd, scene.inputs.image)
    found = [planner.plan(number, command, len(commands)) for number, command in enumerate(commands, start=1)]
    unknown = [one for one in found if isinstance(one, _Unknown)]
    if unknown:
        raise _unknown_end(scene.first, unknown)
    return tuple(one for one in found if isinstance(one, Step))


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A CMD that began, whose end nobody knows, and that may not be repeated."""

    step: StepId
    title: str


def _unknown_end(first: HostName, unknown: list[_Unknown]) -> StepError:
    names = ", ".join(f"{one.title} ({one.step})" for one in unknown)
    redo = " ".join(f"--redo {one.step}" for one in unknown)
    done = " ".join(f"--assume-done {one.step}" for one in unknown)
    hint = f"look whether it did its work, then `up {redo}` to run it again or `up {done}` to go on without it"
    return StepError(f"{names} began and its end is unknown", host=first, phase="steps", hint=hint)


@dataclass(frozen=True, slots=True)
class _Commands:
    """Plans CMDs from what all readable masters say."""

    scene: Scene

    def plan(self, number: int, command: str, total: int) -> Step | _Unknown | None:
        rule = cmd_rule(number, command, self.scene.inputs.image, self.scene.inputs.accepted.annotations)
        inputs = self._inputs(command, rule)
        state = StepState.CHANGED if self._ever_done(cmd_step(number)) else StepState.NEW
        step = Step(cmd_step(number), self.scene.first, StepKind.CMD, f"CMD {number}/{total}", state, inputs=inputs)
        return self._redo(replace(step, action=self._run(command, rule)), rule)

    def _redo(self, step: Step, rule: CmdRule) -> Step | _Unknown | None:
        inputs = self.scene.inputs
        forced = step.id in inputs.redo
        having = self._having(step, rule)
        if having and rule.repeat is not Repeat.ALWAYS and not forced:
            return None if len(having) == len(self.scene.members.masters) else _recorded(step)
        if self.scene.members.blind:
            return replace(step, state=StepState.MAYBE, action=None)
        if step.id in inputs.assume_done:
            return _recorded(step)
        return self._after_open_intent(step, rule, repeatable=rule.idempotent or forced)

    def _after_open_intent(self, step: Step, rule: CmdRule, *, repeatable: bool) -> Step | _Unknown:
        for facts in self.scene.members.masters:
            begun = facts.ledger.record(step.id).open_intent
            run = open_run(facts, step.id)
            if run is not None and run.alive:
                return replace(step, state=StepState.UNKNOWN)
            # What may run once may have run, whatever has changed since.
            if begun is None or (begun.inputs != step.inputs and rule.repeat is not Repeat.ONCE):
                continue
            if run is not None and run.rc is not None:
                return _recorded(step) if run.rc == 0 else step
            return replace(step, state=StepState.UNKNOWN) if repeatable else _Unknown(step.id, step.title)
        return step

    def _inputs(self, command: str, rule: CmdRule) -> str | None:
        user = self.scene.user(_first(self.scene))
        env = {name: reveal(user[name]) if name in user else None for name in rule.env}
        return self.scene.signer.sign({"cmd": command, "digest": self.scene.inputs.image.digest, "env": env})

    def _run(self, command: str, rule: CmdRule) -> Action | None:
        if not self.scene.peers_known:
            return None
        first = _first(self.scene)
        env = self.scene.script_env(first, self.scene.phase(first))
        return RunCommand(command, env, self.scene.inputs.step_timeout, rule.idempotent)

    def _ever_done(self, step: StepId) -> bool:
        return any(done_entries(facts, step) for facts in self.scene.members.masters)

    def _having(self, step: Step, rule: CmdRule) -> list[HostFacts]:
        """The masters that say it is done: with these inputs, or for `once` at all."""
        once = rule.repeat is Repeat.ONCE
        return [
            facts
            for facts in self.scene.members.masters
            if any(once or entry.inputs == step.inputs for entry in done_entries(facts, step.id))
        ]


def _recorded(step: Step) -> Step:
    return replace(step, action=Record(), quiet=True)
