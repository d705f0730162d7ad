"""Hosts on this machine, for real: made, entered, stopped, started, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.local import cgroups, machines, processes
from drivers.local.defaults import default_paths
from drivers.local.names import place_of
from provisioner.errors import PreconditionError, ProviderError, UsageError
from provisioner.model.ids import HostName

from .cluster import Cluster
from .outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
M1, M2 = HostName("m1"), HostName("m2")


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def run(argv: list[str], *, check: bool = True) -> None:
    subprocess.run(argv, check=check, timeout=30, capture_output=True)


def first_process(cluster: Cluster, name: HostName = M1) -> int:
    pid = processes.first_process(place_of(cluster.cid, default_paths()), name)
    assert pid is not None
    return pid


def kill_all(cluster: Cluster, name: HostName = M1) -> None:
    """What a power cut does: SIGKILL from outside to every process of a host."""
    group = f"sealer-cloud-{cluster.cid}/{name}"
    for pid in cgroups.pids(group):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not cgroups.pids(group))


async def test_three_hosts_have_their_own_everything_and_leave_nothing(cluster: Cluster) -> None:
    before = look(cluster.cid)
    hosts = cluster.up(3)
    script = "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; xargs -0 -n1 < /proc/1/cmdline | head -1"
    facts = [(await cluster.run(h, script)).split() for h in hosts]
    assert [f[0] for f in facts] == ["m1", "m2", "m3"]
    assert [f[1] for f in facts] == [h.machine_id for h in hosts]
    assert len({f[2] for f in facts}) == 3
    assert {f[3] for f in facts} == {"init"}
    assert len({h.address for h in hosts}) == len({h.host_key for h in hosts}) == 3
    assert await cluster.run(hosts[0], "getent hosts m2 | cut -d' ' -f1") == hosts[1].address
    assert machines.leftovers(cluster.cid)
    cluster.down(3)
    assert machines.leftovers(cluster.cid) == ()
    assert look(cluster.cid) == before


async def test_ensure_again_changes_nothing(cluster: Cluster) -> None:
    made = cluster.up(2)
    boot = await cluster.run(made[0], "cat /proc/sys/kernel/random/boot_id")
    assert cluster.up(2) == made
    assert await cluster.run(made[0], "cat /proc/sys/kernel/random/boot_id") == boot
    assert machines.read_host(cluster.cid, M1) == made[0]


async def test_two_clusters_side_by_side(cluster: Cluster, other: Cluster) -> None:
    (mine,) = cluster.up()
    (theirs,) = other.up()
    assert mine.address != theirs.address
    assert {c.cid for c in machines.find_clusters(None)} >= {cluster.cid, other.cid}
    machines.sweep(cluster.cid)
    assert await other.run(theirs, "hostname") == "m1"
    assert machines.find_clusters(None)
    found = [c for c in machines.find_clusters(None) if c.cid == other.cid]
    assert found[0].hosts == ("m1",)
    assert found[0].name == "other"


async def test_killed_host_starts_in_place(cluster: Cluster) -> None:
    (host,) = cluster.up()
    boot = await cluster.run(host, "cat /proc/sys/kernel/random/boot_id; echo kept > /root/file; echo k > /data/file")
    kill_all(cluster)
    stopped = machines.read_host(cluster.cid, M1)
    assert stopped is not None
    assert not stopped.running
    assert machines.start_host(cluster.cid, M1) == host
    assert await cluster.run(host, "cat /root/file /data/file") == "kept\nk"
    assert await cluster.run(host, "cat /proc/sys/kernel/random/boot_id") != boot


async def test_only_sshd_killed_comes_back_by_itself(cluster: Cluster) -> None:
    (host,) = cluster.up()
    pid = first_process(cluster)
    await cluster.run(host, "setsid sh -c 'sleep 0.1; pkill -9 -x sshd' >/dev/null 2>&1 & true")
    eventually(lambda: machines.read_host(cluster.cid, M1) == host)
    assert first_process(cluster) == pid


async def test_frozen_host_can_be_removed(cluster: Cluster) -> None:
    cluster.up()
    for group in cgroups.groups(f"sealer-cloud-{cluster.cid}/m1"):
        for name, value in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
            if (group / name).exists():
                (group / name).write_text(value)
    cluster.down()
    assert machines.leftovers(cluster.cid) == ()


async def test_reboot_and_poweroff_inside(cluster: Cluster) -> None:
    (host,) = cluster.up()
    boot = await cluster.run(host, "cat /proc/sys/kernel/random/boot_id")
    pid = first_process(cluster)
    await cluster.run(host, "reboot >/dev/null 2>&1 & true")
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    eventually(lambda: machines.read_host(cluster.cid, M1) == host)
    assert await cluster.run(host, "cat /proc/sys/kernel/random/boot_id") != boot
    await cluster.run(host, "poweroff >/dev/null 2>&1 & true")
    eventually(lambda: not cgroups.pids(f"sealer-cloud-{cluster.cid}/m1"))
    assert machines.read_host(cluster.cid, M1) != host
    assert machines.start_host(cluster.cid, M1) == host


@pytest.mark.parametrize("words", ["poweroff -f", "reboot --force"])
async def test_who_forces_it_never_gets_an_answer(cluster: Cluster, words: str) -> None:
    """An answer that came now and then before the end would be a success of a command that ended its host."""
    (host,) = cluster.up()
    pid = first_process(cluster)
    assert await cluster.run(host, f"{words}; echo $?") == ""
    eventually(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.parametrize(("command", "back"), [(0x1234567, True), (0x4321FEDC, False)], ids=["restart", "power off"])
async def test_reboot_system_call(cluster: Cluster, command: int, back: bool) -> None:
    (host,) = cluster.up()
    pid = first_process(cluster)
    group = f"sealer-cloud-{cluster.cid}/m1"
    call = f"import ctypes; ctypes.CDLL(None).reboot({command})"
    argv = ["nsenter", "-t", str(pid), "-p", "--", sys.executable, "-c", call]
    run(argv, check=False)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    if back:
        eventually(lambda: machines.read_host(cluster.cid, M1) == host)
    else:
        eventually(lambda: not cgroups.pids(group))


async def test_machine_is_protected(cluster: Cluster) -> None:
    before = look(cluster.cid)
    (host,) = cluster.up()
    script = """
    set -e
    swapoff -a
    sysctl -qw vm.swappiness=3 vm.overcommit_memory=1 kernel.panic=77 net.ipv4.ip_forward=1
    [ "$(sysctl -n vm.swappiness kernel.panic net.ipv4.ip_forward | tr '\\n' ' ')" = "3 77 1 " ]
    ! sysctl -qw vm.dirty_expire_centisecs=7 2>/dev/null
    date -s 2001-01-01 >/dev/null
    [ "$(date +%Y)" != 2001 ]
    hostname elsewhere
    ! echo b > /sys/power/state 2>/dev/null
    mount -t tmpfs none /mnt
    [ ! -s /proc/sysrq-trigger ]
    echo fine
    """
    assert (await cluster.run(host, script)).endswith("fine")
    cluster.down()
    assert look(cluster.cid) == before


async def test_data_folders_are_no_overlay(cluster: Cluster) -> None:
    (host,) = cluster.up()
    kinds = await cluster.run(host, "stat -f -c %T /var/lib/containerd /var/lib/etcd /var/lib/sealer /data /")
    *data, root = kinds.split()
    assert root == "overlayfs"
    assert "overlayfs" not in data


async def test_host_files_edited_inside_keep_their_lines(cluster: Cluster) -> None:
    (host,) = cluster.up()
    await cluster.run(host, "echo 10.1.1.1 registry >> /etc/hosts; sed -i s/registry/reg/ /etc/hosts")
    machines.ensure_host(cluster.inputs(1))
    hosts = await cluster.run(host, "cat /etc/hosts")
    assert "10.1.1.1 reg" in hosts
    assert " m2" in hosts
    machines.delete_host(cluster.cid, M2)
    assert " m2" not in await cluster.run(host, "cat /etc/hosts")


async def test_names_file_that_is_a_trap_is_left_alone(cluster: Cluster) -> None:
    (host,) = cluster.up()
    await cluster.run(host, "rm /etc/hosts; mkfifo /etc/hosts")
    machines.ensure_host(cluster.inputs(1))
    await cluster.run(host, "rm /etc/hosts; ln -s /etc/passwd /etc/hosts")
    machines.delete_host(cluster.cid, M2)
    assert "m2" not in await cluster.run(host, "cat /etc/passwd")


def test_undeletable_files_are_deleted(cluster: Cluster) -> None:
    (host,) = cluster.up()
    pid = first_process(cluster)
    script = "mkdir /data/d && touch /data/d/f && chattr +i /data/d/f /data/d"
    run(["nsenter", "-t", str(pid), "-m", "sh", "-c", script])
    cluster.down()
    assert machines.leftovers(cluster.cid) == ()
    assert host.running


def test_sweep_refuses_to_cross_a_mount(cluster: Cluster) -> None:
    cluster.up()
    target = default_paths().records / cluster.cid / "hosts" / "m1" / "disk" / "mine"
    target.mkdir()
    run(["mount", "-t", "tmpfs", "none", str(target)])
    try:
        with pytest.raises(ProviderError, match="is mounted below"):
            machines.sweep(cluster.cid)
        assert any("mount " in line for line in machines.leftovers(cluster.cid))
    finally:
        run(["umount", str(target)])
    machines.sweep(cluster.cid)
    assert machines.leftovers(cluster.cid) == ()


def test_deletes_are_idempotent_and_ordered(cluster: Cluster) -> None:
    cluster.up()
    with pytest.raises(ProviderError, match="still has hosts: m1"):
        machines.delete_network(cluster.cid)
    for _ in range(2):
        machines.delete_host(cluster.cid, M1)
    for _ in range(2):
        machines.delete_network(cluster.cid)
    assert machines.read_host(cluster.cid, M1) is None
    assert machines.read_network(cluster.cid) is None
    assert machines.sweep(cluster.cid) == ()


def test_refusals_change_nothing(cluster: Cluster, other: Cluster) -> None:
    before = look(cluster.cid)
    with pytest.raises(PreconditionError, match="no network"):
        machines.ensure_host(cluster.inputs(0))
    with pytest.raises(UsageError):
        machines.sweep("../../etc")
    with pytest.raises(UsageError):
        machines.ensure_network("x")
    assert look(cluster.cid) == before
    network = machines.ensure_network(cluster.cid)
    with pytest.raises(UsageError, match="overlaps"):
        machines.ensure_network(other.cid, network.cidr)
    with pytest.raises(UsageError, match="is 10"):
        machines.ensure_network(cluster.cid, "10.9.8.0/24")
    cluster.up()
    with pytest.raises(UsageError, match="slot 0"):
        machines.ensure_host(machines.HostInputs(cluster.cid, M2, 0, cluster.login_public))
    with pytest.raises(UsageError, match="another slot or login key"):
        machines.ensure_host(machines.HostInputs(cluster.cid, M1, 0, other.login_public))


async def test_after_a_reboot_of_the_machine(cluster: Cluster) -> None:
    """Only the records are left then: run folders, namespaces, links, processes, cgroups are gone."""
    (host,) = cluster.up()
    place = place_of(cluster.cid, default_paths())
    cgroups.remove_groups(place.cgroup)
    for path in default_paths().netns.glob(f"{place.netns_prefix}*"):
        run(["umount", str(path)])
        path.unlink()
    run(["ip", "link", "del", place.link], check=False)  # the switch's end took it along, a moment later
    assert machines.read_network(cluster.cid) is not None
    stopped = machines.read_host(cluster.cid, M1)
    assert stopped is not None
    assert not stopped.running
    assert machines.start_host(cluster.cid, M1) == host
    assert await cluster.run(host, "hostname") == "m1"


def test_a_full_disk_stops_new_hosts_and_no_old_ones(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cluster.up()
    kill_all(cluster)
    monkeypatch.setattr("drivers.local.checks.FREE_BYTES", 1 << 62)
    assert cluster.up() == made
    with pytest.raises(PreconditionError, match="no room for the disk of m2"):
        machines.ensure_host(cluster.inputs(1))


def test_given_subnet(cluster: Cluster) -> None:
    network = machines.ensure_network(cluster.cid, "10.214.77.0/24")
    assert (network.cidr, network.gateway) == ("10.214.77.0/24", "10.214.77.1")
    assert machines.ensure_host(cluster.inputs(5)).address == "10.214.77.15"


def test_a_failing_boot_says_why(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    machines.ensure_network(cluster.cid)
    monkeypatch.setattr(processes, "STUB", "import sys; sys.exit('no such thing as a host')")
    with pytest.raises(ProviderError, match="ended while it started") as caught:
        machines.ensure_host(cluster.inputs(0))
    assert "no such thing as a host" in caught.value.evidence


@pytest.mark.parametrize("kind", ["v2", "shared"])
def test_other_machines(kind: str) -> None:
    argv = ["unshare", "-m", sys.executable, "-m", "tests.hosts.othermachine", kind]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout == "fine\n", done.stderr
