"""Every lack of every host at once, before any host is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.apply.context import Patience
from provisioner.apply.facts import HOST_TOOLS
from provisioner.apply.preflight import Requires, check_all, check_host, parse_requires
from provisioner.errors import ImageError, PreconditionError, UsageError
from provisioner.model.facts import HostFacts
from provisioner.model.ids import Digest, HostName
from provisioner.model.images import Changeset, PinnedImage
from provisioner.model.ledger import EMPTY_LEDGER
from tests.fakes.hosts import PATHS
from tests.unit.apply_edge.edge_rig import SCRIPTS, Cluster

GIB = 1 << 30
DIGEST = Digest(f"sha256:{'ab' * 32}")
GOOD = HostFacts(
    arch="amd64",
    cpus=4,
    memory=8 * GIB,
    disk_free=50 * GIB,
    boot_id="b",
    uid=0,
    tools=frozenset(HOST_TOOLS),
    ports=frozenset({22}),
    other_cids=(),
    name_taken=False,
    digests=frozenset(),
    current=None,
    health=None,
    open_runs=(),
    ledger=EMPTY_LEDGER,
)
FULL = "cpu=2 memory=2GiB disk=10GiB ports=2379,2380 commands=awk,tar arch=amd64,arm64"


def image(requires: str = "") -> PinnedImage:
    labels = {"sealer-cloud.requires": requires} if requires else {}
    return PinnedImage("app:v1", "app", DIGEST, "amd64", {}, labels, (), (), 100)


def test_label_is_read() -> None:
    assert parse_requires({"sealer-cloud.requires": FULL}) == Requires(
        cpu=2,
        memory=2 * GIB,
        disk=10 * GIB,
        ports=frozenset({2379, 2380}),
        commands=("awk", "tar"),
        arch=("amd64", "arm64"),
    )
    assert parse_requires({}) == Requires()


@pytest.mark.parametrize(
    "word",
    ["cpu", "cpu=x", "cpu=-1", "cpu=²", "memory=2", "memory=2GB", "ports=", "ports=0", "ports=70000", "ports=a", "gpu=1",
     "commands=a;b", "commands=", "cpu=1 cpu=2", "arch=a/b"],
)  # fmt: skip
def test_label_that_cannot_be_read_is_an_image_error(word: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        parse_requires({"sealer-cloud.requires": word})


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"uid": 1000}, "root: the login has uid 1000"),
        ({"cpus": 1}, "cpu: 1 of 2"),
        ({"memory": GIB}, "memory: 1.0 GiB of 2.0 GiB"),
        ({"disk_free": GIB}, "disk: 1.0 GiB free of 10.0 GiB"),
        ({"arch": "riscv64"}, "arch: riscv64, wanted amd64 or arm64"),
        ({"ports": frozenset({2380, 22})}, "ports in use: 2380"),
        ({"tools": frozenset(HOST_TOOLS) - {"setsid", "sha256sum"} | {"awk"}}, "commands: setsid, sha256sum"),
    ],
)
def test_each_lack_is_named(change: dict[str, object], lack: str) -> None:
    good = replace(GOOD, tools=GOOD.tools | {"awk"})
    requires = parse_requires({"sealer-cloud.requires": FULL})
    assert check_host(good, requires, 1) == []
    assert check_host(replace(good, **change), requires, 1) == [lack]  # type: ignore[arg-type]


def test_room_is_asked_for_only_where_something_is_laid() -> None:
    small = replace(GOOD, disk_free=1000)
    assert check_host(small, Requires(), 2000) == ["disk: 1000 bytes free of 2.1 KiB"]
    assert check_host(small, Requires(), 0) == []


def test_all_lacks_of_all_hosts_are_told_at_once() -> None:
    facts = {HostName("m1"): replace(GOOD, uid=5), HostName("m2"): replace(GOOD, cpus=1), HostName("n1"): GOOD}
    with pytest.raises(PreconditionError) as caught:
        check_all(facts, image("cpu=2"), Changeset(DIGEST, (), {}, 10))
    text = str(caught.value)
    assert (caught.value.exit_code, "m1: root" in text, "m2: cpu" in text, "n1" in text) == (12, True, True, False)


def test_architecture_of_the_image_counts_without_a_label() -> None:
    with pytest.raises(PreconditionError, match="arch: arm64, wanted amd64"):
        check_all({HostName("m1"): replace(GOOD, arch="arm64")}, image(), Changeset(DIGEST, (), {}, 10))


@pytest.mark.parametrize("change", [{"other_cids": ("other-abc234",)}, {"name_taken": True}])
def test_somebody_elses_host_is_refused_with_the_way_out(change: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        check_all({HostName("m1"): replace(GOOD, **change)}, image(), Changeset(DIGEST, (), {}, 10))  # type: ignore[arg-type]
    assert caught.value.exit_code == 3
    assert "adopt" in caught.value.hint


async def test_script_of_the_image_says_no_before_anything_is_laid(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    body = b'#!/bin/sh\n[ "$SEALER_HOST" != m2 ] || { echo "no disk for $TOKEN"; exit 9; }\n'
    cluster.files = {**SCRIPTS, "scripts/preflight.sh": body}
    with pytest.raises(
        PreconditionError, match=r"m2: scripts/preflight.sh says no \(exit status 9\): no disk for \*\*\*"
    ):
        await cluster.up()
    for host in cluster.fakes.hosts.values():
        assert sorted(p.name for p in host.folder.rglob("*") if p.is_file()) == ["boot_id"]
        assert not host.at(PATHS.state_root).exists()
    cluster.close()


async def test_foreign_host_is_left_as_it_was(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.fakes["m2"].at(PATHS.base).mkdir(parents=True)
    with pytest.raises(UsageError, match="m2 has a folder of this cluster's name that is not ours"):
        await cluster.up()
    assert not cluster.fakes["m1"].at(PATHS.base).exists()
    cluster.close()


async def test_preflight_script_has_its_whole_time(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/preflight.sh": b"#!/bin/sh\nsleep 2\necho slow disk\nexit 1\n"}
    cluster.patience = Patience(command=1)
    with pytest.raises(PreconditionError, match="slow disk"):
        await cluster.up()


async def test_preflight_script_knows_why_it_runs(cluster: Cluster) -> None:
    await cluster.stand()
    body = b'#!/bin/sh\necho "is $SEALER_PHASE"\nexit 1\n'
    cluster.files = {**SCRIPTS, "scripts/preflight.sh": body}
    cluster.grow("m1", "m2", "m3", "n1")
    with pytest.raises(PreconditionError) as caught:
        await cluster.up()
    said = [line.rpartition(" is ")[2] for line in caught.value.message.splitlines() if " is " in line]
    assert said == ["upgrade", "upgrade", "join", "upgrade"]
