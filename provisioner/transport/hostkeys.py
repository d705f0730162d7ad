"""Host keys as text: checked before they are trusted, and written as `known_hosts` for ourselves and for `ssh`. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from provisioner.errors import HostError
from provisioner.model.hosts import InventoryHost, SshTarget

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
# A host or user that starts with a dash, or holds blanks or control bytes, would be read as something else by `ssh`.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,253}[A-Za-z0-9])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


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
            f"the pinned key of {host} is no public key", host=host, hint="it must read `ssh-ed25519 AAAA…`"
        )
    return f"{words[0]} {words[1]}"


def check_target(target: SshTarget, host: str) -> None:
    """Raise HostError (7) for an address, user or port that is none."""
    if not _HOST.fullmatch(target.host) or not _USER.fullmatch(target.user) or not 0 < target.port < 1 << 16:
        raise HostError(f"{host}: {target.user!r} at {target.host!r} port {target.port} is no SSH address", host=host)


def known_hosts_text(hosts: Iterable[InventoryHost]) -> str:
    """The `known_hosts` lines of these machines' pins. Raises HostError for a bad pin, or for a host without one."""
    lines = [f"{_pattern(h.ssh)} {key}\n" for h in hosts for key in pins_of(h)]
    return "".join(lines)


def pins_of(host: InventoryHost) -> tuple[str, ...]:
    """The pinned keys of one machine, checked. Raises HostError: nothing is ever connected to without a pin."""
    check_target(host.ssh, host.name)
    if not host.host_keys:
        raise HostError(f"no host key of {host.name} is known, so it is not connected to", host=host.name)
    return tuple(parse_host_key(key, host.name) for key in host.host_keys)


def _pattern(target: SshTarget) -> str:
    return target.host if target.port == SSH_PORT else f"[{target.host}]:{target.port}"
