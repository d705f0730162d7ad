"""Bare metal without a machine: what a request becomes, what is missing, what machines say, and the plugin's kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from drivers.baremetal.driver import BaremetalDriver
from drivers.baremetal.entry import BaremetalSpec
from drivers.baremetal.probe import public_keys, to_seen
from drivers.base import load_driver
from provisioner.errors import AccessError, HostError, SealerError, UsageError
from provisioner.model.accepted import (
    Accepted,
    AcceptedHost,
    AcceptedImage,
    AcceptedJump,
    AcceptedMachine,
    AcceptedPool,
    AcceptedSsh,
)
from provisioner.model.driver import Surroundings
from provisioner.model.hosts import ClusterKeys, InventoryHost, SshTarget
from provisioner.model.ids import HostName
from provisioner.transport.connection import CommandResult

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbCpiPtjMEhTInBZLNuLkCWZv3T7yU3hHqJpKMeFyzJ"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqJpKMeFyzJbCpiPtjMEhTInBZLNuLkCWZv3T7yU3hH"
PRINT = "SHA256:" + "a" * 43
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a usual key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / ".ssh").mkdir()
    key.write_private_key(str(tmp_path / ".ssh/id_ed25519"))
    return tmp_path


def around(home: Path) -> Surroundings:
    return Surroundings({"HOME": str(home)}, home / "cache", lambda: datetime(2026, 1, 1, tzinfo=UTC))


def machine(name: str = "m1", address: str = "10.0.0.1", **fields: object) -> AcceptedMachine:
    return AcceptedMachine(**{"name": name, "address": address, "ssh": AcceptedSsh(), "host_keys": (KEY,), **fields})  # type: ignore[arg-type]


def accepted(*machines: AcceptedMachine, pool: Mapping[str, object] | None = None, **fields: object) -> Accepted:
    names = [m.name for m in machines] or ["m1"]
    known = {
        "cluster": "app",
        "provider": "baremetal",
        "image": AcceptedImage(reference="a:1", repository="a", digest="sha256:" + "0" * 64),
        "pools": (AcceptedPool(name="master", roles=("master",), count=len(names), **(pool or {})),),
        "hosts": tuple(AcceptedHost(name=n, pool="master", roles=("master",), slot=i) for i, n in enumerate(names)),
        "data_root": "/var/lib/sealer/data",
        "machines": machines,
    }
    return Accepted(**{**known, **fields})  # type: ignore[arg-type]


def spec_of(home: Path, *machines: AcceptedMachine) -> BaremetalSpec:
    return BaremetalDriver(around(home)).parse_spec(accepted(*machines))


def test_it_is_in_the_registry(home: Path) -> None:
    assert load_driver("baremetal", around(home)).name == "baremetal"


def test_a_machine_becomes_a_host_with_the_users_own_key(home: Path) -> None:
    (host,) = spec_of(home, machine()).hosts
    assert host == InventoryHost(
        HostName("m1"), ("master",), "10.0.0.1", SshTarget("10.0.0.1", 22, "root"), (KEY,), "",
        identity=str(home / ".ssh/id_ed25519"),
    )  # fmt: skip


def test_ssh_may_lead_elsewhere_and_through_another_host(home: Path) -> None:
    key = home / "own"
    key.write_bytes((home / ".ssh/id_ed25519").read_bytes())
    jump = AcceptedJump(host="bastion", port=2222, user="way", host_keys=(OTHER,))
    ssh = AcceptedSsh(host="far.example", port=2200, user="ops", private_key_file="~/own", jump=jump)
    spec = spec_of(home, machine(ssh=ssh, host_keys=(PRINT,)))
    (host,) = spec.hosts
    assert spec.lacks == ()
    assert (host.ssh, host.sudo, host.identity) == (SshTarget("far.example", 2200, "ops"), True, str(key))
    assert host.jump is not None
    assert (host.jump.target, host.jump.host_keys, host.jump.identity) == (
        SshTarget("bastion", 2222, "way"),
        (OTHER,),
        str(key),
    )


def test_pins_come_from_a_known_hosts_file(home: Path) -> None:
    known = home / "known_hosts"
    known.write_text(f"10.0.0.1 {KEY}\n[10.0.0.2]:2222 {OTHER}\n")
    spec = spec_of(
        home,
        machine(host_keys=(), known_hosts_file=str(known)),
        machine("m2", "10.0.0.2", host_keys=(), known_hosts_file="~/known_hosts", ssh=AcceptedSsh(port=2222)),
    )
    assert [h.host_keys for h in spec.hosts] == [(KEY,), (OTHER,)]
    assert spec.lacks == ()


def test_all_that_is_missing_is_told_at_once_before_anything_is_looked_at(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"10.9.9.9 {KEY}\n")
    driver = BaremetalDriver(around(tmp_path), connect=never)
    spec = driver.parse_spec(
        accepted(
            machine(host_keys=(), known_hosts_file=str(known)),
            machine("m2", "10.0.0.2", host_keys=()),
            machine("m3", "10.0.0.3", ssh=AcceptedSsh(private_key_file=str(tmp_path / "absent"))),
        )
    )
    with pytest.raises(AccessError) as told:
        driver.check(spec)
    for part in ("id_ed25519", "absent", "holds no key of 10.0.0.1", "no host key of m2"):
        assert part in told.value.message
    with pytest.raises(AccessError):
        driver.check(spec, standing=True)


async def never(_host: InventoryHost, _keys: ClusterKeys) -> object:
    raise AssertionError("nothing may be connected to")


@pytest.mark.parametrize(
    ("fields", "pool", "key"),
    [
        ({"region": "cn-hangzhou"}, {}, "region"),
        ({"zones": ("a",)}, {}, "zones"),
        ({"ttl": 3600}, {}, "ttl"),
        ({"network": {"cidr": "10.0.0.0/16"}}, {}, "network.cidr"),
        ({}, {"cpu": 4}, "cpu of pool master"),
        ({}, {"data_disks": (10,)}, "dataDisks"),
        ({}, {"instance_types": ("t3.small",)}, "instanceType"),
        ({"machines": ()}, {}, "no machine for m1"),
        ({"hosts": (AcceptedHost(name="n1", pool="master", roles=("node",), slot=0),)}, {}, "no machine for n1"),
    ],
)
def test_what_it_cannot_serve_is_refused_by_its_key(home: Path, fields: dict, pool: dict, key: str) -> None:
    with pytest.raises(UsageError, match=key):
        BaremetalDriver(around(home)).parse_spec(accepted(machine(), pool=pool, **fields))


def test_two_hosts_are_never_one_machine(home: Path) -> None:
    with pytest.raises(UsageError, match=r"m1 and m2 are both at 10\.0\.0\.1"):
        spec_of(home, machine(), machine("m2", ssh=AcceptedSsh(host="x")))
    with pytest.raises(UsageError, match="m1 and m2 are both at x port 22"):
        spec_of(home, machine(ssh=AcceptedSsh(host="x")), machine("m2", "10.0.0.2", ssh=AcceptedSsh(host="x")))
    ports = (AcceptedSsh(host="x", port=p) for p in (2201, 2202))
    assert spec_of(home, machine(ssh=next(ports)), machine("m2", "10.0.0.2", ssh=next(ports))).lacks == ()


class FakeLink:
    def __init__(self, host: InventoryHost, said: str, rc: int = 0) -> None:
        self.name, self.host_key, self._said, self._rc = host.name, KEY, said, rc

    async def run(self, *_words: object, **_limits: object) -> CommandResult:
        return CommandResult(self._rc, self._said.encode(), b"")

    async def close(self) -> None:
        pass


def says(**by_host: str | SealerError) -> object:
    async def connect(host: InventoryHost, _keys: ClusterKeys) -> FakeLink:
        said = by_host[host.name]
        if isinstance(said, SealerError):
            raise said
        return FakeLink(host, said)

    return connect


GOOD = f"welcome\n@sealer machine {ID}\n@sealer uid 0\n@sealer end\n"


def checked(home: Path, **by_host: str | SealerError) -> None:
    driver = BaremetalDriver(around(home), says(**by_host))  # type: ignore[arg-type]
    machines = [machine(n, f"10.0.0.{i}") for i, n in enumerate(by_host, 1)]
    spec = driver.parse_spec(accepted(*machines))
    assert all(c.ok for c in driver.check(spec))


def test_machines_that_answer_and_are_free_pass(home: Path) -> None:
    checked(home, m1=GOOD, m2=GOOD)


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (GOOD.replace("uid 0", "uid 0\n@sealer holds other-abc234"), UsageError, "m1 holds other-abc234"),
        (GOOD.replace("uid 0", "uid 0\n@sealer taken /x"), UsageError, "m1 has a folder /var/lib/sealer/data/app"),
        (GOOD.replace("uid 0", "uid 1000"), HostError, "does not act as root"),
        ("", HostError, "does not act as root"),
        (HostError("m1 did not answer in time", host="m1"), HostError, "m1 did not answer"),
    ],
)
def test_a_new_cluster_takes_no_machine_that_is_not_free_or_does_not_answer(
    home: Path, said: str | SealerError, error: type[SealerError], text: str
) -> None:
    with pytest.raises(error, match=text):
        checked(home, m1=said, m2=GOOD)


def test_all_machines_are_told_of_in_one_error(home: Path) -> None:
    with pytest.raises(UsageError) as told:
        checked(home, m1=HostError("m1 is off", host="m1"), m2=GOOD.replace("uid 0", "uid 0\n@sealer holds x-abc234"))
    assert "m1 is off" in told.value.message
    assert "m2 holds x-abc234" in told.value.message


def host(*pins: str) -> InventoryHost:
    return InventoryHost(HostName("m1"), (), "10.0.0.1", SshTarget("10.0.0.1"), pins, "")


def test_a_machine_without_an_id_is_known_by_its_key() -> None:
    lines = "@sealer uid 0\n@sealer machine $(reboot)\n@sealer end"
    seen = to_seen(lines, host(KEY), KEY)
    assert len(seen.machine_id) == 32
    assert seen.machine_id == to_seen(lines, host(PRINT), KEY).machine_id
    assert seen.machine_id != to_seen(lines, host(KEY), OTHER).machine_id


def test_a_fingerprint_becomes_the_key_that_was_shown() -> None:
    assert public_keys((KEY, OTHER), KEY) == (KEY, OTHER)
    assert public_keys((PRINT,), KEY) == (KEY,)
    assert public_keys((OTHER, PRINT), KEY) == (OTHER, KEY)
    assert public_keys((PRINT,), "") == (PRINT,)
