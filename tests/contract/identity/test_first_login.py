"""The first login on a new machine: against a server on loopback, and against a real sshd on a real local host."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from provisioner.errors import HostError, HostKeyError, InterruptedRunError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from provisioner.model.userdata import HOST_KEY, REPLACED, power_off_script, user_data
from provisioner.plugin.keys import Pair, make_pair
from provisioner.transport.identity import Newcomer, establish
from provisioner.transport.ssh import make_connect
from tests.fakes.hosts import QuickClock
from tests.fakes.sshd import FakeSshd

BOOTSTRAP, LASTING = make_pair(), make_pair()


def data_for(login_public: str, user: str = "root", power_off_at: str | None = None) -> str:
    return user_data(
        host="m1",
        bootstrap_private=BOOTSTRAP.private,
        bootstrap_public=BOOTSTRAP.public,
        login_public=login_public,
        user=user,
        power_off_at=power_off_at,
    )


class Machine:
    """A machine below a folder; its sshd reads its keys anew after each command."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        (self.root / "etc/ssh").mkdir(parents=True)
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        self.sshd = FakeSshd(root=self.root)

    def boot(self) -> None:
        """Run its user-data."""
        env = {"PATH": os.environ["PATH"], "SEALER_ROOT": str(self.root)}
        text = data_for(self.sshd.keys.login_public.strip())
        subprocess.run(["sh"], input=text.encode(), env=env, check=True, timeout=60, capture_output=True)
        self.sshd.reload()

    @property
    def newcomer(self) -> Newcomer:
        machine = replace(self.sshd.machine, host_keys=())
        return newcomer(machine, self.sshd.keys.login_private)

    def text(self, path: str) -> str:
        return (self.root / path[1:]).read_text()


def newcomer(machine: InventoryHost, login: Secret) -> Newcomer:
    return Newcomer(machine, BOOTSTRAP.public, LASTING.public, Secret(LASTING.private), login)


@pytest.fixture
async def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    await made.sshd.start()
    yield made
    await made.sshd.close()


async def first_login(new: Newcomer, clock: object = None, wait: float = 30, *, stop: bool = False) -> None:
    await establish(new, make_connect(timeout=5), clock or QuickClock(), wait=wait, stopping=lambda: stop)


async def test_the_lasting_key_takes_the_place_of_the_first(machine: Machine) -> None:
    machine.boot()
    await first_login(machine.newcomer)
    assert machine.text(HOST_KEY) == LASTING.private
    assert (machine.root / HOST_KEY[1:]).stat().st_mode & 0o777 == 0o600
    assert machine.text(f"{HOST_KEY}.pub") == f"{LASTING.public}\n"
    assert sorted(p.name for p in (machine.root / "etc/ssh").glob("ssh_host*")) == [
        "ssh_host_ed25519_key",
        "ssh_host_ed25519_key.pub",
    ]
    pinned = replace(machine.sshd.machine, host_keys=(BOOTSTRAP.public,))
    with pytest.raises(HostKeyError):
        await make_connect()(pinned, machine.sshd.keys)
    assert not [command for command in machine.sshd.commands if LASTING.private.splitlines()[1] in command]


async def test_a_second_first_login_changes_nothing(machine: Machine) -> None:
    machine.boot()
    await first_login(machine.newcomer)
    commands = len(machine.sshd.commands)
    await first_login(machine.newcomer)
    assert len(machine.sshd.commands) == commands + 1, "one look"
    machine.boot()
    assert machine.text(HOST_KEY) == LASTING.private, "a boot that runs the user-data again"


async def test_what_was_cut_anywhere_is_done_again(machine: Machine) -> None:
    machine.boot()
    await first_login(machine.newcomer)
    whole = {p.name: p.read_text() for p in (machine.root / "etc/ssh").iterdir()}
    for lost in (f"{HOST_KEY}.pub", REPLACED):
        (machine.root / lost[1:]).write_text("half")
        await first_login(machine.newcomer)
        assert {p.name: p.read_text() for p in (machine.root / "etc/ssh").iterdir()} == whole
    (machine.root / "etc/ssh/ssh_host_ed25519_key.sealer").write_text("half a key")
    (machine.root / "etc/ssh/ssh_host_rsa_key").write_text("made again by the distribution")
    await first_login(machine.newcomer)
    assert {p.name: p.read_text() for p in (machine.root / "etc/ssh").iterdir()} == whole


async def test_a_link_that_dies_in_the_middle(machine: Machine, tmp_path: Path) -> None:
    machine.boot()
    tools = tmp_path / "tools"
    tools.mkdir()
    count = tmp_path / "count"
    # The swap's first `dd` kills its link: nothing of the key arrived.
    (tools / "dd").write_text(f'#!/bin/sh\nif [ ! -e {count} ]; then : >{count}; sleep 100; fi\nexec /bin/dd "$@"\n')
    (tools / "dd").chmod(0o755)
    machine.sshd.path = tools
    running = asyncio.create_task(first_login(machine.newcomer))
    async with asyncio.timeout(30):
        while not count.exists():  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.01)
    machine.sshd.cut()
    await running
    assert machine.text(HOST_KEY) == LASTING.private


async def test_before_user_data_ran_the_images_own_key_is_waited_for(machine: Machine) -> None:
    clock = QuickClock()
    naps = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            machine.boot()

    clock.sleep = sleep
    await first_login(machine.newcomer, clock)
    assert naps == sorted(naps)
    assert machine.text(HOST_KEY) == LASTING.private


async def test_another_key_is_named_at_the_deadline(machine: Machine) -> None:
    shown = machine.sshd.host_key.get_fingerprint()
    with pytest.raises(HostKeyError, match=r"m1 was not reached by SSH within 30 s: .* another key") as caught:
        await first_login(machine.newcomer)
    assert shown in caught.value.message
    assert machine.sshd.attempts == 0


async def test_nobody_answers_in_time(machine: Machine) -> None:
    new = machine.newcomer
    await machine.sshd.close()
    with pytest.raises(HostError, match=r"not reached by SSH within 30 s: .* refused the connection") as caught:
        await first_login(new)
    assert not isinstance(caught.value, HostKeyError)
    with pytest.raises(InterruptedRunError):
        await first_login(new, stop=True)


async def test_a_machine_that_does_not_take_the_key_is_given_up(machine: Machine, tmp_path: Path) -> None:
    machine.boot()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dd").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    (tools / "wc").write_text("#!/bin/sh\necho 'no \033[1mspace' >&2\nexit 1\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    machine.sshd.path = tools
    with pytest.raises(HostError, match="m1 did not take its host key") as caught:
        await first_login(machine.newcomer, wait=10_000)
    assert "\033" not in caught.value.message
    assert machine.text(HOST_KEY) == BOOTSTRAP.private


async def test_through_a_host_on_the_way(machine: Machine) -> None:
    machine.boot()
    bastion = FakeSshd()
    bastion.login_key = machine.sshd.login_key
    bastion.forwards = []
    await bastion.start()
    way = Jump(bastion.machine.ssh, (bastion.public,))
    new = replace(machine.newcomer, machine=replace(machine.newcomer.machine, jump=way))
    await first_login(new)
    assert machine.text(HOST_KEY) == LASTING.private
    assert len(bastion.forwards) == 2
    assert bastion.commands == []
    await bastion.close()


# --- a real host


class RealMachine:
    """A local host, with user-data run in it as a cloud's first boot does."""

    def __init__(self) -> None:
        from drivers.local.defaults import default_paths
        from drivers.local.sshd import unpack_sshd
        from tests.hosts.cluster import Cluster

        unpack_sshd(default_paths().sshd)
        self.cluster = Cluster("boot")
        (self.state,) = self.cluster.up()

    @property
    def machine(self) -> InventoryHost:
        target = SshTarget(self.state.address)
        return InventoryHost(HostName("m1"), ("master",), target.host, target, (self.state.host_key,), "id")

    @property
    def login(self) -> Secret:
        return Secret(self.cluster.key.export_private_key().decode())

    async def run(self, text: str) -> None:
        """As root on the host; it may end the sshd's reading of old keys, never this session."""
        options = {"username": "root", "client_keys": [self.cluster.key], "config": None}
        pins = ([asyncssh.import_public_key(self.state.host_key)], [], [])
        async with asyncssh.connect(self.state.address, known_hosts=pins, **options) as link:
            await link.run("sh", input=text, check=True, timeout=60)


@pytest.fixture
def real() -> Iterator[RealMachine]:
    from drivers.local import machines

    made = RealMachine()
    yield made
    machines.sweep(made.cluster.cid)


@pytest.mark.hosts
async def test_a_real_host_shows_the_lasting_key_alone(real: RealMachine) -> None:
    connect = make_connect()
    new = newcomer(real.machine, real.login)
    keys = replace(FakeSshd().keys, login_private=real.login)
    await real.run(data_for(real.cluster.login_public))
    async with asyncio.timeout(30):
        while await shown(real) != BOOTSTRAP.public:  # noqa: ASYNC110 - the signal is on its way
            await asyncio.sleep(0.05)
    from provisioner.clock import SystemClock

    await establish(new, connect, SystemClock(), wait=30, stopping=lambda: False)
    assert await shown(real) == LASTING.public
    for gone in (BOOTSTRAP.public, real.state.host_key):
        with pytest.raises(HostKeyError):
            await connect(replace(real.machine, host_keys=(gone,)), keys)
    link = await connect(replace(real.machine, host_keys=(LASTING.public,)), keys)
    look = await link.run(("sh", "-c", "ls /etc/ssh; /usr/sbin/sshd -T | grep -i ^hostkey; sshd -T"), timeout=20)
    told = look.stdout.decode().lower().splitlines()
    assert [line for line in told if line.startswith("hostkey ")] == ["hostkey /etc/ssh/ssh_host_ed25519_key"] * 2
    assert "passwordauthentication no" in told
    assert "kbdinteractiveauthentication no" in told
    held = await link.run(("sh", "-c", "cat /etc/ssh/ssh_host_*"), timeout=20)
    assert BOOTSTRAP.private.splitlines()[2] not in held.stdout.decode()
    await link.close()
    with pytest.raises(asyncssh.PermissionDenied):
        await password_login(real)


@pytest.mark.hosts
async def test_a_real_host_ends_itself_at_its_deadline(real: RealMachine) -> None:
    from drivers.local import machines

    await real.run(power_off_script("2020-01-01T00:00:00Z"))
    async with asyncio.timeout(60):
        while machines.read_host(real.cluster.cid, HostName("m1")).running:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def shown(real: RealMachine) -> str:
    try:
        key = await asyncssh.get_server_host_key(real.state.address, config=None)
    except (asyncssh.Error, OSError):
        return ""
    return " ".join(key.export_public_key().decode().split()[:2]) if key else ""


async def password_login(real: RealMachine) -> None:
    pins = ([asyncssh.import_public_key(LASTING.public)], [], [])
    options = {"username": "root", "password": "x", "client_keys": None, "config": None, "agent_path": None}
    async with asyncssh.connect(real.state.address, known_hosts=pins, **options):
        pass


def test_keys_are_fresh() -> None:
    assert len({make_pair().public for _ in range(3)}) == 3
    assert "PRIVATE" not in repr(Pair("public", "PRIVATE"))
