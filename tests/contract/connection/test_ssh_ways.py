"""Other ways to a host: through another one, with a person's own key, as a user with sudo, by a fingerprint."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from provisioner.errors import AccessError, HostError, HostKeyError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget
from provisioner.transport.ssh import make_connect
from tests.fakes.sshd import FakeSshd

SUDO = '#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\nAS=root exec "$@"\n'
NO_SUDO = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


@pytest.fixture
async def server() -> AsyncIterator[FakeSshd]:
    made = FakeSshd()
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def bastion(server: FakeSshd) -> AsyncIterator[FakeSshd]:
    made = FakeSshd()
    made.login_key = server.login_key
    made.forwards = []
    await made.start()
    yield made
    await made.close()


def behind(server: FakeSshd, bastion: FakeSshd) -> InventoryHost:
    return replace(server.machine, jump=Jump(bastion.machine.ssh, (bastion.public,)))


def fingerprint(server: FakeSshd) -> str:
    return server.host_key.get_fingerprint()


# --- through another host


async def test_hosts_behind_one_share_the_way(server: FakeSshd, bastion: FakeSshd) -> None:
    machine, connect = behind(server, bastion), make_connect()
    links = await asyncio.gather(*(connect(machine, server.keys) for _ in range(5)))
    results = await asyncio.gather(*(link.run(("echo", "x"), timeout=20) for link in links))
    assert [r.stdout for r in results] == [b"x\n"] * 5
    assert bastion.forwards == [f"127.0.0.1:{machine.ssh.port}"] * 5
    assert (len(bastion.links), bastion.commands) == (1, [])
    for link in links[1:]:
        await link.close()
    assert (await links[0].run(("true",), timeout=20)).ok, "the last one still needs the way"
    await links[0].close()
    await links[0].close()
    async with asyncio.timeout(20):
        while not bastion.links[0].is_closed():  # noqa: ASYNC110 - asyncssh sets no event
            await asyncio.sleep(0.01)


async def test_a_way_that_died_is_opened_again(server: FakeSshd, bastion: FakeSshd) -> None:
    machine, connect = behind(server, bastion), make_connect()
    link = await connect(machine, server.keys)
    bastion.cut()
    with contextlib.suppress(HostError):
        assert (await link.run(("true",), timeout=20)).rc is None
    again = await connect(machine, server.keys)
    assert (await again.run(("true",), timeout=20)).ok
    await again.close()
    await link.close()


async def test_a_connect_that_serves_two_loops(server: FakeSshd, bastion: FakeSshd) -> None:
    machine, connect = behind(server, bastion), make_connect()

    async def once() -> bool:
        link = await connect(machine, server.keys)
        done = await link.run(("true",), timeout=20)
        await link.close()
        return done.ok

    assert await once()
    assert await asyncio.to_thread(asyncio.run, once())


async def test_the_way_is_pinned_too(server: FakeSshd, bastion: FakeSshd) -> None:
    machine = behind(server, bastion)
    wrong = replace(machine, jump=Jump(bastion.machine.ssh, (server.public,)))
    with pytest.raises(HostKeyError, match=r"m1: the host on the way to it .* showed another key"):
        await make_connect()(wrong, server.keys)
    with pytest.raises(HostError, match=r"no host key of 127.0.0.1, the way to m1 is known"):
        await make_connect()(replace(machine, jump=Jump(bastion.machine.ssh, ())), server.keys)
    assert (bastion.attempts, server.links) == (0, [])


async def test_behind_the_way_the_pin_holds(server: FakeSshd, bastion: FakeSshd) -> None:
    machine = replace(behind(server, bastion), host_keys=(bastion.public,))
    with pytest.raises(HostKeyError, match=r"^m1 \("):
        await make_connect()(machine, server.keys)
    assert server.attempts == 0


async def test_a_way_that_forwards_nothing_is_said(server: FakeSshd, bastion: FakeSshd) -> None:
    bastion.forwards = None
    with pytest.raises(HostError, match=r"m1 .* cannot be reached"):
        await make_connect()(behind(server, bastion), server.keys)


async def test_nobody_listens_at_the_way(server: FakeSshd, bastion: FakeSshd) -> None:
    machine = behind(server, bastion)
    await bastion.close()
    with pytest.raises(HostError, match=r"on the way to it .* refused the connection"):
        await make_connect()(machine, server.keys)


# --- a person's own key


async def test_own_key_for_the_host_and_the_way(server: FakeSshd, bastion: FakeSshd, tmp_path: Path) -> None:
    mine = tmp_path / "id"
    server.login_key.write_private_key(mine)
    keys = replace(server.keys, login_private=FakeSshd().keys.login_private)
    link = await make_connect()(replace(behind(server, bastion), identity=str(mine)), keys)
    assert (await link.run(("true",), timeout=20)).ok
    await link.close()


async def test_the_way_may_have_a_key_of_its_own(server: FakeSshd, bastion: FakeSshd, tmp_path: Path) -> None:
    other = tmp_path / "other"
    bastion.login_key = asyncssh.generate_private_key("ssh-ed25519")
    bastion.login_key.write_private_key(other)
    with pytest.raises(HostError, match=r"on the way to it .* refused the cluster's login key for user root"):
        await make_connect()(behind(server, bastion), server.keys)
    jump = Jump(bastion.machine.ssh, (bastion.public,), str(other))
    link = await make_connect()(replace(server.machine, jump=jump), server.keys)
    await link.close()
    assert (link.host_key, link.way_key) == (server.public, bastion.public)


async def test_the_key_behind_a_fingerprint_of_the_way_is_told(server: FakeSshd, bastion: FakeSshd) -> None:
    machine = replace(server.machine, jump=Jump(bastion.machine.ssh, (fingerprint(bastion),)))
    link = await make_connect()(machine, server.keys)
    await link.close()
    assert link.way_key == bastion.public
    assert bastion.commands == [], "nobody needs a shell there"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "cannot be read: No such file"),
        (lambda path: path.write_text("canary"), "is no private key"),
        (
            lambda path: path.write_bytes(
                asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="canary")
            ),
            "is protected by a passphrase",
        ),
    ],
)
async def test_a_key_that_cannot_be_used(server: FakeSshd, tmp_path: Path, make: object, message: str) -> None:
    mine = tmp_path / "id"
    make(mine)
    with pytest.raises(AccessError, match=message) as caught:
        await make_connect()(replace(server.machine, identity=str(mine)), server.keys)
    assert (caught.value.exit_code, bool(caught.value.hint), "canary" in str(caught.value)) == (5, True, False)
    assert server.links == []


async def test_a_refused_own_key_is_named(server: FakeSshd, tmp_path: Path) -> None:
    mine = tmp_path / "id"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(mine)
    with pytest.raises(HostError, match=f"refused the key {mine} for user root"):
        await make_connect()(replace(server.machine, identity=str(mine)), server.keys)


# --- another user than root


async def as_user(tmp_path: Path, sudo: str | None) -> FakeSshd:
    tools = tmp_path / "tools"
    tools.mkdir()
    if sudo:
        (tools / "sudo").write_text(sudo)
        (tools / "sudo").chmod(0o755)
    server = FakeSshd(path=tools)
    await server.start()
    return server


def ops(server: FakeSshd) -> InventoryHost:
    return replace(server.machine, ssh=SshTarget("127.0.0.1", server.machine.ssh.port, "ops"))


async def test_all_commands_run_as_root(tmp_path: Path) -> None:
    server = await as_user(tmp_path, SUDO)
    source = tmp_path / "source"
    source.write_text("data")
    link = await make_connect()(ops(server), server.keys)
    assert (await link.run(("sh", "-c", 'echo "$AS $1"', "sh", "a b'c"), timeout=20)).stdout == b"root a b'c\n"
    sent = await link.send(("sh", "-c", 'cat; echo " $AS"'), source, prefix=b"x", idle=20, progress=lambda _n: None)
    assert sent.stdout == b"xdata root\n"
    assert all(command.startswith("sudo -n -- ") for command in server.commands)
    await link.close()
    await server.close()


@pytest.mark.parametrize(
    ("sudo", "message"),
    [(NO_SUDO, "ops cannot become root by sudo without a password"), ("#!/bin/sh\nexit 127\n", "has no sudo")],
)
async def test_without_sudo_it_is_said(tmp_path: Path, sudo: str, message: str) -> None:
    server = await as_user(tmp_path, sudo)
    with pytest.raises(HostError, match=message) as caught:
        await make_connect()(ops(server), server.keys)
    assert (caught.value.exit_code, "log in as root" in caught.value.hint) == (7, True)
    await server.close()


# --- by fingerprint


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_a_fingerprint_is_a_pin(kind: str) -> None:
    server = FakeSshd(kind=kind)
    await server.start()
    link = await make_connect()(replace(server.machine, host_keys=(fingerprint(server),)), server.keys)
    assert link.host_key == " ".join(server.public.split()[:2])
    await link.close()
    await server.close()


async def test_another_fingerprint_is_refused_and_named(server: FakeSshd) -> None:
    other = fingerprint(FakeSshd())
    with pytest.raises(HostKeyError, match="showed another key than the pinned one: SHA256:") as caught:
        await make_connect()(replace(server.machine, host_keys=(other,)), server.keys)
    assert fingerprint(server) in caught.value.message
    assert server.attempts == 0


async def test_a_fingerprint_beside_a_key(server: FakeSshd) -> None:
    other = FakeSshd()
    for pins in ((other.public, fingerprint(server)), (fingerprint(other), server.public)):
        link = await make_connect()(replace(server.machine, host_keys=pins), server.keys)
        await link.close()


# --- all of it at once, with OpenSSH's server


@pytest.mark.hosts
async def test_a_real_host_behind_a_real_one_by_fingerprints(tmp_path: Path) -> None:
    from drivers.local import machines
    from drivers.local.defaults import default_paths
    from drivers.local.sshd import unpack_sshd
    from tests.hosts.cluster import Cluster

    unpack_sshd(default_paths().sshd)
    cluster = Cluster("way")
    mine = tmp_path / "id"
    cluster.key.write_private_key(mine)
    try:
        first, second = cluster.up(2)
        prints = [asyncssh.import_public_key(state.host_key).get_fingerprint() for state in (first, second)]
        way = Jump(SshTarget(first.address), (prints[0],))
        target = SshTarget(second.address)
        machine = InventoryHost(
            second.name, (), target.host, target, (prints[1],), second.machine_id, jump=way, identity=str(mine)
        )
        connect = make_connect()
        links = await asyncio.gather(*(connect(machine, FakeSshd().keys) for _ in range(12)))
        seen = await asyncio.gather(
            *(link.run(("sh", "-c", "hostname; echo $SSH_CLIENT"), timeout=20) for link in links)
        )
        assert {result.stdout.decode().split()[0] for result in seen} == {"m2"}
        assert {result.stdout.decode().split()[1] for result in seen} == {first.address}, "it came through the first"
        for link in links:
            await link.close()
        with pytest.raises(HostKeyError):
            await connect(replace(machine, host_keys=(prints[0],)), FakeSshd().keys)
    finally:
        machines.sweep(cluster.cid)
