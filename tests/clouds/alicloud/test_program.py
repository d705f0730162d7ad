"""The program under Pulumi's mocks: what it declares, after what, and that no credential is an input of anything."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import pulumi
import pytest
from pulumi.runtime import mocks as runtime_mocks

from provisioner.model.accepted import Accepted, AcceptedSpot
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, RunId
from stacks.program import build_program
from tests.clouds.alicloud.asked import CID, RUN, accepted, driver
from tests.clouds.alicloud.sim.server import KEY_ID, SECRET, Simulator
from tests.contract.driver.promises import KEY

pytestmark = pytest.mark.clouds
KINDS = ("bootstrap", "lasting")
PAIR = {
    **{f"{kind}Public": KEY for kind in KINDS},
    **{
        f"{kind}Private": f"-----BEGIN OPENSSH PRIVATE KEY-----\ncanary{kind}\n-----END OPENSSH PRIVATE KEY-----\n"
        for kind in KINDS
    },
}
COMPUTED = {
    "sealer:index:Intent": {"loginPublic": KEY, "loginPrivate": "canary-login", "hmac": "canary-hmac"},
    "sealer:index:HostKey": PAIR,
    "sealer:index:HostIdentity": {"ssh": {"host": "203.0.113.2", "port": 22, "user": "root"}, "hostKeys": [KEY]},
    "alicloud:ecs/instance:Instance": {"primaryIpAddress": "10.0.0.2", "publicIp": "203.0.113.2", "status": "Running"},
}
TAGGED = ("network", "subnet-cn-hangzhou-h", "hosts", "m1", "n1")


class Mocks(pulumi.runtime.Mocks):
    """Echoes inputs and computed fields."""

    def __init__(self) -> None:
        self.resources: dict[str, pulumi.runtime.MockResourceArgs] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, object]]:
        self.resources[args.name] = args
        return args.resource_id or f"{args.name}-id", {**args.inputs, **COMPUTED.get(args.typ, {})}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, object]:
        raise AssertionError(f"the program asks for {args.token}: what there is was looked up before")


class Declared:
    """What a run of the program registered: arguments (values) and requests (wire)."""

    def __init__(self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.simulator, self.mocks, self.requests = simulator, Mocks(), {}
        requests = self.requests

        class Monitor(runtime_mocks.MockMonitor):
            def RegisterResource(self, request):  # noqa: N802
                requests[request.name] = request
                return super().RegisterResource(request)

        monkeypatch.setattr(runtime_mocks, "MockMonitor", Monitor)
        monkeypatch.setattr(pulumi, "export", lambda _name, _value: None)

    def run(self, request: Accepted, adopt: dict[str, str] | None = None) -> dict[str, dict]:
        """Run it; returns the inputs by name."""
        one = driver(self.simulator)
        request = request.model_copy(update={"placement": one.choose(request, None, standing=frozenset()).placement})
        marks = Marks(ClusterId(CID), RunId(RUN), request.expires_at, "ci-7", "o/r")
        program = build_program(one, one.parse_spec(request), request, marks, adopt)
        pulumi.runtime.set_mocks(self.mocks, project="sealer-cloud", stack="demo")

        @runtime_mocks.test
        def whole():
            program(lambda _kind, _value: None)

        whole()
        return {name: dict(args.inputs) for name, args in self.mocks.resources.items()}


@pytest.fixture
def declared(alicloud: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Declared]:
    """A program's registrations, on a loop of its own."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield Declared(alicloud, monkeypatch)
    asyncio.set_event_loop(None)
    loop.close()


def names(urns: object) -> set[str]:
    return {str(urn).rpartition("::")[2] for urn in urns}  # type: ignore[attr-defined]


def test_all_that_can_carry_tags_carries_them_from_its_create_on(declared: Declared) -> None:
    inputs = declared.run(accepted(nodes=1, tags={"team": "ci"}, expires_at="2026-11-25T10:00:00Z"))
    for name in TAGGED:
        found = inputs[name]["tags"]
        assert found["team"] == "ci"
        own = {k.partition(":")[2]: v for k, v in found.items() if k.startswith("sealer-cloud:")}
        assert own.pop("host", name) == name
        assert own.pop("pool", "") in {"", "master", "node"}
        assert own == {
            "cluster": "demo", "cid": CID, "run": RUN, "expires-at": "2026-11-25T10:00:00Z", "ci-run": "ci-7", "repo": "o/r",
        }, name  # fmt: skip
        kept = {f'tags["sealer-cloud:{key}"]' for key in ("run", "ci-run", "repo")}
        assert kept <= set(declared.requests[name].ignoreChanges), "the maker is no drift; `ttl` takes none of it away"
    assert {inputs[h]["autoReleaseTime"] for h in ("m1", "n1")} == {"2026-11-25T10:05:00Z"}


def test_everything_comes_after_intent_and_has_an_end(declared: Declared) -> None:
    inputs = declared.run(accepted(nodes=1))
    for name in inputs:
        if name == "intent":
            assert not declared.requests[name].dependencies
            continue
        assert "intent" in names(declared.requests[name].dependencies), name
        if name != "cloud":  # the provider itself makes nothing
            assert declared.requests[name].customTimeouts.create, name
            assert declared.requests[name].customTimeouts.delete, name
    machines = {h: names(declared.requests[h].dependencies) for h in ("m1", "n1")}
    assert all("ingress-tcp-22-0.0.0.0-0" in after for after in machines.values()), "no machine stands before its rules"
    assert "m1" not in machines["n1"], "machines are made side by side"


def test_no_credential_is_an_input_and_what_boots_a_machine_is_secret(declared: Declared) -> None:
    inputs = declared.run(accepted(nodes=1))
    assert set(inputs["cloud"]) == {
        "region", "skipRegionValidation", "protocol", "clientConnectTimeout", "clientReadTimeout", "maxRetryTimeout",
    }  # fmt: skip
    wire = "".join(str(request.object) for request in declared.requests.values())
    assert KEY_ID not in wire
    assert SECRET not in wire
    for host in ("m1", "n1"):
        sent = declared.requests[host].object["userData"]
        assert sent["4dabf18193072939515e22adb298388d"] == "1b47061264138c4ac30d75fd1eb44270", "a secret on the wire"
        script = base64.b64decode(inputs[host]["userData"]["value"]).decode()
        assert "canarybootstrap" in script
        assert not [word for word in ("canarylasting", "canary-login", "canary-hmac") if word in script]


def test_spot_existing_networks_and_machines_that_are_taken_over(declared: Declared) -> None:
    inputs = declared.run(accepted(pool={"spot": AcceptedSpot(max_price=0.3)}), {"m1": "i-stands"})
    assert (inputs["m1"]["spotStrategy"], inputs["m1"]["spotPriceLimit"]) == ("SpotWithPriceLimit", 0.3)
    assert declared.requests["m1"].importId == "i-stands"
    assert {args.typ for args in declared.mocks.resources.values()} >= {"alicloud:vpc/network:Network"}


def test_rules_of_a_state_in_which_they_were_numbered_are_known_again(declared: Declared) -> None:
    opened = [{"port": 6443, "from": "10.9.0.0/16"}, {"port": "8000-8100", "protocol": "udp", "from": "10.9.0.0/16"}]
    declared.run(accepted(network={"ingress": opened}))
    once = {name: [a.spec.name for a in r.aliases] for name, r in declared.requests.items() if r.aliases}
    assert once == {
        "ingress-tcp-22-0.0.0.0-0": ["ingress-0"], "ingress-tcp-6443-10.9.0.0-16": ["ingress-1"],
        "ingress-udp-8000-8100-10.9.0.0-16": ["ingress-2"],
    }  # fmt: skip


def test_keys_of_machines_that_are_made_anew_are_told_so(declared: Declared) -> None:
    inputs = declared.run(accepted(nodes=1), {"n1-key": "run-7"})
    assert inputs["m1-key"] == {"cid": CID, "host": "m1"}
    assert inputs["n1-key"] == {"cid": CID, "host": "n1", "renew": "run-7"}
    assert not any(request.importId for request in declared.requests.values()), "it is no id of anything"
    triggers = {n: r.replacement_trigger.string_value for n, r in declared.requests.items()}
    assert {n: t for n, t in triggers.items() if t} == {"m1": CID, "n1": CID}, "another cluster has other machines"
