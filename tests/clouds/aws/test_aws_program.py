"""The program of a cluster on AWS under Pulumi's mocks: marks, order, and what is secret. No cloud, no engine."""

import asyncio

import asyncssh
import pulumi
import pytest

from drivers.aws.resources import declare
from drivers.aws.spec import parse_aws
from provisioner.model.accepted import AcceptedPool, AcceptedSpot
from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, RunId
from tests.clouds.aws.requests import CID, RUN, accepted
from tests.contract.driver.promises import KEY

pytestmark = pytest.mark.clouds
PRIVATE = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
DEADLINE = "2026-11-25T10:00:00Z"
MACHINE = "aws:ec2/instance:Instance"
UNTAGGED = {"aws:ec2/routeTableAssociation:RouteTableAssociation", "pulumi:providers:aws"}
MADE = {
    "sealer:index:Intent": {"loginPublic": KEY, "loginPrivate": "canary", "hmac": "canary"},
    "sealer:index:HostKey": {
        "bootstrapPublic": KEY,
        "bootstrapPrivate": PRIVATE,
        "lastingPublic": KEY,
        "lastingPrivate": "canary-lasting",
    },
    "sealer:index:HostIdentity": {"hostKeys": [KEY]},
    MACHINE: {"privateIp": "10.0.0.9", "publicIp": "203.0.113.9", "instanceState": "running"},
}


class Mocks(pulumi.runtime.Mocks):
    """Echoes inputs and computed fields: an output that a mock leaves out would just vanish."""

    def __init__(self):
        self.inputs = {}

    def new_resource(self, args):
        self.inputs[args.name] = args.inputs
        made = dict(MADE.get(args.typ, {}))
        if args.typ == "sealer:index:HostIdentity":
            made["ssh"] = {"host": args.inputs["sshHost"], "port": 22, "user": "root"}
            made["machineId"] = args.inputs["machineId"]
        return f"{args.name}-id", {**args.inputs, **made}

    def call(self, args):
        raise AssertionError("the program asks nothing")


def placed(request):
    """As the driver chooses, without asking anybody: everything in one zone."""
    hosts = {h.name: {"zone": "eu-central-1a", "type": "t3.medium", "imageId": "ami-1"} for h in request.hosts}
    hosts["n1"] |= {"spot": True, "priceLimit": 0.2}
    return request.model_copy(
        update={
            "placement": {
                "account": "1",
                "region": "eu-central-1",
                "cidr": "10.0.0.0/16",
                "subnets": {"eu-central-1a": "10.0.0.0/20"},
                "hosts": hosts,
            }
        }
    )


@pytest.fixture(scope="module")
def declared():
    """What the program of one master and two nodes declares: (inputs, requests) by name."""
    from pulumi.runtime import mocks as runtime_mocks
    from pulumi.runtime import test

    from pulumi_sealer import Intent

    spot = AcceptedPool(
        name="node", roles=("node",), count=2, instance_types=("t3.medium",), data_disks=(50,),
        spot=AcceptedSpot(max_price=0.2),
    )  # fmt: skip
    rules = {"ingress": [{"port": 6443, "from": "10.9.0.0/16"}]}
    asked = accepted("ami-1", nodes=2, tags={"team": "ci"}, expires_at=DEADLINE, network=rules)
    asked = placed(asked.model_copy(update={"pools": (asked.pools[0], spot)}))
    mocks, requests, sunk = Mocks(), {}, []

    class Monitor(runtime_mocks.MockMonitor):
        def RegisterResource(self, request):  # noqa: N802 - the protocol's
            requests[request.name] = request
            return super().RegisterResource(request)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runtime_mocks, "MockMonitor", Monitor)
        pulumi.runtime.set_mocks(mocks, project="sealer-cloud", stack="demo", preview=False)

        @test
        def whole():
            intent = Intent("intent", cid=CID, request={}, secrets={})
            marks = Marks(ClusterId(CID), RunId(RUN), DEADLINE, ci_run="77")
            sink = lambda kind, value: sunk.append((kind, value))  # noqa: E731
            return pulumi.Output.all(*declare(parse_aws(asked), marks, intent, sink, {"n1-key": "run-7"}))

        whole()
    loop.close()
    asyncio.set_event_loop(None)
    return mocks.inputs, requests, sunk


def of_cloud(requests):
    return {name: r for name, r in requests.items() if r.type.startswith("aws:")}


def names(urns):
    return {urn.rpartition("::")[2] for urn in urns}


def test_every_resource_is_marked_in_its_create_call(declared):
    inputs, requests, _ = declared
    for name, request in of_cloud(requests).items():
        if request.type in UNTAGGED:
            continue
        tags = inputs[name]["tags"]
        assert (tags["sealer-cloud:cid"], tags["sealer-cloud:run"]) == (CID, RUN), name
        assert (tags["sealer-cloud:expires-at"], tags["team"]) == (DEADLINE, "ci"), name
        kept = {f'tags["sealer-cloud:{key}"]' for key in ("run", "ci-run", "repo")}
        assert kept <= set(request.ignoreChanges), "the creating run never drifts; `ttl` takes none of it away"
    for host in ("m1", "n1", "n2"):
        assert inputs[host]["tags"]["sealer-cloud:host"] == host
        assert inputs[host]["volumeTags"]["sealer-cloud:cid"] == CID


def test_everything_waits_for_the_intent_and_has_a_deadline_of_its_own(declared):
    _, requests, _ = declared
    for name, request in requests.items():
        if name == "intent" or request.type == "pulumi:pulumi:Stack":
            continue
        assert "intent" in names(request.dependencies), name
        if request.type != "pulumi:providers:aws":
            assert request.customTimeouts.create, name
            assert request.customTimeouts.delete, name
    for host in ("m1", "n1", "n2"):
        needs = names(requests[host].dependencies)
        assert {"routes-eu-central-1a", "inside", "outside"} <= needs, "reachable once it is there"
        assert any(need.startswith("ingress-") for need in needs)
        assert not needs & {"m1", "n1", "n2"}, "machines are made at once"


def test_no_credential_is_an_input(declared):
    inputs, requests, _ = declared
    provider = next(name for name, r in requests.items() if r.type == "pulumi:providers:aws")
    rights = {"accessKey", "secretKey", "token", "profile", "sharedCredentialsFiles", "assumeRoles"}
    assert not rights & set(inputs[provider])


def test_machines_have_one_metadata_service_and_end_at_the_deadline(declared):
    inputs, _, _ = declared
    for host in ("m1", "n1", "n2"):
        made = inputs[host]
        meta = made["metadataOptions"]
        assert (meta["httpTokens"], int(meta["httpPutResponseHopLimit"])) == ("required", 1)
        assert made["instanceInitiatedShutdownBehavior"] == "terminate"
        assert made["rootBlockDevice"]["deleteOnTermination"] is True
    assert [inputs[h]["associatePublicIpAddress"] for h in ("m1", "n1", "n2")] == [True, False, False]
    assert inputs["n1"]["instanceMarketOptions"]["spotOptions"]["maxPrice"] == "0.2"
    assert "instanceMarketOptions" not in inputs["n2"]
    assert [int(d["volumeSize"]) for d in inputs["n2"]["ebsBlockDevices"]] == [50]


def test_user_data_is_secret_and_changes_nothing_later(declared):
    _, requests, sunk = declared
    for host in ("m1", "n1", "n2"):
        request = requests[host]
        sent = request.object.fields["userDataBase64"].struct_value.fields
        assert sent["4dabf18193072939515e22adb298388d"].string_value == "1b47061264138c4ac30d75fd1eb44270"
        assert "userDataBase64" in request.ignoreChanges
    assert {value["name"] for kind, value in sunk if kind == "host"} == {"m1", "n1", "n2"}
    assert "canary" not in str(sunk)


def test_rules_of_a_state_in_which_they_were_numbered_are_known_again(declared):
    _, requests, _ = declared
    once = {name: [a.spec.name for a in r.aliases] for name, r in requests.items() if r.aliases}
    assert once == {"ingress-tcp-22-0.0.0.0-0": ["ingress-0"], "ingress-tcp-6443-10.9.0.0-16": ["ingress-1"]}


def test_keys_of_machines_that_are_made_anew_are_told_so(declared):
    inputs, requests, _ = declared
    assert inputs["m1-key"] == {"cid": CID, "host": "m1"}
    assert inputs["n1-key"] == {"cid": CID, "host": "n1", "renew": "run-7"}
    assert not any(request.importId for request in requests.values()), "it is no id of anything"
    triggers = {name: request.replacement_trigger.string_value for name, request in requests.items()}
    assert {n: t for n, t in triggers.items() if t} == dict.fromkeys(("m1", "n1", "n2"), CID), (
        "another cluster's are others"
    )
