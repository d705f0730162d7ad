"""The local driver where something is in the way: rights, umasks, slow starts, power cuts, strangers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.local import disk, ip, look, netns, processes, state
from drivers.local.names import LocalPaths, Place
from drivers.local.processes import SUPERVISE, end_supervisor, is_supervisor
from drivers.local.sshd import SshServer
from drivers.local.state import HostInputs, HostRecord, NetworkState, write_network_record
from provisioner.errors import AccessError, ProviderError
from provisioner.model.ids import ClusterId, ClusterName, HostName

CID = ClusterId("edges-abc234")
M1 = HostName("m1")
NOBODY = 65534


@pytest.fixture
def place(tmp_path: Path) -> Place:
    paths = LocalPaths(sshd=tmp_path, records=tmp_path / "r", run=tmp_path / "run", netns=tmp_path / "netns")
    it = Place(CID, paths)
    it.host_folder(M1).mkdir(parents=True)
    write_network_record(it, NetworkState(CID, "10.213.1.0/24", "10.213.1.1"))
    return it


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """As a user who may not enter the folder."""
    mode = folder.stat().st_mode
    folder.chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(mode)


LOOKS: list[Callable[[Place], object]] = [
    lambda p: look.find_clusters(ClusterName("edges"), p.paths),
    lambda p: look.leftovers(CID, p.paths),
    state.host_names,
    state.read_network_record,
]


@pytest.mark.parametrize("ask", LOOKS)
def test_what_may_not_be_read_is_not_taken_for_nothing(place: Place, ask: Callable[[Place], object]) -> None:
    assert ask(place)  # whatever is imported on the way is there now
    with without_rights(place.paths.records), pytest.raises(AccessError, match="may not be read") as caught:
        ask(place)
    assert "sudo" in caught.value.hint


@pytest.mark.parametrize("ask", LOOKS[:2])
def test_nor_is_the_run_folder(place: Place, ask: Callable[[Place], object]) -> None:
    place.run.mkdir(parents=True)
    with without_rights(place.paths.run), pytest.raises(AccessError, match="may not be read"):
        ask(place)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_a_folder_of_namespaces_that_we_make_is_open_to_all(tmp_path: Path, umask: int) -> None:
    folder, marker = tmp_path / "netns", tmp_path / "marker"
    old = os.umask(umask)
    try:
        netns._ensure_folder(folder, marker)
        assert folder.stat().st_mode & 0o777 == 0o755
        folder.chmod(0o700)  # killed between the two
        netns._ensure_folder(folder, marker)
        assert folder.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(old)


def test_a_strangers_folder_of_namespaces_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "netns").mkdir(mode=0o750)
    netns._ensure_folder(tmp_path / "netns", tmp_path / "marker")
    assert (tmp_path / "netns").stat().st_mode & 0o777 == 0o750


def test_a_supervisor_that_does_not_start_in_time_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "slow.sh"
    script.write_text("echo waiting for the cgroup; exec sleep 60")
    monkeypatch.setattr(processes, "SUPERVISE", script)
    monkeypatch.setattr(processes, "START_SECONDS", 0.5)
    monkeypatch.setattr("drivers.local.cgroups.make_host_groups", lambda *_: None)
    host = HostRecord(M1, 0, "10.213.1.10", "k", "id", "ssh-ed25519 A")
    with pytest.raises(ProviderError, match="supervisor of m1 did not start within") as caught:
        processes.start(place, host)
    assert "waiting for the cgroup" in caught.value.evidence
    assert caught.value.host == "m1"


def test_ip_runs_outside_the_plugins_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ip"
    fake.write_text('#!/bin/sh\nread -r pid _ _ _ group session _ </proc/$$/stat\necho "[$pid, $group, $session]"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(ip, "ENVIRONMENT", {"PATH": str(tmp_path)})
    pid, group, session = ip.query("link")
    assert pid == group == session


def test_a_disk_is_on_the_disk_before_it_has_its_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    acts: list[str] = []
    sync, rename = os.fsync, Path.rename

    def spy_sync(descriptor: int) -> None:
        acts.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def spy_rename(self: Path, target: Path) -> Path:
        acts.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(Path, "rename", spy_rename)
    inputs = HostInputs(CID, M1, 0, "ssh-ed25519 A")
    disk.make_disk(place, inputs, "10.213.1.10", "0" * 32, SshServer((), has_penalties=True))
    before, after = acts[: acts.index("rename")], acts[acts.index("rename") + 1 :]
    whole = state.disk_of(place, M1)
    expected = {str(whole.with_name("disk.new") / p.relative_to(whole)) for p in [whole, *whole.rglob("*")]}
    assert expected <= set(before)
    assert len(expected) > 20
    assert after == [str(whole.parent)]


LURES = {
    "a word of its argv": ["/bin/sh", "-c", "sleep 60; :", f"sealer-cloud-{CID}"],
    "another script": ["/bin/sh", "-c", "sleep 60; :", f"sealer-cloud-{CID}", "a", "--", "b"],
    "only the words": [
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
        SUPERVISE.read_text(),
        f"sealer-cloud-{CID}",
    ],
}


@pytest.mark.parametrize("argv", LURES.values(), ids=LURES)
def test_a_bystander_is_no_supervisor(place: Place, argv: list[str]) -> None:
    bystander = subprocess.Popen(argv, start_new_session=True)
    try:
        assert bystander.pid not in look.marked(place)
        end_supervisor(place, bystander.pid)
        with pytest.raises(subprocess.TimeoutExpired):
            bystander.wait(0.2)
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="supervisors are root's")
@pytest.mark.parametrize(("cid", "user", "ours"), [(CID, 0, True), ("other-abc234", 0, False), (CID, NOBODY, False)])
def test_a_supervisor_is_known_by_all_its_words_and_its_user(place: Place, cid: str, user: int, ours: bool) -> None:
    """A real one, whose "cgroup file" is a pipe, so that it waits for a reader there, as it may before it joins."""
    folder = Path(tempfile.mkdtemp())  # tmp_path is closed to other users
    folder.chmod(0o755)
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    argv = ["/bin/sh", "-c", SUPERVISE.read_text("ascii"), f"sealer-cloud-{cid}", str(fifo), "--", "true"]
    process = subprocess.Popen(argv, user=user, start_new_session=True, cwd="/")
    try:
        assert is_supervisor(place, process.pid) is ours
        assert (process.pid in look.marked(place)) is ours
        end_supervisor(place, process.pid)
        if ours:
            assert process.wait(5) == -signal.SIGKILL
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)
