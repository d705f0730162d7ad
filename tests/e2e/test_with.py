"""`with` on real hosts: the command works with what it finds, and nothing is left whatever becomes of it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.hosts, pytest.mark.engine]

WITH = ("with", "app:v1", "--provider", "local", "--yes")
LOOK = """
set -e
echo "$SEALER_CLUSTER $SEALER_OUTPUT_COLOUR"
python3 - "$SEALER_INVENTORY" <<'END'
import json, subprocess, sys
inventory = json.load(open(sys.argv[1]))
for host in inventory["hosts"]:
    ssh = ["ssh", "-F", "none", "-i", host["privateKeyFile"], "-p", str(host["ssh"]["port"]), "-o", "BatchMode=yes"]
    ssh += ["-o", f"UserKnownHostsFile={inventory['knownHostsFile']}", "-o", "StrictHostKeyChecking=yes"]
    ssh += ["-o", "IdentitiesOnly=yes", f"{host['ssh']['user']}@{host['ssh']['host']}", "hostname"]
    print(subprocess.run(ssh, check=True, capture_output=True, text=True).stdout.strip())
END
exit 4
"""


@pytest.fixture
def user(tmp_path: Path, tiny_home: Path) -> Iterator[Product]:
    with tiny.visit(tmp_path, tiny_home / "data", tiny.unique("with")) as it:
        yield it


def stands(user: Product) -> list[str]:
    return [c["cluster"] for c in user.ok("list", "-o", "json").json["clusters"]]


def test_a_command_reaches_every_host_and_its_end_is_ours(user: Product, tmp_path: Path) -> None:
    answer = user.run(
        *WITH, "-n", user.cluster, "--nodes", "1", "--artifacts", str(tmp_path / "art"), "--", "sh", "-c", LOOK
    )
    assert answer.rc == 4, answer.err
    assert answer.out.splitlines() == [f"{user.cluster} red", "m1", "n1"]
    assert stands(user) == []
    names = {p.name for p in (tmp_path / "art").iterdir()}
    assert {"up.json", "status.json", "m1.log", "n1.log", "m1.ledger.jsonl", "n1.ledger.jsonl"} <= names
    assert json.loads((tmp_path / "art" / "up.json").read_text())["changed"] is True


def test_sigterm_reaches_the_command_and_the_cluster_goes(user: Product) -> None:
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = user.start(*WITH, "-n", user.cluster, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    user.remember()
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 9, err
    assert stands(user) == []


def test_keep_leaves_it_and_outputs_are_there(user: Product) -> None:
    answer = user.run(*WITH, "-n", user.cluster, "--on-failure", "keep:30m", "--", "false")
    assert answer.rc == 1
    assert f"{user.cluster} is kept until you remove it" in answer.err
    assert stands(user) == [user.cluster]
    assert user.ok("outputs", user.cluster, "-o", "env").out == "SEALER_OUTPUT_COLOUR=red\n"
    assert user.run("ttl", "extend", user.cluster, "1h").rc == 3
