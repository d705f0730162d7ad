"""Plans on hosts: the same end as an unbroken run, whatever broke in between."""

from __future__ import annotations

import os
import signal

import pytest

from provisioner.apply.context import Patience, RunContext
from provisioner.errors import DeadlineError, InterruptedRunError, SealerError, StepError
from provisioner.events import BytesSent, HealthSeen, Phase, PhaseDone, StepDone, StepStarted, Warned
from provisioner.failpoints import FAILPOINTS, arm_failpoint
from provisioner.model.ids import StepId
from provisioner.model.ledger import parse_ledger
from tests.fakes.hosts import PATHS
from tests.unit.apply_edge.edge_rig import CANARY, SCRIPTS, Cluster, done_ids

FRESH = ["init create", "start"]


async def test_fresh_cluster_comes_up(cluster: Cluster) -> None:
    done = await cluster.up()
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [[*FRESH, "cmd m1"], FRESH, FRESH]
    assert sorted(done.ids) == sorted(s.id for s in done.plan.steps)
    assert {h: r.line for h, r in done.report.health.items()} == {h: f"up as {h}" for h in ("m1", "m2", "n1")}
    rootfs = cluster.fakes["n1"].at(PATHS.rootfs)
    assert (rootfs / "etc/app.conf").read_text() == "name=n1 tick=100\n"
    assert (rootfs / "etc/auth").read_text() == f"{CANARY}\n"
    assert (rootfs / "etc/auth").stat().st_mode & 0o777 == 0o600


async def test_second_up_does_nothing_and_reads_once(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    done = await cluster.up()
    assert not done.plan.changes
    assert [host.history for host in cluster.fakes.hosts.values()] == [["read"]] * 3


async def test_cluster_work_is_known_to_all_masters(cluster: Cluster) -> None:
    done = await cluster.up()
    for host in ("m1", "m2"):
        ledger = parse_ledger(cluster.fakes[host].state(PATHS, "ledger.jsonl").read_text(), host)
        assert ledger.record(StepId("cluster/cmd/1")).last_done is not None
        assert ledger.record(StepId("cluster/member/n1")).last_done is not None
        assert (
            cluster.fakes[host].state(PATHS, "outputs").read_text() == f"url=http://10.213.0.10\nsecret:pw={CANARY}\n"
        )
    assert not cluster.fakes["n1"].state(PATHS, "outputs").exists()
    assert done.report.outputs == {"url": "http://10.213.0.10", "pw": "***"}


async def test_every_step_is_told_from_start_to_end(cluster: Cluster) -> None:
    done = await cluster.up()
    started = [e.step for e in done.events if isinstance(e, StepStarted)]
    assert sorted(started) == sorted(e.step for e in done.events if isinstance(e, StepDone))
    phases = [e.phase for e in done.events if isinstance(e, PhaseDone)]
    assert phases == [Phase.PREFLIGHT, Phase.ROOTFS, Phase.STEPS, Phase.HEALTH, Phase.STEPS]
    last = {e.host: (e.sent, e.total) for e in done.events if isinstance(e, BytesSent)}
    total = done.plan.hosts[0].bytes_to_send
    assert last == dict.fromkeys(("m1", "m2", "n1"), (total, total))
    assert any(isinstance(e, HealthSeen) for e in done.events)


async def test_a_step_that_fails_stops_everybody_at_the_barrier(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/init.sh": SCRIPTS["scripts/init.sh"] + b"[ $SEALER_HOST != m2 ] || exit 3\n"}
    with pytest.raises(StepError, match=r"init\.sh on m2 failed with exit status 3") as caught:
        await cluster.up()
    error = caught.value
    assert (error.exit_code, error.host, error.evidence) == (8, "m2", "disk ssd")
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [["init create"]] * 3
    assert "\ndone: rootfs on m1 m2 n1, " in error.hint
    assert error.told
    assert "not done: " in error.hint
    assert error.hint.endswith("go on with: sealer-cloud up app")
    log = cluster.fakes["m2"].state(PATHS, "runs/20261124T140001Z-aaaaaa/m2+init+init.sh/log")
    assert str(log) in error.hint
    assert log.read_text() == "disk ssd\n"


async def test_after_a_failure_only_what_is_missing_runs(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/init.sh": SCRIPTS["scripts/init.sh"] + b'[ -e "$SEALER_DATA/ok" ] || exit 3\n'}
    for host in ("m1", "n1"):
        cluster.fakes[host].at(PATHS.data).mkdir(parents=True)
        (cluster.fakes[host].at(PATHS.data) / "ok").touch()
    with pytest.raises((StepError, SealerError)):
        await cluster.up(check=False)
    (cluster.fakes["m2"].at(PATHS.data) / "ok").touch()
    done = await cluster.up()
    assert [i for i in done.ids if "/init/" in i] == ["m2/init/init.sh"]
    assert not [i for i in done.ids if "/rootfs/" in i]
    assert cluster.history("m1") == [*FRESH, "cmd m1"]


async def test_secrets_are_masked_in_what_we_keep(cluster: Cluster) -> None:
    cluster.cmd = ('echo "token is $TOKEN"; exit 1',)
    with pytest.raises(StepError) as caught:
        await cluster.up()
    assert caught.value.evidence == "token is ***"
    for host in cluster.fakes.hosts.values():
        assert CANARY not in host.state(PATHS, "ledger.jsonl").read_text()


@pytest.mark.slow
async def test_link_lost_before_the_status_is_asked_again(cluster: Cluster) -> None:
    cluster.fakes["m1"].drop += ["run", "run", "put", "lay"]
    cluster.fakes["n1"].drop += ["health", "record", "wait"]
    await cluster.up()
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [[*FRESH, "cmd m1"], FRESH, FRESH]
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_host_that_does_not_come_back_leaves_an_unknown_end(cluster: Cluster) -> None:
    cluster.fakes["m2"].drop.append("run")
    cluster.fakes["m2"].stall.add("wait")
    cluster.patience = Patience(command=5, link=0.1, grace=5)
    cluster.step_timeout = 0.1
    with pytest.raises(StepError, match=r"init\.sh on m2 began and its end is unknown: no answer") as caught:
        await cluster.up()
    assert (caught.value.exit_code, caught.value.host) == (8, "m2")
    cluster.fakes["m2"].stall.clear()
    cluster.patience = Patience()
    cluster.step_timeout = 60
    await cluster.up()
    assert cluster.history("m2") == FRESH


@pytest.mark.slow
async def test_killed_wrapper_of_a_cmd_is_reported_never_repeated(cluster: Cluster) -> None:
    cluster.cmd = ('echo x >>"$SEALER_DATA/ran"; kill -9 $PPID; kill -9 $(cut -d" " -f1 "$RUN/pid")',)
    cluster.env = {
        **cluster.env,
        "RUN": str(cluster.fakes["m1"].state(PATHS, "runs/20261124T140001Z-aaaaaa/cluster+cmd+1")),
    }
    with pytest.raises(StepError, match="end is unknown") as caught:
        await cluster.up()
    assert caught.value.exit_code == 8
    with pytest.raises(StepError, match="end is unknown") as caught:
        await cluster.up()
    assert "--assume-done cluster/cmd/1" in caught.value.hint
    assert (cluster.fakes["m1"].at(PATHS.data) / "ran").read_text() == "x\n"
    cluster.assume_done = frozenset({StepId("cluster/cmd/1")})
    await cluster.up()
    cluster.assume_done = frozenset()
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_changed_env_runs_only_what_depends_on_it_one_host_at_a_time(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.env = {**cluster.env, "LEVEL": "debug"}
    done = await cluster.up()
    assert done.plan.restarts == ("m2", "m1", "n1")
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [["start"]] * 3
    order = [
        e for e in done.events if isinstance(e, (StepStarted, HealthSeen)) and "health" not in getattr(e, "step", "")
    ]
    seen = [(e.host, isinstance(e, HealthSeen)) for e in order][:6]
    assert seen == [("m2", False), ("m2", True), ("m1", False), ("m1", True), ("n1", False), ("n1", True)]


@pytest.mark.slow
async def test_rolling_stops_at_the_first_host_that_stays_ill(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.env = {**cluster.env, "LEVEL": "debug"}
    path = cluster.fakes["m2"].at(PATHS.rootfs) / "scripts/start.sh"
    path.write_text('#!/bin/sh\nkill $(cat "$SEALER_DATA/pid")\n')
    with pytest.raises(DeadlineError, match=r"health\.sh of m2 failed for 2. s: down") as caught:
        await cluster.up()
    assert caught.value.exit_code == 11
    assert cluster.history("m1") == cluster.history("n1") == []


@pytest.mark.slow
async def test_rolling_waits_for_hosts_that_come_up(cluster: Cluster) -> None:
    looks = b'up || { echo down; exit 1; }\necho look >>"$SEALER_DATA/looks"\n'
    slow = b'[ "$(grep -c look "$SEALER_DATA/looks")" -gt 3 ] || { echo starting; exit 75; }\necho well\n'
    start = SCRIPTS["scripts/start.sh"] + b'rm -f "$SEALER_DATA/looks"\n'
    health = b"#!/bin/sh\n. scripts/lib.sh\n" + looks + slow
    cluster.files = {**SCRIPTS, "scripts/start.sh": start, "scripts/health.sh": health}
    await cluster.up()
    cluster.kill_daemon("m2")
    cluster.env = {**cluster.env, "LEVEL": "debug"}
    done = await cluster.up()
    assert done.plan.restarts == ("m1", "n1")
    assert [cluster.history(h).count("start") for h in cluster.names] == [2, 2, 2]
    seen = [e for e in done.events if isinstance(e, StepStarted) or (isinstance(e, HealthSeen) and e.rc == 0)]
    order = [(e.host, isinstance(e, HealthSeen)) for e in seen if "start" in getattr(e, "step", "start")]
    assert order[:6] == [("m2", False), ("m2", True), ("m1", False), ("m1", True), ("n1", False), ("n1", True)]


async def test_killed_processes_come_back(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.kill_daemon("m2")
    done = await cluster.up()
    assert done.ids == ["m2/start/start.sh", "m2/health/health.sh"]
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [[], ["start"], []]


async def test_reboot_starts_again_and_initialises_nothing(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.fakes["n1"].boot(2)
    await cluster.up()
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [[], [], ["start"]]


@pytest.mark.slow
async def test_host_that_joins_is_added_before_it_starts(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.grow("m1", "m2", "m3", "n1")
    done = await cluster.up()
    assert cluster.history("m1") == ["member add m3 10.213.0.12", "reconfigure"]
    assert cluster.history("m3") == ["init join", "start"]
    ids = done.ids
    assert ids.index("cluster/member/m3") < ids.index("m3/init/init.sh") < ids.index("m3/start/start.sh")
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_host_that_leaves_is_removed(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    cluster.grow("m1", "m2")
    await cluster.up()
    assert cluster.history("m1") == ["reconfigure", "member remove n1 "] or "member remove n1 " in cluster.history("m1")
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_never_healthy_is_a_deadline_with_the_last_line(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/health.sh": b"#!/bin/sh\necho no quorum yet\nexit 75\n"}
    with pytest.raises(DeadlineError, match="not healthy within 120 s: no quorum yet") as caught:
        await cluster.up()
    assert (caught.value.exit_code, caught.value.phase) == (11, "health")
    assert cluster.history("m1") == FRESH


async def test_stop_ends_what_runs_and_begins_nothing(cluster: Cluster) -> None:
    def stop_after_files(context: RunContext) -> None:
        original = context.events

        def events(event: object) -> None:
            original(event)
            if isinstance(event, StepDone) and "/init/" in event.step:
                context.stop.request()

        object.__setattr__(context, "events", events)

    cluster.before = stop_after_files
    with pytest.raises(InterruptedRunError):
        await cluster.up()
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [["init create"]] * 3
    cluster.before = lambda _context: None
    await cluster.up()
    assert [cluster.history(h) for h in ("m1", "m2", "n1")] == [[*FRESH, "cmd m1"], FRESH, FRESH]


@pytest.mark.slow
async def test_full_disk_fails_and_the_rerun_works(cluster: Cluster) -> None:
    cluster.fakes["m2"].full_disk(full=True)
    with pytest.raises(StepError, match="rootfs failed on m2: no space"):
        await cluster.up()
    assert not cluster.fakes["m2"].at(PATHS.rootfs).exists()
    cluster.fakes["m2"].full_disk(full=False)
    await cluster.up()
    assert cluster.history("m2") == FRESH


@pytest.mark.slow
async def test_new_image_keeps_the_old_rootfs_beside_it(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.files = {**SCRIPTS, "bin/data": b"new"}
    await cluster.up()
    folder = cluster.fakes["m1"].at(PATHS.base) / "rootfs.d"
    assert len(list(folder.iterdir())) == 2
    assert (cluster.fakes["m1"].at(PATHS.rootfs) / "bin/data").read_bytes() == b"new"
    cluster.files = dict(SCRIPTS)
    cluster.forget_history()
    await cluster.up()
    assert "switch" in cluster.fakes["m1"].history
    assert "lay" not in cluster.fakes["m1"].history
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_rootfs_that_a_power_loss_cut_is_sent_again(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.forget_history()
    for host in ("m1", "m2"):
        (cluster.fakes[host].at(PATHS.rootfs) / "bin/data").write_bytes(b"")
    cluster.redo = frozenset({StepId("m1/rootfs/image"), StepId("n1/rootfs/image")})
    await cluster.up()
    cluster.redo = frozenset()
    sizes = [(cluster.fakes[h].at(PATHS.rootfs) / "bin/data").stat().st_size for h in cluster.names]
    whole = len(SCRIPTS["bin/data"])
    assert sizes == [whole, 0, whole]
    assert ["lay" in cluster.fakes[h].history for h in cluster.names] == [True, False, False]
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
@pytest.mark.parametrize("name", FAILPOINTS[2:])  # the first two are the pipeline's
async def test_stop_at_any_hop_then_up_again_ends_the_same(cluster: Cluster, name: str) -> None:
    hit = False

    def failpoint(here: str) -> None:
        nonlocal hit
        if here == name:
            hit = True
            raise SealerError(f"failpoint {here}")

    if name in {"member-added", "joined", "reconfigured"}:
        await cluster.up()
        cluster.grow("m1", "m2", "m3", "n1")
    elif name == "member-removed":
        await cluster.up()
        cluster.grow("m1", "m2")
    with pytest.raises(SealerError):
        await cluster.up(failpoint)
    assert hit
    await cluster.up()
    assert not (await cluster.up()).plan.changes
    assert [line for line in cluster.history("m1") if line.startswith("cmd")] == ["cmd m1"]
    assert all(cluster.history(h).count("init create") <= 1 for h in cluster.names)


def test_failpoints_are_armed_by_name_only() -> None:
    from provisioner.errors import UsageError

    for text in ("", "nowhere=kill", "init-done", "init-done=dance"):
        with pytest.raises(UsageError):
            arm_failpoint(text)
    with pytest.raises(SealerError):
        arm_failpoint("init-done=fail")("init-done")
    arm_failpoint("init-done=kill")("start-done")


def test_failpoint_kills_as_power_loss_does() -> None:
    pid = os.fork()
    if pid == 0:
        arm_failpoint("init-done=kill")("init-done")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_failpoint_stands_still_until_somebody_kills_it() -> None:
    pid = os.fork()
    if pid == 0:
        arm_failpoint("made-Intent=stop")("made-Intent")
        os._exit(0)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.slow
async def test_master_that_cannot_be_told_is_a_warning(cluster: Cluster) -> None:
    def lose_m2(context: RunContext) -> None:
        original = context.events

        def events(event: object) -> None:
            original(event)
            if isinstance(event, StepStarted) and event.step == "cluster/cmd/1":
                cluster.fakes["m2"].refuse = True
                cluster.fakes["m2"].cut()

        object.__setattr__(context, "events", events)

    cluster.before = lose_m2
    cluster.labels = {}
    with pytest.raises(DeadlineError):  # the last look finds m2 gone
        await cluster.up()
    assert [e.text for e in cluster.events if isinstance(e, Warned)] != []
    assert cluster.history("m1") == [*FRESH, "cmd m1"]
    cluster.fakes["m2"].refuse = False
    cluster.before = lambda _context: None
    await cluster.up()
    assert not (await cluster.up()).plan.changes
    assert done_ids(cluster.events) == []
