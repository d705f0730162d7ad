"""The 0600 cache of a cluster's keys: what Intent made, kept so that `ssh` and `status` need no key derivation."""

from __future__ import annotations

import json
from pathlib import Path

from provisioner.errors import PreconditionError
from provisioner.files import atomic_write, private_folder
from provisioner.infra.outputs import keys_from, keys_to_json
from provisioner.model.hosts import ClusterKeys
from provisioner.model.ids import ClusterId

CACHE = "keys.json"


def read_keys(folder: Path, cid: ClusterId) -> ClusterKeys | None:
    """The cached keys of exactly this cluster; None where there are none, others', or torn ones: it is only a cache."""
    try:
        raw = json.loads((folder / CACHE).read_bytes())
        return keys_from(raw) if raw.get("cid") == cid else None
    except (OSError, ValueError, AttributeError, PreconditionError):
        return None


def write_keys(folder: Path, cid: ClusterId, keys: ClusterKeys) -> None:
    """Cache the keys. Raises PreconditionError if the folder cannot be written."""
    if read_keys(folder, cid) == keys:
        return
    private_folder(folder)
    atomic_write(folder / CACHE, json.dumps({"cid": cid, **keys_to_json(keys)}).encode(), mode=0o600)
