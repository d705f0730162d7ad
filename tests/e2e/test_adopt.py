"""The state folder is lost and the hosts live: `adopt` takes them over with the real engine, and nothing restarts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import Product
from tests.hosts.foreign import foreign_machines

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


WHO = ("/proc/sys/kernel/random/boot_id", "/etc/machine-id")


@pytest.fixture
def user(tmp_path: Path, tiny_home: Path) -> Iterator[Product]:
    with tiny.visit(tmp_path / "user", tiny_home / "data", tiny.unique("lost")) as it:
        yield it


def up_words(user: Product, *more: str) -> tuple[str, ...]:
    return ("up", "app:v1", "-n", user.cluster, "--provider", "local", "--masters", "2", "--nodes", "1", "--yes", *more)


def asked(user: Product, *files: str) -> dict[str, str]:
    words = ("exec", user.cluster, "-o", "json", "--", "cat", *files)
    return {line["host"]: line["stdout"] for line in map(json.loads, user.ok(*words).out.splitlines())}


def test_a_local_cluster_whose_state_is_lost_is_taken_over_as_it_is(user: Product) -> None:
    adopt = ("adopt", user.cluster, "--provider", "local", "--yes", "-o", "json")
    nothing = user.ok(*adopt).json
    assert (nothing["cid"], nothing["hosts"]) == (None, [])
    user.ok(*up_words(user, "-e", "COLOUR=green"))
    refused = user.run(*adopt)
    assert (refused.rc, "not lost" in refused.err) == (3, True), refused.err
    keys = {
        name: tiny.on_disk(user, name, f"/var/lib/sealer-cloud/{user.cid}/cluster.json") for name in ("m1", "m2", "n1")
    }
    assert {n: p.exists() for n, p in keys.items()} == {"m1": True, "m2": True, "n1": False}
    assert keys["m1"].stat().st_mode & 0o777 == 0o600
    cid, before, ran = user.cid, asked(user, *WHO), {n: tiny.notes(user, n) for n in ("m1", "m2", "n1")}

    shutil.rmtree(user.home / "state")
    gone = user.run("status", user.cluster)
    assert (gone.rc, "adopt" in gone.err) == (3, True), gone.err
    shown = user.ok("status", user.cluster, "--provider", "local", "-o", "json").json
    tiny.keeps_schema("status-lost", shown)
    (found,) = shown["clusters"]
    states = {m["host"]: m["state"] for m in found["machines"]}
    assert (found["cid"], states) == (cid, dict.fromkeys(("m1", "m2", "n1"), "running"))
    again = user.run(*up_words(user))
    assert (again.rc, f"adopt {user.cluster} --provider local" in again.err) == (3, True), again.err
    wrong = user.run(*adopt, "--cluster-id", f"{user.cluster}-aaaaaa")
    assert (wrong.rc, cid in wrong.err) == (3, True), wrong.err

    adopted = user.ok(*adopt).json
    tiny.keeps_schema("adopt", adopted)
    assert (adopted["cid"], [h["name"] for h in adopted["hosts"]]) == (cid, ["m1", "m2", "n1"])
    unchanged = user.ok("up", "-n", user.cluster, "--provider", "local", "--yes", "-o", "json").json
    assert (unchanged["changed"], unchanged["steps"], unchanged["outputs"]) == (False, [], {"colour": "green"})
    assert {h["name"]: h["state"] for h in user.status()["hosts"]} == dict.fromkeys(("m1", "m2", "n1"), "healthy")
    assert asked(user, *WHO) == before, "no host was made anew or restarted"
    assert {n: tiny.notes(user, n) for n in ran} == ran, "no script ran"
    assert user.ok("ssh", user.cluster, "n1", "--", "hostname").out.strip() == "n1"
    assert user.ok("down", user.cluster, "--yes", "-o", "json").json["left"] == []


METAL = {**tiny.BASIC, "scripts/clean.sh": "#!/bin/sh\n# sealer:env\nkill $(cat /run/app.pid)\nrm -f /run/app.pid\n"}


@pytest.mark.slow
def test_machines_of_ones_own_are_taken_over_by_the_inventory(tmp_path: Path) -> None:
    user = Product(tmp_path, cluster=tiny.unique("metal"))
    tiny.build(user, "app:v1", METAL, "ENV COLOUR=red")
    names = ("m1", "m2")
    with foreign_machines(tmp_path) as foreign:
        hosts = [
            {
                "name": name,
                "address": foreign[name].address,
                "roles": ["master" if name == "m1" else "node"],
                "hostKeys": [foreign.fingerprint(name)],
                "ssh": {"privateKeyFile": str(foreign.key), "user": "root" if name == "m1" else "ops"},
            }
            for name in names
        ]
        file = user.home / "Infra.yaml"
        spec = {"provider": "baremetal", "hosts": hosts}
        file.write_text(json.dumps({"apiVersion": "sealer.io/v2", "kind": "Infra", "spec": spec}))
        adopt = ("adopt", user.cluster, "--provider", "baremetal", "--yes", "-o", "json")
        assert user.ok(*adopt, "-f", str(file)).json["cid"] is None
        user.ok("up", "app:v1", "-n", user.cluster, "-f", str(file), "-e", "COLOUR=blue", "--yes")
        before = asked(user, "/run/app.pid")

        shutil.rmtree(user.home / "state")
        again = user.run("up", "app:v1", "-n", user.cluster, "-f", str(file), "--yes")
        assert (again.rc, "adopt" in again.err) == (3, True), again.err
        half = user.home / "Half.yaml"
        half.write_text(json.dumps({**json.loads(file.read_text()), "spec": {**spec, "hosts": hosts[:1]}}))
        refused = user.run(*adopt, "-f", str(half))
        assert (refused.rc, "m2" in refused.err) == (3, True), refused.err

        assert len(user.ok(*adopt, "-f", str(file)).json["hosts"]) == 2
        unchanged = user.ok("up", "-n", user.cluster, "--provider", "baremetal", "--yes", "-o", "json").json
        assert (unchanged["changed"], unchanged["steps"]) == (False, [])
        assert asked(user, "/run/app.pid") == before
        assert {h["name"]: h["state"] for h in user.status()["hosts"]} == dict.fromkeys(names, "healthy")
        assert user.ok("ssh", user.cluster, "m2", "--", "echo in").out == "in\n"
        assert user.ok("down", user.cluster, "--yes", "--delete-data", "-o", "json").json["left"] == []
