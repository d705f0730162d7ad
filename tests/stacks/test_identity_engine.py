"""HostKey and HostIdentity under the real engine: a real host is booted with user-data, met, and no key stands in clear."""

import asyncio
import json

import pytest

from drivers.local import machines
from provisioner.errors import HostKeyError
from provisioner.model.hosts import ClusterKeys, InventoryHost, SshTarget
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from provisioner.model.userdata import user_data
from provisioner.transport.ssh import make_connect
from tests.contract.identity.test_first_login import RealMachine
from tests.stacks.test_program_engine import Stack, engine  # noqa: F401 - a fixture

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.hosts]


class Newcomers(Stack):
    """A stack of one machine that somebody else made: what a cloud's program declares, without the cloud."""

    def __init__(self, found, folder, real):
        super().__init__(found, folder, real.cluster.cid)
        self.real, self.boots, self.renew = real, [], None

    def _program(self):
        import pulumi

        import pulumi_sealer

        key = pulumi_sealer.HostKey("m1-key", cid=self.cid, host="m1", renew=self.renew)
        keys = pulumi.Output.all(private=key.bootstrap_private, public=key.bootstrap_public)
        identity = pulumi_sealer.HostIdentity(
            "m1-identity",
            cid=self.cid,
            host="m1",
            roles=["master"],
            address=self.real.state.address,
            ssh_host=self.real.state.address,
            ssh_port=22,
            ssh_user="root",
            machine_id=keys.apply(self._boot),
            running=True,
            bootstrap_public=key.bootstrap_public,
            lasting_public=key.lasting_public,
            lasting_private=key.lasting_private,
            login_private=self.real.login.reveal(),
            provider="local",
            region="",
            wait_seconds=60,
        )
        pulumi.export("hosts", [identity.ssh])
        pulumi.export("keys", identity.host_keys)
        pulumi.export("first", key.bootstrap_public)

    async def _boot(self, keys):
        if self.boots:
            return "i-1"
        self.boots.append(keys["public"])
        text = user_data(
            host="m1",
            bootstrap_private=keys["private"],
            bootstrap_public=keys["public"],
            login_public=self.real.cluster.login_public,
            user="root",
            power_off_at=None,
        )
        await self.real.run(text)
        return "i-1"

    def up(self):
        result = self.stack.up(refresh=True, parallel=16, show_secrets=False)
        self.keys, self.first = result.outputs["keys"].value, result.outputs["first"].value
        return {k.lower(): v for k, v in result.summary.resource_changes.items()}, result.stdout + result.stderr


@pytest.fixture
def real():
    made = RealMachine()
    yield made
    machines.sweep(made.cluster.cid)


def private_lines(text):
    """The lines of a private key that are its own: the first ones are the same in all of them."""
    return text.splitlines()[3:5]


def test_a_machine_is_met_and_then_left_alone(engine, real, tmp_path):  # noqa: F811 - a fixture
    stack = Newcomers(engine, tmp_path, real)
    made, printed = stack.up()
    assert made["create"] == 3
    (lasting,) = stack.keys
    assert stack.up()[0] == {"same": 3}
    assert stack.keys == [lasting]
    asyncio.run(only_the_lasting_key(real, stack.boots[0], lasting))

    identity = stack.resources()["m1-identity"]
    assert identity["outputs"]["ssh"] == {"host": real.state.address, "port": 22, "user": "root"}
    files = [p.read_text("utf-8", "replace") for p in stack.backend.rglob("*") if p.is_file()]
    held = asyncio.run(held_by(real, lasting))
    for text in (*files, printed, json.dumps(identity)):
        assert "OPENSSH PRIVATE KEY" not in text
        assert not [line for line in (*private_lines(held), *private_lines(real.login.reveal())) if line in text]
    a_fresh_pair_locks_nobody_out(stack, lasting)
    assert stack.destroy()[0]["delete"] == 3


def a_fresh_pair_locks_nobody_out(stack, lasting):
    """Where the machine turns out to stand: the next one has a fresh key, this one is met as it is."""
    before, stack.renew = stack.first, "run-1"
    assert stack.up()[0] == {"update": 1, "same": 2}
    assert (stack.first != before, stack.keys) == (True, [lasting])
    renewed = stack.first
    for stack.renew in ("run-1", None, None):
        assert (stack.up()[0], stack.first) == ({"same": 3}, renewed)


async def link_to(real, pin):
    target = SshTarget(real.state.address)
    machine = InventoryHost(HostName("m1"), (), target.host, target, (pin,), "id")
    return await make_connect()(machine, ClusterKeys(real.login, "", Secret("")))


async def only_the_lasting_key(real, bootstrap, lasting):
    with pytest.raises(HostKeyError):
        await link_to(real, bootstrap)
    await (await link_to(real, lasting)).close()


async def held_by(real, lasting):
    link = await link_to(real, lasting)
    held = await link.run(("cat", "/etc/ssh/ssh_host_ed25519_key"), timeout=20)
    await link.close()
    return held.stdout.decode()
