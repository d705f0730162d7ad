"""The grammar of single values: each check returns what is wrong with a text, or nothing.

Shared by the files' reader and by the command line, so that a value is good in both or in neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from provisioner.errors import UsageError
from provisioner.model.envnames import is_reserved
from provisioner.model.imageref import parse_reference
from provisioner.model.paths import STATE_ROOT
from provisioner.model.refs import has_embedded_ref

PROVIDERS = ("alicloud", "aws", "baremetal", "local")
BUILT_PROVIDERS = ("local", "baremetal", "alicloud", "aws")
DEFAULT_PROVIDER = "local"
BOUGHT = ("alicloud", "aws")
"""Providers whose machines somebody pays for by the hour."""
MAX_VALUE = 100 << 10
"""Bytes of one env value: what a host takes."""
MAX_COUNT = 1000
"""Hosts in one pool: far above what one operator serves, far below what eats its memory."""

MAX_PORT = 65535

_ALIASES = {"ALI_CLOUD": "alicloud", "CONTAINER": "local", "BAREMETAL": "baremetal"}
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ROLE = re.compile(r"[a-z0-9]([a-z0-9-]{0,55}[a-z0-9])?")  # a host is named by it, with up to six digits after it
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_ENV_KEY_TO_COME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}")
_DERIVED_UPSTREAM = re.compile(r"KubeSvcIP|DNSSvcIP|ContainerRuntime|(Local|External)?Registry(Domain|Port|URL)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ROOT_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[._][A-Za-z0-9_-][A-Za-z0-9._-]*")
_SYSTEM = frozenset(
    "bin boot dev etc lib lib32 lib64 libx32 proc root run sbin sys tmp usr".split()  # noqa: SIM905 - reads better
)
_NEEDED = frozenset(
    {"/home", "/media", "/mnt", "/opt", "/srv", "/var", *(f"/var/{name}" for name in ("lib", "log", "run", "tmp"))}
)
_OCTETS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_ADDRESS = re.compile(rf"(?P<first>{_OCTETS.pattern})(:(?P<port>\d{{1,5}})|-(?P<last>{_OCTETS.pattern}))?")
_MIN_PREFIX, _MAX_PREFIX = 16, 28


def check_label(text: str) -> str:
    """An RFC 1123 label: cluster, pool and host names."""
    if _LABEL.fullmatch(text):
        return ""
    return "must be 1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"


def check_role(text: str) -> str:
    """A role; hosts are named by their first one."""
    if _ROLE.fullmatch(text):
        return ""
    return "must be 1 to 57 lower-case letters, digits and dashes, starting and ending with a letter or digit"


def check_image(text: str) -> str:
    """An image reference."""
    try:
        parse_reference(text)
    except UsageError as error:
        return error.message
    return ""


def check_env_key(key: str) -> str:
    """A name for an env value; names that we (or upstream) set ourselves are refused."""
    if not _ENV_KEY.fullmatch(key):
        if _ENV_KEY_TO_COME.fullmatch(key):  # upstream's files have `etcd-dir`; no shell can hold such a variable
            return f"an env name with '.' or '-' ({key}) is not built yet"
        return "an env name is letters, digits and '_', and does not start with a digit"
    if is_reserved(key) or _DERIVED_UPSTREAM.fullmatch(key):
        return f"{key} is set by sealer-cloud itself"
    return ""


def check_text(text: str) -> str:
    """A text that can be stored and sent: the words of a command line may hold bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not UTF-8 text"
    return ""


def check_env_value(value: str) -> str:
    """An env value: plain text, or one whole reference."""
    if complaint := check_text(value):
        return complaint
    if len(value.encode()) > MAX_VALUE:
        return f"is longer than {MAX_VALUE >> 10} KiB; put it into a file of the image"
    if has_embedded_ref(value):
        return "a reference must be the whole value"
    if value.startswith(("${env:", "${file:")) and value.endswith("}") and ":}" in value:
        return "the reference names nothing"
    return ""


def check_data_root(text: str) -> str:
    """Where rootfs and data lie on a host: an absolute folder of its own, never one that the system lives in."""
    if _CONTROL.search(text):
        return "must hold no control characters"
    if not text.startswith("/"):
        return "must be an absolute path"
    path = text.rstrip("/")
    parts = path.split("/")[1:]
    if not all(_ROOT_PART.fullmatch(part) for part in parts):
        return "may hold letters, digits, '.', '_' and '-' between single slashes, and no '..' part"
    if not parts or parts[0] in _SYSTEM or path in _NEEDED:
        return "is a folder that the system itself needs"
    if path == STATE_ROOT or path.startswith(f"{STATE_ROOT}/"):
        return "holds sealer-cloud's own records"
    return ""


def check_cidr(text: str) -> str:
    """An IPv4 network, /16 to /28, with no host bits."""
    import ipaddress

    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        return f"is no IPv4 network ({error})"
    if "/" not in text or not _MIN_PREFIX <= network.prefixlen <= _MAX_PREFIX:
        return f"must be between /{_MIN_PREFIX} and /{_MAX_PREFIX}"
    return ""


def check_address(text: str) -> str:
    """A host's address, as upstream's files had it: an IP, `ip:port`, or on the command line a range."""
    import ipaddress

    match = _ADDRESS.fullmatch(text)
    try:
        first = ipaddress.ip_address(match["first"] if match else text)
        last = ipaddress.ip_address(match["last"]) if match and match["last"] else first
    except ValueError:
        return f"{text[:80]!r} is no IP address"
    if match and match["port"] and not 1 <= int(match["port"]) <= MAX_PORT:
        return f"{match['port']} is no port"
    return "the range runs backwards" if int(last) < int(first) else ""


def check_provider(text: str) -> str:
    """A provider that the formats know, built or not."""
    if to_provider(text) in PROVIDERS:
        return ""
    return f"{text!r} is no provider: {', '.join(PROVIDERS)}"


def to_provider(text: str) -> str:
    """The provider's own name for what upstream called it (`ALI_CLOUD`, `CONTAINER`, `BAREMETAL`)."""
    return _ALIASES.get(text, text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint naming the nearest known word, or nothing."""
    import difflib

    words = sorted(known)
    same = [w for w in words if w.lower() == word.lower()]
    near = same or difflib.get_close_matches(word, words, n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""
