"""Two clusters in a network that stands before and after them; one of them meets what may happen, up to its deadline."""

import time

import pytest

from tests.clouds.aws.cloud import KEY, SECRET
from tests.clouds.aws.scene import down_words, ids, living, make_user, up_words, write_infra
from tests.clouds.othertime import program
from tests.e2e.product import Product
from tests.e2e.tiny import state_files

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]

SPOT = ", spot: {maxPrice: {perHostHour: 0.9, currency: USD}, fallback: on-demand}"
SHARED = "  network: {shared: ci}\n"
STRANGER, NUMBER = "AKIASTRANGER00000001", "210987654321"
TIMER = "/etc/sealer-cloud/power-off-at"
NETWORK = ("--provider", "aws", "--yes")


def test_two_clusters_in_a_network_that_stays(real_cloud, app_image, tmp_path):
    cloud, gate = real_cloud, real_cloud.gate
    user = make_user(cloud, tmp_path / "user", app_image, "one")
    user.ok("network", "create", "ci", *NETWORK)
    network = cloud.standing()
    write_infra(user, cloud, nodes=0, head=SHARED)
    user.ok(*up_words("two"))
    two = ids(cloud, "two")

    write_infra(user, cloud, more=SPOT, head=f"{SHARED}  ttl: 2h\n")
    a_refusal_that_no_other_choice_helps_against(user, cloud)
    a_machine_that_says_nothing(user, cloud)
    (spot,) = [m for m in cloud.machines(cluster="one").values() if m.get("InstanceLifecycle") == "spot"]
    limits = {
        c.params.get("InstanceMarketOptions.SpotOptions.MaxPrice") for c in gate.log if c.action == "RunInstances"
    }
    assert limits == {None, "0.9"}
    assert {m["SubnetId"] for m in cloud.machines(cluster="one").values()} <= set(network)
    nobody_elses_key(user, cloud)
    its_time_is_over(user, cloud, spot["InstanceId"])

    assert (ids(cloud, "one"), ids(cloud, "two")) == ({}, two)
    assert [h["state"] for h in user.ok("status", "two", "-o", "json").json["hosts"]] == ["healthy"]
    assert user.run("network", "delete", "ci", *NETWORK).rc == 3
    user.ok(*down_words("two"))
    assert cloud.standing() == network
    user.ok("network", "delete", "ci", *NETWORK)
    assert cloud.standing() == []
    assert living(user) == {}


def a_refusal_that_no_other_choice_helps_against(user, cloud):
    """Only capacity and price lead to another choice: here nothing else is tried."""
    cloud.gate.fault("RunInstances", "InvalidParameterValue", where=lambda c: "0.9" in c.params.values())
    answer = user.run(*up_words("one"))
    assert answer.rc == 6, answer
    assert "InvalidParameterValue" in answer.err
    assert [c.code for c in cloud.gate.log if c.action == "RunInstances"] in (
        ["", "", "InvalidParameterValue"],
        ["", "InvalidParameterValue", ""],
    )
    cloud.gate.faults.clear()


def a_machine_that_says_nothing(user, cloud):
    """Its port takes connections and nobody speaks: told with what EC2 knows, within the time, and gone on with later."""
    cloud.hosts.mute.add("n1")
    user.program = program(seconds=20)
    answer = user.run(*up_words("one"))
    user.program = Product.program
    assert answer.rc == 7, answer
    for word in (
        "n1 was not reached by SSH within 20 s",
        "the machine is running",
        "lets in: 22",
        "the default route",
        "console",
    ):
        assert word in answer.err, word
    made = user.ok("status", "one", "-o", "json").json
    assert made["phase"] == "incomplete"
    cloud.hosts.mute.clear()
    before = ids(cloud, "one")
    cloud.hosts.speak(before["n1"])
    user.ok(*up_words("one"))
    assert ids(cloud, "one") == before, "nothing was bought again"
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 2


def nobody_elses_key(user, cloud):
    """To another account all of it looks gone: refused before anything is made or forgotten."""
    gate, before = cloud.gate, state_files(user)
    gate.accounts[STRANGER] = NUMBER
    start = len(gate.log)
    user.extra["AWS_ACCESS_KEY_ID"] = STRANGER
    write_infra(user, cloud, nodes=2, more=SPOT, head=f"{SHARED}  ttl: 2h\n")
    for words in (up_words("one"), down_words("one")):
        answer = user.run(*words)
        assert answer.rc == 5, answer
        assert NUMBER in answer.err
        assert SECRET not in answer.out + answer.err
    assert gate.mutations(start) == []
    assert {c.key for c in gate.log[start:]} == {STRANGER}
    assert state_files(user) == before
    user.extra["AWS_ACCESS_KEY_ID"] = KEY
    write_infra(user, cloud, more=SPOT, head=f"{SHARED}  ttl: 2h\n")


def its_time_is_over(user, cloud, spot):
    """The timers of its machines find the time past and turn them off, and EC2 ends them. What is left costs nothing."""
    wakes = f"echo 1 >{TIMER}; pkill -P $(cat /run/sealer-cloud-power-off.pid) sleep"
    for host in ("n1", "m1"):  # the way to n1 leads through m1; whether it still answers when it goes, nobody knows
        user.run("exec", "one", "--host", host, "--", "sh", "-c", wakes)
    limit, off = time.monotonic() + 60, []
    while len(off) < 2:
        assert time.monotonic() < limit, off
        time.sleep(0.1)
        off += cloud.shut_down()
    assert spot in off

    user.program = program(hours=3)
    seen = user.ok("status", "one", "-o", "json").json
    assert (seen["phase"], {h["state"] for h in seen["hosts"]}) == ("expired", {"unreachable"})
    start = len(cloud.gate.log)
    again = user.run(*up_words("one"))
    assert again.rc == 3, again
    assert "it is not made again by itself" in again.err
    assert cloud.gate.mutations(start) == []
    user.ok("gc", "--provider", "aws", "--yes")
    user.ok(*down_words("one"))
    user.program = Product.program
    assert [c["cluster"] for c in user.ok("list", "-o", "json").json["clusters"]] == ["two"]
