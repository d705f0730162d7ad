"""The servicer over a real channel. What concerns machines runs on the fake and, as root, on real ones."""

import json
import secrets
import threading

import grpc
import pytest
from google.protobuf import empty_pb2

from drivers.local.defaults import default_paths
from drivers.local.look import leftovers
from drivers.local.sweep import sweep
from provisioner.errors import CapacityError, PreconditionError
from provisioner.failpoints import failpoint_of, no_failpoint
from provisioner.model.wire import from_wire
from provisioner.plugin.gate import Gate
from provisioner.plugin.host import HostKind
from provisioner.plugin.hostidentity import HostIdentityKind
from provisioner.plugin.hostkey import HostKeyKind
from provisioner.plugin.intent import IntentKind
from provisioner.plugin.machines import local_machines
from provisioner.plugin.main import make_server
from provisioner.plugin.network import NetworkKind
from provisioner.plugin.service import SealerProvider
from tests.contract.plugin.wire import UNKNOWN, Client, plugin_pb2, provider_pb2, secret, struct, urn
from tests.fakes.machines import FakeMachines

INTENT, NETWORK, HOST = "sealer:index:Intent", "sealer:local:Network", "sealer:local:Host"
REQUEST = {"cluster": "etcd", "env": {"A": "1"}, "hosts": [], "cmd": None}


def serve(machines, failpoint=no_failpoint):
    provider = SealerProvider((IntentKind(), NetworkKind(machines), HostKind(machines)), Gate(), failpoint)
    server, port = make_server(provider)
    return server, Client(port)


@pytest.fixture
def machines():
    return FakeMachines()


@pytest.fixture
def client(machines):
    server, client = serve(machines)
    yield client
    client.close()
    server.stop(None).wait()


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.hosts, pytest.mark.slow])])
def cluster(request):
    """A client, and a cid whose machines are gone afterwards whatever happens."""
    real = request.param == "real"
    machines = local_machines() if real else FakeMachines()
    cid = "plug-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(6))
    server, client = serve(lambda: machines)
    try:
        yield client, cid, machines
    finally:
        client.close()
        server.stop(None).wait()
        if real:
            sweep(cid, default_paths())
            assert leftovers(cid, default_paths()) == ()


def host_inputs(cid, name="m1", slot=0):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPJ0gqsBbn2pWHqG4lvXvPMpRvRWE2P3ijCHyLjhYKfY test"
    return {"cid": cid, "name": name, "slot": slot, "roles": ["master"], "loginPublic": key, "network": cid}


def status(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# --- the protocol


def test_what_the_plugin_offers(client):
    shaken = client.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="x"))
    assert (shaken.accept_secrets, shaken.accept_outputs, shaken.accept_resources) == (True, True, False)
    configured = client.stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True))
    assert configured.supportsPreview
    assert configured.acceptSecrets
    assert configured.acceptOutputs
    assert client.stub.GetPluginInfo(empty_pb2.Empty()).version
    client.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    checked = client.stub.CheckConfig(provider_pb2.CheckRequest(urn="x", news=struct({"version": "0.1.0"})))
    assert checked.inputs["version"] == "0.1.0"
    config = client.stub.DiffConfig(provider_pb2.DiffRequest(olds=struct({}), news=struct({"version": "9.0.0"})))
    assert config.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_the_schema_names_every_field(client):
    schema = json.loads(client.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert (schema["name"], "%" in schema["version"]) == ("sealer", False)
    for kind in (IntentKind, NetworkKind, HostKind, HostKeyKind, HostIdentityKind):
        resource = schema["resources"][kind.type_name]
        assert set(resource["inputProperties"]) == set(kind.fields)
        assert set(resource["requiredInputs"]) == {k for k, f in kind.fields.items() if f.required}
        assert set(kind.fields) <= set(resource["properties"])
        assert set(resource["required"]) <= set(resource["properties"])
    secrets_of = {k for k, p in schema["resources"][INTENT]["properties"].items() if p.get("secret")}
    assert secrets_of == {"loginPrivate", "hmac"}


def test_what_is_not_offered_says_so(client, capfd):
    stub = client.stub
    calls = [
        lambda: stub.Invoke(provider_pb2.InvokeRequest(tok="sealer:index:get")),
        lambda: stub.Call(provider_pb2.CallRequest()),
        lambda: stub.Construct(provider_pb2.ConstructRequest()),
        lambda: stub.Parameterize(provider_pb2.ParameterizeRequest()),
        lambda: stub.GetMapping(provider_pb2.GetMappingRequest()),
        lambda: stub.GetMappings(provider_pb2.GetMappingsRequest()),
        lambda: list(stub.List(provider_pb2.ListRequest())),
    ]
    for call in calls:
        assert status(call) == (grpc.StatusCode.UNIMPLEMENTED, "not offered by pulumi-resource-sealer")
    assert capfd.readouterr() == ("", ""), "the engine would show what is logged"


def test_a_test_may_end_it_between_the_make_and_the_word(machines):
    server, client = serve(machines, failpoint_of("made-Intent=fail"))
    inputs = {"schemaVersion": 1, "cid": "etcd-abcdef", "request": REQUEST}
    client.create(INTENT, inputs, preview=True)
    assert "SealerError at failpoints" in status(lambda: client.create(INTENT, inputs))[1]
    client.close()
    server.stop(None).wait()
    assert failpoint_of("") is no_failpoint


def test_unknown_types_and_imports_are_refused(client):
    code, text = status(lambda: client.create("sealer:local:Disk", {}))
    assert (code, "sealer:local:Disk is no resource" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    code, text = status(lambda: client.read(HOST, "etcd-abcdef/m1", {}, {}))
    assert (code, "cannot be imported" in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    bad = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17"}
    assert status(lambda: client.create(INTENT, {"request": bad}))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_check_reports_per_property(client):
    assert client.check(HOST, host_inputs("etcd-abcdef")) == []
    assert client.check(HOST, {**host_inputs("etcd-abcdef"), "loginPublic": UNKNOWN, "network": secret("x")}) == []
    failures = dict(client.check(HOST, {"cid": secret("canary"), "name": "m1", "slot": 999}))
    assert set(failures) == {"cid", "slot", "roles", "loginPublic", "network"}
    assert failures["roles"] == "is required"


# --- intent


def test_a_clusters_keys_live_as_long_as_the_cluster(client):
    inputs = {"schemaVersion": 1, "cid": "etcd-abcdef", "request": REQUEST, "secrets": {"token": secret("canary")}}
    assert client.check(INTENT, inputs) == []
    assert client.create(INTENT, inputs, preview=True) == (
        "",
        {**inputs, "loginPublic": UNKNOWN, "loginPrivate": secret(UNKNOWN), "hmac": secret(UNKNOWN)},
    )
    id_, made = client.create(INTENT, inputs)
    assert id_ == "etcd-abcdef"
    assert made["loginPrivate"]["value"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert made["secrets"] == {"token": secret("canary")}
    assert client.read(INTENT, id_, inputs, made) == (id_, made)

    same = client.diff(INTENT, id_, inputs, made, inputs)
    assert (same.changes, list(same.diffs)) == (provider_pb2.DiffResponse.DIFF_NONE, [])
    news = {**inputs, "request": {**REQUEST, "env": {"A": "2"}}}
    changed = client.diff(INTENT, id_, inputs, made, news)
    assert (changed.changes, list(changed.diffs)) == (provider_pb2.DiffResponse.DIFF_SOME, ["request"])
    assert list(changed.replaces) == []
    assert set(changed.stables) == {"loginPublic", "loginPrivate", "hmac"}
    for preview in (True, False):
        assert client.update(INTENT, id_, inputs, made, news, preview=preview) == {**made, "request": news["request"]}
    client.delete(INTENT, id_, inputs, made)


# --- machines, fake and real


def test_a_machines_life(cluster):
    client, cid, machines = cluster
    network_inputs = {"cid": cid}
    network_id, network = client.create(NETWORK, network_inputs)
    assert network_id == cid
    assert network["gateway"].startswith(network["cidr"].rpartition(".")[0])
    assert client.create(NETWORK, network_inputs) == (cid, network), "a create adopts what lies there"

    inputs = host_inputs(cid)
    id_, made = client.create(HOST, inputs)
    assert id_ == f"{cid}/m1"
    assert made["address"] == network["gateway"].rpartition(".")[0] + ".10"
    assert made["hostKey"].startswith("ssh-ed25519 AAAA")
    assert made["running"] is True
    assert client.create(HOST, inputs) == (id_, made)
    assert client.read(HOST, id_, inputs, made) == (id_, made)
    assert client.diff(HOST, id_, inputs, made, inputs).changes == provider_pb2.DiffResponse.DIFF_NONE

    news = {**inputs, "roles": ["master", "node"]}
    assert client.update(HOST, id_, inputs, made, news) == {**made, "roles": news["roles"]}
    client.delete(HOST, id_, inputs, made)
    client.delete(HOST, id_, inputs, made)
    assert client.read(HOST, id_, inputs, made) is None
    assert client.read(NETWORK, cid, network_inputs, network) == (cid, network)
    client.delete(NETWORK, cid, network_inputs, network)
    client.delete(NETWORK, cid, network_inputs, network)
    assert client.read(NETWORK, cid, network_inputs, network) is None
    assert machines.read_network(cid) is None


def test_hosts_are_made_in_parallel(cluster):
    client, cid, _ = cluster
    client.create(NETWORK, {"cid": cid})
    calls = [client.create_later(HOST, host_inputs(cid, f"m{n + 1}", n)) for n in range(3)]
    made = [call.result(60) for call in calls]
    assert len({m.properties["address"] for m in made}) == 3
    assert len({m.properties["machineId"] for m in made}) == 3
    assert len({m.properties["hostKey"] for m in made}) == 3


def test_a_stopped_host_is_started_in_place(client, machines):
    client.create(NETWORK, {"cid": "etcd-abcdef"})
    inputs = host_inputs("etcd-abcdef")
    id_, made = client.create(HOST, inputs)
    machines.set_running("etcd-abcdef", "m1", running=False)
    _, seen = client.read(HOST, id_, inputs, made)
    assert seen == {**made, "running": False}
    diff = client.diff(HOST, id_, inputs, seen, inputs)
    assert (diff.changes, list(diff.diffs)) == (provider_pb2.DiffResponse.DIFF_SOME, ["running"])
    assert (list(diff.replaces), diff.deleteBeforeReplace, diff.hasDetailedDiff) == ([], False, True)
    assert diff.detailedDiff["running"].kind == provider_pb2.PropertyDiff.UPDATE
    assert {"address", "hostKey", "machineId"} <= set(diff.stables)
    assert client.update(HOST, id_, inputs, seen, inputs, preview=True) == made
    assert machines.read_host("etcd-abcdef", "m1").running is False
    assert client.update(HOST, id_, inputs, seen, inputs) == made


def test_another_slot_needs_another_host(client):
    inputs = host_inputs("etcd-abcdef")
    diff = client.diff(HOST, "etcd-abcdef/m1", inputs, {**inputs, "running": True}, {**inputs, "slot": 4})
    assert (list(diff.replaces), diff.deleteBeforeReplace, list(diff.stables)) == (["slot"], True, [])
    assert diff.detailedDiff["slot"].kind == provider_pb2.PropertyDiff.UPDATE_REPLACE
    ignored = client.diff(
        HOST, "etcd-abcdef/m1", inputs, {**inputs, "running": True}, {**inputs, "slot": 4}, ignore=["slot"]
    )
    assert ignored.changes == provider_pb2.DiffResponse.DIFF_NONE


# --- errors, parallel calls, the end


def test_errors_keep_their_exit_code_and_leave_nothing_pending(client, machines):
    machines.fail["ensure_network etcd-abcdef"] = PreconditionError("root is needed", hint="sudo", evidence="canary")
    code, text = status(lambda: client.create(NETWORK, {"cid": "etcd-abcdef"}))
    (error,) = from_wire(text)
    assert (code, type(error), error.message, error.hint) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        PreconditionError,
        "root is needed",
        "sudo",
    )
    assert "canary" not in text
    machines.fail["delete_network etcd-abcdef"] = CapacityError("none")
    assert status(lambda: client.delete(NETWORK, "etcd-abcdef", {}, {}))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_bug_tells_no_values(client, machines, capfd):
    machines.fail["ensure_network etcd-abcdef"] = KeyError("canary")
    code, text = status(lambda: client.create(NETWORK, {"cid": "etcd-abcdef"}))
    assert (code, "KeyError at machines.py:" in text) == (grpc.StatusCode.INTERNAL, True)
    assert "canary" not in text + "".join(capfd.readouterr())


def test_as_many_at_once_as_the_engine_asks_for(client, machines):
    client.create(NETWORK, {"cid": "etcd-abcdef"})
    together = threading.Barrier(20, timeout=20)
    machines.hold = lambda _: together.wait()
    calls = [client.create_later(HOST, host_inputs("etcd-abcdef", f"n{n}", n)) for n in range(20)]
    assert len({call.result(30).id for call in calls}) == 20


def test_after_cancel_running_ones_end_and_no_new_one_begins(client, machines):
    begun, go_on = threading.Event(), threading.Event()

    def hold(_):
        begun.set()
        go_on.wait(20)

    machines.hold = hold
    running = client.stub.Create.future(
        provider_pb2.CreateRequest(urn=urn(NETWORK), properties=struct({"cid": "etcd-abcdef"}))
    )
    assert begun.wait(20)
    client.cancel()
    code, text = status(lambda: client.create(NETWORK, {"cid": "etcd-bcdefg"}))
    assert (code, from_wire(text)[0].exit_code) == (grpc.StatusCode.ABORTED, 130)
    assert client.check(NETWORK, {"cid": "etcd-abcdef"}) == [], "thinking is still allowed"
    go_on.set()
    assert running.result(20).id == "etcd-abcdef"
    assert machines.calls == ["ensure_network etcd-abcdef"]
    client.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    assert client.create(NETWORK, {"cid": "etcd-bcdefg"})[0] == "etcd-bcdefg", "another engine, another run"
