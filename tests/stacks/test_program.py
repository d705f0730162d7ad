"""The program of a cluster under Pulumi's mocks: what it declares, in which order, and what it hands out."""

import asyncio
import subprocess
import sys

import pulumi
import pytest

from drivers.local.driver import LocalDriver
from drivers.local.spec import parse_local
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool, parse_accepted
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, RunId
from stacks.program import build_program

CID = ClusterId("etcd-abcdef")
RUN = RunId("20261124T120000Z-abcdef")
COMPUTED = {
    "sealer:index:Intent": {"loginPublic": "ssh-ed25519 AAAA x", "loginPrivate": "canary-login", "hmac": "canary-hmac"},
    "sealer:local:Network": {"cidr": "10.213.1.0/24", "gateway": "10.213.1.1"},
}


class Mocks(pulumi.runtime.Mocks):
    """Echoes inputs and computed fields: an output that a mock leaves out would just vanish."""

    def __init__(self):
        self.resources = {}
        self.requests = {}
        self.at_the_end = []
        self.said = []

    def new_resource(self, args):
        self.resources[args.name] = args
        made = COMPUTED.get(args.typ) or {
            "address": f"10.213.1.{10 + int(args.inputs['slot'])}",
            "hostKey": f"ssh-ed25519 KEY{args.name}",
            "machineId": f"id-{args.name}",
            "running": True,
        }
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args):
        raise AssertionError("the program asks nothing")


def accepted(masters=1, nodes=2, network=None):
    names = [("m", "master", n) for n in range(masters)] + [("n", "node", n) for n in range(nodes)]
    return Accepted(
        cluster="etcd",
        provider="local",
        image=AcceptedImage(reference="etcd:v1", repository="etcd", digest="sha256:" + "0" * 64),
        pools=(
            AcceptedPool(name="master", roles=("master",), count=masters),
            AcceptedPool(name="node", roles=("node",), count=nodes),
        ),
        hosts=tuple(
            AcceptedHost(name=f"{short}{n + 1}", pool=role, roles=(role,), slot=slot)
            for slot, (short, role, n) in enumerate(names)
        ),
        env={"hmac": "1", "login_public": "2", "schemaVersion": "3"},
        data_root="/var/lib/sealer/data",
        network=network or {},
    )


@pytest.fixture
def loop():
    """Pulumi's mocks take the thread's loop, which any test that ran a loop before has taken away."""
    own = asyncio.new_event_loop()
    asyncio.set_event_loop(own)
    yield own
    asyncio.set_event_loop(None)
    own.close()


@pytest.fixture
def run(monkeypatch, loop):
    """Run a program to its end; returns mocks, exports, and what the sink got."""

    def run_it(request, preview=False):
        from pulumi.runtime import mocks as runtime_mocks
        from pulumi.runtime import test
        from pulumi.runtime.settings import _get_rpc_manager

        mocks, exports, sunk = Mocks(), {}, []

        class Monitor(runtime_mocks.MockMonitor):
            def RegisterResource(self, request):  # noqa: N802
                mocks.requests[request.name] = request
                return super().RegisterResource(request)

        class Engine(runtime_mocks.MockEngine):
            def Log(self, request):  # noqa: N802
                mocks.said.append(request)

        monkeypatch.setattr(runtime_mocks, "MockMonitor", Monitor)
        monkeypatch.setattr(runtime_mocks, "MockEngine", Engine)
        pulumi.runtime.set_mocks(mocks, project="sealer-cloud", stack="etcd", preview=preview)
        monkeypatch.setattr(pulumi, "export", exports.__setitem__)
        program = build_program(LocalDriver(), parse_local(request), request, Marks(CID, RUN))

        @test
        def whole():
            ended = program(lambda kind, value: sunk.append((kind, value)))
            ended.add_done_callback(lambda _: mocks.at_the_end.extend(_get_rpc_manager().rpcs))
            return pulumi.Output.all(**exports).apply(exports.update)

        whole()
        return mocks, exports, sunk

    return run_it


def names(urns):
    return sorted(urn.rpartition("::")[2] for urn in urns)


def test_intent_first_then_network_and_hosts(run):
    mocks, _, _ = run(accepted())
    types = {name: args.typ for name, args in mocks.resources.items()}
    assert types == {
        "intent": "sealer:index:Intent",
        "network": "sealer:local:Network",
        "m1": "sealer:local:Host",
        "n1": "sealer:local:Host",
        "n2": "sealer:local:Host",
    }
    requests = mocks.requests
    assert names(requests["intent"].dependencies) == []
    assert names(requests["network"].dependencies) == ["intent"]
    for host in ("m1", "n1", "n2"):
        assert names(requests[host].dependencies) == ["intent", "network"], "hosts depend on no other host"
        assert names(requests[host].propertyDependencies["loginPublic"].urns) == ["intent"]
        assert names(requests[host].propertyDependencies["network"].urns) == ["network"]
    for name in mocks.resources:
        request = requests[name]
        assert request.version == "0.1.0"
        if name != "intent":
            assert request.customTimeouts.create
            assert request.customTimeouts.delete


def test_what_the_resources_are_told(run):
    request = accepted(network={"cidr": "10.9.0.0/24"})
    mocks, _, _ = run(request)
    told = dict(mocks.resources["intent"].inputs)
    assert parse_accepted(told.pop("request")) == request, "no key within is renamed"
    assert told == {"schemaVersion": 1, "cid": CID, "secrets": {}}
    assert mocks.resources["network"].inputs == {"cid": CID, "cidr": "10.9.0.0/24"}
    assert mocks.resources["n2"].inputs == {
        "cid": CID,
        "name": "n2",
        "slot": 2,
        "roles": ["node"],
        "loginPublic": "ssh-ed25519 AAAA x",
        "network": CID,
    }
    secret = set(mocks.requests["intent"].additionalSecretOutputs)
    assert secret == {"loginPrivate", "hmac", "secrets"}


def test_what_is_handed_out(run):
    _, exports, sunk = run(accepted(masters=1, nodes=1))
    m1 = {
        "name": "m1",
        "address": "10.213.1.10",
        "roles": ["master"],
        "ssh": {"host": "10.213.1.10", "port": 22, "user": "root"},
        "hostKeys": ["ssh-ed25519 KEYm1"],
        "machineId": "id-m1",
        "running": True,
    }
    assert exports["cid"] == CID
    assert [h["name"] for h in exports["hosts"]] == ["m1", "n1"]
    assert exports["hosts"][0] == m1
    assert "canary" not in str(exports)
    keys = {"loginPrivate": "canary-login", "loginPublic": "ssh-ed25519 AAAA x", "hmac": "canary-hmac"}
    assert [value for kind, value in sunk if kind == "keys"] == [keys]
    assert sorted(value["name"] for kind, value in sunk if kind == "host") == ["m1", "n1"]
    assert ("host", m1) in sunk


def test_the_program_ends_when_every_registration_has_begun(run):
    """Only those does the SDK wait for one by one; for all else it looks at everything again and again."""
    mocks, _, _ = run(accepted(masters=1, nodes=40))
    assert len(mocks.at_the_end) >= len(mocks.resources) == 43


def test_no_call_stack_of_this_machine_goes_into_the_state(run):
    mocks, _, _ = run(accepted())
    assert not [name for name, r in mocks.requests.items() if r.stackTrace.frames or r.sourcePosition.uri]
    assert not hasattr(sys, "tracebacklimit"), "tracebacks are whole again"


def test_the_sdk_calls_the_engine_for_no_debug_line(run):
    """It would wait for the answer to each, and the engine drops them."""
    import provisioner.infra.automation  # noqa: F401 - as in the product: it says so to the SDK

    mocks, _, _ = run(accepted())
    assert mocks.said == []


def test_building_a_program_imports_no_pulumi():
    code = "import stacks.program, sys; print('pulumi' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"False"


def test_keys_within_a_request_come_back_as_they_went_in():
    from pulumi.runtime import test

    from pulumi_sealer import Intent

    pulumi.runtime.set_mocks(Mocks())
    request, seen = {"schemaVersion": 1, "hostKey": {"loginPublic": [1]}}, []

    @test
    def whole():
        intent = Intent("intent", cid=CID, request=request, secrets={"hostKey": "canary"})
        return pulumi.Output.all(intent.request, intent.secrets, intent.schema_version).apply(seen.append)

    whole()
    assert seen == [[request, {"hostKey": "canary"}, 1]]
