import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioner.errors import InterruptedRunError
from provisioner.plugin.gate import Gate
from provisioner.settings import plugin_run_dir


@pytest.fixture
def plugin(tmp_path):
    started = []

    def start(**popen):
        environment = {**os.environ, "SEALER_CLOUD_RUN_DIR": str(tmp_path / "run")}
        process = subprocess.Popen(
            [sys.executable, "-m", "provisioner.plugin", "127.0.0.1:1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            **popen,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def stat_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid):
    try:
        return stat_of(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_port_and_nothing_else_and_a_clean_end(plugin, tmp_path, number):
    process = plugin()
    port = int(process.stdout.readline())
    assert 0 < port < 65536
    (record,) = (tmp_path / "run").iterdir()
    assert record.name == f"plugin-{process.pid}.json"
    noted = json.loads(record.read_text())
    assert (noted["pid"], noted["start"]) == (process.pid, int(stat_of(process.pid)[19]))
    assert record.stat().st_mode & 0o777 == 0o600
    process.send_signal(number)
    assert process.wait(10) == 0
    assert process.stdout.read() == b""
    assert process.stderr.read() == b""
    assert not record.exists()


def test_it_lets_go_of_the_engines_pipes(plugin):
    process = plugin()
    process.stdout.readline()
    assert process.stdout.read() == b"", "stdout must end while the plugin lives: no child can hold it open"
    until(lambda: str(Path(f"/proc/{process.pid}/fd/2").readlink()) == os.devnull)
    assert process.poll() is None


def test_it_ends_when_the_engine_is_gone(tmp_path):
    engine = subprocess.Popen(
        ["sh", "-c", f"{sys.executable} -m provisioner.plugin 127.0.0.1:1 & read -r line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "SEALER_CLOUD_RUN_DIR": str(tmp_path)},
    )
    engine.stdout.readline()
    until(lambda: list(tmp_path.iterdir()))
    pid = json.loads(next(tmp_path.iterdir()).read_text())["pid"]
    engine.kill()
    engine.wait()
    until(lambda: not alive(pid))
    assert list(tmp_path.iterdir()) == []


def test_a_relative_run_dir_is_refused(tmp_path):
    from provisioner.errors import UsageError

    assert plugin_run_dir({}) is None
    assert plugin_run_dir({"SEALER_CLOUD_RUN_DIR": str(tmp_path)}) == tmp_path
    with pytest.raises(UsageError, match="absolute path"):
        plugin_run_dir({"SEALER_CLOUD_RUN_DIR": "run"})


def test_the_plugin_never_imports_pulumi():
    code = "import provisioner.plugin.main, sys; print([m for m in sys.modules if m.split('.')[0] == 'pulumi'])"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"[]"


def test_the_gate_lets_running_ones_end():
    gate = Gate()
    begun, go_on = threading.Event(), threading.Event()

    def operation():
        with gate.operation():
            begun.set()
            go_on.wait(10)

    thread = threading.Thread(target=operation)
    thread.start()
    begun.wait(10)
    gate.close()
    gate.close()
    with pytest.raises(InterruptedRunError), gate.operation():
        pytest.fail("nothing new begins")
    assert not gate.wait_idle(0.01)
    go_on.set()
    assert gate.wait_idle(10)
    thread.join()


def test_a_plugin_that_cannot_start_says_why_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "provisioner.plugin"],
        capture_output=True,
        env={**os.environ, "SEALER_CLOUD_RUN_DIR": "relative"},
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"[sealer-cloud 3] $SEALER_CLOUD_RUN_DIR must be an absolute path")
