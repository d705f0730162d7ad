"""What can be wrong with an input value: one small function each, a sentence without its subject or None."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.local.names import MAX_SLOT, checked_host
from drivers.local.subnets import parse_subnet
from provisioner.errors import UsageError
from provisioner.model.ids import HostName, parse_cid, parse_host_name
from provisioner.plugin.values import Unknown

if TYPE_CHECKING:
    from provisioner.plugin.kinds import Problem
    from provisioner.plugin.values import Property

HOUR = 3600


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


def any_public_key(value: Property) -> str | None:
    """An OpenSSH public key of any type, one line."""
    good = (
        isinstance(value, str) and value.startswith(("ssh-", "ecdsa-")) and len(value.split()) > 1 and "\n" not in value
    )
    return None if good else "must be one line of an OpenSSH public key"


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


def any_host(value: Property) -> str | None:
    """A host's name, whoever made the host."""
    if not isinstance(value, str):
        return "must be a text"
    try:
        parse_host_name(value)
    except UsageError as error:
        return f"must be a host's name: {error}"
    return None


def filled(value: Property) -> str | None:
    """Any text but the empty one."""
    return None if isinstance(value, str) and value.strip() else "must be a text that is not empty"


def boolean(value: Property) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "must be true or false"


def port(value: Property) -> str | None:
    """A TCP port."""
    good = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) and 0 < value < 1 << 16
    )
    return None if good else "must be a port, 1 to 65535"


def seconds(value: Property) -> str | None:
    """Whole seconds, an hour at most: no machine's boot takes longer, and an engine waits for us."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) and 0 < value <= HOUR
    return None if good else f"must be whole seconds, 1 to {HOUR}"


def ssh_target(value: Property) -> str | None:
    """Where a machine is entered: {host, port, user}."""
    if not isinstance(value, dict):
        return "must be an object"
    lacks = [k for k, bad in (("host", filled), ("port", port), ("user", filled)) if _wrong(bad, value.get(k))]
    return f"needs {', '.join(lacks)}" if lacks else None


def pins(value: Property) -> str | None:
    """What a machine is known by: public keys and fingerprints."""
    good = isinstance(value, list) and value and all(isinstance(pin, str | Unknown) and pin != "" for pin in value)
    return None if good else "must be a list of public keys or fingerprints (SHA256:…)"


def jump(value: Property) -> str | None:
    """A host to connect through: {host, port, user, hostKeys}."""
    wrong = ssh_target(value)
    if wrong or not isinstance(value, dict):
        return wrong
    keys = value.get("hostKeys")
    known = isinstance(keys, list) and keys  # what is inside and not known yet, the run will check again
    return None if known or isinstance(keys, Unknown) else "needs hostKeys"


def _wrong(problem: Problem, value: Property) -> bool:
    return not isinstance(value, Unknown) and problem(value) is not None


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
