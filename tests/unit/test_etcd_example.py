"""The etcd example's scripts with a pretended etcdctl: what could not be asked is never taken for an answer."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "etcd"
MEMBERS = (
    "1a, started, m1, http://10.0.0.1:2380, http://10.0.0.1:2379, false\n"
    "2b, started, m2, http://10.0.0.2:2380, http://10.0.0.2:2379, false\n"
)
NEW = "3c, unstarted, , http://10.0.0.3:2380, , false\n"


class Rootfs:
    """The image's scripts in a folder; `bin/etcdctl` answers as told and notes what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.asked = path / "asked"
        shutil.copytree(EXAMPLE / "scripts", path / "scripts")
        lib = path / "scripts" / "lib.sh"
        lib.write_text(lib.read_text().replace("/run/etcd.pid", str(path / "pid")))
        (path / "bin").mkdir()
        self.answers(MEMBERS)

    def answers(self, members: str, rc: int = 0, status: str = "") -> None:
        (self.path / "members").write_text(members)
        (self.path / "status").write_text(status)
        tool = self.path / "bin" / "etcdctl"
        tool.write_text(
            f'#!/bin/sh\necho "$*" >>asked\ncase "$*" in\n*"endpoint status"*) cat status ;;\n'
            f'*"member list"*) cat members; exit {rc} ;;\nesac\n'
        )
        tool.chmod(0o755)

    def run(self, *words: str, phase: str = "join", host: str = "m3") -> subprocess.CompletedProcess[str]:
        peers = "m1=10.0.0.1 m2=10.0.0.2 m3=10.0.0.3"
        env = {"PATH": "/usr/bin:/bin", "SEALER_DATA": str(self.data), "SEALER_HOST": host, "SEALER_PHASE": phase}
        env |= {"SEALER_PEERS": peers, "SEALER_CID": "etcd-a2b3c4", "HostIP": f"10.0.0.{host[1:]}"}
        return subprocess.run(["sh", *words], cwd=self.path, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    return Rootfs(tmp_path)


def test_a_removal_that_could_not_be_asked_for_is_not_done(rootfs: Rootfs) -> None:
    rootfs.answers("", rc=1)
    done = rootfs.run("scripts/member.sh", "remove", "m2")
    assert done.returncode != 0
    assert "done" not in done.stdout


def test_a_member_is_removed_by_its_id_and_one_that_is_gone_needs_nothing(rootfs: Rootfs) -> None:
    assert rootfs.run("scripts/member.sh", "remove", "m2").stdout == "remove m2 done\n"
    assert rootfs.asked.read_text().splitlines()[-1].endswith("member remove 2b")
    rootfs.asked.unlink()
    assert rootfs.run("scripts/member.sh", "remove", "m9", "10.0.0.9").returncode == 0
    assert "remove" not in rootfs.asked.read_text()


def test_a_replaced_member_is_removed_before_it_is_added(rootfs: Rootfs) -> None:
    rootfs.answers(MEMBERS + NEW)
    assert rootfs.run("scripts/member.sh", "add", "m3", "10.0.0.3").returncode == 0
    acts = [line.split("5s ")[1] for line in rootfs.asked.read_text().splitlines()]
    assert acts == ["member list", "member remove 3c", "member add m3 --peer-urls=http://10.0.0.3:2380"]


@pytest.mark.parametrize(("members", "rc"), [("", 1), ("", 0), (MEMBERS, 0), (MEMBERS, 1)])
def test_a_joining_host_that_is_no_member_yet_writes_nothing(rootfs: Rootfs, members: str, rc: int) -> None:
    rootfs.answers(members, rc)
    assert rootfs.run("scripts/init.sh").returncode != 0
    assert not (rootfs.data / "bootstrap.yml").exists()


def test_a_joining_host_names_exactly_the_members(rootfs: Rootfs) -> None:
    rootfs.answers("9f, unstarted, , http://10.0.0.9:2380, , false\n" + MEMBERS + NEW)
    assert rootfs.run("scripts/init.sh").returncode == 0
    peers = "unstarted1=http://10.0.0.9:2380,m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380"
    assert (rootfs.data / "bootstrap.yml").read_text().splitlines() == [
        f"initial-cluster: {peers}",
        "initial-cluster-state: existing",
        "initial-cluster-token: etcd-a2b3c4",
    ]


@pytest.fixture
def running(rootfs: Rootfs) -> Rootfs:
    """A process that is called etcd, and its pid file."""
    shutil.copy("/bin/sleep", rootfs.path / "bin" / "etcd")
    return rootfs


def test_health_without_the_list_of_members_is_not_yet(running: Rootfs) -> None:
    process = subprocess.Popen([running.path / "bin" / "etcd", "60"])
    try:
        (running.path / "pid").write_text(str(process.pid))
        running.answers("", rc=1, status='"Leader" : 7\n')
        assert (running.run("scripts/health.sh").returncode, running.run("scripts/health.sh").stdout) == (
            75,
            "the members are not known yet\n",
        )
        running.answers('"ID" : 7\n"Name" : "m2"\n', status='"Leader" : 7\n')
        assert running.run("scripts/health.sh").stdout == "1 member, leader m2\n"
    finally:
        process.kill()
        process.wait()


def test_a_process_that_ends_just_before_it_is_stopped_is_stopped(running: Rootfs) -> None:
    (running.path / "pid").write_text("1")
    stop = "set -eu; . scripts/lib.sh; once=1; running() { [ $once = 1 ] && once=0; }; kill() { return 1; }; stop_etcd"
    assert running.run("-c", stop + "; echo stopped").stdout == "stopped\n"


def test_fetching_replaces_no_folder_that_it_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "home" / "bin").mkdir(parents=True)
    (tmp_path / "home" / "letters").write_text("dear")
    for target in ("home", str(tmp_path / "home"), "home/letters"):
        words = ["sh", str(EXAMPLE / "fetch.sh"), target]
        fetched = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (fetched.returncode, "no folder that this script made" in fetched.stderr) == (1, True)
    assert (tmp_path / "home" / "letters").read_text() == "dear"


def test_cleaning_stops_etcd_and_leaves_the_data_alone(running: Rootfs) -> None:
    running.data.mkdir()
    (running.data / "member").write_text("precious")
    process = subprocess.Popen([running.path / "bin" / "etcd", "60"])
    (running.path / "pid").write_text(str(process.pid))
    reaped = threading.Thread(target=process.wait)  # else it stays as a zombie, which still has its name
    reaped.start()
    done = running.run("scripts/clean.sh", phase="leave")
    assert (done.returncode, done.stdout) == (0, "etcd is stopped\n"), done
    reaped.join(10)
    assert process.returncode is not None
    assert not (running.path / "pid").exists()
    assert (running.data / "member").read_text() == "precious"
    assert running.run("scripts/clean.sh", phase="leave").returncode == 0


def test_cleaning_leaves_a_stranger_with_our_pid_alone(rootfs: Rootfs) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        (rootfs.path / "pid").write_text(str(process.pid))
        assert rootfs.run("scripts/clean.sh", phase="leave").returncode == 0
        assert process.poll() is None
        assert not (rootfs.path / "pid").exists()
    finally:
        process.kill()
        process.wait()
