"""Bare metal with the real engine and real sshd: machines that the test made like a person's own, and must get back so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Product
from tests.hosts.foreign import Foreign, foreign_machines

pytestmark = [pytest.mark.hosts, pytest.mark.engine, pytest.mark.slow]

CLEAN = """#!/bin/sh
# sealer:env
[ ! -f /run/app.pid ] || kill "$(cat /run/app.pid)"
rm -f /run/app.pid
echo "clean $SEALER_PHASE" >>"$SEALER_DATA/log"
"""
FILES = {**tiny.BASIC, "scripts/clean.sh": CLEAN, "etc/app": "1\n"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an image that cleans up after itself."""
    folder = tmp_path_factory.mktemp("images")
    tiny.build(Product(folder), "app:v1", FILES, "ENV COLOUR=red")
    return folder


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Foreign]:
    with foreign_machines(tmp_path) as it:
        yield it


@pytest.fixture
def user(tmp_path: Path, home: Path) -> Product:
    return Product(tmp_path, {"XDG_DATA_HOME": str(home / "data")}, cluster=tiny.unique("metal"))


def infra(foreign: Foreign, user: Product, hosts: tuple[str, ...] = ("m1", "m2", "m3"), **change: dict) -> str:
    """An Infra document in every way that a machine may be named: a key, a fingerprint, a known_hosts file; a jump."""
    known = user.home / "known_hosts"
    known.write_text("".join(f"{h.address} {h.host_key}\n" for h in foreign.hosts))
    ssh = {"privateKeyFile": str(foreign.key)}
    entries: dict[str, dict] = {
        "m1": {"hostKeys": [foreign["m1"].host_key], "ssh": ssh},
        "m2": {"hostKeys": [foreign.fingerprint("m2")], "ssh": {**ssh, "user": "ops"}},
        "m3": {"ssh": {**ssh, "knownHostsFile": "known_hosts", "jump": f"root@{foreign['m1'].address}"}},
    }
    listed = [
        {
            "name": n,
            "address": foreign[n].address,
            "roles": ["master" if n == "m1" else "node"],
            **entries[n],
            **change.get(n, {}),
        }
        for n in hosts
    ]
    path = user.home / "Infra.yaml"
    document = {"apiVersion": "sealer.io/v2", "kind": "Infra", "spec": {"provider": "baremetal", "hosts": listed}}
    path.write_text(json.dumps(document))
    return str(path)


def up_words(user: Product, file: str) -> tuple[str, ...]:
    return ("app:v1", "-n", user.cluster, "-f", file)


def down_words(user: Product, *more: str) -> tuple[str, ...]:
    return ("down", user.cluster, "--provider", "baremetal", "--yes", "-o", "json", *more)


def test_machines_that_exist_serve_a_cluster_and_are_left_as_they_were(foreign: Foreign, user: Product) -> None:
    file = infra(foreign, user)
    names = ("m1", "m2", "m3")
    disks = {n: foreign.disk(n) for n in names}
    processes = {n: foreign.processes(n) for n in names}

    planned = user.ok("plan", *up_words(user, file), "-o", "json").json
    assert [c["name"] for c in planned["infra"]["create"] if "Host" in c["type"]] == list(names)
    assert {n: foreign.disk(n) for n in names} == disks, "a plan changes nothing"
    user.ok("up", *up_words(user, file), "--yes")
    status = user.status()
    assert {h["name"]: h["state"] for h in status["hosts"]} == dict.fromkeys(names, "healthy")

    again = user.ok("up", *up_words(user, file), "--yes", "-o", "json").json
    assert (again["changed"], again["steps"]) == (False, [])
    drift = user.ok("plan", *up_words(user, file), "-e", "COLOUR=blue", "-o", "json").json
    steps = {s["id"].split("/", 1)[1] for h in drift["hosts"] for s in h["steps"]}
    assert steps == {"start/start.sh", "health/health.sh"}
    shown = user.ok("ssh", user.cluster, "m3", "--", "cat /var/lib/sealer-cloud/*/ledger.jsonl | head -c 5")
    assert shown.out.startswith('{"v"')

    report = user.ok(*down_words(user)).json
    assert report["left"] == []
    assert {(k["host"], k["path"]) for k in report["kept"]} == {
        (n, f"/var/lib/sealer/data/{user.cluster}/data") for n in names
    }
    tiny.keeps_schema("down", report)
    for name in names:
        rest = [path for path in foreign.disk(name) if path not in disks[name]]
        kept = f"real/var-lib-sealer/data/{user.cluster}"
        log = ("", "/data", "/data/log", "/data/started")
        assert rest == [kept.rpartition("/")[0], *(kept + tail for tail in log)], rest
        assert foreign.processes(name) == processes[name]
    assert user.ok("list", "-o", "json").json["clusters"] == []


def test_data_goes_where_that_is_said_and_then_nothing_at_all_is_left(foreign: Foreign, user: Product) -> None:
    file = infra(foreign, user, ("m1", "m2"))
    disks = {n: foreign.disk(n) for n in ("m1", "m2")}
    user.ok("up", *up_words(user, file), "--yes")
    assert user.ok(*down_words(user, "--delete-data")).json["left"] == []
    assert {n: foreign.disk(n) for n in ("m1", "m2")} == disks


def test_what_cannot_be_entered_or_is_somebody_elses_is_refused_before_anything_is_changed(
    foreign: Foreign, user: Product, home: Path
) -> None:
    hosts = ("m1", "m2")
    disks = {n: foreign.disk(n) for n in hosts}
    wrong = infra(foreign, user, hosts, m2={"hostKeys": [foreign.fingerprint("m1")]})
    answer = user.run("plan", *up_words(user, wrong))
    assert (answer.rc, "m2" in answer.err, "another key" in answer.err) == (7, True, True), answer.err
    absent = infra(
        foreign, user, hosts, m2={"address": "127.0.0.1", "ssh": {"port": 1, "privateKeyFile": str(foreign.key)}}
    )
    answer = user.run("up", *up_words(user, absent), "--yes")
    assert (answer.rc, "m2" in answer.err) == (7, True), answer.err
    nokey = infra(foreign, user, hosts, m2={"ssh": {"user": "ops", "privateKeyFile": "absent"}})
    answer = user.run("up", *up_words(user, nokey), "--yes")
    assert (answer.rc, "absent" in answer.err) == (5, True), answer.err
    assert user.ok("list", "-o", "json").json["clusters"] == []

    user.ok("up", *up_words(user, infra(foreign, user, hosts)), "--yes")
    second = Product(user.home / "second", {"XDG_DATA_HOME": str(home / "data")}, cluster=tiny.unique("other"))
    second.home.mkdir()
    answer = second.run("up", *up_words(second, infra(foreign, second, hosts)), "--yes")
    assert (answer.rc, f"m1 holds {user.cluster}-" in answer.err) == (3, True), answer.err
    assert user.ok(*down_words(user, "--delete-data")).json["left"] == []
    assert {n: foreign.disk(n) for n in hosts} == disks


def test_a_host_that_leaves_is_undone_and_the_others_go_on(foreign: Foreign, user: Product) -> None:
    before = foreign.disk("m2")
    user.ok("up", *up_words(user, infra(foreign, user, ("m1", "m2"))), "--yes")
    user.ok("up", *up_words(user, infra(foreign, user, ("m1",))), "--yes", "--allow-delete")
    rest = [p for p in foreign.disk("m2") if p not in before]
    assert [p for p in rest if f"/data/{user.cluster}/data" not in p and not p.endswith(("/data", user.cluster))] == []
    assert {h["name"]: h["state"] for h in user.status()["hosts"]} == {"m1": "healthy"}
    assert user.ok(*down_words(user, "--delete-data")).json["left"] == []


def test_the_example_etcd_runs_on_machines_that_exist_and_leaves_them(
    foreign: Foreign, tmp_path: Path, image_home: Path
) -> None:
    user = Product(tmp_path, {"XDG_DATA_HOME": str(image_home / "data")}, cluster=tiny.unique("etcd"))
    names = ("m1", "m2", "m3")
    before = {n: foreign.processes(n) for n in names}
    file = infra(foreign, user, **{n: {"roles": ["master"]} for n in names})
    user.ok("up", "etcd:v1", "-n", user.cluster, "-f", file, "--yes")
    assert set(user.member_ids("m3")) == set(names)
    assert user.etcdctl("m2", "put", "/seen", "metal").rc == 0
    assert "metal" in user.etcdctl("m1", "get", "/seen").out
    report = user.ok(*down_words(user)).json
    assert report["left"] == []
    assert {n: foreign.processes(n) for n in names} == before
    root = "real/var-lib-sealer/data/" + user.cluster
    for name in names:
        ours = [p for p in foreign.disk(name) if user.cluster in p]
        assert f"{root}/data/etcd/member" in ours
        assert [p for p in ours if p != root and not p.startswith(f"{root}/data")] == []
    assert "etcd.pid" not in foreign.run("m1", "ls /run")


def test_a_machine_that_was_installed_anew_comes_in_again_under_its_name(foreign: Foreign, user: Product) -> None:
    words = up_words(user, infra(foreign, user, ("m1", "m2")))
    user.ok("up", *words, "--yes")
    anew = (
        'kill "$(cat /run/app.pid)"; rm -rf /run/app.pid /var/lib/sealer/data /var/lib/sealer-cloud/metal-*; '
        "echo 0123456789abcdef0123456789abcdef >/etc/machine-id"
    )
    user.ok("exec", user.cluster, "--host", "m2", "--", "sh", "-c", anew)
    planned = user.ok("plan", *words, "-o", "json").json
    assert [c["name"] for c in planned["infra"]["create"]] == ["m2"]
    user.ok("up", *words, "--yes")
    assert {h["name"]: h["state"] for h in user.status()["hosts"]} == {"m1": "healthy", "m2": "healthy"}
    assert user.ok("up", *words, "--yes", "-o", "json").json["changed"] is False
    assert user.ok(*down_words(user, "--delete-data")).json["left"] == []
