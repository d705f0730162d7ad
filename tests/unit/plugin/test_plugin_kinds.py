import pytest

from provisioner.errors import UsageError
from provisioner.plugin.host import HostKind
from provisioner.plugin.intent import IntentKind
from provisioner.plugin.keys import Keys, make_keys
from provisioner.plugin.kinds import Change, Failure, Old, check_fields
from provisioner.plugin.network import NetworkKind
from provisioner.plugin.values import UNKNOWN, SecretValue
from tests.fakes.machines import FakeMachines

CID = "etcd-abcdef"
KEY = "ssh-ed25519 AAAA sealer-cloud:etcd-abcdef"
INTENT = {"schemaVersion": 1.0, "cid": CID, "request": {"cluster": "etcd", "hosts": []}, "secrets": {}}
NETWORK = {"cid": CID}
HOST = {"cid": CID, "name": "m1", "slot": 0.0, "roles": ["master"], "loginPublic": KEY, "network": CID}
MADE = {"address": "10.213.0.10", "hostKey": "ssh-ed25519 AAAAfakem1", "machineId": "machine-1"}


@pytest.mark.parametrize(
    ("kind", "good", "wrong", "reason"),
    [
        (IntentKind, INTENT, {"schemaVersion": 2.0}, "newer than this sealer-cloud knows"),
        (IntentKind, INTENT, {"schemaVersion": "1"}, "must be a number"),
        (IntentKind, INTENT, {"cid": "etcd"}, "must be a cluster id"),
        (IntentKind, INTENT, {"request": []}, "must be an object"),
        (IntentKind, INTENT, {"request": None}, "is required"),
        (IntentKind, INTENT, {"extra": 1.0}, "is no input"),
        (NetworkKind, NETWORK, {"cid": SecretValue("UP-abcdef")}, "must be a cluster id"),
        (NetworkKind, NETWORK, {"cidr": "10.0.0.1/24"}, "is no IPv4 subnet"),
        (NetworkKind, NETWORK, {"cidr": "8.8.0.0/24"}, "no private subnet"),
        (HostKind, HOST, {"name": "../m1"}, "must be a host"),
        (HostKind, HOST, {"slot": 241.0}, "must be 0 to 240"),
        (HostKind, HOST, {"slot": 0.5}, "whole number"),
        (HostKind, HOST, {"slot": True}, "whole number"),
        (HostKind, HOST, {"roles": "master"}, "list of names"),
        (HostKind, HOST, {"roles": [1.0]}, "list of names"),
        (HostKind, HOST, {"loginPublic": "ssh-ed25519 AAAA\nssh-rsa BBBB"}, "one line"),
        (HostKind, HOST, {"network": 1.0}, "must be a text"),
    ],
)
def test_check_names_the_property(kind, good, wrong, reason):
    assert check_fields(kind.fields, good) == ()
    (failure,) = check_fields(kind.fields, {**good, **wrong})
    assert (failure.key, reason in failure.reason) == (next(iter(wrong)), True), failure


@pytest.mark.parametrize("kind", [IntentKind, NetworkKind, HostKind])
def test_all_failures_at_once_and_unknowns_pass(kind):
    required = tuple(Failure(k, "is required") for k, f in kind.fields.items() if f.required)
    assert check_fields(kind.fields, {"__defaults": []}) == required
    assert check_fields(kind.fields, dict.fromkeys(kind.fields, UNKNOWN)) == ()
    assert check_fields(kind.fields, dict.fromkeys(kind.fields, SecretValue(UNKNOWN))) == ()


def host_old(**changes):
    return Old(f"{CID}/m1", HOST, {**HOST, **MADE, "running": True, **changes})


@pytest.mark.parametrize(
    ("outputs", "news", "change"),
    [
        ({}, {}, Change()),
        ({}, {"slot": 0}, Change()),
        ({}, {"cid": SecretValue(CID)}, Change()),
        ({}, {"roles": ["master", "node"]}, Change(("roles",))),
        ({}, {"cid": "etcd-bcdefg"}, Change(("cid",), ("cid",))),
        ({}, {"name": "m2"}, Change(("name",), ("name",))),
        ({}, {"slot": 1.0}, Change(("slot",), ("slot",))),
        ({}, {"network": UNKNOWN}, Change(("network",), ("network",))),
        ({}, {"loginPublic": "ssh-ed25519 BBBB"}, Change(("loginPublic",), ("loginPublic",))),
        ({"running": False}, {}, Change(("running",))),
        ({"running": False}, {"roles": []}, Change(("roles", "running"))),
        ({"running": False}, {"slot": 2.0}, Change(("slot", "running"), ("slot",))),
        ({"machineId": "other"}, {}, Change()),
    ],
)
def test_host_diff(outputs, news, change):
    assert HostKind().diff(host_old(**outputs), {**HOST, **news}) == change


@pytest.mark.parametrize(
    ("inputs", "news", "change"),
    [
        ({}, {}, Change()),
        ({}, {"cidr": None}, Change()),
        ({}, {"cidr": "10.213.0.0/24"}, Change()),
        ({"cidr": "10.213.0.0/24"}, {}, Change()),
        ({}, {"cidr": "10.214.0.0/24"}, Change(("cidr",), ("cidr",))),
        ({}, {"cid": "etcd-bcdefg"}, Change(("cid",), ("cid",))),
    ],
)
def test_network_diff(inputs, news, change):
    outputs = {**NETWORK, "cidr": "10.213.0.0/24", "gateway": "10.213.0.1"}
    assert NetworkKind().diff(Old(CID, {**NETWORK, **inputs}, outputs), {**NETWORK, **news}) == change


@pytest.mark.parametrize("key", ["schemaVersion", "cid", "request", "secrets"])
def test_intent_is_never_replaced(key):
    change = IntentKind().diff(Old(CID, INTENT, INTENT), {**INTENT, key: {"other": 1.0}})
    assert change == Change((key,))


def test_intent_takes_the_keys_of_a_cluster_that_stands_and_makes_what_is_missing():
    kind = IntentKind(lambda cid: Keys(f"public {cid}", "private", "hmac"))
    pair = {"loginPublic": "their public", "loginPrivate": "their private"}
    _, made = kind.create({**INTENT, "keys": SecretValue({**pair, "hmac": "theirs"})}, preview=False)
    assert (made["loginPublic"], made["loginPrivate"]) == ("their public", SecretValue("their private"))
    assert (made["hmac"], "keys" in made) == (SecretValue("theirs"), False)
    _, made = kind.create({**INTENT, "keys": {"hmac": "theirs", "loginPublic": "half a pair"}}, preview=False)
    assert (made["loginPublic"], made["hmac"]) == (f"public {CID}", SecretValue("theirs"))
    old = Old(CID, {**INTENT, "keys": {"hmac": "theirs"}}, made)
    assert kind.diff(old, INTENT) == Change(), "said once: a later run without them changes nothing"


def test_intent_keeps_its_keys():
    kind = IntentKind(lambda cid: Keys(f"public {cid}", "private", "hmac"))
    id_, made = kind.create(INTENT, preview=False)
    assert (id_, made["loginPublic"]) == (CID, f"public {CID}")
    assert made["loginPrivate"] == SecretValue("private")
    news = {**INTENT, "request": {"cluster": "etcd", "hosts": ["m1"]}}
    for preview in (True, False):
        updated = kind.update(Old(CID, INTENT, made), news, preview=preview)
        assert updated == {**made, "request": news["request"]}
    assert kind.read(Old(CID, INTENT, made)) == made


def test_a_previewed_intent_knows_no_keys():
    _, made = IntentKind(lambda _: pytest.fail("a preview makes no keys")).create(INTENT, preview=True)
    assert made == {
        **INTENT,
        "loginPublic": UNKNOWN,
        "loginPrivate": SecretValue(UNKNOWN),
        "hmac": SecretValue(UNKNOWN),
    }


def test_keys_are_what_openssh_reads(tmp_path):
    import asyncssh

    keys = make_keys(CID)
    private = asyncssh.import_private_key(keys.login_private)
    public = asyncssh.import_public_key(keys.login_public)
    assert private.get_algorithm() == "ssh-ed25519"
    assert public.get_comment() == f"sealer-cloud:{CID}"
    assert private.export_public_key().split()[:2] == public.export_public_key().split()[:2]
    assert len(bytes.fromhex(keys.hmac)) == 32
    assert make_keys(CID) != keys
    assert "PRIVATE" not in repr(keys)
    assert keys.hmac not in repr(keys)


def test_previews_touch_nothing():
    def none():
        pytest.fail("a preview touches no machine")

    assert HostKind(none).create(HOST, preview=True)[1]["address"] is UNKNOWN
    assert HostKind(none).update(host_old(running=False), HOST, preview=True) == {**HOST, **MADE, "running": True}
    assert NetworkKind(none).create(NETWORK, preview=True)[1] == {**NETWORK, "cidr": UNKNOWN, "gateway": UNKNOWN}
    assert NetworkKind(none).create({**NETWORK, "cidr": "10.9.0.0/24"}, preview=True)[1]["cidr"] == "10.9.0.0/24"


def test_a_changed_role_touches_no_machine():
    def none():
        pytest.fail("roles are only words to stage 1")

    news = {**HOST, "roles": ["node"]}
    assert HostKind(none).update(host_old(), news, preview=False) == {**news, **MADE, "running": True}


def test_a_create_without_known_inputs_is_refused():
    machines = FakeMachines()
    with pytest.raises(UsageError, match="loginPublic must be a known text"):
        HostKind(machines).create({**HOST, "loginPublic": UNKNOWN}, preview=False)
    assert machines.calls == []
