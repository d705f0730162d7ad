"""Runners without a folder in common: a file as upstream's users wrote it, state in a bucket, stages one by one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds.alicloud.scene import make_user
from tests.clouds.alicloud.sim.server import SECRET, Simulator
from tests.clouds.bucket import PASSPHRASE, Bucket, shared_bucket
from tests.e2e import tiny
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine]

V1 = ROOT / "tests/compat/corpus/clusterfiles/011-v1-get-started-alicloud-no-ssh.yaml"
"""A v1 Cluster with `provider: ALI_CLOUD`, sizes, a data disk for each machine, and what tuned the runtime."""
IMAGE = re.findall(r"image: (\S+)", V1.read_text())[0]
NAME = "my-cluster"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with shared_bucket() as made:
        yield made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the image that the file names: a few lines of our own, no Kubernetes."""
    user = Product(tmp_path / "image")
    tiny.build(user, IMAGE, tiny.BASIC, 'CMD echo "pods=$PodCIDR names=$CertSANs" >>"$SEALER_OUTPUT"')
    return user.home / "data"


def runner(home: Path, simulator: Simulator, data: Path, environ: dict[str, str]) -> Product:
    """A user with nothing but the file, the images and this environment."""
    user = make_user(home, simulator, data, "")
    user.extra |= environ
    shutil.copy(V1, home / "Clusterfile")
    return user


def test_one_makes_machines_another_the_cluster_and_a_third_without_the_passphrase_neither(
    tmp_path: Path, alicloud_hosts: Simulator, bucket: Bucket, data: Path
) -> None:
    account = alicloud_hosts.account
    shared = {**bucket.environ, **PASSPHRASE}
    a, b = (runner(tmp_path / n, alicloud_hosts, data, shared) for n in "ab")
    up = ("up", "-f", "Clusterfile", "--provider", "ALI_CLOUD", "--masters", "1", "--nodes", "1", "--yes")
    a.ok(*up, "--only", "machines")
    machines = {t.id for t in account.store.all("instance")}
    assert [t["Size"] for t in account.store.all("disk") if t["Type"] == "data"] == [100, 100]
    assert len(machines) == 2

    start = len(account.log)
    b.ok(*up, "--only", "cluster")
    assert account.mutations(start) == [], "its machines are taken as they are"
    status = b.ok("status", NAME, "-o", "json").json
    assert [(h["name"], h["state"]) for h in status["hosts"]] == [("m1", "healthy"), ("n1", "healthy")]
    assert status["outputs"] == {"pods": "100.64.0.0/10 names=aliyun-inc.com,10.0.0.2"}

    c = runner(tmp_path / "c", alicloud_hosts, data, bucket.environ)
    for words in (("status", NAME), ("down", NAME, "--yes"), up):
        answer = c.run(*words)
        assert (answer.rc, "PULUMI_CONFIG_PASSPHRASE" in answer.err) == (3, True), f"{words}: {answer}"
    assert {t.id for t in account.store.all("instance")} == machines

    wrong = runner(tmp_path / "d", alicloud_hosts, data, {**shared, "PULUMI_CONFIG_PASSPHRASE": "another"})
    assert wrong.run("status", NAME).rc == 5

    held = [text.decode(errors="replace") for text in bucket.objects().values()]
    assert any(NAME in text for text in held)
    assert not [text for text in held for needle in ("CANARY", SECRET, "OPENSSH PRIVATE KEY") if needle in text]
    shutil.rmtree(b.home / "state")
    b.ok("down", NAME, "--yes")
    assert account.store.counts() == {}
    assert [key for key in bucket.listing() if key.endswith((f"{NAME}.json", "locks/my-cluster.json"))] == []
