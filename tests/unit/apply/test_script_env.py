"""Env: ours over theirs, host over cluster over image, lists in the order that scripts rely on."""

from __future__ import annotations

from provisioner.apply.env import Peer, Phase, derived_env, peers_of, script_env, user_env
from provisioner.model.envnames import DERIVED_NAMES, is_reserved
from provisioner.model.hosts import Inventory, InventoryHost, SshTarget, WantedHost
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Secret

CLUSTER, CID = ClusterName("etcd"), ClusterId("etcd-abc234")


def _peers() -> tuple[Peer, ...]:
    wanted = (
        WantedHost(HostName("n1"), "nodes", ("node", "gpu"), 1),
        WantedHost(HostName("m1"), "masters", ("master",), 0),
        WantedHost(HostName("n9"), "nodes", ("node",), 9),
    )
    machines = tuple(
        InventoryHost(HostName(name), (), address, SshTarget(address), (), "id")
        for name, address in (("m1", "10.0.0.1"), ("n1", "10.0.0.2"), ("gone", "10.0.0.3"))
    )
    return peers_of(wanted, Inventory(CLUSTER, CID, machines))


def test_derived_names_are_exactly_those_that_are_promised() -> None:
    peers = _peers()
    derived = derived_env(peers[1], Phase.JOIN, HostPaths(CLUSTER, CID), peers)
    assert derived == {
        "SEALER_CLUSTER": "etcd",
        "SEALER_CID": "etcd-abc234",
        "SEALER_HOST": "n1",
        "SEALER_ROLES": "node gpu",
        "SEALER_PHASE": "join",
        "SEALER_ROOTFS": "/var/lib/sealer/data/etcd/rootfs",
        "SEALER_DATA": "/var/lib/sealer/data/etcd/data",
        "SEALER_PEERS": "m1=10.0.0.1 n1=10.0.0.2",
        "SEALER_MASTERS": "m1=10.0.0.1",
        "HostIP": "10.0.0.2",
    }
    assert tuple(derived) == DERIVED_NAMES


def test_host_wins_over_cluster_over_image_and_ours_over_all() -> None:
    user = user_env({"A": "image", "B": "image", "C": "image"}, {"B": "cluster", "C": "cluster"}, {"C": Secret("pool")})
    assert user == {"A": "image", "B": "cluster", "C": Secret("pool")}
    assert script_env({"C": "ours"}, user) == (("A", "image"), ("B", "cluster"), ("C", "ours"))


def test_reserved_names_of_users_are_dropped() -> None:
    assert user_env({"SEALER_HOST": "x"}, {"HostIP": "x", "SEALER_OUTPUT": "x"}, {"A": "1"}) == {"A": "1"}
    assert is_reserved("SEALER_ANYTHING")
    assert not is_reserved("SEALERX")
