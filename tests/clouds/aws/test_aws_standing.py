"""A cluster that stands, and what happens to it: quota, keys, state, machines, refusals."""

import itertools
import json
import shutil
import time
from pathlib import Path

import pytest

from tests.clouds.aws.cloud import KEY, SECRET
from tests.clouds.aws.gate import Fault
from tests.clouds.aws.scene import down_words, ids, living, make_user, up_words, write_infra
from tests.clouds.moments import checkpoint

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(900)]


def silent_about(answer, *more):
    """No key, no signature, no address in what it said."""
    text = answer.out + answer.err
    assert not [word for word in (KEY, SECRET, "Signature=", "X-Amz", "http://", *more) if word in text], text


def test_what_happens_to_a_cluster_that_stands(real_cloud, app_image, tmp_path):
    cloud, gate = real_cloud, real_cloud.gate
    user = make_user(cloud, tmp_path / "user", app_image, "stand")
    write_infra(user, cloud, nodes=4)
    up, down = up_words("stand"), down_words("stand")

    two_of_five(user, cloud, up)
    user.ok(*down)
    assert cloud.standing() == [], "what was recorded goes"
    first, before = two_of_five(user, cloud, up), gate.mutations().count("RunInstances")
    user.ok(*up)
    bought = ids(cloud)
    assert len(bought) == 5
    assert bought.items() > first.items(), "and what was recorded is gone on with"
    assert gate.mutations().count("RunInstances") == before + 3
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 5
    start = len(gate.log)

    nobody_may_touch_it(user, cloud, up, down)
    assert gate.mutations(start) == []
    assert ids(cloud) == bought

    stranger = replaced_by_a_stranger(user, cloud, up, bought)
    cloud.client().terminate_instances(InstanceIds=[stranger])

    # A machine that may not be ended: what is left is named, and the same command goes on once it may be.
    kept = ids(cloud)["n1"]
    gate.fault("TerminateInstances", "OperationNotPermitted", where=lambda c: kept in str(c.params))
    answer = user.run(*down)
    assert answer.rc == 6, answer
    assert kept in answer.out + answer.err
    assert "is gone" not in answer.out
    assert set(ids(cloud)) == {"n1"}
    gate.faults.clear()
    user.ok(*down)
    assert cloud.standing() == []
    assert living(user) == {}


def two_of_five(user, cloud, up):
    """The quota ends after two of five: no host is touched, and the two stand in the state; their ids by host."""
    gate = cloud.gate
    full = gate.mutations().count("RunInstances") + 2
    gate.fault(
        "RunInstances", "VcpuLimitExceeded", where=lambda _: gate.mutations().count("RunInstances") >= full
    )  # fmt: skip
    answer = user.run(*up)
    gate.faults.clear()
    assert answer.rc == 13, answer
    assert "VcpuLimitExceeded" in answer.err
    made = ids(cloud)
    assert len(made) == 2
    assert [ledgers(cloud, own) for own in made.values()] == [[], []], "no host is touched while one is missing"
    state = "".join(path.read_text(errors="replace") for path in (user.state / "backend").rglob("*.json"))
    assert all(own in state for own in made.values()), "what was made is recorded"
    return made


def ledgers(cloud, own):
    """What stage 2 left on the disk of a machine."""
    host = cloud.hosts.hosts[own]
    disk = Path("/var/lib/sealer-cloud/local", host.cid, "hosts", host.name, "disk/real")
    assert disk.is_dir()
    return list(disk.rglob("ledger.jsonl"))


def nobody_may_touch_it(user, cloud, up, down):
    """Wrong keys, a cloud that knows nothing any more, no answer at all, no state: refused, and nothing is changed."""
    gate = cloud.gate
    gate.fault("", "AuthFailure", status=401)
    for words in (up, down):
        answer = user.run(*words)
        assert answer.rc == 5, answer
        silent_about(answer)
    gate.faults.clear()

    gate.hidden.add("")  # every list is empty
    answer = user.run(*up)
    assert answer.rc == 6, answer
    assert "gone" in answer.err
    gate.hidden.clear()
    emptied_after_the_preview(user, gate, up)

    gate.fault("", drop=True)
    begun = time.monotonic()
    answer = user.run(*up)
    assert answer.rc == 6, answer
    assert time.monotonic() - begun < 120
    silent_about(answer, "127.0.0.1:")
    gate.faults.clear()

    aside = user.home / "aside"
    shutil.move(user.state, aside)
    answer = user.run(*up)
    assert answer.rc == 3, answer
    assert "stand-" in answer.err, "the cluster that stands is named"
    shutil.rmtree(user.state, ignore_errors=True)
    shutil.move(aside, user.state)


def emptied_after_the_preview(user, gate, up):
    """As above, or the key is deleted, from the last look before the engine's own run on: the state stays what it was."""
    before = recorded(user)
    for begin, rc in (
        (lambda: gate.hidden.add(""), 6),
        (lambda: gate.faults.insert(0, Fault("", "AuthFailure", status=401)), 5),
    ):
        looks = gate.fault("GetCallerIdentity", acted=True, then=counting(2, begin))
        answer = user.run(*up, "-e", "COLOUR=red")
        assert (answer.rc, recorded(user)) == (rc, before), answer
        assert looks.hits >= 2
        gate.faults.clear()
        gate.hidden.clear()


def recorded(user):
    """Ids of all that the engine's state holds."""
    return sorted(r["id"] for r in json.loads(checkpoint(user))["checkpoint"]["latest"]["resources"] if "id" in r)


def counting(wanted, then):
    """What does `then` the so many-th time that it is called."""
    calls = itertools.count(1)
    return lambda: then() if next(calls) == wanted else None


def replaced_by_a_stranger(user, cloud, up, bought):
    """n1 was removed by hand, and its address is another machine's now: a new n1 is made, the other is left alone."""
    ec2 = cloud.client()
    before = cloud.addresses[bought["n1"]]
    subnet = cloud.machines()["n1"]["SubnetId"]
    ec2.terminate_instances(InstanceIds=[bought["n1"]])
    given = {"ImageId": cloud.image(), "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet}
    stranger = ec2.run_instances(**given)["Instances"][0]["InstanceId"]
    assert cloud.addresses[stranger] == before
    user.ok(*up, "--allow-delete")
    now = ids(cloud)
    assert now["m1"] == bought["m1"]
    assert now["n1"] not in (bought["n1"], stranger)
    assert [h["state"] for h in user.status()["hosts"]] == ["healthy"] * 5
    assert ledgers(cloud, stranger) == [], "nothing was laid there"
    return stranger


@pytest.mark.parametrize("what", ["no key", "unknown key", "wrong secret", "expired token", "no permission"])
def test_credentials_are_refused_before_anything_is_made(cloud, app_image, tmp_path, what):
    user, gate = make_user(cloud, tmp_path / "user", app_image, "web"), cloud.gate
    write_infra(user, cloud)
    codes = {
        "no key": ("", "NobodyMayAsk"),
        "unknown key": ("", "InvalidClientTokenId"),
        "wrong secret": ("", "SignatureDoesNotMatch"),
        "expired token": ("", "ExpiredToken"),
    }
    if what == "no key":
        none = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
        user.extra |= {**none, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    gate.fault(*codes.get(what, ("DescribeImages", "UnauthorizedOperation")), status=403)
    answer = user.run(*up_words("web"))
    assert answer.rc == 5, answer
    assert gate.mutations() == []
    assert cloud.standing() == []
    silent_about(answer)
