"""The names that must not be mixed up, and how they are made. Pure: randomness and time are parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import NewType

from provisioner.errors import UsageError

ClusterName = NewType("ClusterName", str)
ClusterId = NewType("ClusterId", str)
RunId = NewType("RunId", str)
HostName = NewType("HostName", str)
Digest = NewType("Digest", str)
StepId = NewType("StepId", str)
RemotePath = NewType("RemotePath", str)

PROJECT = "sealer-cloud"
SHORT = 6
"""Random base32 characters of a cid and a run id; links are named by them, as an interface name holds 15."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123 label, lower case
_CID = re.compile(r"(?P<name>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)-(?P<short>[a-z2-7]{6})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"

RandomBytes = Callable[[int], bytes]


def parse_cluster_name(text: str) -> ClusterName:
    """A cluster's name, an RFC 1123 label. Raises UsageError."""
    if not _LABEL.fullmatch(text):
        raise UsageError(
            f"{text!r} is no cluster name",
            hint="use 1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit",
        )
    return ClusterName(text)


def parse_host_name(text: str) -> HostName:
    """A host's name, an RFC 1123 label. Raises UsageError."""
    if not _LABEL.fullmatch(text):
        raise UsageError(f"{text!r} is no host name", hint="use lower-case letters, digits and dashes")
    return HostName(text)


def parse_network_name(text: str) -> str:
    """The name of a network that clusters share, an RFC 1123 label. Raises UsageError."""
    if not _LABEL.fullmatch(text):
        raise UsageError(f"{text!r} is no network name", hint="use 1 to 63 lower-case letters, digits and dashes")
    return text


def parse_cid(text: str) -> ClusterId:
    """A cid: cluster name, dash, six base32 characters. Raises UsageError."""
    if not _CID.fullmatch(text):
        raise UsageError(
            f"{text!r} is no cluster id",
            hint="it is a name and six characters, like etcd-a2b3c4: `sealer-cloud list -o wide` shows them",
        )
    return ClusterId(text)


def is_cid(text: str) -> bool:
    """True for text that `parse_cid` takes: a tag may hold anything, and a cid becomes part of a path."""
    return _CID.fullmatch(text) is not None


def parse_digest(text: str) -> Digest:
    """A sha256 digest, checked before it is ever used as a path. Raises UsageError."""
    if not _DIGEST.fullmatch(text):
        raise UsageError(f"{text!r} is no sha256 digest", hint="write sha256: and 64 hex digits")
    return Digest(text)


def new_short(random: RandomBytes) -> str:
    """Six random base32 characters (30 bits)."""
    return "".join(_BASE32[b % 32] for b in random(SHORT))


def new_cid(name: ClusterName, random: RandomBytes) -> ClusterId:
    """A fresh cluster id for a name."""
    return ClusterId(f"{name}-{new_short(random)}")


def new_run_id(now: datetime, random: RandomBytes) -> RunId:
    """A run id: UTC second and six random characters, so that runs sort by time."""
    return RunId(f"{now:%Y%m%dT%H%M%SZ}-{new_short(random)}")


def short_of(cid: ClusterId) -> str:
    """The six random characters of a cid."""
    return cid[-SHORT:]


def name_of(cid: ClusterId) -> ClusterName:
    """The cluster name inside a cid."""
    return ClusterName(cid[: -SHORT - 1])


def hex_of(digest: Digest) -> str:
    """The 64 hex characters of a digest: what may stand in a path."""
    return digest.removeprefix("sha256:")


CLUSTER_SCOPE = "cluster"


def step_id(scope: str, kind: str, key: str) -> StepId:
    """`<host|cluster>/<kind>/<key>`; never an address, a digest or a cid in it."""
    return StepId(f"{scope}/{kind}/{key}")
