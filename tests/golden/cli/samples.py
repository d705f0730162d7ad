"""Plans, reports and events as the pipeline would give them: what the screens and documents are tested with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from provisioner.events import (
    BytesSent,
    Event,
    HealthSeen,
    Phase,
    PhaseDone,
    PhaseStarted,
    ResourceChanged,
    StepDone,
    StepStarted,
    Warned,
)
from provisioner.gc import GcReport
from provisioner.handover import Outputs
from provisioner.model.driver import FoundMachine, FoundResource
from provisioner.model.facts import HealthReading
from provisioner.model.hosts import Inventory, InventoryHost, SshTarget
from provisioner.model.ids import ClusterId, ClusterName, Digest, HostName, StepId
from provisioner.model.leftovers import NOBODY, judge
from provisioner.model.plan import ApplyPlan, HostPlan, InfraPlan, Plan, ResourceChange
from provisioner.model.report import (
    ApplyReport,
    DownReport,
    HostStatus,
    ListRow,
    LockInfo,
    LostCluster,
    LostReport,
    StatusReport,
    StepReport,
    UpReport,
)
from provisioner.model.secret import Secret, Value
from provisioner.model.steps import Step, StepKind, StepState
from provisioner.ttl import TtlReport
from provisioner.world import DownPlan

NAME = ClusterName("etcd")
CID = ClusterId("etcd-a2b3c4")
DIGEST = Digest("sha256:" + "1f3c9a" + "0" * 58)
HOST = "sealer:local:Host"
NETWORK = "sealer:local:Network"
INTENT = "sealer:index:Intent"
STACK = "pulumi:pulumi:Stack"
KINDS = {
    "rootfs": (StepKind.ROOTFS, "rootfs/image"),
    "etc/etcd.conf": (StepKind.FILE, "file/etc/etcd.conf"),
    "init.sh": (StepKind.INIT, "init/init.sh"),
    "start.sh": (StepKind.START, "start/start.sh"),
    "health": (StepKind.HEALTH, "health/health.sh"),
}


def step(host: str, title: str, state: StepState = StepState.NEW) -> Step:
    kind, tail = KINDS[title]
    return Step(StepId(f"{host}/{tail}"), HostName(host), kind, title, state)


def cmd(host: str = "m1") -> Step:
    return Step(StepId("cluster/cmd/1"), HostName(host), StepKind.CMD, "CMD 1/1", StepState.NEW)


def record(host: str) -> Step:
    return replace(step(host, "init.sh"), id=StepId(f"{host}/reconfigure/reconfigure.sh"), quiet=True)


def host_plan(name: str, *titles: str, sent: int = 0, extra: tuple[Step, ...] = ()) -> HostPlan:
    return HostPlan(HostName(name), ("master",), sent, (*(step(name, t) for t in titles), *extra, record(name)))


def change(kind: str, name: str, detail: str = "") -> ResourceChange:
    return ResourceChange(kind, name, detail)


def make_plan(infra: InfraPlan, *hosts: HostPlan, cid: ClusterId | None = CID, **more: object) -> Plan:
    apply = ApplyPlan(NAME, DIGEST, hosts, **more)  # type: ignore[arg-type]
    return Plan(NAME, cid, "local", "etcd:v1", DIGEST, 39_100_000, infra, apply, plan_hash="5" * 64)


def new_cluster() -> Plan:
    titles = tuple(KINDS)
    infra = InfraPlan(
        create=(
            change(STACK, "s"),
            change(INTENT, "intent"),
            change(NETWORK, "network"),
            *(change(HOST, h) for h in ("m1", "m2", "m3")),
        )
    )
    first = host_plan("m1", *titles, sent=39_100_000, extra=(cmd(),))
    others = (host_plan(h, *titles, sent=39_100_000) for h in ("m2", "m3"))
    return make_plan(infra, first, *others, cid=None)


def changed_value() -> Plan:
    infra = InfraPlan(
        update=(change(INTENT, "intent", "env ETCD_HEARTBEAT"),),
        same=(change(NETWORK, "network"), *(change(HOST, h) for h in ("m1", "m2", "m3"))),
    )
    hosts = [host_plan(h, "etc/etcd.conf", "start.sh", "health") for h in ("m1", "m2", "m3")]
    return make_plan(infra, *hosts, restarts=tuple(HostName(h) for h in ("m1", "m2", "m3")))


def losing_hosts() -> Plan:
    infra = InfraPlan(
        update=(change(INTENT, "intent"),),
        replace=(change(HOST, "m2", "another machine"),),
        delete=(change(HOST, "n1"), change(HOST, "n2")),
        same=(change(NETWORK, "network"), change(HOST, "m1")),
    )
    maybe = HostPlan(HostName("m2"), ("master",), 39_100_000, tuple(step("m2", t, StepState.MAYBE) for t in KINDS))
    plan = make_plan(infra, host_plan("m1"), maybe, joining=(HostName("m2"),), provisional=True)
    return replace(plan, notes=("n1 holds 1.2 GB of data\x1b[2J",))


def no_change() -> Plan:
    infra = InfraPlan(same=(change(INTENT, "intent"), change(NETWORK, "network"), change(HOST, "m1")))
    return make_plan(infra, HostPlan(HostName("m1"), ("master",), 0, ()))


def many_hosts() -> Plan:
    names = [f"n{i}" for i in range(1, 41)]
    infra = InfraPlan(
        create=tuple(change(HOST, n) for n in names), delete=tuple(change(HOST, f"x{i}") for i in range(12))
    )
    return make_plan(infra, *(host_plan(n, *KINDS, sent=39_100_000) for n in names))


def down_plan(**fields: object) -> DownPlan:
    known: dict[str, object] = {
        "cluster": NAME,
        "cid": CID,
        "provider": "local",
        "image": "etcd:v1",
        "hosts": ("m1", "m2", "m3"),
        "without_state": False,
    }
    return DownPlan(**{**known, **fields})  # type: ignore[arg-type]


def inventory() -> Inventory:
    hosts = tuple(
        InventoryHost(
            HostName(h), ("master",), f"10.213.0.1{i}", SshTarget(f"10.213.0.1{i}"), ("ssh-ed25519 AAAA",), h * 4
        )
        for i, h in enumerate(("m1", "m2", "m3"))
    )
    return Inventory(NAME, CID, hosts)


def up_report(*, changed: bool = True) -> UpReport:
    health = {HostName(h): HealthReading(0, "member healthy") for h in ("m1", "m2", "m3")}
    steps = (StepReport(StepId("m1/init/init.sh"), HostName("m1"), "init.sh", 0, 0.51234, "ok", "/var/lib/x.log"),)
    seconds = {"rootfs": 1.4, "steps": 1.1, "health": 2.2}
    apply = ApplyReport(steps, health, {"endpoints": "http://10.213.0.10:2379"}, seconds if changed else {})
    return UpReport(new_cluster(), inventory(), apply, changed, 6.8)


def down_report(**fields: object) -> DownReport:
    known: dict[str, object] = {
        "cluster": NAME,
        "cid": CID,
        "provider": "local",
        "removed": ("host m1", "network"),
        "left": (),
        "warnings": (),
        "seconds": 2.04,
    }
    return DownReport(**{**known, **fields})  # type: ignore[arg-type]


def status_report(**fields: object) -> StatusReport:
    hosts = (
        HostStatus(HostName("m1"), "10.213.0.10", ("master",), "healthy", "leader, 3 members", 5, 5),
        HostStatus(HostName("m2"), "10.213.0.11", ("master",), "stopped", "", 5, 5),
        HostStatus(HostName("n1"), "10.213.0.12", ("node", "gpu"), "starting", "not yet\x1b]0;x\x07", 3, 5),
    )
    known: dict[str, object] = {
        "cluster": NAME,
        "cid": CID,
        "image_reference": "etcd:v1",
        "image_digest": DIGEST,
        "provider": "local",
        "phase": "degraded",
        "hosts": hosts,
        "outputs": {"endpoints": "http://10.213.0.10:2379"},
        "expires_at": None,
        "lock": LockInfo(4711, "20261124T101500Z-abcdef", "up", "2026-11-24T10:15:00+00:00"),
    }
    return StatusReport(**{**known, **fields})  # type: ignore[arg-type]


def lost_report(**fields: Any) -> LostReport:
    """Two machines of a cluster that no state knows; one of them was replaced by a later run, outside of any CI."""
    ours = {"region": "r-1", "zone": "r-1a", "machine_type": "t3.medium", "expires_at": "2026-11-24T20:00:00Z"}
    m1 = FoundMachine("m1", "i-1", "running", "10.0.0.4", "203.0.113.4", run="run-1", ci_run="77", repo="o/app", **ours)
    n1 = FoundMachine("n1", "i-2", "stopped\x1b[2J", "10.0.0.5", run="run-2", **ours)
    cluster = LostCluster(ClusterId("etcd-a2b3c4"), ("r-1",), (m1, n1), ("instance i-1", "instance i-2", "vpc vpc-1"))
    given = {"found": (cluster,), "not_looked_at": (("aws r-2", "not allowed"),), **fields}
    return LostReport(ClusterName("etcd"), "aws", words="--provider aws -f Infra.yaml", **given)


def lost_twice() -> LostReport:
    """Two clusters of one name: of one the machines are gone, the other's carry no more than its cid."""
    bare = FoundMachine("", "i-3", "running")
    left = LostCluster(ClusterId("etcd-bbbbbb"), (), (), ("vpc vpc-2",))
    return lost_report(found=(LostCluster(ClusterId("etcd-aaaaaa"), ("r-1",), (bare,), ()), left), not_looked_at=())


def list_rows() -> tuple[ListRow, ...]:
    return (
        ListRow(NAME, CID, "local", "etcd:v1", 3, None),
        ListRow(
            ClusterName("shop"),
            ClusterId("shop-zzzzzz"),
            "local",
            "registry.example/shop:2",
            12,
            "2026-12-01T00:00:00Z",
        ),
    )


def found(kind: str, id_: str, **fields: object) -> FoundResource:
    resource = FoundResource(
        kind=kind,
        id=id_,
        region="eu-1",
        name="m1",
        cid=CID,
        run="20261124T100000Z-abcdef",
        created="2026-11-24T10:00:00Z",
        expires_at="2026-11-24T11:00:00Z",
        price=0.25 if kind == "instance" else None,
        currency="USD" if kind == "instance" else "",
        ci_run="77",
        repo="team/shop",
    )
    return replace(resource, **fields)  # type: ignore[arg-type]


def gc_report(**fields: object) -> GcReport:
    now = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)
    resources = (
        found("instance", "i-1"),
        found("vpc", "vpc-1"),
        found("instance", "i-2", cid=ClusterId("shop-bbbbbb"), expires_at="2026-11-24T20:00:00Z"),
        found("instance", "i-3", cid=ClusterId("old-cccccc"), expires_at=None, created="2026-11-01T00:00:00Z"),
        found("vpc", "vpc-2", cid=None, run=None, ci_run=None, repo=None, expires_at=None, created=None),
    )
    dark = (("cloud eu-2", "not allowed\x1b[31m"),)
    return replace(GcReport(judge("cloud", resources, now, NOBODY), dark), **fields)  # type: ignore[arg-type]


def ttl_report(**fields: object) -> TtlReport:
    until, before = "2026-11-24T13:00:00Z", "2026-11-24T11:00:00Z"
    report = TtlReport(NAME, CID, "cloud", until, before, "gc", ("m2",))
    return replace(report, **fields)  # type: ignore[arg-type]


def outputs() -> Outputs:
    values: dict[str, Value] = {"endpoints": "10.1.2.3:2379 x", "it's": "a'b", "token": Secret("swordfish")}
    return Outputs(NAME, CID, values)


def run_events() -> tuple[tuple[float, Event], ...]:
    """A whole run, with its times."""
    m1, m2, m3 = HostName("m1"), HostName("m2"), HostName("m3")
    init = StepId("m1/init/init.sh")
    events: list[tuple[float, Event]] = [
        (0.0, PhaseStarted(Phase.MACHINES, 4)),
        (0.1, ResourceChanged(NETWORK, "network", "create", done=False)),
        (0.5, ResourceChanged(NETWORK, "network", "create", done=True)),
        (0.6, ResourceChanged(HOST, "m1", "create", done=False)),
        (1.9, ResourceChanged(HOST, "m1", "create", done=True)),
        (1.9, PhaseDone(Phase.MACHINES, "3 of 3", 1.9)),
        (1.9, PhaseStarted(Phase.CONNECT, 3)),
        (2.1, PhaseDone(Phase.CONNECT, "3 of 3, host keys known", 0.2)),
        (2.1, PhaseStarted(Phase.ROOTFS, 3)),
        (2.2, BytesSent(m1, 0, 39_100_000)),
        (2.2, BytesSent(m2, 0, 39_100_000)),
        (2.2, BytesSent(m3, 0, 39_100_000)),
        (3.0, BytesSent(m1, 39_100_000, 39_100_000)),
        (3.1, BytesSent(m2, 28_152_000, 39_100_000)),
        (3.2, BytesSent(m3, 27_370_000, 39_100_000)),
        (3.5, BytesSent(m2, 39_100_000, 39_100_000)),
        (3.5, BytesSent(m3, 39_100_000, 39_100_000)),
        (3.5, PhaseDone(Phase.ROOTFS, "3 of 3", 1.4)),
        (3.5, PhaseStarted(Phase.STEPS, 3)),
        (3.5, StepStarted(m1, init, "init.sh")),
        (4.0, StepDone(m1, init, "init.sh", 0, 0.5)),
        (4.0, Warned("n1 has no role; it is a node", "give it a role")),
        (4.6, PhaseDone(Phase.STEPS, "init.sh, start.sh 3 of 3 \x1b[31m", 1.1)),
        (4.6, PhaseStarted(Phase.HEALTH, 3)),
        (5.0, HealthSeen(m1, 75, "waiting for the leader")),
        (6.8, HealthSeen(m1, 0, "3 members, leader m2")),
        (6.8, PhaseDone(Phase.HEALTH, "3 members, leader m2", 2.2)),
    ]
    return tuple(events)
