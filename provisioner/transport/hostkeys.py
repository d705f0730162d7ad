"""Host keys as text: checked before they are trusted, and written as `known_hosts` for ourselves and for `ssh`. Pure.

A pin is a public key, or the fingerprint of one (`SHA256:…`). `ssh` cannot be told a fingerprint, so those never become
a line: our own connection says which key matched.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from provisioner.errors import HostError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget

SSH_PORT = 22
_KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
    }
)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
# A host or user that starts with a dash, or holds blanks or control bytes, would be read as something else by `ssh`.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def is_fingerprint(pin: str) -> bool:
    """True for `SHA256:…` as `ssh-keygen -l` prints it."""
    return _FINGERPRINT.fullmatch(pin.strip().rstrip("=")) is not None


def parse_host_key(text: str, host: str) -> str:
    """A public key as `<type> <base64>`, without comment. Raises HostError (7) naming the host for anything else."""
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        good = words[0] in _KEY_TYPES and blob[4 : 4 + length] == words[0].encode()
    except (IndexError, ValueError):  # no second word, or no base64
        good = False
    if not good:
        raise HostError(
            f"the pinned key of {host} is no public key",
            host=host,
            hint="it must read `ssh-ed25519 AAAA…`, or `SHA256:…` for a fingerprint",
        )
    return f"{words[0]} {words[1]}"


def parse_pin(text: str, host: str) -> str:
    """A public key without its comment, or a fingerprint. Raises HostError (7) naming the host for anything else."""
    return text.strip().rstrip("=") if is_fingerprint(text) else parse_host_key(text, host)


def check_target(target: SshTarget, host: str) -> None:
    """Raise HostError (7) for an address, user or port that is none."""
    if not _HOST.fullmatch(target.host) or not _USER.fullmatch(target.user) or not 0 < target.port < 1 << 16:
        raise HostError(
            f"{host}: {target.user!r} at {target.host!r} port {target.port} is no SSH address",
            host=host,
            hint="correct ssh.host, ssh.port and ssh.user",
        )


def known_hosts_text(hosts: Iterable[InventoryHost]) -> str:
    """The `known_hosts` lines of these machines' pins, and of the hosts on the way to them, each line once.

    Fingerprints make no line. Raises HostError for a bad pin, or for a host without one.
    """
    lines: dict[str, None] = {}
    for host in hosts:
        for target, pins in ((host.ssh, pins_of(host)), *_on_the_way(host)):
            lines |= {f"{_pattern(target)} {pin}\n": None for pin in pins if not is_fingerprint(pin)}
    return "".join(lines)


def pins_of(host: InventoryHost) -> tuple[str, ...]:
    """The pins of one machine, checked. Raises HostError: nothing is ever connected to without a pin."""
    return _pins(host.ssh, host.host_keys, host.name, host.name)


def pins_of_jump(jump: Jump, host: str) -> tuple[str, ...]:
    """The pins of the host on the way to `host`, checked likewise. Raises HostError naming both."""
    return _pins(jump.target, jump.host_keys, f"{jump.target.host}, the way to {host}", host)


def needs_matched_key(host: InventoryHost) -> bool:
    """True where only a connection of our own can say which key stands behind a fingerprint of this machine."""
    return all(is_fingerprint(key) for key in host.host_keys)


def needs_matched_way(host: InventoryHost) -> bool:
    """True where that is so of the host on the way to it."""
    return host.jump is not None and all(is_fingerprint(key) for key in host.jump.host_keys)


def _pins(target: SshTarget, keys: tuple[str, ...], what: str, host: str) -> tuple[str, ...]:
    check_target(target, host)
    if not keys:
        raise HostError(
            f"no host key of {what} is known, so it is not connected to",
            host=host,
            hint="write its fingerprint into hostKeys: `ssh-keyscan HOST | ssh-keygen -lf -` on a network that you trust shows it",
        )
    return tuple(parse_pin(key, what) for key in keys)


def _on_the_way(host: InventoryHost) -> tuple[tuple[SshTarget, tuple[str, ...]], ...]:
    return ((host.jump.target, pins_of_jump(host.jump, host.name)),) if host.jump else ()


def _pattern(target: SshTarget) -> str:
    return target.host if target.port == SSH_PORT else f"[{target.host}]:{target.port}"
