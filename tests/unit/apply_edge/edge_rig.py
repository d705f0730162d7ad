"""A whole cluster on fake hosts: real plans, real scripts, real processes; `up` is what the pipeline does in stage 2."""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioner import stage2
from provisioner.apply.context import Patience
from provisioner.apply.distribute import Archives
from provisioner.apply.facts import Reading
from provisioner.apply.inputs import PlanInputs
from provisioner.apply.plan import phases_of, plan_apply
from provisioner.events import Event, StepDone
from provisioner.failpoints import Failpoint, no_failpoint
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool
from provisioner.model.facts import FactMap
from provisioner.model.ids import StepId
from provisioner.model.plan import ApplyPlan
from provisioner.model.report import ApplyReport
from provisioner.model.secret import Secret, Value
from provisioner.transport.hostset import HostSet
from tests.fakes.connection import MARK, FakeHost, end_processes
from tests.fakes.hosts import CID, CLUSTER, KEYS, PATHS, FakeHosts, QuickClock, context_of
from tests.fakes.images import FakeImages

LIB = b"""#!/bin/sh
say() { echo "$1" >>"$SEALER_DATA/history"; }
up() { [ -s "$SEALER_DATA/pid" ] && grep -q sleep "/proc/$(cat "$SEALER_DATA/pid")/cmdline" 2>/dev/null; }
"""
SCRIPTS: Mapping[str, bytes] = {
    "scripts/lib.sh": LIB,
    "scripts/init.sh": b'#!/bin/sh\n# sealer:env DISK\n. scripts/lib.sh\nsay "init $SEALER_PHASE"\necho "disk $DISK"\n',
    "scripts/start.sh": b"""#!/bin/sh
# sealer:env LEVEL
. scripts/lib.sh
if up; then kill "$(cat "$SEALER_DATA/pid")"; fi
say start
sleep 600 &
echo $! >"$SEALER_DATA/pid"
""",
    "scripts/health.sh": b'#!/bin/sh\n. scripts/lib.sh\nup || { echo down; exit 1; }\necho "up as $SEALER_HOST"\n',
    "scripts/member.sh": b'#!/bin/sh\n. scripts/lib.sh\nsay "member $*"\n',
    "scripts/reconfigure.sh": b"#!/bin/sh\n. scripts/lib.sh\nsay reconfigure\n",
    "scripts/remove.sh": b'#!/bin/sh\n. scripts/lib.sh\nsay "remove $SEALER_PHASE"\n',
    "etc/app.conf.tmpl": b"name={{ .SEALER_HOST }} tick={{ .TICK }}\n",
    "etc/auth.tmpl": b"{{ .TOKEN }}\n",
    "bin/data": bytes(range(256)) * 600,
}
CMD = 'echo "cmd $SEALER_HOST" >>"$SEALER_DATA/history"; echo "url=http://$HostIP" >>"$SEALER_OUTPUT"; echo "secret:pw=$TOKEN" >>"$SEALER_OUTPUT"'
CANARY = "canary-9b1f'\"$x"
ENV: Mapping[str, Value] = {"TICK": "100", "DISK": "ssd", "LEVEL": "info", "TOKEN": Secret(CANARY)}


@dataclass
class Done:
    plan: ApplyPlan
    report: ApplyReport
    events: list[Event]

    @property
    def ids(self) -> list[str]:
        return [r.id for r in self.report.steps]


@dataclass
class Cluster:
    folder: Path
    names: tuple[str, ...] = ("m1", "m2", "n1")
    files: Mapping[str, bytes] = field(default_factory=lambda: dict(SCRIPTS))
    cmd: tuple[str, ...] = (CMD,)
    env: Mapping[str, Value] = field(default_factory=lambda: dict(ENV))
    labels: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=lambda: Patience(link=5, settle=5))
    health_timeout: float = 120.0
    step_timeout: float = 1800.0
    redo: frozenset[StepId] = frozenset()
    assume_done: frozenset[StepId] = frozenset()
    runs: int = 0
    events: list[Event] = field(default_factory=list)
    template: Cluster | None = None

    def __post_init__(self) -> None:
        self.fakes = FakeHosts(self.folder / "hosts", self.names)
        self.images = FakeImages()
        self.gone: list[FakeHost] = []
        self.before: object = lambda _context: None

    def grow(self, *names: str) -> None:
        """Wanted from now on: these hosts; those that were there keep their folders."""
        self.names = names
        old = self.fakes.hosts
        self.gone += [host for name, host in old.items() if name not in names]
        self.fakes = FakeHosts(self.folder / "hosts", names)
        self.fakes.hosts.update({n: h for n, h in old.items() if n in names})

    def accepted(self) -> Accepted:
        pools = {"masters": "master", "nodes": "node"}
        hosts = [(n, "masters" if n.startswith("m") else "nodes") for n in self.names]
        return Accepted(
            cluster=CLUSTER,
            provider="local",
            image=AcceptedImage(reference="app:v1", repository="app", digest=f"sha256:{'0' * 64}"),
            pools=tuple(AcceptedPool(name=p, roles=(r,), count=1) for p, r in pools.items()),
            hosts=tuple(AcceptedHost(name=n, pool=p, roles=(pools[p],), slot=i) for i, (n, p) in enumerate(hosts)),
            data_root=PATHS.data_root,
        )

    async def up(self, failpoint: Failpoint = no_failpoint, *, check: bool = True) -> Done:
        self.runs += 1
        self.events.clear()
        image = self.images.add("app:v1", self.files, cmd=self.cmd, labels=self.labels)
        changeset = self.images.changeset(image)
        envs = stage2.look_envs(stage2.EnvSource(self.accepted(), image.env, self.env, {}), self.fakes.inventory)
        reading = Reading(PATHS, envs)
        async with Archives(self.images, image, changeset) as archives, await self.fakes.open() as hosts:
            facts = await stage2.read_hosts(hosts, reading)
            secrets = tuple(v for v in self.env.values() if isinstance(v, Secret))
            context = context_of(
                archives,
                facts,
                self.events,
                run=f"20261124T1400{self.runs:02d}Z-aaaaaa",
                secrets=secrets,
                failpoint=failpoint,
                patience=self.patience,
                clock=QuickClock(),
            )
            facts = await stage2.settle(hosts, facts, reading, context)
            plan = plan_apply(self.inputs(facts))
            if check and plan.changes:
                source = stage2.EnvSource(self.accepted(), image.env, self.env, {})
                envs = stage2.look_envs(source, self.fakes.inventory, phases_of(self.inputs(facts)))
                await stage2.preflight(hosts, facts, context, envs)
            self.before(context)  # type: ignore[operator]
            report = await stage2.apply(plan, hosts, context)
        return Done(plan, report, list(self.events))

    async def stand(self) -> None:
        """What `up()` on a new cluster gives, for tests that begin there: a copy of `template`, where that was done once.

        Its daemons are started here anew, as the scripts would have left them.
        """
        one = self.template
        assert one is not None, "a cluster of its own has none"
        if not one.runs:
            await one.up()
            one.close()
        shutil.copytree(one.folder / "hosts", self.folder / "hosts", dirs_exist_ok=True, symlinks=True)
        self.runs, self.images = one.runs, copy.deepcopy(one.images)
        self.events[:] = one.events
        for name, host in self.fakes.hosts.items():
            host.history[:] = one.fakes.hosts[name].history
            start = 'setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $! >"$0"'
            env = {"PATH": host.path, MARK: str(host.folder)}
            subprocess.run(["sh", "-c", start, host.at(PATHS.data) / "pid"], env=env, check=True)  # noqa: ASYNC221 - ends at once

    def inputs(self, facts: FactMap) -> PlanInputs:
        image = self.images.resolve("app:v1")
        return PlanInputs(
            accepted=self.accepted(),
            image=image,
            changeset=self.images.changeset(image),
            cid=CID,
            values=self.env,
            pool_values={},
            inventory=self.fakes.inventory,
            facts=facts,
            keys=KEYS,
            redo=self.redo,
            assume_done=self.assume_done,
            health_timeout=self.health_timeout,
            step_timeout=self.step_timeout,
            final=True,
        )

    async def open(self) -> HostSet:
        return await self.fakes.open()

    def history(self, host: str) -> list[str]:
        path = self.fakes[host].at(PATHS.data) / "history"
        return path.read_text().splitlines() if path.exists() else []

    def forget_history(self) -> None:
        for host in self.fakes.hosts.values():
            (host.at(PATHS.data) / "history").unlink(missing_ok=True)
            host.history.clear()

    def kill_daemon(self, host: str) -> None:
        import os

        os.kill(int((self.fakes[host].at(PATHS.data) / "pid").read_text()), 9)

    def close(self) -> None:
        self.fakes.close()
        if self.gone:
            end_processes(self.gone)


def done_ids(events: list[Event]) -> list[str]:
    return [e.step for e in events if isinstance(e, StepDone) and e.rc == 0]
