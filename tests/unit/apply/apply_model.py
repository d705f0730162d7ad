"""A model of a cluster's hosts: it executes plans as the real executor does and keeps ledgers as the wrapper writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from provisioner.apply.inputs import PlanInputs
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool
from provisioner.model.facts import HealthReading, HostFacts, OpenRun, Unreadable
from provisioner.model.hosts import ClusterKeys, Inventory, InventoryHost, SshTarget
from provisioner.model.ids import CLUSTER_SCOPE, ClusterId, ClusterName, Digest, HostName
from provisioner.model.images import Changeset, Entry, EntryKind, PinnedImage
from provisioner.model.ledger import Ledger, LedgerEntry
from provisioner.model.plan import ApplyPlan
from provisioner.model.secret import Secret, Value, reveal
from provisioner.model.steps import LayRootfs, PutFile, Record, RunCommand, RunScript, Step, StepKind

CLUSTER, CID = ClusterName("etcd"), ClusterId("etcd-abc234")
KEYS = ClusterKeys(Secret("private"), "ssh-ed25519 AAAA", Secret("ab" * 32))
CONF = b"name: {{ .SEALER_HOST }}\npeers: {{ .SEALER_PEERS }}\ntick: {{ .TICK }}\nphase: {{ .SEALER_PHASE }}\n"
FILES: Mapping[str, bytes] = {
    "bin/etcd": b"\x7fELF",
    "etc/etcd.conf.tmpl": CONF,
    "etc/auth.tmpl": b"token: {{ .TOKEN }}\n",
    "scripts/init.sh": b"#!/bin/sh\n# sealer:env DISK\n",
    "scripts/start.sh": b"#!/bin/sh\n# sealer:env LOGLEVEL SEALER_PEERS\n",
    "scripts/reconfigure.sh": b"#!/bin/sh\n",
    "scripts/member.sh": b"#!/bin/sh\n",
    "scripts/health.sh": b"#!/bin/sh\n",
}
ENV: Mapping[str, Value] = {"TICK": "100", "TOKEN": Secret("hush"), "DISK": "ssd", "LOGLEVEL": "info", "UNUSED": "x"}


def digest(sign: str) -> Digest:
    return Digest("sha256:" + sign * 64)


def image(
    sign: str = "a", cmd: tuple[str, ...] = ("etcdctl put ready yes",), labels: Mapping[str, str] | None = None
) -> PinnedImage:
    return PinnedImage("etcd:v1", "etcd", digest(sign), "amd64", {"BASE": "1"}, labels or {}, cmd, (), 100)


def changeset(sign: str = "a", files: Mapping[str, bytes] = FILES) -> Changeset:
    entries = tuple(Entry(path, EntryKind.FILE, 0o644, len(raw)) for path, raw in sorted(files.items()))
    texts = {path: raw for path, raw in files.items() if path.endswith(".tmpl") or path.startswith("scripts/")}
    return Changeset(digest(sign), entries, texts, sum(map(len, files.values())))


def accepted(masters: int = 3, nodes: int = 0, **more: object) -> Accepted:
    hosts = [AcceptedHost(name=f"m{i + 1}", pool="masters", roles=("master",), slot=i) for i in range(masters)]
    hosts += [AcceptedHost(name=f"n{i + 1}", pool="nodes", roles=("node",), slot=masters + i) for i in range(nodes)]
    pools = (
        AcceptedPool(name="masters", roles=("master",), count=masters),
        AcceptedPool(name="nodes", roles=("node",), count=nodes),
    )
    base = Accepted(
        cluster=CLUSTER,
        provider="local",
        image=AcceptedImage(reference="etcd:v1", repository="etcd", digest=digest("a")),
        pools=pools,
        hosts=tuple(hosts),
        data_root="/var/lib/sealer/data",
    )
    return base.model_copy(update=more)


@dataclass
class ModelHost:
    """One machine: its disk (ledger, digests), and what runs on it. `machine` counts its disks, `boot` its boots."""

    name: str
    address: str
    machine: int = 1
    boot: int = 1
    entries: list[LedgerEntry] = field(default_factory=list)
    digests: set[Digest] = field(default_factory=set)
    current: Digest | None = None
    files: dict[str, str] = field(default_factory=dict)
    """What lies in the current rootfs besides the image's own files."""
    initialised: tuple[object, ...] = ()
    """Digest and env that init.sh saw last, void once the rootfs was sent anew."""
    running: tuple[object, ...] = ()
    """The same for start.sh and the files that it finds."""
    started: bool = False
    healthy: bool = True
    open_runs: tuple[OpenRun, ...] = ()
    readable: bool = True

    def append(self, step: Step, event: str, rc: int | None, run: str) -> None:
        assert step.inputs is not None, step.id
        self.entries.append(
            LedgerEntry(
                v=1,
                seq=len(self.entries) + 1,
                prev="",
                time="2026-11-24T00:00:00Z",
                run=run,
                fence=0,
                cid=CID,
                owner="o",
                step=step.id,
                kind=step.kind,
                scope=CLUSTER_SCOPE if step.id.startswith("cluster/") else "host",
                event="intent" if event == "intent" else "result",
                inputs=step.inputs,
                boot_id=f"boot-{self.boot}",
                rc=rc,
                tool="0",
            )
        )

    def facts(self) -> HostFacts | Unreadable:
        if not self.readable:
            return Unreadable("no route", stopped=False)
        started = any(e.step == f"{self.name}/start/start.sh" for e in self.entries)
        health = HealthReading(0 if self.started and self.healthy else 1, "") if started else None
        return HostFacts(
            arch="amd64",
            cpus=2,
            memory=1 << 30,
            disk_free=1 << 30,
            boot_id=f"boot-{self.boot}",
            uid=0,
            tools=frozenset(),
            ports=frozenset(),
            other_cids=(),
            name_taken=False,
            digests=frozenset(self.digests),
            current=self.current,
            health=health,
            open_runs=self.open_runs,
            ledger=Ledger(tuple(self.entries)),
        )

    def machine_out(self) -> InventoryHost:
        target = SshTarget(self.address)
        return InventoryHost(HostName(self.name), (), self.address, target, (), f"{self.name}-disk-{self.machine}")

    def lay(self, wanted: Digest) -> None:
        if wanted not in self.digests or self.current != wanted:
            self.files, self.initialised, self.running = {}, (), ()
        self.digests.add(wanted)
        self.current = wanted

    def saw(self, env: Mapping[str, Value], *names: str) -> tuple[object, ...]:
        return (self.current, *(reveal(env[name]) for name in names))

    def reboot(self) -> None:
        self.boot, self.started = self.boot + 1, False

    def replaced(self) -> ModelHost:
        return ModelHost(self.name, self.address, self.machine + 1)


@dataclass
class Model:
    """All machines, and what was run on them, in order: `host step`."""

    hosts: dict[str, ModelHost] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    runs: int = 0
    stop_after: int | None = None
    """Kill the run when so many ledger events were written, the last of them an intent or a result."""

    def sync(self, wanted: Accepted) -> None:
        """Stage 1: machines for all that are wanted, none for the others."""
        names = {host.name: host.slot for host in wanted.hosts}
        self.hosts = {name: host for name, host in self.hosts.items() if name in names}
        for name, slot in names.items():
            self.hosts.setdefault(name, ModelHost(name, f"10.0.0.{10 + slot}"))

    def inputs(self, wanted: Accepted, **more: object) -> PlanInputs:
        base = PlanInputs(
            accepted=wanted,
            image=image(),
            changeset=changeset(),
            cid=CID,
            values=ENV,
            pool_values={},
            inventory=Inventory(CLUSTER, CID, tuple(host.machine_out() for host in self.hosts.values())),
            facts={HostName(name): host.facts() for name, host in self.hosts.items()},
            keys=KEYS,
            final=True,
        )
        return replace(base, **more)  # type: ignore[arg-type]

    def execute(self, plan: ApplyPlan, masters: tuple[str, ...] = ("m1", "m2", "m3")) -> None:
        """Host by host, then the cluster's steps; raises Killed where `stop_after` says so."""
        self.runs += 1
        self.ran = []
        for host in plan.hosts:
            for step in host.steps:
                if not step.id.startswith("cluster/"):
                    self._run(step, [self.hosts[host.name]])
        for host in plan.hosts:
            for step in host.steps:
                if step.id.startswith("cluster/"):
                    self._run(step, [self.hosts[name] for name in masters if name in self.hosts])

    def _run(self, step: Step, ledgers: list[ModelHost]) -> None:
        run = f"20261124T{self.runs:06d}Z-aaaaaa"
        for host in ledgers:
            self._write(host, step, "intent", None, run)
        self._act(self.hosts[step.host], step)
        for host in ledgers:
            self._write(host, step, "result", 0, run)

    def _write(self, host: ModelHost, step: Step, event: str, rc: int | None, run: str) -> None:
        if self.stop_after is not None:
            if self.stop_after == 0:
                raise Killed
            self.stop_after -= 1
        host.append(step, event, rc, run)

    def _act(self, host: ModelHost, step: Step) -> None:
        if not isinstance(step.action, Record):
            self.ran.append(step.id)
        match step.action:
            case LayRootfs():
                host.lay(step.action.digest)
            case PutFile():
                host.files[step.action.path] = reveal(step.action.content)
            case RunScript() if step.kind is StepKind.INIT:
                host.initialised = host.saw(dict(step.action.env), "DISK")
            case RunScript() if step.kind is StepKind.START:
                host.started = host.healthy = True
                host.running = host.saw(dict(step.action.env), "LOGLEVEL", "TICK", "TOKEN")
            case RunScript() | RunCommand() | Record():
                pass
            case None:
                raise AssertionError(f"{step.id} has no action")


class Killed(Exception):  # noqa: N818
    """The run was killed."""
