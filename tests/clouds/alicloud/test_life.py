"""One cluster from its plan to its deadline: spot prices, a machine that does not answer, another's account, its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.clouds.alicloud.client import good
from tests.clouds.alicloud.scene import down_words, make_user
from tests.clouds.alicloud.sim.faults import Fault, spot_refused, throttled
from tests.clouds.alicloud.sim.server import SECRET, Simulator
from tests.clouds.othertime import program
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.hosts, pytest.mark.engine, pytest.mark.timeout(900)]
PATIENCE = 300.0
STRANGER = ("LTAIstranger00000000001", "canary-of-the-strangers-key", "2000000000000002")
DEAR = {"SpotPriceLimit": "0.2"}
UP = ("up", "-f", "Clusterfile", "--yes")
CLUSTERFILE = """\
apiVersion: sealer.io/v2
kind: Cluster
metadata: {name: web}
spec: {image: "app:v1"}
---
apiVersion: sealer.io/v2
kind: Infra
spec:
  provider: alicloud
  zones: [cn-hangzhou-i, cn-hangzhou-j]
  ttl: TTL
  hosts:
    - {roles: [master], count: 1, cpu: 2, memory: 8, systemDisk: 40, dataDisks: [100]}
    - {name: cheap, roles: [node], count: 1, instanceType: [ecs.c7.large],
       spot: {maxPrice: {perHostHour: 0.3, currency: CNY}, fallback: on-demand}}
    - {name: dear, roles: [node], count: 1, instanceType: [ecs.c7.large],
       spot: {maxPrice: {perHostHour: 0.2, currency: CNY}, fallback: on-demand}}
"""


@pytest.fixture
def user(tmp_path: Path, alicloud_hosts: Simulator) -> Product:
    """A user with a small image and the file of a cluster of three pools, two of them of spot machines."""
    one = make_user(tmp_path / "user", alicloud_hosts, tmp_path / "data", "web")
    tiny.build(one, "app:v1", tiny.BASIC)
    (one.home / "Clusterfile").write_text(CLUSTERFILE.replace("TTL", "2h"))
    return one


def bought(simulator: Simulator, **where: str) -> list[str]:
    """How each purchase ended."""
    calls = [c for c in simulator.account.log if c.action == "RunInstances"]
    return [c.code for c in calls if all(c.params.get(k) == v for k, v in where.items())]


def machines(simulator: Simulator) -> dict[str, str]:
    """Ids by host."""
    return {t.tags["sealer-cloud:host"]: t.id for t in simulator.account.store.all("instance")}


def test_from_its_plan_to_its_deadline(user: Product, alicloud_hosts: Simulator) -> None:
    account = alicloud_hosts.account
    a_plan_makes_nothing(user, alicloud_hosts)
    what_no_other_choice_helps_against_stops(user, alicloud_hosts)
    a_machine_that_does_not_answer(user, alicloud_hosts)
    kinds = {t.tags["sealer-cloud:host"]: t for t in account.store.all("instance")}
    assert {h: (t["SpotStrategy"], t["SpotPriceLimit"]) for h, t in kinds.items()} == {
        "m1": ("NoSpot", 0.0), "cheap1": ("SpotWithPriceLimit", 0.3), "dear1": ("NoSpot", 0.0),
    }  # fmt: skip
    assert all(t["AutoReleaseTime"] and "sealer-cloud:expires-at" in t.tags for t in kinds.values())
    assert {t["Type"]: t["Size"] for t in account.store.all("disk")}["data"] == 100
    start = len(account.log)
    account.faults.add(throttled("DescribeInstanceAttribute", times=1))  # a call that the plugin never sends again
    again = user.ok(*UP, timeout=PATIENCE)
    assert again.err.count("is asked too often (Throttling.User)") == 1
    assert account.mutations(start) == []
    nobody_elses_key(user, alicloud_hosts)
    its_time_is_over(user, alicloud_hosts)


def a_plan_makes_nothing(user: Product, simulator: Simulator) -> None:
    """Nor does a deadline that the service would refuse: it is refused by name."""
    before = tiny.state_files(user)
    user.ok("plan", *UP[1:-1])
    assert tiny.state_files(user) == before
    (user.home / "Clusterfile").write_text(CLUSTERFILE.replace("TTL", "20m"))
    near = user.run(*UP)
    assert near.rc == 3, near
    assert "after 30 minutes at the earliest" in near.err
    (user.home / "Clusterfile").write_text(CLUSTERFILE.replace("TTL", "2h"))
    assert simulator.account.mutations() == []
    assert not (user.state / "backend").exists()


def what_no_other_choice_helps_against_stops(user: Product, simulator: Simulator) -> None:
    """Only stock, quota and price lead to another choice."""
    simulator.account.faults.add(Fault("RunInstances", "InvalidParameter.Conflict", where=DEAR))
    answer = user.run(*UP, timeout=PATIENCE)
    assert answer.rc == 6, answer
    assert "InvalidParameter.Conflict" in answer.err
    assert sorted(machines(simulator)) == ["cheap1", "m1"]
    assert bought(simulator, **DEAR) == ["InvalidParameter.Conflict"], "nothing else was tried"
    simulator.account.faults.clear()


def a_machine_that_does_not_answer(user: Product, simulator: Simulator) -> None:
    """Its user-data broke off: said with the console, within the time, and gone on with when it boots rightly."""
    account, real, first = simulator.account, simulator.account.hosts.real, machines(simulator)
    account.faults.add(spot_refused(**DEAR))
    real.spoil = lambda name, data: b"#!/bin/sh\necho no space left >&2\nexit 3\n" if name == "dear1" else data
    user.program = program(seconds=20)
    answer = user.run(*UP, timeout=PATIENCE)
    user.program = Product.program
    assert answer.rc == 7, answer
    limit, end = "within 20 s", "user-data ended with 3: no space left"
    for word in ("dear1", limit, end, "tcp 22/22 from 0.0.0.0/0", "Running"):
        assert word in answer.err, word
    assert answer.err.count("InvalidSpotPriceLimit.LowerThanPublicPrice") >= 2, "what was tried is said"
    made = machines(simulator)
    assert made.items() > first.items()
    assert bought(simulator, **DEAR)[1:] == ["InvalidSpotPriceLimit.LowerThanPublicPrice"] * 2, (
        "in one zone, in the other"
    )
    assert user.status()["phase"] == "incomplete"
    account.faults.clear()

    real.boot_again(made["dear1"])
    user.ok(*UP, timeout=PATIENCE)
    assert machines(simulator) == made, "nothing was bought again"
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 3


def nobody_elses_key(user: Product, simulator: Simulator) -> None:
    """To another account all of it looks gone: refused before anything is made or forgotten."""
    key, secret, number = STRANGER
    other, start = simulator.another_account(key, secret, number), len(simulator.account.log)
    before = tiny.state_files(user)
    own = {name: user.extra[f"ALIBABA_CLOUD_ACCESS_KEY_{name}"] for name in ("ID", "SECRET")}
    user.extra |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": key, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}
    for words in (UP, (*UP, "--masters", "3"), down_words("web")):
        answer = user.run(*words, timeout=PATIENCE)
        assert answer.rc == 5, answer
        assert number in answer.err
        assert not [word for word in (secret, SECRET) if word in answer.out + answer.err]
    user.extra |= {f"ALIBABA_CLOUD_ACCESS_KEY_{name}": text for name, text in own.items()}
    assert other.mutations() == simulator.account.mutations(start) == []
    assert tiny.state_files(user) == before


def its_time_is_over(user: Product, simulator: Simulator) -> None:
    """The service ended the machines: said, never made again by itself, and the rest is removed."""
    account = simulator.account
    account.now = lambda: datetime.now(UTC) + timedelta(hours=3)
    assert good(simulator, "ecs", "DescribeInstances")["TotalCount"] == 0
    user.program = program(hours=3)
    seen = user.status()
    assert (seen["phase"], {h["state"] for h in seen["hosts"]}) == ("expired", {"unreachable"})
    start = len(account.log)
    again = user.run(*UP, timeout=PATIENCE)
    assert again.rc == 3, again
    assert "it is not made again by itself" in again.err
    moved = user.run("ttl", "extend", "web", "1h")
    assert moved.rc == 3, moved
    assert "up -n web --ttl 2h" in moved.err
    assert account.mutations(start) == []
    user.ok(*down_words("web"), timeout=PATIENCE)
    assert account.store.counts() == {}
    assert user.ok("list", "-o", "json").json["clusters"] == []
