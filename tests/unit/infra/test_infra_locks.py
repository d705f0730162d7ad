"""The run lock: one writer, freed by death, told by name; and the processes that a dead run leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.errors import InterruptedRunError, LockedError
from provisioner.infra.backend import FileStore
from provisioner.infra.locks import RunLock, cluster_folder, file_lock, holder
from provisioner.infra.processes import (
    RECORDING_SH,
    Child,
    Recorded,
    boot_id,
    end_recorded,
    is_alive,
    records,
    send,
    started_at,
    this_process,
)
from provisioner.infra.recovery import clear_dead_locks
from provisioner.infra.workdir import (
    WorkDir,
    engine_environment,
    plugin_command,
    sweep_half_written,
    sweep_throwaways,
    throwaway,
)
from provisioner.model.ids import ClusterName, RunId
from provisioner.settings import load_settings

NAME = ClusterName("demo")
SINCE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOLD = """
import sys, time
from datetime import UTC, datetime
from provisioner.infra.locks import RunLock
from provisioner.settings import load_settings
lock = RunLock(load_settings(), "demo", "run-1", "up etcd:v1", datetime(2026, 11, 24, tzinfo=UTC))
lock.take()
print("held", flush=True)
time.sleep(60)
"""


class FastClock:
    """Time that passes only when somebody waits."""

    def __init__(self):
        self.at = 0.0
        self.waits = []
        self.on_wait = lambda: None

    def now(self):
        return SINCE

    def monotonic(self):
        return self.at

    async def sleep(self, seconds):
        self.at += seconds
        self.waits.append(seconds)
        self.on_wait()


@pytest.fixture
def settings(tmp_path):
    return load_settings({**os.environ, "XDG_STATE_HOME": str(tmp_path)})


@pytest.fixture
def other(settings, tmp_path):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], env=settings.environ, stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def lock(settings, run="run-2", command="down demo"):
    return RunLock(settings, NAME, RunId(run), command, SINCE)


def test_a_lock_is_told_and_leaves_nothing(settings):
    with lock(settings):
        held = holder(settings, NAME)
        assert (held.pid, held.run, held.command) == (os.getpid(), "run-2", "down demo")
        assert held.since == "2026-11-24T12:00:00+00:00"
        with pytest.raises(LockedError):
            lock(settings).take()
    assert holder(settings, NAME) is None
    assert not cluster_folder(settings, NAME).exists()


def test_a_folder_in_use_stays(settings):
    with lock(settings):
        (cluster_folder(settings, NAME) / "keys.json").touch()
    assert sorted(p.name for p in cluster_folder(settings, NAME).iterdir()) == ["keys.json", "lock"]
    assert holder(settings, NAME) is None
    with lock(settings):
        pass


def test_another_process_is_named(settings, other):
    with pytest.raises(LockedError, match=rf"`up etcd:v1` \(pid {other.pid}, run run-1, since 2026-11-24") as caught:
        lock(settings).take()
    assert caught.value.exit_code == 10
    assert holder(settings, NAME).pid == other.pid


def test_death_frees_the_lock_and_a_stale_record_is_harmless(settings, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert holder(settings, NAME) is None
    with lock(settings):
        assert holder(settings, NAME).pid == os.getpid()


def test_a_record_of_a_reused_pid_is_not_believed(settings):
    folder = cluster_folder(settings, NAME)
    folder.mkdir(parents=True)
    record = {"pid": os.getpid(), "start": 1, "boot": boot_id(), "run": "r", "command": "up", "since": "s"}
    (folder / "lock").write_text(json.dumps(record))
    assert holder(settings, NAME) is None
    (folder / "lock").write_text("torn")
    assert holder(settings, NAME) is None


async def test_waiting_has_an_end_and_takes_the_lock_when_it_is_free(settings, other):
    clock = FastClock()
    with pytest.raises(LockedError):
        await lock(settings).acquire(1.0, clock)
    assert clock.at >= 1.0
    clock = FastClock()
    clock.on_wait = lambda: (other.kill(), other.wait())
    mine = lock(settings)
    await mine.acquire(10.0, clock)
    assert len(clock.waits) == 1
    mine.release()
    mine.release()


async def test_no_waiting_without_a_timeout(settings, other):
    clock = FastClock()
    with pytest.raises(LockedError):
        await lock(settings).acquire(0.0, clock)
    assert clock.waits == []


def test_one_of_many_wins(settings):
    code = HOLD.replace("lock.take()", "import contextlib\ntry: lock.take()\nexcept Exception: sys.exit(10)")
    code = code.replace("time.sleep(60)", "sys.stdin.read()\nlock.release()")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=settings.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    deadline = time.monotonic() + 30
    while sum(r.poll() is not None for r in runs) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(r.poll() for r in runs if r.poll() is not None) == [10, 10, 10]
    for run in runs:
        run.communicate(b"")
    assert not cluster_folder(settings, NAME).exists()


def test_a_file_lock_refuses_the_second(tmp_path):
    with (
        file_lock(tmp_path / "x/lock", "busy"),
        pytest.raises(LockedError, match="busy"),
        file_lock(tmp_path / "x/lock", "busy"),
    ):
        pass


def sleeper(run_dir, *command):
    run_dir.mkdir(parents=True, exist_ok=True)
    argv = ["/bin/sh", "-c", RECORDING_SH, str(run_dir), *(command or ("sleep", "60"))]
    process = subprocess.Popen(argv, start_new_session=True)
    deadline = time.monotonic() + 10
    while not records(run_dir) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def test_a_process_records_itself_before_it_becomes_the_engine(tmp_path):
    process = sleeper(tmp_path / "a folder")
    [record] = records(tmp_path / "a folder")
    assert record == Recorded(process.pid, started_at(process.pid), boot_id())
    assert is_alive(record)
    path = tmp_path / "a folder" / f"engine-{process.pid}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    process.kill()
    process.wait()
    assert not is_alive(record)


def test_arguments_reach_the_engine_as_they_are(tmp_path):
    words = ["a b", "$HOME", "`x`", "*", "", "--flag=é"]
    code = f"import sys; open({str(tmp_path / 'out')!r}, 'w').write(repr(sys.argv[1:]))"
    process = sleeper(tmp_path / "run", sys.executable, "-c", code, *words)
    assert process.wait(10) == 0
    assert (tmp_path / "out").read_text() == repr(words)


@pytest.mark.parametrize("stubborn", [False, True])
def test_only_recorded_processes_are_ended(tmp_path, stubborn):
    command = ("sh", "-c", "trap '' TERM INT; while :; do sleep 1; done") if stubborn else ("sleep", "60")
    orphan = sleeper(tmp_path / "run", *command)
    bystander = subprocess.Popen(["sleep", "60"])
    (tmp_path / "run" / "torn.json").write_text("{")
    reused = {"pid": bystander.pid, "start": 1, "boot": boot_id()}
    (tmp_path / "run" / "plugin-1.json").write_text(json.dumps(reused))
    assert end_recorded(tmp_path / "run", patience=0, grace=0.6) == (orphan.pid,)
    assert orphan.wait(5) < 0
    assert bystander.poll() is None
    assert list((tmp_path / "run").iterdir()) == []
    bystander.kill()
    bystander.wait()


def test_nothing_is_signalled_under_a_reused_pid():
    process = subprocess.Popen(["sleep", "60"])
    assert not send(Recorded(process.pid, 1), signal.SIGKILL)
    assert not is_alive(Recorded(process.pid, started_at(process.pid), "another boot"))
    assert process.poll() is None
    process.kill()
    process.wait()
    assert started_at(process.pid) is None


def test_a_child_is_asked_once_and_ended_when_it_will_not(tmp_path):
    seen = tmp_path / "seen"
    script = f"trap 'echo int >>{seen}' INT; trap '' TERM; echo up >>{seen}; while :; do sleep 0.05; done"
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    while not seen.exists():
        time.sleep(0.01)
    child = Child()
    child.check()
    child.started(process.pid)
    child.soft()
    child.soft()
    with pytest.raises(InterruptedRunError):
        child.check()
    deadline = time.monotonic() + 10
    while "int" not in seen.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.end(0.6)
    assert process.wait(5) == -signal.SIGKILL
    assert seen.read_text() == "up\nint\n"
    child.ended()
    child.end(0.1)


def test_a_stop_that_came_first_reaches_the_process(tmp_path):
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    child = Child()
    child.soft()
    child.started(process.pid)
    assert process.wait(5) == -signal.SIGINT


def test_a_stop_at_the_very_moment_of_the_start_is_not_lost():
    """The process is made known just while the stop is asked for: whoever is second must pass the signal on."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    other = threading.Thread(target=lambda: child.started(process.pid))

    class Racing(Child):
        @property
        def _soft(self):
            if threading.current_thread() is not other and other.ident is None:
                other.start()
                other.join(0.3)  # for ever, if the two exclude each other as they must
            return self.__dict__["asked"]

        @_soft.setter
        def _soft(self, value):
            self.__dict__["asked"] = value

    child = Racing()
    child.soft()
    other.join(5)
    try:
        assert process.wait(5) == -signal.SIGINT
    finally:
        process.kill()


def pulumi_lock(tmp_path, **content):
    folder = tmp_path / ".pulumi/locks/organization/sealer-cloud/demo"
    folder.mkdir(parents=True, exist_ok=True)
    base = {"pid": 999_999, "username": "ann", "hostname": os.uname().nodename, "timestamp": "2026-11-24T14:11:11.36Z"}
    (folder / "a.json").write_text(json.dumps(base | content))
    (folder / "a.json.attrs").write_text("{}")
    return folder


def test_locks_of_dead_processes_of_this_machine_go(tmp_path):
    folder = pulumi_lock(tmp_path)
    assert clear_dead_locks(FileStore(tmp_path), NAME) == ("removed the stack lock of pid 999999, which is dead",)
    assert list(folder.iterdir()) == []
    assert clear_dead_locks(FileStore(tmp_path), NAME) == ()


def test_a_lock_older_than_the_process_with_its_pid_is_dead(tmp_path):
    pulumi_lock(tmp_path, pid=os.getpid(), timestamp="2001-01-01T00:00:00Z")
    assert len(clear_dead_locks(FileStore(tmp_path), NAME)) == 1


@pytest.mark.parametrize(
    "content",
    [
        {"hostname": "elsewhere"},
        {"pid": os.getpid(), "timestamp": "2999-01-01T00:00:00Z"},
        {"pid": os.getpid(), "timestamp": "?"},
        {"pid": "x"},
    ],
)
def test_other_locks_stand_and_are_told(tmp_path, content):
    folder = pulumi_lock(tmp_path, **content)
    with pytest.raises(LockedError, match=r"locked by ann on") as caught:
        clear_dead_locks(FileStore(tmp_path), NAME)
    assert str(folder / "a.json") in caught.value.hint
    assert (folder / "a.json").exists()


def test_a_throwaway_is_private_and_gone_after_an_error(settings):
    def failing():
        with throwaway(settings) as work:
            assert work.path.stat().st_mode & 0o777 == 0o700
            assert sweep_throwaways(settings) == ()
            assert work.path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert not (settings.state_dir / "tmp").exists()


def test_throwaways_of_the_dead_are_swept_with_their_processes(settings):
    me = this_process()
    stale = settings.state_dir / "tmp" / f"{me.pid}-1-abc"
    orphan = sleeper(stale / "run")
    notes = sweep_throwaways(settings)
    assert orphan.wait(5) < 0
    assert notes == (f"removed temporary files of pid {me.pid}, which is dead and ended its processes {orphan.pid}",)
    assert not (settings.state_dir / "tmp").exists()


def test_several_throwaways_of_one_dead_run_are_told_once(settings):
    for end in ("a", "b"):
        (settings.state_dir / "tmp" / f"{this_process().pid}-1-{end}").mkdir(parents=True)
    assert sweep_throwaways(settings) == (f"removed temporary files of pid {this_process().pid}, which is dead",)


def test_half_written_files_of_killed_runs_go(settings):
    folder = cluster_folder(settings, NAME)
    left = [folder / "ssh" / ".id_ed25519.0123456789ab.tmp", settings.state_dir / ".passphrase.0123456789ab.tmp"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    [note] = sweep_half_written(settings, folder)
    assert all(path.name in note and not path.exists() for path in left)
    assert sweep_half_written(settings, folder) == ()


def test_the_engine_gets_the_users_environment_without_settings_for_the_users_own_stacks():
    kept = {"PATH": "/bin", "HTTPS_PROXY": "x", "PULUMI_CONFIG_PASSPHRASE": "p", "PULUMI_BACKEND_URL": "file:///x"}
    dropped = {"PULUMI_DIY_BACKEND_LEGACY_LAYOUT": "true", "PULUMI_SKIP_CHECKPOINTS": "true", "PULUMI_PARALLEL": "1"}
    assert engine_environment({**kept, **dropped}) == kept


def test_a_work_folder_is_written_once_and_starts_our_plugin(tmp_path):
    work = WorkDir(tmp_path / "w")
    work.prepare(NAME, ("/py thon", "-P", "-m", "x"), {"encryptionsalt": "v1:salt"})
    before = {p: p.stat().st_mtime_ns for p in work.path.rglob("*")}
    work.prepare(NAME, ("/py thon", "-P", "-m", "x"), {"encryptionsalt": "another salt"})
    assert {p: p.stat().st_mtime_ns for p in work.path.rglob("*")} == before
    assert (work.path / "Pulumi.demo.yaml").read_text() == 'encryptionsalt: "v1:salt"\n'
    script = (work.path / "bin/pulumi-resource-sealer").read_text()
    assert script == "#!/bin/sh\nexec '/py thon' -P -m x \"$@\"\n"
    assert plugin_command() == (sys.executable, "-P", "-m", "provisioner.plugin")
    assert Path(plugin_command()[0]).is_absolute()
