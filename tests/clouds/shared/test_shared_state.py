"""State in a bucket that runners share: real engine, real hosts, a real S3 API; each runner has folders of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.infra.sharedlock import BREAK_AFTER
from tests.clouds.bucket import PASSPHRASE, Bucket, shared_bucket
from tests.e2e.product import Product
from tests.e2e.tiny import BASIC, build

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with shared_bucket() as made:
        yield made


def runner(folder: Path, bucket: Bucket, cluster: str, **opens: str) -> Product:
    """A runner who shares the state; `opens` is what opens its secrets, a passphrase where nothing is said."""
    folder.mkdir()
    user = Product(folder, {**bucket.environ, **(opens or PASSPHRASE)}, cluster=cluster)
    build(user, "app:v1", BASIC)
    return user


def test_without_a_passphrase_nothing_is_made_up(tmp_path: Path, bucket: Bucket) -> None:
    user = runner(tmp_path / "a", bucket, "nopass", PULUMI_CONFIG_PASSPHRASE="")
    answer = user.run("up", "app:v1", "-n", "nopass", "--provider", "local", "--yes")
    assert answer.rc == 3
    assert "PULUMI_CONFIG_PASSPHRASE" in answer.err
    assert not any("nopass" in key for key in bucket.listing())


def test_one_runner_brings_up_another_looks_and_removes(tmp_path: Path, bucket: Bucket) -> None:
    a, b = (runner(tmp_path / n, bucket, "shared") for n in "ab")
    assert a.run("up", "app:v1", "-n", "shared", "--provider", "local", "--yes").rc == 0
    assert [c["cluster"] for c in b.run("list", "-o", "json").json["clusters"]] == ["shared"]
    assert b.run("status", "shared", "-o", "json").json["phase"] == "ready"
    again = b.run("up", "app:v1", "-n", "shared", "--provider", "local", "--yes", "-o", "json")
    assert again.rc == 0
    assert b.run("down", "shared", "--yes").rc == 0
    assert not any("shared" in key.rsplit("/", 1)[-1] for key in bucket.listing() if "/backups/" not in key)
    assert "CANARY" not in f"{again.out}{again.err}"


def test_a_key_service_opens_the_secrets_for_every_runner(tmp_path: Path, bucket: Bucket) -> None:
    kms = bucket.client("kms")
    kms.create_alias(AliasName="alias/sealer", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    service = f"awskms://alias/sealer?region=us-east-1&endpoint={bucket.url}"
    a, b = (runner(tmp_path / n, bucket, "kms", SEALER_CLOUD_SECRETS_PROVIDER=service) for n in "ab")
    a.ok("up", "app:v1", "-n", "kms", "--provider", "local", "--yes")
    assert b.ok("ssh", "kms", "m1", "--", "cat /etc/hostname").out == "m1\n", "its login key is opened here, too"
    assert b.ok("up", "app:v1", "-n", "kms", "--provider", "local", "--yes", "-o", "json").json["changed"] is False
    held = [text for key, text in bucket.objects().items() if "kms" in key]
    assert held
    assert not [text for text in held if b"OPENSSH PRIVATE KEY" in text]
    runner(tmp_path / "c", bucket, "kms", PULUMI_CONFIG_PASSPHRASE="").ok("ssh", "kms", "m1", "--", "true")
    b.ok("down", "kms", "--yes")


def test_a_living_runner_is_named(tmp_path: Path, bucket: Bucket) -> None:
    a, b = (runner(tmp_path / n, bucket, "alive") for n in "ab")
    build(a, "app:v1", {**BASIC, "scripts/init.sh": "#!/bin/sh\nsleep 25\n"})
    busy = a.start("up", "app:v1", "-n", "alive", "--provider", "local", "--yes")
    give_up = time.monotonic() + 60
    while not any(key.endswith("locks/alive.json") for key in bucket.listing()):
        assert time.monotonic() < give_up
        assert busy.poll() is None, busy.communicate()
        time.sleep(0.1)
    refused = b.run("up", "app:v1", "-n", "alive", "--provider", "local", "--yes")
    _, err = busy.communicate(timeout=120)
    assert busy.returncode == 0, err
    assert refused.rc == 10
    assert "up alive" in refused.err
    assert a.run("down", "alive", "--yes").rc == 0


def test_a_killed_runners_locks_are_broken_after_a_minute(tmp_path: Path, bucket: Bucket) -> None:
    a, b = (runner(tmp_path / n, bucket, "killed") for n in "ab")
    a.extra["SEALER_CLOUD_FAILPOINT"] = "connected=kill"
    assert a.run("up", "app:v1", "-n", "killed", "--provider", "local", "--yes").rc == -9
    begun = time.monotonic()
    after = b.run("up", "app:v1", "-n", "killed", "--provider", "local", "--yes")
    assert after.rc == 0, after.err
    assert time.monotonic() - begun >= BREAK_AFTER
    assert "broke the lock of `up killed`" in after.err
    assert b.run("down", "killed", "--yes").rc == 0


def test_twenty_clusters_from_four_runners(tmp_path: Path, bucket: Bucket) -> None:
    users = [runner(tmp_path / f"r{n}", bucket, f"many{n}") for n in range(4)]
    all_begun = threading.Barrier(4)

    def five(number: int) -> list[str]:
        names = [f"many{number}-{i}" for i in range(5)]
        started = [users[number].start("up", "app:v1", "-n", n, "--provider", "local", "--yes") for n in names]
        all_begun.wait(60)
        assert [process.poll() for process in started] == [None] * 5, "twenty run at once, of four runners"
        ends = [process.communicate(timeout=600) for process in started]
        return [f"{p.returncode}: {err[-300:]}" for p, (_, err) in zip(started, ends, strict=True) if p.returncode]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(five, range(4))) == [[], [], [], []]
    names = [c["cluster"] for c in users[0].run("list", "-o", "json").json["clusters"]]
    assert len(names) == 20

    def down(name: str) -> int:
        return users[0].run("down", name, "--yes", timeout=600).rc

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(down, names)) == {0}
    assert users[1].run("list", "-o", "json").json["clusters"] == []
