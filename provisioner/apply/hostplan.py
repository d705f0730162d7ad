"""The steps of one host: rootfs, files, init.sh, start.sh, reconfigure.sh, health. Pure.

What a step depends on (its `inputs`):
    rootfs          the image digest
    files           digest, path, content, mode
    init.sh         digest, the user env it names
    start.sh        digest, the user env it names, and for each template the user env that it uses
    reconfigure.sh  the peers
Derived names are in no script's inputs, so they alone lay files anew but run neither init.sh nor start.sh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from provisioner.apply.contract import ImageTemplate, Script
from provisioner.apply.due import ALWAYS, dependence, judge, last_seq, why
from provisioner.apply.env import EnvItems
from provisioner.apply.scene import HEALTHY, NOT_YET, Scene, rootfs_inputs, rootfs_step
from provisioner.apply.templates import names_in, render
from provisioner.model.envnames import LIST_NAMES
from provisioner.model.facts import HostFacts
from provisioner.model.hosts import WantedHost
from provisioner.model.ids import StepId, step_id
from provisioner.model.ledger import StepRecord
from provisioner.model.secret import Secret, reveal
from provisioner.model.steps import (
    Action,
    AwaitHealth,
    LayRootfs,
    PutFile,
    Record,
    RunScript,
    Step,
    StepKind,
    StepState,
)

SECRET_MODE = 0o600


def plan_unread(scene: Scene, host: WantedHost, state: StepState) -> tuple[Step, ...]:
    """Every step that a host may need that could not be read (`maybe`) or has no machine yet (`new`).

    Nothing is rendered, but every template is tried, so that a mistake shows before machines are made.
    """
    scripts = scene.contract.scripts
    for item in scene.contract.templates:
        render(item.template, scene.template_values(host))
    lay = LayRootfs(scene.inputs.image.digest)
    steps = [_step(host, StepKind.ROOTFS, "image", "rootfs", state, action=lay)]
    steps += [_step(host, StepKind.FILE, item.target, item.target, state) for item in scene.contract.templates]
    for script, kind in ((Script.INIT, StepKind.INIT), (Script.START, StepKind.START)):
        steps += [_step(host, kind, script, script.value, state)] if script in scripts else []
    if Script.RECONFIGURE in scripts:
        step = _step(host, StepKind.RECONFIGURE, Script.RECONFIGURE, Script.RECONFIGURE.value, state)
        steps.append(replace(step, quiet=state is StepState.NEW))
    if Script.HEALTH in scripts:
        steps.append(_step(host, StepKind.HEALTH, Script.HEALTH, "health", state))
    return tuple(steps)


def plan_read(scene: Scene, host: WantedHost, facts: HostFacts) -> tuple[Step, ...]:
    """The steps that a host needs, given what was read of it."""
    return _HostPlanner(scene, host, facts).steps()


def restarts(scene: Scene, host: WantedHost, steps: tuple[Step, ...]) -> bool:
    """True where start.sh will run although processes run: started in this boot, and not known to be down."""
    facts = scene.read.get(host.name)
    if facts is None or not any(step.kind is StepKind.START for step in steps):
        return False
    started = facts.ledger.record(step_id(host.name, StepKind.START, Script.START)).last_done
    return started is not None and started.boot_id == facts.boot_id and not _is_down(facts, host, started.seq)


def _is_down(facts: HostFacts, host: WantedHost, started: int) -> bool:
    """health.sh says failed, or it says "not yet" on a host that fell back: healthy since its start, then a wait ran out.

    `started` is the ledger's entry of that start. One that was not healthy since may be slow: a restart sets it back.
    """
    if facts.health is None or facts.health.rc == HEALTHY:
        return False
    waits = facts.ledger.record(step_id(host.name, StepKind.HEALTH, Script.HEALTH))
    fell_back = waits.last_failed is not None and waits.last_done is not None and waits.last_done.seq > started
    return fell_back or facts.health.rc != NOT_YET


def _step(
    host: WantedHost, kind: StepKind, key: str, title: str, state: StepState, *, action: Action | None = None
) -> Step:
    return Step(step_id(host.name, kind, key), host.name, kind, title, state, action=action)


@dataclass(frozen=True, slots=True)
class _HostPlanner:
    """Works out one host that was read."""

    scene: Scene
    host: WantedHost
    facts: HostFacts

    def steps(self) -> tuple[Step, ...]:
        rootfs = self._rootfs()
        # What was done before the rootfs was laid last, or is laid now, was done to another rootfs.
        since = ALWAYS if rootfs else last_seq(self._record(rootfs_step(self.host.name)))
        files = [step for item in self.scene.contract.templates if (step := self._file(item, since))]
        init = self._script(Script.INIT, StepKind.INIT, since, {})
        start = self._script(Script.START, StepKind.START, since, {"templates": self._template_values()})
        reconfigure = self._reconfigure(rootfs, init, start)
        steps = [step for step in (rootfs, *files, init, start, reconfigure) if step is not None]
        return (*steps, *self._health(steps))

    def _record(self, step: StepId) -> StepRecord:
        return self.facts.ledger.record(step)

    def _rootfs(self) -> Step | None:
        digest = self.scene.inputs.image.digest
        inputs = rootfs_inputs(self.scene)
        record = self._record(rootfs_step(self.host.name))
        state = judge(record, inputs) or self._redone(rootfs_step(self.host.name), record)
        if state is None and digest in self.facts.digests and self.facts.current == digest:
            return None
        step = _step(self.host, StepKind.ROOTFS, "image", "rootfs", state or why(record))
        return replace(step, inputs=inputs, action=LayRootfs(digest))

    def _file(self, item: ImageTemplate, since: int) -> Step | None:
        content = render(item.template, self.scene.template_values(self.host))
        mode = SECRET_MODE if isinstance(content, Secret) else item.mode
        key = {"digest": self.scene.inputs.image.digest, "path": item.target, "content": reveal(content), "mode": mode}
        inputs = self.scene.signer.sign(key)
        step = _step(self.host, StepKind.FILE, item.target, item.target, StepState.NEW)
        record = self._record(step.id)
        if not self.scene.peers_known and names_in(item.template) & LIST_NAMES:
            last = None if record.last_done is None else record.last_done.inputs
            return replace(step, state=judge(record, last, since=since) or StepState.MAYBE)
        state = judge(record, inputs, since=since) or self._redone(step.id, record)
        action = PutFile(item.target, content, mode)
        return None if state is None else replace(step, state=state, inputs=inputs, action=action)

    def _template_values(self) -> dict[str, dict[str, str | None]]:
        """For each template the user env in it: a file that those change makes start.sh due, one that peers change not."""
        user = self.scene.user(self.host)
        return {
            item.target: dependence(names_in(item.template) & user.keys(), user)
            for item in self.scene.contract.templates
        }

    def _script(self, script: Script, kind: StepKind, since: int, more: Mapping[str, object]) -> Step | None:
        if script not in self.scene.contract.scripts:
            return None
        env = dependence(self.scene.contract.env_names.get(script), self.scene.user(self.host))
        inputs = self.scene.signer.sign({script.value: self.scene.inputs.image.digest, "env": env, **more})
        step = _step(self.host, kind, script, script.value, StepState.NEW)
        record = self._record(step.id)
        state = judge(record, inputs, since=since) or self._redone(step.id, record)
        if state is None and kind is StepKind.START and self._stopped(record):
            state = why(record)
        return None if state is None else replace(step, state=state, inputs=inputs, action=self._run(script))

    def _redone(self, step: StepId, record: StepRecord) -> StepState | None:
        return why(record) if step in self.scene.inputs.redo else None

    def _stopped(self, record: StepRecord) -> bool:
        started = record.last_done
        if started is None:
            return False
        return started.boot_id != self.facts.boot_id or _is_down(self.facts, self.host, started.seq)

    def _run(self, script: Script) -> Action | None:
        env = self._env()
        return None if env is None else RunScript(script.path, (), env, self.scene.inputs.step_timeout)

    def _env(self) -> EnvItems | None:
        if not self.scene.peers_known:
            return None
        return self.scene.script_env(self.host, self.scene.phase(self.host))

    def _reconfigure(self, rootfs: Step | None, init: Step | None, start: Step | None) -> Step | None:
        """Run where the peers changed on a running host; a host that starts afresh knows them, so that is recorded."""
        scripts = self.scene.contract.scripts
        if Script.RECONFIGURE not in scripts:
            return None
        step = _step(self.host, StepKind.RECONFIGURE, Script.RECONFIGURE, Script.RECONFIGURE.value, StepState.NEW)
        afresh = start if Script.START in scripts else init if Script.INIT in scripts else rootfs
        record = self._record(step.id)
        if not self.scene.peers_known:
            return replace(step, state=why(record) if afresh else StepState.MAYBE, quiet=afresh is not None)
        peers = [[peer.name, peer.address, *peer.roles] for peer in self.scene.peers]
        inputs = self.scene.signer.sign({"peers": peers})
        state = judge(record, inputs) or self._redone(step.id, record)
        if state is None:
            return None
        action = Record() if afresh else self._run(Script.RECONFIGURE)
        return replace(step, state=state, inputs=inputs, action=action, quiet=afresh is not None)

    def _health(self, steps: list[Step]) -> list[Step]:
        """One wait where anything runs, and where a host that should be healthy is not yet."""
        shown = [step.state for step in steps if not step.quiet]
        ill = self.facts.health is not None and self.facts.health.rc != HEALTHY
        if Script.HEALTH not in self.scene.contract.scripts or not (shown or ill):
            return []
        maybe = bool(shown) and set(shown) == {StepState.MAYBE}
        state = StepState.MAYBE if maybe else why(self._record(self.scene.last_step(self.host.name)))
        env = self._env()
        action = None if env is None else AwaitHealth(env, self.scene.inputs.health_timeout)
        inputs = self.scene.signer.sign({"health": self.scene.inputs.image.digest})
        return [
            replace(_step(self.host, StepKind.HEALTH, Script.HEALTH, "health", state, action=action), inputs=inputs)
        ]
