"""The main job: three hosts by a real stack, a healthy etcd on them, and nothing done twice."""

from __future__ import annotations

import pytest

from tests.e2e.product import Product
from tests.e2e.snapshot import backend_files, host_files, host_pids, stop_host
from tests.hosts.outside import listeners

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


def test_up_gives_three_healthy_members_that_share_data(product: Product) -> None:
    answer = product.up("-o", "json")
    assert not listeners(product.cluster, str(product.home)), (
        "hosts listen in networks of their own, and nothing of ours outlives its run"
    )
    assert len(answer.json["hosts"]) == 3
    status = product.status()
    assert [h["state"] for h in status["hosts"]] == ["healthy"] * 3
    assert "endpoints" in status["outputs"]
    assert product.etcdctl("m1", "put", "colour", "green").rc == 0
    assert "green" in product.etcdctl("m3", "get", "colour").out
    assert product.member_ids().keys() == {"m1", "m2", "m3"}


def test_up_again_changes_nothing_and_plan_says_so(product: Product) -> None:
    product.up()
    before = host_files(product), backend_files(product)
    plan = product.ok("plan", "etcd:v1", "-n", product.cluster, "--provider", "local", "-o", "json").json
    assert [h["steps"] for h in plan["hosts"]] == [[], [], []]
    assert not any(plan["infra"][op] for op in ("create", "update", "replace", "delete"))
    assert (host_files(product), backend_files(product)) == before
    pids = host_pids(product)
    answer = product.up()
    assert host_pids(product) == pids
    assert host_files(product) == before[0]
    assert "othing to change" in answer.out + answer.err


def test_plan_of_a_new_cluster_changes_nothing_and_names_the_steps_that_run(product: Product) -> None:
    plan = product.ok(
        "plan", "etcd:v1", "-n", product.cluster, "--provider", "local", "--masters", "3", "-o", "json"
    ).json
    assert plan["cid"] is None
    assert not product.state.exists() or not any(p.is_file() for p in product.state.rglob("*"))
    shown = sorted(s["id"] for h in plan["hosts"] for s in h["steps"])
    ran = product.up("-o", "json").json
    assert sorted(s["id"] for s in ran["steps"]) == shown


def test_one_env_value_changes_only_what_depends_on_it(product: Product) -> None:
    product.up()
    words = ("etcd:v1", "-n", product.cluster, "--provider", "local", "-e", "ETCD_HEARTBEAT=150")
    plan = product.ok("plan", *words, "-o", "json").json
    due = {s["id"] for h in plan["hosts"] for s in h["steps"]}
    expected = {
        f"{h}/{k}" for h in ("m1", "m2", "m3") for k in ("file/etc/etcd.conf", "start/start.sh", "health/health.sh")
    }
    assert due == expected
    assert sorted(plan["restarts"]) == ["m1", "m2", "m3"]
    ids = product.member_ids()
    ran = product.ok("up", *words, "--yes", "-o", "json").json
    assert {s["id"] for s in ran["steps"]} == expected
    assert product.member_ids() == ids


def test_a_host_whose_processes_died_comes_back_as_the_same_member(product: Product) -> None:
    product.up()
    ids = product.member_ids()
    product.etcdctl("m1", "put", "kept", "yes")
    stop_host(product, "m2")
    assert "yes" in product.etcdctl("m3", "get", "kept").out, "two of three are a quorum"
    product.up()
    assert product.member_ids() == ids
    assert "yes" in product.etcdctl("m2", "get", "kept").out
    status = product.status()
    assert [h["state"] for h in status["hosts"]] == ["healthy"] * 3


def test_down_without_state_leaves_nothing(product: Product) -> None:
    import shutil

    product.up()
    shutil.rmtree(product.state)
    answer = product.ok(*product.down_words)
    assert "gone" in (answer.out + answer.err).lower()
    assert product.ok(*product.down_words).rc == 0


def test_a_second_up_meanwhile_is_refused(product: Product) -> None:
    first = product.start(*product.up_words)
    lock = product.state / "clusters" / product.cluster / "lock"
    import time

    deadline = time.monotonic() + 30
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    second = product.run(*product.up_words)
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert second.rc == 10
    assert str(first.pid) in second.err
