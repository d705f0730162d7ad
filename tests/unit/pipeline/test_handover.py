"""Outputs, inventory and what is kept, on fakes with real shells for hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import HostError, UsageError
from provisioner.handover import collect, command_env, output_env, read_outputs, write_inventory, write_kept
from provisioner.model.ids import ClusterName
from provisioner.model.secret import Secret

from .conftest import FILES, UP, Stage, changed

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPJ0gqsBbn2pWHqG4lvXvPMpRvRWE2P3ijCHyLjhYKfY"
APP = ClusterName("app")
SAY = 'echo "end.point=a=b" >> "$SEALER_OUTPUT"; echo "secret:token=swordfish" >> "$SEALER_OUTPUT"; echo said $COLOUR'


def talking(stage: Stage) -> None:
    stage.environ["COLOUR"] = "ultramarine"
    stage.images.add("app:v1", FILES, env={"COLOUR": "none"}, cmd=(SAY,))


async def up(stage: Stage) -> None:
    await stage.stand(changed(UP, env_secret=("COLOUR",), env=()), talking)


def read(path: Path | str) -> str:
    return Path(path).read_text()


@pytest.fixture
def painted(stage: Stage) -> Stage:
    stage.environ["COLOUR"] = "ultramarine"
    return stage


async def test_outputs_are_read_with_their_secrets(painted: Stage) -> None:
    await up(painted)
    outputs = await read_outputs(painted.world, APP)
    assert outputs.values == {"end.point": "a=b", "token": Secret("swordfish")}
    assert outputs.secret == ("token",)
    assert command_env(outputs, Path("/i")) == {
        "SEALER_OUTPUT_END_POINT": "a=b",
        "SEALER_OUTPUT_TOKEN": "swordfish",
        "SEALER_CLUSTER": "app",
        "SEALER_INVENTORY": "/i",
    }
    assert "swordfish" not in repr(outputs)


async def test_outputs_of_nobody_are_an_error(stage: Stage) -> None:
    with pytest.raises(UsageError):
        await read_outputs(stage.world, APP)
    await stage.up()
    stack = stage.engine.stacks["app"]
    stack.hosts = {name: replace(host, running=False) for name, host in stack.hosts.items()}
    with pytest.raises(HostError):
        await read_outputs(stage.world, APP)


@pytest.mark.parametrize(("key", "name"), [("a", "A"), ("a-b.c_d", "A_B_C_D"), ("ÄÖ", "__"), ("Mixed9", "MIXED9")])
def test_keys_become_names(key: str, name: str) -> None:
    assert output_env({key: "x"}) == {f"SEALER_OUTPUT_{name}": "x"}


async def test_the_inventory_is_private_and_whole(stage: Stage) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    stack.hosts = {name: replace(host, host_keys=(KEY,)) for name, host in stack.hosts.items()}
    path = await write_inventory(stage.world, APP)
    document = json.loads(read(path))
    assert [h["name"] for h in document["hosts"]] == ["m1", "m2", "n1"]
    first = document["hosts"][0]
    assert set(first["ssh"]) == {"host", "port", "user"}
    for file in (path, Path(first["privateKeyFile"]), Path(document["knownHostsFile"])):
        assert file.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in read(first["privateKeyFile"])
    assert "PRIVATE KEY" not in read(path)


async def test_ledgers_and_logs_are_kept_without_secrets(painted: Stage, tmp_path: Path) -> None:
    await up(painted)
    assert write_kept(tmp_path, await collect(painted.world, APP)) == ()
    ledger = (tmp_path / "m1.ledger.jsonl").read_text().splitlines()
    assert all(json.loads(line)["cid"].startswith("app-") for line in ledger)
    log = (tmp_path / "m1.log").read_text()
    assert "said ***" in log
    assert "ultramarine" not in log


async def test_what_a_dead_host_had_is_said_to_be_missing(stage: Stage, tmp_path: Path) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    stack.hosts["m2"] = replace(stack.hosts["m2"], running=False)
    assert write_kept(tmp_path, await collect(stage.world, APP)) == ("m2: m2 is stopped",)
    assert not (tmp_path / "m2.log").exists()
