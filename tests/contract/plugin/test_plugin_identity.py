"""HostKey and HostIdentity over a real channel; the first login itself: tests/contract/identity."""

import asyncio

import grpc
import pytest

from provisioner.errors import HostError, HostKeyError
from provisioner.model.wire import from_wire
from provisioner.plugin.gate import Gate
from provisioner.plugin.hostidentity import HostIdentityKind
from provisioner.plugin.hostkey import HostKeyKind
from provisioner.plugin.main import make_server
from provisioner.plugin.newcomers import diagnose_by_driver, establish_by_ssh
from provisioner.plugin.service import SealerProvider
from tests.contract.plugin.wire import UNKNOWN, Client, provider_pb2, secret
from tests.fakes.sshd import FakeSshd

KEY, IDENTITY = "sealer:index:HostKey", "sealer:index:HostIdentity"
CID = "etcd-abcdef"
WAY = {"host": "203.0.113.1", "port": 22, "user": "root", "hostKeys": ["ssh-ed25519 AAAAway"]}


class FakeCloud:
    """Machines that answer, or do not, and a provider that says why."""

    def __init__(self):
        self.seen = []
        self.error = None
        self.told = ()

    def establish(self, newcomer, wait):
        self.seen.append((newcomer, wait))
        if self.error:
            raise self.error

    def diagnose(self, provider, region, machine_id):
        self.seen.append((provider, region, machine_id))
        return self.told


@pytest.fixture
def cloud():
    return FakeCloud()


@pytest.fixture
def client(cloud):
    kinds = (HostKeyKind(), HostIdentityKind(cloud.establish, cloud.diagnose))
    server, port = make_server(SealerProvider(kinds, Gate()))
    made = Client(port)
    yield made
    made.close()
    server.stop(None).wait()


def inputs(**changes):
    return {
        "cid": CID,
        "host": "m1",
        "roles": ["master"],
        "address": "10.0.0.1",
        "sshHost": "203.0.113.5",
        "sshPort": 22,
        "sshUser": "root",
        "machineId": "i-1",
        "running": True,
        "bootstrapPublic": "ssh-ed25519 AAAAboot",
        "lastingPublic": "ssh-ed25519 AAAAlast",
        "lastingPrivate": secret("canary-lasting"),
        "loginPrivate": secret("canary-login"),
        "provider": "alicloud",
        "region": "cn-hangzhou",
        "waitSeconds": 600,
        **changes,
    }


def status(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# --- HostKey


def test_two_pairs_that_live_as_long_as_the_host(client):
    news = {"cid": CID, "host": "m1"}
    assert client.check(KEY, news) == []
    public, private = ("bootstrapPublic", "lastingPublic"), ("bootstrapPrivate", "lastingPrivate")
    assert client.create(KEY, news, preview=True) == (
        "",
        {**news, **dict.fromkeys(public, UNKNOWN), **dict.fromkeys(private, secret(UNKNOWN))},
    )
    id_, made = client.create(KEY, news)
    assert id_ == f"{CID}/m1"
    assert len({made[key] for key in public} | {made[key]["value"] for key in private}) == 4
    assert all(made[key].startswith("ssh-ed25519 AAAA") for key in public)
    assert all(made[key]["value"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----") for key in private)
    assert client.read(KEY, id_, news, made) == (id_, made)
    plain = {**made, **{key: made[key]["value"] for key in private}}
    assert client.read(KEY, id_, news, plain) == (id_, made), "marked again, whatever the engine sent"
    assert client.diff(KEY, id_, news, made, news).changes == provider_pb2.DiffResponse.DIFF_NONE
    for other in ({"host": "m2"}, {"cid": "etcd-bcdefg"}):
        assert list(client.diff(KEY, id_, news, made, {**news, **other}).replaces) == list(other)
    assert client.update(KEY, id_, news, made, news) == made
    client.delete(KEY, id_, news, made)


def test_a_machine_that_is_made_anew_gets_a_fresh_bootstrap_pair_once(client):
    """As older versions left it: nothing of `renew` in the state."""
    news = {"cid": CID, "host": "m1"}
    id_, made = client.create(KEY, news)
    asked = {**news, "renew": "run-1"}
    change = client.diff(KEY, id_, news, made, asked)
    assert (list(change.diffs), list(change.replaces), change.deleteBeforeReplace) == (["renew"], [], False)
    assert set(change.stables) == {"cid", "host", "lastingPublic", "lastingPrivate"}
    seen = client.update(KEY, id_, news, made, asked, preview=True)
    assert seen == {**made, **asked, "bootstrapPublic": UNKNOWN, "bootstrapPrivate": secret(UNKNOWN)}
    fresh = client.update(KEY, id_, news, made, asked)
    assert {key for key in made if fresh[key] != made[key]} == {"bootstrapPublic", "bootstrapPrivate"}
    assert fresh["bootstrapPrivate"]["value"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    for inputs_then in (asked, news):  # the next try of that run, and a run that says nothing, whatever was said before
        for said in (asked, news):
            told = client.diff(KEY, id_, inputs_then, client.read(KEY, id_, inputs_then, fresh)[1], said)
            assert told.changes == provider_pb2.DiffResponse.DIFF_NONE, (inputs_then, said)
    assert client.update(KEY, id_, news, fresh, news) == fresh
    again = client.update(KEY, id_, news, fresh, {**news, "renew": "run-2"})
    assert len({kept["bootstrapPublic"] for kept in (made, fresh, again)}) == 3


# --- HostIdentity


def test_a_machine_that_answers(client, cloud):
    news = inputs(jump=WAY)
    assert client.check(IDENTITY, news) == []
    id_, made = client.create(IDENTITY, news)
    assert id_ == f"{CID}/m1"
    assert made == {
        **news,
        "hostKeys": ["ssh-ed25519 AAAAlast"],
        "ssh": {"host": "203.0.113.5", "port": 22, "user": "root"},
    }
    ((newcomer, wait),) = cloud.seen
    assert (wait, newcomer.machine.name, newcomer.machine.ssh.host) == (600, "m1", "203.0.113.5")
    assert newcomer.machine.jump.target.host == "203.0.113.1"
    assert newcomer.machine.jump.host_keys == ("ssh-ed25519 AAAAway",)
    assert newcomer.lasting_private.reveal() == "canary-lasting"
    assert newcomer.login_private.reveal() == "canary-login"
    assert "canary" not in repr(newcomer)
    assert client.read(IDENTITY, id_, news, made) == (id_, made)
    plain = {**made, "lastingPrivate": "canary-lasting", "loginPrivate": "canary-login"}
    assert client.read(IDENTITY, id_, news, plain) == (id_, made)
    client.delete(IDENTITY, id_, news, made)
    assert len(cloud.seen) == 1, "nothing but the create touches the machine"


def test_a_preview_touches_nothing(client, cloud):
    unknown = inputs(machineId=UNKNOWN, address=UNKNOWN, sshHost=UNKNOWN, lastingPrivate=secret(UNKNOWN))
    assert client.check(IDENTITY, unknown) == []
    id_, made = client.create(IDENTITY, unknown, preview=True)
    assert (id_, made["hostKeys"], made["ssh"], made["address"]) == ("", UNKNOWN, UNKNOWN, UNKNOWN)
    assert made["lastingPrivate"] == secret(UNKNOWN)
    assert cloud.seen == []


@pytest.mark.parametrize(
    "change", [{"address": "10.0.0.2"}, {"sshHost": "203.0.113.9"}, {"roles": []}, {"running": False}, {"jump": WAY}]
)
def test_what_is_only_written_down(client, cloud, change):
    news = inputs()
    id_, made = client.create(IDENTITY, news)
    cloud.seen.clear()
    diff = client.diff(IDENTITY, id_, news, made, inputs(**change))
    assert (list(diff.diffs), list(diff.replaces)) == (list(change), [])
    for preview in (True, False):
        updated = client.update(IDENTITY, id_, news, made, inputs(**change), preview=preview)
        assert {key: updated[key] for key in change} == change
        assert updated["hostKeys"] == made["hostKeys"]
        assert updated["ssh"]["host"] == inputs(**change)["sshHost"]
    assert cloud.seen == []


@pytest.mark.parametrize(
    "change", [{"machineId": "i-2"}, {"machineId": UNKNOWN}, {"lastingPublic": "ssh-ed25519 AAAAx"}]
)
def test_another_machine_is_met_anew(client, change):
    news = inputs()
    diff = client.diff(IDENTITY, f"{CID}/m1", news, news, inputs(**change))
    assert list(diff.replaces) == list(change)


@pytest.mark.parametrize("change", [{"waitSeconds": 60}, {"loginPrivate": secret("x")}, {"lastingPrivate": "y"}])
def test_what_no_machine_is_met_again_for(client, change):
    news = inputs()
    diff = client.diff(IDENTITY, f"{CID}/m1", news, news, inputs(**change))
    assert diff.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_whether_it_runs_is_its_machines_to_say(client):
    news = inputs()
    id_, made = client.create(IDENTITY, news)
    _, seen = client.read(IDENTITY, id_, inputs(running=False), made)
    assert seen == {**made, "running": False}


@pytest.mark.parametrize("kind", [HostError, HostKeyError])
def test_the_cause_stands_beside_the_error(client, cloud, kind):
    cloud.error = kind("m1 was not reached", hint="look", host="m1")
    noise = [f"console: line {number} {'x' * 300}" for number in range(10)]
    cloud.told = ("machine is Running", "no rule lets port 22 in", *noise, "console: kernel\npanic")
    code, text = status(lambda: client.create(IDENTITY, inputs()))
    (error,) = from_wire(text)
    assert (code, error.exit_code, error.host, error.hint) == (grpc.StatusCode.FAILED_PRECONDITION, 7, "m1", "look")
    assert error.message.startswith(
        "m1 was not reached; machine is Running; no rule lets port 22 in; console: line 6 x"
    )
    assert error.message.endswith("; console: kernel panic"), "the newest says why"
    assert len(error.message) < 2000
    assert cloud.seen[-1] == ("alicloud", "cn-hangzhou", "i-1")
    assert "canary" not in text
    cloud.told = ("x" * 9000,)
    assert len(from_wire(status(lambda: client.create(IDENTITY, inputs()))[1])[0].message) < 2000
    cloud.told = ()
    assert from_wire(status(lambda: client.create(IDENTITY, inputs()))[1])[0].message == "m1 was not reached"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"sshPort": 0}, "sshPort"),
        ({"sshPort": True}, "sshPort"),
        ({"waitSeconds": 4000}, "waitSeconds"),
        ({"running": "yes"}, "running"),
        ({"host": "../m1"}, "host"),
        ({"address": ""}, "address"),
        ({"jump": "bastion"}, "jump"),
        ({"jump": {**WAY, "hostKeys": []}}, "jump"),
        ({"jump": {**WAY, "port": 70000}}, "jump"),
        ({"loginPrivate": secret("")}, "loginPrivate"),
    ],
)
def test_what_is_wrong_is_said_per_input(client, change, key):
    assert [k for k, _ in client.check(IDENTITY, inputs(**change))] == [key]
    assert client.check(IDENTITY, inputs(jump={**WAY, "host": UNKNOWN, "hostKeys": UNKNOWN})) == []


# --- the real seams


def test_the_real_seam_ends_early_when_the_run_does():
    from tests.contract.identity.test_first_login import newcomer

    async def nobody():
        server = FakeSshd()
        await server.start()
        machine = server.machine
        await server.close()
        return newcomer(machine, server.keys.login_private)

    from provisioner.errors import InterruptedRunError

    gate = Gate()
    gate.close()
    with pytest.raises(InterruptedRunError):
        establish_by_ssh(lambda: gate.closed)(asyncio.run(nobody()), 600)


def test_who_cannot_be_asked_says_nothing():
    assert diagnose_by_driver("local", "", "x") == ()
    assert diagnose_by_driver("nobody", "", "x") == ()
