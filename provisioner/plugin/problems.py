"""What can be wrong with an input value: one small function each, a sentence without its subject or None."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.local.names import MAX_SLOT, checked_host
from drivers.local.subnets import parse_subnet
from provisioner.errors import UsageError
from provisioner.model.ids import HostName, parse_cid

if TYPE_CHECKING:
    from provisioner.plugin.kinds import Problem
    from provisioner.plugin.values import Property


def cid(value: Property) -> str | None:
    """A cluster id."""
    if not isinstance(value, str):
        return "must be a text"
    try:
        parse_cid(value)
    except UsageError:
        return f"must be a cluster id (name, dash, six base32 characters), not {value!r}"
    return None


def host_name(value: Property) -> str | None:
    """A name that a local host can have."""
    if not isinstance(value, str):
        return "must be a text"
    try:
        checked_host(HostName(value))
    except UsageError as error:
        return f"must be a host's name: {error}"
    return None


def slot(value: Property) -> str | None:
    """A slot: whole, 0 to 240."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        return "must be a whole number"
    return None if 0 <= value <= MAX_SLOT else f"must be 0 to {MAX_SLOT}, not {value:g}"


def roles(value: Property) -> str | None:
    """A list of roles."""
    good = isinstance(value, list) and all(isinstance(role, str) and role for role in value)
    return None if good else "must be a list of names"


def public_key(value: Property) -> str | None:
    """An OpenSSH public key, one line."""
    good = isinstance(value, str) and value.startswith("ssh-") and len(value.split()) > 1 and "\n" not in value
    return None if good else "must be one line of an OpenSSH public key (ssh-ed25519 AAAA…)"


def cidr(value: Property) -> str | None:
    """A private IPv4 network of a size that the local driver serves."""
    if not isinstance(value, str):
        return "must be a text"
    try:
        parse_subnet(value)
    except UsageError as error:
        return f"cannot be used: {error}"
    return None


def text(value: Property) -> str | None:
    """Any text."""
    return None if isinstance(value, str) else "must be a text"


def mapping(value: Property) -> str | None:
    """Any object."""
    return None if isinstance(value, dict) else "must be an object"


def version(highest: int) -> Problem:
    """A schema version that this plugin understands."""

    def check(value: Property) -> str | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1:
            return "must be a number from 1"
        newer = value > highest
        return f"is {value:g}, newer than this sealer-cloud knows ({highest}): use the newer version" if newer else None

    return check
