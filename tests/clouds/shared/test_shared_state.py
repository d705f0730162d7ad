"""State in a bucket that runners share: real engine, real hosts, a real S3 API; each runner has folders of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.infra.sharedlock import BREAK_AFTER
from tests.e2e.product import Product
from tests.e2e.tiny import BASIC, build

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]

BUCKET = "sealer-state"


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """What a runner's environment needs to share the state."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "AKIASHARED", "AWS_SECRET_ACCESS_KEY": "CANARYshared"}
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"], aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    client.create_bucket(Bucket=BUCKET)
    backend = f"s3://{BUCKET}/team?endpoint={url}&use_path_style=true&region=us-east-1"
    yield {**keys, "PULUMI_BACKEND_URL": backend, "PULUMI_CONFIG_PASSPHRASE": "CANARYpassphrase", "URL": url}
    server.stop()


def objects(bucket: dict[str, str]) -> list[str]:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=bucket["URL"], region_name="us-east-1",
        aws_access_key_id="x", aws_secret_access_key="y",
    )  # fmt: skip
    return [o["Key"] for o in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def runner(folder: Path, bucket: dict[str, str], cluster: str) -> Product:
    folder.mkdir()
    user = Product(folder, dict(bucket), cluster=cluster)
    build(user, "app:v1", BASIC)
    return user


def test_without_a_passphrase_nothing_is_made_up(tmp_path: Path, bucket: dict[str, str]) -> None:
    user = runner(tmp_path / "a", {k: v for k, v in bucket.items() if k != "PULUMI_CONFIG_PASSPHRASE"}, "nopass")
    answer = user.run("up", "app:v1", "-n", "nopass", "--provider", "local", "--yes")
    assert answer.rc == 3
    assert "PULUMI_CONFIG_PASSPHRASE" in answer.err
    assert not any("nopass" in key for key in objects(bucket))


def test_one_runner_brings_up_another_looks_and_removes(tmp_path: Path, bucket: dict[str, str]) -> None:
    a, b = (runner(tmp_path / n, bucket, "shared") for n in "ab")
    assert a.run("up", "app:v1", "-n", "shared", "--provider", "local", "--yes").rc == 0
    assert [c["cluster"] for c in b.run("list", "-o", "json").json["clusters"]] == ["shared"]
    assert b.run("status", "shared", "-o", "json").json["phase"] == "ready"
    again = b.run("up", "app:v1", "-n", "shared", "--provider", "local", "--yes", "-o", "json")
    assert again.rc == 0
    assert b.run("down", "shared", "--yes").rc == 0
    assert not any("shared" in key.rsplit("/", 1)[-1] for key in objects(bucket) if "/backups/" not in key)
    assert "CANARY" not in f"{again.out}{again.err}"


def test_a_living_runner_is_named(tmp_path: Path, bucket: dict[str, str]) -> None:
    a, b = (runner(tmp_path / n, bucket, "alive") for n in "ab")
    build(a, "app:v1", {**BASIC, "scripts/init.sh": "#!/bin/sh\nsleep 25\n"})
    busy = a.start("up", "app:v1", "-n", "alive", "--provider", "local", "--yes")
    give_up = time.monotonic() + 60
    while not any(key.endswith("locks/alive.json") for key in objects(bucket)):
        assert time.monotonic() < give_up
        assert busy.poll() is None, busy.communicate()
        time.sleep(0.1)
    refused = b.run("up", "app:v1", "-n", "alive", "--provider", "local", "--yes")
    _, err = busy.communicate(timeout=120)
    assert busy.returncode == 0, err
    assert refused.rc == 10
    assert "up alive" in refused.err
    assert a.run("down", "alive", "--yes").rc == 0


def test_a_killed_runners_locks_are_broken_after_a_minute(tmp_path: Path, bucket: dict[str, str]) -> None:
    a, b = (runner(tmp_path / n, bucket, "killed") for n in "ab")
    a.extra["SEALER_CLOUD_FAILPOINT"] = "connected=kill"
    assert a.run("up", "app:v1", "-n", "killed", "--provider", "local", "--yes").rc == -9
    begun = time.monotonic()
    after = b.run("up", "app:v1", "-n", "killed", "--provider", "local", "--yes")
    assert after.rc == 0, after.err
    assert time.monotonic() - begun >= BREAK_AFTER
    assert "broke the lock of `up killed`" in after.err
    assert b.run("down", "killed", "--yes").rc == 0


def test_twenty_clusters_from_four_runners(tmp_path: Path, bucket: dict[str, str]) -> None:
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
