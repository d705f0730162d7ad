"""The `Infra` format as a table, with the grammar of its values: machines to make, and machines that exist."""

from __future__ import annotations

import re

from provisioner.model.deadline import check_duration
from provisioner.model.endpoints import WORDS, check_endpoint
from provisioner.model.fields import Amount, Either, Env, Field, Flag, Free, Items, Number, Record, Text, TextMap
from provisioner.model.formats import GIB, METADATA, check_tag, check_tag_value, one_of
from provisioner.model.grammar import MAX_COUNT, MAX_PORT, check_cidr, check_provider, check_role

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
PUBLIC = ("all", "first", "none")

_WORD = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_JUMP = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]@\s]+))(?::(?P<port>[0-9]{1,5}))?")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
_PUBLIC_KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)) AAAA[A-Za-z0-9+/]{16,}={0,3}( [^\r\n]*)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def check_word(text: str) -> str:
    """A region, a zone, a machine type, the name of an operating system."""
    return "" if _WORD.fullmatch(text) else "must be lower-case letters, digits, dots and dashes"


def check_id(text: str) -> str:
    """A provider's own id of something that exists."""
    return "" if _ID.fullmatch(text) else "is no id or name of a provider: letters, digits and _ . : / -"


def check_user(text: str) -> str:
    """A login name."""
    return "" if _USER.fullmatch(text) else f"{text[:40]!r} is no login name"


def check_ip(text: str) -> str:
    """One IP address, without port or range."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return f"{text[:80]!r} is no IP address"
    return ""


def check_ssh_host(text: str) -> str:
    """Where SSH connects: a host name or an address."""
    return "" if _HOST.fullmatch(text) or not check_ip(text) else f"{text[:80]!r} is no host name and no address"


def split_jump(text: str) -> tuple[str | None, str, int | None] | None:
    """`user@host:port` in its parts; None where it is no such text."""
    match = _JUMP.fullmatch(text)
    if not match:
        return None
    host, port = match["v6"] or match["host"], int(match["port"]) if match["port"] else None
    user = match["user"]
    sound = not check_ssh_host(host) and (user is None or not check_user(user)) and (port is None or _is_port(port))
    return (user, host, port) if sound else None


def check_jump(text: str) -> str:
    """A host to connect through, as one word."""
    return "" if split_jump(text) else f"{text[:80]!r} is not user@host or user@host:port, and only one jump is taken"


def check_host_key(text: str) -> str:
    """What pins a machine: a fingerprint or a public key."""
    if _FINGERPRINT.fullmatch(text) or _PUBLIC_KEY.fullmatch(text):
        return ""
    return "is no fingerprint (SHA256:… of 43 characters) and no public key (ssh-ed25519 AAAA…)"


def check_path(text: str) -> str:
    """The path of a file on the operator's machine."""
    return "" if text and text.isprintable() else "must be the path of a file"


def check_ports(text: str) -> str:
    """A port, or a range of them."""
    match = _PORTS.fullmatch(text)
    if match and _is_port(int(match[1])) and _is_port(int(match[2] or match[1])):
        return "" if int(match[1]) <= int(match[2] or match[1]) else "the range runs backwards"
    return f"{text[:40]!r} is no port from 1 to {MAX_PORT} and no range like 8000-8100"


def check_source(text: str) -> str:
    """Who may come in: the operator, by the address that he is seen with, or a network."""
    import ipaddress

    if text == "operator":
        return ""
    try:
        ipaddress.IPv4Network(text)
    except ValueError as error:
        return f"must be operator or an IPv4 network ({error})"
    return "" if "/" in text else f"must be operator or a network like {text}/32"


def check_label_key(key: str) -> str:
    """A label's key, as Kubernetes has them."""
    return "" if _LABEL_KEY.fullmatch(key) else "is no label: letters, digits, - _ . and one prefix before a slash"


def check_label_value(text: str) -> str:
    """A label's value."""
    return "" if _LABEL_VALUE.fullmatch(text) else "is no label's value: at most 63 letters, digits and - _ ."


def check_taint(text: str) -> str:
    """`key=value:Effect` or `key:Effect`; upstream's removal (a dash at the end) asks for nothing on a new host."""
    head, colon, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    if not colon or effect not in EFFECTS:
        return f"{text[:80]!r} is not key=value:Effect, with one of {', '.join(EFFECTS)}"
    return check_label_key(key) or check_label_value(value)


def _check_currency(text: str) -> str:
    return "" if _CURRENCY.fullmatch(text) else "must be three capital letters, like USD or CNY"


def _is_port(number: int) -> bool:
    return 1 <= number <= MAX_PORT


_FILE = Field(Text(check_path))
_HOST_KEYS = Field(Items(Text(check_host_key), some=True, unique=True))
_LOGIN = {"port": Field(Number(1, MAX_PORT)), "user": Field(Text(check_user)), "privateKeyFile": _FILE}
_JUMP_RECORD = Record({"host": Field(Text(check_ssh_host), required=True), **_LOGIN, "hostKeys": _HOST_KEYS})
_SUDO = Record({"mode": Field(one_of("auto")), "passwordFile": Field(Text(), built=False)})
_ENTER = {
    **_LOGIN,
    "knownHostsFile": _FILE,
    "jump": Field(Either(Text(check_jump), _JUMP_RECORD)),
    "passwordFile": Field(Text(), built=False),
    "sudo": Field(_SUDO),
}
SSH = Record({**_ENTER, "passwd": Field(Text())}, {"host": "a host to connect to stands in hosts[].ssh"})
"""`spec.ssh`. `passwd` is upstream's, from the design of this document: see `infra.py`."""

_NETWORK = Record(
    {
        "cidr": Field(Text(check_cidr)),
        "vpc": Field(Text(check_id)),
        "subnets": Field(Items(Text(check_id), unique=True)),
        "shared": Field(Text(check_id)),
        "public": Field(one_of(*PUBLIC)),
        "ingress": Field(
            Items(
                Record(
                    {
                        "port": Field(Text(check_ports), required=True),
                        "from": Field(Text(check_source), required=True),
                        "protocol": Field(one_of("tcp", "udp")),
                    }
                )
            )
        ),
    }
)
_PRICE = Record(
    {"perHostHour": Field(Amount(), required=True), "currency": Field(Text(_check_currency), required=True)}
)
_SPOT = Record({"maxPrice": Field(_PRICE), "fallback": Field(one_of("on-demand"))})
SIZES = {
    "cpu": Field(Number(1, 4096)),
    "memory": Field(Number(1, GIB)),
    "systemDisk": Field(Number(1, GIB)),
    "dataDisks": Field(Items(Number(1, GIB)), alias="dataDisk"),
    "instanceType": Field(Either(Text(check_word), Items(Text(check_word), unique=True))),
    "spot": Field(Either(Flag(), _SPOT)),
}
_ENTRY = Record(
    {
        "name": Field(Text(check_role)),
        "roles": Field(Items(Text(check_role), unique=True), alias="role"),
        "count": Field(Number(0, MAX_COUNT)),
        **SIZES,
        "env": Field(Env(mapping=True)),
        "labels": Field(TextMap(check_label_key, check_label_value)),
        "taints": Field(Items(Text(check_taint), unique=True)),
        "address": Field(Text(check_ip)),
        "hostKeys": _HOST_KEYS,
        "knownHostsFile": _FILE,
        "ssh": Field(Record({"host": Field(Text(check_ssh_host)), **_ENTER})),
    }
)

INFRA = Record(
    {
        "apiVersion": Field(Free()),
        "kind": Field(Free()),
        "metadata": Field(METADATA),
        "status": Field(Free(), ignored=True),
        "spec": Field(
            Record(
                {
                    "provider": Field(Text(check_provider)),
                    "region": Field(Text(check_word)),
                    "zones": Field(Items(Text(check_word), unique=True)),
                    "network": Field(_NETWORK),
                    "endpoints": Field(Record({word: Field(Text(check_endpoint)) for word in WORDS})),
                    "ssh": Field(SSH),
                    "osImage": Field(
                        Record(
                            {
                                "name": Field(Text(check_word)),
                                "arch": Field(one_of("amd64", "arm64")),
                                "id": Field(Text(check_id)),
                            }
                        )
                    ),
                    "ttl": Field(Text(check_duration)),
                    "tags": Field(TextMap(check_tag, check_tag_value)),
                    "protect": Field(Flag()),
                    "hosts": Field(Items(_ENTRY)),
                }
            )
        ),
    }
)
