"""What an ending engine does to a plugin that is at work."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contract.plugin.wire import Client, provider_pb2, struct, urn

NETWORK = "sealer:local:Network"
SLOW = Path(__file__).with_name("slow_plugin.py")


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@pytest.fixture
def hold(tmp_path):
    path = tmp_path / "hold"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


def environment():
    return {**os.environ, "PYTHONPATH": str(SLOW.parents[3])}


def begin(client, hold):
    running = client.stub.Create.future(
        provider_pb2.CreateRequest(urn=urn(NETWORK), properties=struct({"cid": "etcd-abcdef"}))
    )
    until(hold.with_suffix(".begun").exists)
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_running_create_end_and_answer(hold, number):
    process = subprocess.Popen(
        [sys.executable, str(SLOW), str(hold)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    client = Client(int(process.stdout.readline()))
    running = begin(client, hold)
    process.send_signal(number)
    process.send_signal(number)
    client.cancel()
    assert process.poll() is None
    hold.unlink()
    assert running.result(20).id == "etcd-abcdef"
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    client.close()


def test_an_engine_that_dies_lets_the_running_create_end(hold):
    engine = subprocess.Popen(
        ["sh", "-c", f'"{sys.executable}" "{SLOW}" "{hold}" & echo $!; read -r line'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    pid = int(engine.stdout.readline())
    client = Client(int(engine.stdout.readline()))
    begin(client, hold)
    engine.kill()
    engine.wait()
    client.close()
    handle = os.pidfd_open(pid)
    hold.unlink()
    ended = select.select([handle], [], [], 20)[0]  # readable once it has ended, whoever reaps it
    if not ended:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    assert ended, "it outlived its engine"
    assert hold.with_suffix(".ended").exists(), "it ended its work before it went"
