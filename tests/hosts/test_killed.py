"""A process that makes hosts is killed: hosts live on, and whatever was half made is finished or swept."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.local import machines
from drivers.local.defaults import default_paths
from provisioner.model.ids import HostName

from .cluster import Cluster
from .outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
ACTS = 150
"""About how many acts it takes to make a network and a host."""
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
SEED = int(_RUN, 16) if _RUN else random.SystemRandom().randrange(1 << 30)
"""The same in all workers of one run: each collects the tests for itself."""
POINTS = sorted(random.Random(SEED).sample(range(1, ACTS), 10))


def victim(cluster: Cluster, *more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.hosts.victim", cluster.cid, cluster.login_public, *more]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def kill_at(cluster: Cluster, point: int) -> None:
    process = victim(cluster, str(point))
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGKILL, 0}, f"seed {SEED}"


async def test_number_of_acts_is_about_what_we_think(cluster: Cluster) -> None:
    out, _ = victim(cluster).communicate(timeout=60)
    assert ACTS * 0.5 < int(out) < ACTS * 1.5, "adapt ACTS"


@pytest.mark.parametrize("point", POINTS)
async def test_made_again_after_a_kill(cluster: Cluster, point: int) -> None:
    before = look(cluster.cid)
    kill_at(cluster, point)
    (host,) = cluster.up()
    assert await cluster.run(host, "hostname") == "m1"
    assert machines.read_host(cluster.cid, HostName("m1")) == host
    cluster.down()
    assert machines.leftovers(cluster.cid) == ()
    assert look(cluster.cid) == before


@pytest.mark.parametrize("point", POINTS[::2])
def test_swept_without_records_after_a_kill(cluster: Cluster, point: int) -> None:
    before = look(cluster.cid)
    kill_at(cluster, point)
    shutil.rmtree(default_paths().records / cluster.cid, ignore_errors=True)
    machines.sweep(cluster.cid)
    assert machines.leftovers(cluster.cid) == ()
    assert look(cluster.cid) == before
    assert machines.sweep(cluster.cid) == ()


def test_sweep_of_a_running_cluster_without_records(cluster: Cluster) -> None:
    before = look(cluster.cid)
    cluster.up(2)
    shutil.rmtree(default_paths().records / cluster.cid)
    found = [c for c in machines.find_clusters(None) if c.cid == cluster.cid]
    assert found[0].hosts == ("m1", "m2")
    removed = machines.sweep(cluster.cid)
    assert any(line.startswith("process") for line in removed)
    assert look(cluster.cid) == before


def test_a_bystander_that_names_the_cluster_outlives_its_sweep(cluster: Cluster) -> None:
    cluster.up()
    words = f"sealer-cloud-{cluster.cid}"
    bystander = subprocess.Popen(["/bin/sh", "-c", "sleep 60; :", words], start_new_session=True)
    try:
        machines.sweep(cluster.cid)
        assert machines.leftovers(cluster.cid) == ()
        assert bystander.poll() is None
    finally:
        os.killpg(bystander.pid, signal.SIGKILL)
        bystander.wait()


async def test_hosts_outlive_the_process_that_made_them_and_hold_nothing_of_it(cluster: Cluster) -> None:
    process = victim(cluster)
    out, _ = process.communicate(timeout=60)  # ends only when nobody holds the other end of the pipe
    assert int(out) > 0
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # nothing of the host is in the process group
    host = machines.read_host(cluster.cid, HostName("m1"))
    assert host is not None
    assert host.running
    assert await cluster.run(host, "hostname") == "m1"


async def test_processes_that_make_the_same_host_at_once(cluster: Cluster) -> None:
    processes = [victim(cluster) for _ in range(3)]
    assert [p.communicate(timeout=60) and p.returncode for p in processes] == [0, 0, 0]
    (host,) = cluster.up()
    assert await cluster.run(host, "hostname; ls /etc/ssh | wc -l") == "m1\n3"


def test_three_hosts_cost_no_more_than_three_times_one(cluster: Cluster) -> None:
    """Their time is the benchmark's matter; what they do is counted here: no host may make the next one dearer."""
    one, _ = victim(cluster).communicate(timeout=60)
    cluster.down()
    three, _ = victim(cluster, "0", "3").communicate(timeout=60)
    assert int(one) < int(three) <= 3 * int(one)
