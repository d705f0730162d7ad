"""The simulated account itself, where other tests and the benchmarks lean on it."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from moto.ec2.models.subnets import Subnet

from tests.clouds.aws.made import make_machine, make_network

pytestmark = pytest.mark.clouds


def test_two_machines_that_are_made_at_once_get_their_addresses_one_after_the_other(cloud, monkeypatch):
    """Moto's generator of addresses is broken by a second thread in it: one of fifty machines then failed."""
    subnet, _ = make_network(cloud)
    plain, both, met = Subnet.get_available_subnet_ip, threading.Barrier(2, timeout=1), []

    def give(self, instance):
        with contextlib.suppress(threading.BrokenBarrierError):  # nobody else came
            met.append(both.wait())
        return plain(self, instance)

    monkeypatch.setattr(Subnet, "get_available_subnet_ip", give)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda host: make_machine(cloud, subnet, host), ("n1", "n2")))
    assert met == []
    assert len({m["PrivateIpAddress"] for m in cloud.machines().values()}) == len(set(made)) == 2
