"""What the masters keep of their whole cluster: enough to take it over where its state is lost (`adopt`).

It lies 0600 beside the ledger. No secret of the user is in it: values that are references stay references. The HMAC key
is: it opens nothing, and without it no ledger says what was done.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from provisioner.errors import PreconditionError, SealerError
from provisioner.model.accepted import Accepted, parse_accepted
from provisioner.model.hosts import ClusterKeys
from provisioner.model.ids import ClusterId, name_of
from provisioner.model.ledger import canonical
from provisioner.model.secret import Secret

KEPT_VERSION = 1
KEPT_LIMIT = 4 << 20
"""Bytes; as on the host's side."""
_HMAC = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kept:
    """The accepted request of a cluster and the key of its ledgers."""

    cid: ClusterId
    accepted: Accepted
    hmac: Secret


def kept_text(cid: ClusterId, accepted: Accepted, keys: ClusterKeys) -> bytes:
    """The record as it lies on a master: one line, the same for the same cluster."""
    raw = {"v": KEPT_VERSION, "cid": cid, "hmac": keys.hmac.reveal(), "request": accepted.to_json()}
    return canonical(raw) + b"\n"


def kept_digest(text: bytes) -> str:
    """What a read says instead of the record: its sha256 (hex)."""
    return hashlib.sha256(text).hexdigest()


def parse_kept(raw: bytes, cid: ClusterId, host: str) -> Kept:
    """Read what a host says that it keeps of this cluster.

    Raises PreconditionError (12): newer, no such record, or one of another cluster.
    """
    try:
        record = json.loads(raw)
        version, found = record["v"], record["cid"]
        if not isinstance(version, int) or version > KEPT_VERSION:
            raise PreconditionError(
                f"what {host} keeps was written by a newer sealer-cloud (v {version!s:.20})",
                hint="use the newer version; nothing was changed",
                host=host,
            )
        accepted = parse_accepted(record["request"])
        hmac = str(record["hmac"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _no_record(host) from error
    except SealerError as error:
        error.host = error.host or host
        raise
    if found != cid or accepted.cluster != name_of(cid) or not _HMAC.fullmatch(hmac):
        raise _no_record(host)
    return Kept(cid, accepted, Secret(hmac))


def _no_record(host: str) -> PreconditionError:
    return PreconditionError(f"what {host} keeps is no record of this cluster", host=host)
