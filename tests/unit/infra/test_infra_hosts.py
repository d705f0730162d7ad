"""A host as drivers export it: also behind another one, and with a person's own key."""

import pytest

from provisioner.errors import PreconditionError
from provisioner.infra.outputs import host_from
from provisioner.model.hosts import Jump, SshTarget

HOST = {"name": "m1", "address": "10.0.0.1", "hostKeys": ["ssh-ed25519 AAAA"], "machineId": "i-1", "running": True}


def test_a_host_that_is_reached_straight():
    host = host_from({**HOST, "jump": None, "identity": None})
    assert (host.jump, host.identity, host.sudo) == (None, None, False)
    assert host_from(HOST) == host


def test_a_host_behind_another_one():
    way = {"host": "203.0.113.1", "port": 2222.0, "user": "ops", "hostKeys": ["SHA256:x"]}
    host = host_from({**HOST, "jump": way, "identity": "/home/me/id", "ssh": {"host": "10.0.0.1", "user": "ops"}})
    assert host.jump == Jump(SshTarget("203.0.113.1", 2222, "ops"), ("SHA256:x",))
    assert (host.identity, host.sudo) == ("/home/me/id", True)
    assert host_from({**HOST, "jump": {"host": "b", "identity": "/k"}}).jump == Jump(SshTarget("b"), (), "/k")


@pytest.mark.parametrize("jump", ["bastion", {"port": 22}, {"host": "b", "port": "x"}])
def test_a_way_that_cannot_be_read(jump):
    with pytest.raises(PreconditionError, match="cannot be read"):
        host_from({**HOST, "jump": jump})
