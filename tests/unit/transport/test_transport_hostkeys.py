"""Pins become known_hosts lines; anything that is no key or no address is refused by name."""

from __future__ import annotations

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import HostError
from provisioner.model.hosts import InventoryHost, SshTarget
from provisioner.model.ids import HostName
from provisioner.transport.hostkeys import known_hosts_text, parse_host_key

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def machine(target: SshTarget, *keys: str) -> InventoryHost:
    return InventoryHost(HostName("m1"), ("master",), target.host, target, keys or (KEY,), "id")


def test_lines_are_those_of_openssh() -> None:
    key = " ".join(KEY.split()[:2])
    hosts = [machine(SshTarget("10.0.0.1")), machine(SshTarget("bastion.example", 2222)), machine(SshTarget("fd00::1"))]
    assert known_hosts_text(hosts) == f"10.0.0.1 {key}\n[bastion.example]:2222 {key}\nfd00::1 {key}\n"


def test_comment_is_left_out() -> None:
    assert parse_host_key(f"{KEY} somebody@somewhere", "m1") == " ".join(KEY.split()[:2])


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with pytest.raises(HostError):
        parse_host_key(text, "m1")


def test_type_must_be_that_of_the_blob() -> None:
    with pytest.raises(HostError):
        parse_host_key(KEY.replace("ssh-ed25519", "ssh-rsa"), "m1")


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "a b", "a\nb", "", "a;b", "a]:22", "*", "a,b"])
def test_line_cannot_be_smuggled_in(host: str) -> None:
    with pytest.raises(HostError):
        known_hosts_text([machine(SshTarget(host))])
