"""What only the real transport can show: pinned keys, one login key, nobody's SSH configuration."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from provisioner.errors import HostError, HostKeyError
from provisioner.model.hosts import ClusterKeys, SshTarget
from provisioner.model.secret import Secret
from provisioner.transport.ssh import make_connect
from tests.fakes.sshd import FakeSshd


@pytest.fixture
async def server() -> AsyncIterator[FakeSshd]:
    made = FakeSshd()
    await made.start()
    yield made
    await made.close()


async def test_another_key_is_refused_before_any_login(server: FakeSshd) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(HostKeyError, match="showed another key than the pinned one") as caught:
        await make_connect()(replace(server.machine, host_keys=(other,)), server.keys)
    assert caught.value.exit_code == 7
    assert server.attempts == 0


async def test_key_of_another_type_is_refused(server: FakeSshd) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(HostError):
        await make_connect()(replace(server.machine, host_keys=(other,)), server.keys)
    assert server.attempts == 0


async def test_any_of_several_pins_will_do(server: FakeSshd) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    link = await make_connect()(replace(server.machine, host_keys=(other, server.public)), server.keys)
    await link.close()


@pytest.mark.parametrize("pins", [(), ("",), ("ssh-ed25519 AAAA",), ("no key",), ("ssh-rsa " + "A" * 68,)])
async def test_without_a_good_pin_nothing_is_connected(server: FakeSshd, pins: tuple[str, ...]) -> None:
    with pytest.raises(HostError):
        await make_connect()(replace(server.machine, host_keys=pins), server.keys)
    assert server.links == []


async def test_a_persons_configuration_is_not_read(
    server: FakeSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  UserKnownHostsFile none\n  Port 1\n  User nobody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(HostKeyError):
        await make_connect()(replace(server.machine, host_keys=(other,)), server.keys)
    link = await make_connect()(server.machine, server.keys)
    assert (await link.run(("true",), timeout=20)).ok
    await link.close()


async def test_refused_login_names_host_and_user(server: FakeSshd) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(HostError, match=r"m1 .* refused the cluster's login key for user root"):
        await make_connect()(server.machine, replace(server.keys, login_private=Secret(key)))


async def test_bad_login_key_is_not_quoted(server: FakeSshd) -> None:
    with pytest.raises(HostError) as caught:
        await make_connect()(server.machine, ClusterKeys(Secret("canary-key"), "x", Secret("00")))
    assert "canary" not in str(caught.value)


async def test_nobody_listens(server: FakeSshd) -> None:
    machine = server.machine
    await server.close()
    with pytest.raises(HostError, match="refused the connection"):
        await make_connect()(machine, server.keys)


async def test_silence_is_given_up_in_time(server: FakeSshd) -> None:
    import asyncio

    silent = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    target = SshTarget("127.0.0.1", silent.sockets[0].getsockname()[1])
    with pytest.raises(HostError):
        await make_connect(timeout=0.3)(replace(server.machine, ssh=target), server.keys)
    silent.close()


async def test_end_without_a_status_is_unknown() -> None:
    server = FakeSshd(silent_status=True)
    await server.start()
    link = await make_connect()(server.machine, server.keys)
    result = await link.run(("echo", "x"), timeout=20)
    assert (result.rc, result.stdout, result.ok) == (None, b"x\n", False)
    await link.close()
    await server.close()


async def test_nothing_is_logged_below_warning(server: FakeSshd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asyncssh.set_log_level(logging.DEBUG)
    link = await make_connect()(server.machine, server.keys)
    await link.run(("echo", "canary-word"), timeout=20)
    await link.close()
    assert "canary-word" not in caplog.text


@pytest.mark.parametrize(
    "target",
    [SshTarget("-oProxyCommand=x"), SshTarget("a b"), SshTarget("a", 0), SshTarget("a", 22, "-l"), SshTarget("")],
)
async def test_odd_addresses_are_refused(server: FakeSshd, target: SshTarget) -> None:
    with pytest.raises(HostError, match="is no SSH address"):
        await make_connect()(replace(server.machine, ssh=target), server.keys)
