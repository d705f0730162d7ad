"""A known_hosts file as pins."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path

import asyncssh
import pytest

from provisioner.errors import UsageError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget
from provisioner.model.ids import HostName
from provisioner.transport.hostkeys import is_fingerprint, known_hosts_text, needs_matched_key
from provisioner.transport.knownhosts import pins_from_known_hosts


def key() -> str:
    return " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])


A, B, C = key(), key(), key()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(
        f"# mine\nm1.example,10.0.0.1 {A} comment\n[m1.example]:2222 {B}\n*.wild {C}\n@cert-authority *.ca {A}\n"
        f"@revoked gone {B}\ngone {B}\ngone {C}\n\n[fd00::1]:2222 {A}\n"
    )
    return path


@pytest.mark.parametrize(
    ("host", "port", "pins"),
    [
        ("m1.example", 22, (A,)),
        ("10.0.0.1", 22, (A,)),
        ("m1.example", 2222, (B,)),
        ("x.wild", 22, (C,)),
        ("gone", 22, (C,)),
        ("fd00::1", 2222, (A,)),
    ],
)
def test_pins_of_a_host(file: Path, host: str, port: int, pins: tuple[str, ...]) -> None:
    assert pins_from_known_hosts(file, host, port) == pins


def hashed(name: str, salt: bytes) -> str:
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def test_hashed_entries(file: Path) -> None:
    names = {"m1.example": A, "[m1.example]:2222": B, "other": C}
    file.write_text("".join(f"{hashed(name, bytes([n]) * 20)} {key}\n" for n, (name, key) in enumerate(names.items())))
    assert pins_from_known_hosts(file, "m1.example") == (A,)
    assert pins_from_known_hosts(file, "m1.example", 2222) == (B,)


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [("other", 22, "holds no key of other"), ("10.0.0.1", 2222, r"no key of \[10"), ("m.ca", 22, "certificate auth")],
)
def test_what_is_no_pin(file: Path, host: str, port: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        pins_from_known_hosts(file, host, port)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"one-word\n", b"@odd x y z\n", None])
def test_what_is_no_known_hosts_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "known_hosts"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is no known_hosts file|cannot be read"):
        pins_from_known_hosts(path, "m1")


def machine(*keys: str, jump: Jump | None = None) -> InventoryHost:
    return InventoryHost(HostName("m1"), (), "10.0.0.1", SshTarget("10.0.0.1"), keys, "id", jump=jump)


def test_lines_of_the_way_stand_once_and_fingerprints_make_none() -> None:
    print_ = "SHA256:" + "a" * 43
    way = Jump(SshTarget("bastion", 2222), (B,))
    hosts = [machine(A, print_, jump=way), machine(C, jump=way)]
    assert known_hosts_text(hosts) == f"10.0.0.1 {A}\n[bastion]:2222 {B}\n10.0.0.1 {C}\n"
    assert [needs_matched_key(machine(*pins)) for pins in ((A, print_), (print_,))] == [False, True]
    assert is_fingerprint(print_ + "=")
    assert not is_fingerprint("MD5:aa:bb")
