# ruff: noqa: ASYNC221 - short-lived helpers of a test may block its loop
"""What a lost, damaged or foreign state does to the real engine's wrapper."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from provisioner.errors import (
    AccessError,
    LockedError,
    PreconditionError,
)
from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.stop import Stop
from tests.contract.engine.rigs import CID, CLUSTER, PINNED_ENGINE, TINY, RealRig, preview, tree, up

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(PINNED_ENGINE is None, reason="no engine: sealer-cloud engine install"),
]


async def test_another_passphrase_is_exit_5_and_changes_nothing(rig):
    await up(rig, "m1")
    before = tree(rig.settings.state_dir / "backend")
    (rig.settings.state_dir / "passphrase").write_text("another")
    for call in (preview(rig, "m1"), up(rig, "m1", "m2")):
        with pytest.raises(AccessError, match="passphrase") as caught:
            await call
        assert "PULUMI_CONFIG_PASSPHRASE" in caught.value.hint
    assert tree(rig.settings.state_dir / "backend") == before


async def test_settings_for_the_users_own_stacks_do_not_reach_the_engine(tmp_path):
    theirs = {"PULUMI_DIY_BACKEND_LEGACY_LAYOUT": "true", "PULUMI_EXPERIMENTAL": "1", "PULUMI_SKIP_CHECKPOINTS": "true"}
    rig = RealRig(tmp_path, **theirs)
    release = rig.hold("create", "m1")
    run = asyncio.create_task(up(rig, "m1"))
    await rig.until_called("create m1")
    assert rig.engine.stored(CLUSTER).cid == CID  # written between the steps
    release()
    await run
    assert not (await preview(rig, "m1")).plan.changes


async def test_asking_for_keys_leaves_a_run_that_is_under_way_alone(rig):
    """`status` during a first `up`, interrupted twice: it ends its own engine and nobody else's."""
    release = rig.hold("create", "m1")
    run = asyncio.create_task(up(rig, "m1"))
    await rig.until_called("create m1")
    before = tree(rig.folder)
    looker = PulumiEngine(rig.settings, Stop(), plugin=(sys.executable, "-P", str(TINY)))
    asked = asyncio.create_task(looker.keys(CLUSTER))
    await rig.until_run("export")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not (rig.settings.state_dir / "tmp").exists()
    assert tree(rig.folder) == before
    keys = await looker.keys(CLUSTER)
    release()
    assert (await run).keys == keys


async def test_a_lost_passphrase_is_never_replaced_by_a_new_one(rig):
    await up(rig, "m1")
    (rig.settings.state_dir / "passphrase").unlink()
    with pytest.raises(AccessError, match="demo cannot be opened"):
        await preview(rig, "m1")
    assert not (rig.settings.state_dir / "passphrase").exists()


async def test_the_users_own_backend_and_passphrase_win(tmp_path):
    backend = tmp_path / "theirs"
    backend.mkdir()
    theirs = {"PULUMI_BACKEND_URL": f"file://{backend}"}
    rig = RealRig(tmp_path, **theirs)
    for call in (preview(rig, "m1"), up(rig, "m1")):
        with pytest.raises(AccessError, match="needs a passphrase"):
            await call
    assert not (rig.settings.state_dir / "passphrase").exists()
    shutil.rmtree(rig.tiny)
    rig = RealRig(tmp_path, **theirs, PULUMI_CONFIG_PASSPHRASE="mine")
    await up(rig, "m1")
    assert rig.engine.names() == (CLUSTER,)
    assert (backend / ".pulumi/stacks/sealer-cloud/demo.json").is_file()
    assert not (rig.settings.state_dir / "passphrase").exists()
    assert not (rig.settings.state_dir / "backend").exists()


async def test_a_lost_settings_file_is_made_again(rig):
    keys = (await up(rig, "m1")).keys
    shutil.rmtree(rig.folder)
    assert (await up(rig, "m1")).keys == keys
    shutil.rmtree(rig.folder)
    assert await rig.engine.keys(CLUSTER) == keys


async def test_locks_of_the_living_and_of_other_machines_stand(rig):
    await up(rig, "m1")
    locks = rig.settings.state_dir / f"backend/.pulumi/locks/organization/sealer-cloud/{CLUSTER}"
    locks.mkdir(parents=True, exist_ok=True)
    lock = {"username": "ann", "timestamp": "2999-01-01T00:00:00Z"}
    for pid, host in ((os.getpid(), os.uname().nodename), (999999, "elsewhere")):
        (locks / "a.json").write_text(json.dumps(lock | {"pid": pid, "hostname": host}))
        with pytest.raises(LockedError, match=f"pid {pid}"):
            await rig.engine.repair(CLUSTER)
        with pytest.raises(LockedError):
            await up(rig, "m1", "m2")
        assert (locks / "a.json").exists()


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda raw: raw[: len(raw) // 2], lambda raw: raw.replace(b'"', b"'", 1)]
)
async def test_damaged_state_is_refused_and_the_backup_named_works(rig, damage):
    await up(rig, "m1")
    await up(rig, "m1", "m2")
    rig.checkpoint.write_bytes(damage(rig.checkpoint.read_bytes()))
    for call in (rig.engine.keys(CLUSTER), preview(rig, "m1"), up(rig, "m1"), rig.engine.destroy(CLUSTER, ignore)):
        with pytest.raises(PreconditionError, match="damaged") as caught:
            await call
    command = re.search(r"cp .*", caught.value.hint)[0]
    subprocess.run(command, shell=True, check=True)
    assert rig.engine.stored(CLUSTER).cid == CID
    assert not (await preview(rig, "m1", "m2")).plan.delete


async def test_a_stack_whose_making_was_cut_off_is_made(rig):
    rig.checkpoint.parent.mkdir(parents=True)
    (rig.settings.state_dir / "passphrase").write_text("made before the stack")
    rig.checkpoint.write_text('{"version":0,"checkpoint":{"stack":"organization/sealer-cloud/demo"}}')
    assert rig.engine.stored(CLUSTER).resources == 0
    assert len((await preview(rig, "m1")).plan.create) == 3
    assert (await up(rig, "m1")).keys is not None
    assert await rig.engine.keys(CLUSTER) is not None


async def test_odd_folder_names_are_only_names(tmp_path):
    odd = tmp_path / "a b%20é #x"
    odd.mkdir()
    rig = RealRig(odd)
    await preview(rig, "m1")
    await up(rig, "m1")
    assert rig.checkpoint.is_file()
    assert not (await preview(rig, "m1")).plan.changes
    assert len((await rig.engine.destroy(CLUSTER, ignore)).deleted) == 3


async def test_an_engine_older_than_the_state_is_refused(rig):
    await up(rig, "m1")
    old = rig.root / "old"
    old.write_text("#!/bin/sh\necho v3.200.0\n")
    old.chmod(0o755)
    rig.environ["SEALER_CLOUD_ENGINE"] = str(old)
    from provisioner.settings import load_settings

    engine = PulumiEngine(load_settings(rig.environ), rig.stop, plugin=(sys.executable, str(TINY)))
    with pytest.raises(PreconditionError, match=r"v3\.200\.0"):
        await engine.preview(CLUSTER, CID, rig.program("m1"), ignore)
