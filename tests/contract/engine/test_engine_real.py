# ruff: noqa: ASYNC220 - short-lived helpers of a test may block its loop
"""What only the real engine can break: processes, locks, signals, files, secrets, damaged state."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioner.errors import (
    InterruptedRunError,
    LockedError,
    UsageError,
)
from provisioner.events import ignore
from tests.contract.engine.rigs import CID, CLUSTER, PINNED_ENGINE, preview, tree, up

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(PINNED_ENGINE is None, reason="no engine: sealer-cloud engine install"),
]
ROOT = Path(__file__).resolve().parents[3]


def verbs(rig):
    found = []
    for line in rig.engine_runs():
        words = [w for w in line.split() if not w.startswith("--")]
        found.append(" ".join(words[:2]) if words[0] == "stack" else words[0])
    return found


async def test_how_many_processes_each_call_costs(rig):
    await preview(rig, "m1")
    assert verbs(rig) == ["version", "stack init", "preview"]  # the version only ever once
    await up(rig, "m1")
    assert verbs(rig) == ["stack init", "up"]
    rig.engine.stored(CLUSTER)
    rig.engine.names()
    await rig.engine.keys(CLUSTER)
    await rig.engine.repair(CLUSTER)
    assert verbs(rig) == []
    await preview(rig, "m1")
    assert verbs(rig) == ["preview"]  # all that a no-change run costs
    await up(rig, "m1", "m2")
    assert verbs(rig) == ["up"]
    await rig.engine.destroy(CLUSTER, ignore)
    assert verbs(rig) == ["destroy"]
    await rig.engine.forget(CLUSTER)
    assert verbs(rig) == ["stack rm"]


async def test_a_preview_writes_nothing_that_stays(rig):
    await up(rig, "m1")
    before = tree(rig.settings.state_dir)
    await preview(rig, "m1", "m2")
    assert tree(rig.settings.state_dir) == before
    assert not (rig.settings.state_dir / "tmp").exists()


async def test_a_preview_of_a_new_cluster_leaves_an_empty_folder(rig):
    await preview(rig, "m1")
    assert list(rig.settings.state_dir.iterdir()) == []


async def test_the_engine_keeps_no_logs_of_its_own_also_where_an_older_version_did(rig):
    logs = rig.folder / "home" / "logs"
    logs.mkdir(parents=True)
    (logs / "pulumi-20261124T120000-1-up.log").touch()
    await up(rig, "m1")
    assert logs.is_file()
    assert logs.stat().st_size < 100
    assert list(rig.folder.rglob("*.log")) == []


async def test_forget_leaves_only_the_held_lock(rig):
    await up(rig, "m1")
    (rig.folder / "lock").touch()
    await rig.engine.destroy(CLUSTER, ignore)
    await rig.engine.forget(CLUSTER)
    assert [p.name for p in rig.folder.iterdir()] == ["lock"]
    left = [p for p in (rig.settings.state_dir / "backend").rglob("*") if CLUSTER in p.name]
    assert left == []


async def test_secrets_are_in_no_file_but_the_cache_and_in_no_argv(rig):
    outputs = await up(rig, "m1")
    await preview(rig, "m1", "m2")
    rig.fail("create", "m2", "no")
    with pytest.raises(Exception, match="no"):
        await up(rig, "m1", "m2")
    (rig.folder / "keys.json").unlink()
    assert await rig.engine.keys(CLUSTER) == outputs.keys
    passphrase = (rig.settings.state_dir / "passphrase").read_text()
    canaries = [outputs.keys.login_private.reveal(), outputs.keys.hmac.reveal(), passphrase]
    allowed = {rig.folder / "keys.json", rig.settings.state_dir / "passphrase"}
    assert "CANARY" in canaries[0]
    for path in (p for p in rig.root.rglob("*") if p.is_file() and p not in allowed):
        raw = path.read_bytes()
        assert not [c for c in canaries if c.encode() in raw], path
    for path in allowed:
        assert path.stat().st_mode & 0o777 == 0o600
    assert "CANARY" not in repr(outputs)


async def test_what_a_killed_engine_left_is_repaired_and_its_machine_adopted(rig):
    release = rig.hold("create", "m2")
    run = asyncio.create_task(up(rig, "m1", "m2"))
    await rig.until_called("create m2")
    await rig.until_called("create m1")
    [engine] = [json.loads(p.read_text())["pid"] for p in (rig.folder / "run").glob("engine-*.json")]
    (rig.tiny / "m2.json").write_text(
        '{"address":"10.213.0.11","hostKey":"k","running":true,"machineId":"made-before"}'
    )
    [lock] = rig.locks()
    held = lock.read_bytes()
    os.kill(engine, signal.SIGKILL)
    with pytest.raises(Exception, match="engine"):
        await run
    assert any("m2" in line for line in rig.engine.stored(CLUSTER).pending)
    assert rig.locks() == [], "the run that lived on knew that its engine was dead"
    rig.restart()
    lock.write_bytes(held)  # as where the whole run was killed
    with pytest.raises(LockedError, match=rf"pid {engine}"):
        await up(rig, "m1", "m2")
    notes = await rig.engine.repair(CLUSTER)
    assert [n for n in notes if "orphaned" in n]
    assert [n for n in notes if "m2" in n]
    assert rig.engine.stored(CLUSTER).pending == ()
    release()
    outputs = await up(rig, "m1", "m2")
    assert outputs.hosts[1].machine_id == "made-before"


async def test_orphans_of_a_killed_run_are_ended_and_nothing_else(rig):
    """The whole run is killed, so the engine and its plugin are left alone in the world."""
    rig.hold("create", "m1")
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.contract.engine.rigs import *; from provisioner.events import ignore\n"
        "rig = RealRig.__new__(RealRig); rig.tiny = Path(sys.argv[1]) / 'tiny'; rig.root = Path(sys.argv[1])\n"
        "import os; rig.settings = load_settings(dict(os.environ)); rig.restart()\n"
        "asyncio.run(rig.engine.up(CLUSTER, CID, rig.program('m1'), ignore))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(rig.root)], env=rig.environ, cwd=ROOT)
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    await rig.until_called("create m1")
    run.kill()
    run.wait()
    assert rig.running()
    assert rig.locks()
    notes = await rig.engine.repair(CLUSTER)
    assert [n for n in notes if "orphaned" in n], notes
    assert [n for n in notes if "lock" in n], notes
    assert rig.locks() == []
    assert rig.running() == []
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


async def test_a_stop_lets_the_running_step_end_and_be_saved(rig):
    release = rig.hold("create", "m2")
    run = asyncio.create_task(up(rig, "m1", "m2"))
    await rig.until_called("create m2")
    await rig.until_called("create m1")
    rig.stop.request()
    await asyncio.sleep(0.5)
    assert not run.done()
    release()
    with pytest.raises(InterruptedRunError):
        await run
    assert rig.engine.stored(CLUSTER).pending == ()
    before = rig.machines()
    assert {"m1", "m2"} == set(before)
    rig.restart()
    await up(rig, "m1", "m2")
    assert rig.machines() == before


async def test_cancelling_ends_engine_and_plugins_within_five_seconds(rig):
    rig.hold("create", "m1")
    run = asyncio.create_task(up(rig, "m1"))
    await rig.until_called("create m1")
    began = time.monotonic()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - began < 5
    assert rig.running() == []
    assert rig.locks() == [], "in a bucket it would stop the runs of all other machines"
    rig.restart()
    rig.heal()
    (rig.tiny / "hold-create-m1").unlink()
    await rig.engine.repair(CLUSTER)
    await up(rig, "m1")
    assert len(rig.machines()) == 1


async def test_destroy_works_on_a_half_made_stack(rig):
    rig.hold("create", "m2")
    run = asyncio.create_task(up(rig, "m1", "m2"))
    await rig.until_called("create m2")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    rig.restart()
    await rig.engine.repair(CLUSTER)
    release = rig.hold("delete", "m1")
    run = asyncio.create_task(rig.engine.destroy(CLUSTER, ignore))
    await rig.until_called("delete m1")
    assert rig.locks()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert rig.locks() == []
    release()
    rig.restart()
    await rig.engine.repair(CLUSTER)
    await rig.engine.destroy(CLUSTER, ignore)
    await rig.engine.forget(CLUSTER)
    assert rig.engine.names() == ()
    assert "m1" not in rig.machines()


async def test_a_preview_left_by_a_dead_run_is_swept(rig):
    await up(rig, "m1")
    stale = rig.settings.state_dir / "tmp" / "999999-1-dead"
    (stale / "backend").mkdir(parents=True)
    assert await rig.engine.repair(CLUSTER) == ("removed temporary files of pid 999999, which is dead",)
    assert not (rig.settings.state_dir / "tmp").exists()


@pytest.mark.parametrize("kind", [UsageError, TypeError])
async def test_an_error_inside_the_program_comes_out_as_itself_a_fault_of_ours_too(rig, kind):
    def program(_sink):
        raise kind("this cannot be declared")

    with pytest.raises(kind, match="this cannot be declared"):
        await rig.engine.preview(CLUSTER, CID, program, ignore)
    assert rig.engine.names() == ()


async def test_keys_in_engine_text_are_stripped(rig):
    rig.fail("create", "m1", "get https://ecs.example.invalid/?AccessKeyId=AKIA1&Signature=zzz: \x1b[31mred\x1b[0m")
    with pytest.raises(Exception, match="red") as caught:
        await up(rig, "m1")
    text = f"{caught.value} {caught.value.hint} {caught.value.evidence}"
    assert not re.search(r"AKIA1|zzz|\x1b", text)
