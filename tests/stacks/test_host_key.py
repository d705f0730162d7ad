"""HostKey under Pulumi's mocks: what the plugin is told by a run that makes a machine anew, and by one that does not."""

import pulumi
import pytest
from pulumi.runtime import mocks

from pulumi_sealer import HostKey


class Told(pulumi.runtime.Mocks):
    """Remembers the inputs."""

    def __init__(self):
        self.inputs = None

    def new_resource(self, args):
        self.inputs = args.inputs
        return f"{args.name}-id", {**args.inputs, "bootstrapPublic": "ssh-ed25519 AAAA", "bootstrapPrivate": "canary"}

    def call(self, args):
        raise AssertionError("it asks nothing")


@pytest.mark.parametrize(("said", "told"), [({}, {}), ({"renew": None}, {}), ({"renew": "run-1"}, {"renew": "run-1"})])
def test_what_is_not_said_is_not_there(said, told):
    heard, made = Told(), []
    mocks.set_mocks(heard, project="sealer-cloud", stack="etcd")

    @mocks.test
    def whole():
        key = HostKey("m1-key", cid="etcd-abcdef", host="m1", **said)
        return key.bootstrap_public.apply(made.append)

    whole()
    assert heard.inputs == {"cid": "etcd-abcdef", "host": "m1", **told}
    assert made == ["ssh-ed25519 AAAA"]
