"""Local files and folders, whatever the caller's umask."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from provisioner.errors import PreconditionError
from provisioner.files import atomic_write, private_folder, remove_stale

KILLED = """
import os, signal, sys
from pathlib import Path
if sys.argv[2] == "dies":
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
else:
    os.fsync = lambda _: (print("writing", flush=True), sys.stdin.read())
from provisioner.files import atomic_write
atomic_write(Path(sys.argv[1]), b"SECRET")
"""


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_every_folder_that_is_made_is_private(tmp_path):
    private_folder(tmp_path / "a" / "b" / "c")
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")]
    assert modes == [0o700] * 3


def test_parents_that_stand_keep_their_mode_and_a_loose_folder_is_tightened(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "mine").mkdir()
    (shared / "mine").chmod(0o777)
    private_folder(shared / "mine")
    assert [p.stat().st_mode & 0o777 for p in (shared, shared / "mine")] == [0o755, 0o700]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PreconditionError, match="cannot write"):
            private_folder(path)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def writer(path, how):
    argv = [sys.executable, "-c", KILLED, str(path), how]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "key").write_text("old")
    (tmp_path / ".theirs.tmp").touch()
    process = writer(tmp_path / "key", "dies")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    [left] = {*names(tmp_path)} - {"key", ".theirs.tmp"}
    assert remove_stale(tmp_path) == (left,)
    assert names(tmp_path) == [".theirs.tmp", "key"]
    assert (tmp_path / "key").read_text() == "old"
    assert remove_stale(tmp_path) == remove_stale(tmp_path / "none") == ()


def test_a_living_writer_is_left_alone(tmp_path):
    process = writer(tmp_path / "key", "waits")
    assert process.stdout.readline() == "writing\n"
    assert remove_stale(tmp_path) == ()
    process.communicate("", timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "key").read_text() == "SECRET"
    assert names(tmp_path) == ["key"]


def test_writers_and_a_sweeper_at_once(tmp_path):
    done = threading.Event()

    def sweep():
        while not done.is_set():
            remove_stale(tmp_path)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(300):
            atomic_write(tmp_path / "file", str(number).encode())
    finally:
        done.set()
        sweeper.join()
    assert (tmp_path / "file").read_text() == "299"
    assert names(tmp_path) == ["file"]
