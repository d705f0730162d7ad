"""Pulumi's layout in a bucket, read directly, as `backend.FileStore` reads it from a folder."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from provisioner.errors import PreconditionError
from provisioner.infra.backend import Backend, FileStore
from provisioner.infra.bucket import Bucket
from provisioner.infra.sharedlock import shared_holder
from provisioner.infra.statefile import Deployment, parse_deployment, stack_name
from provisioner.infra.store import StackCopy, StackLock, Store
from provisioner.model.ids import PROJECT, ClusterName, parse_cluster_name
from provisioner.settings import Settings

_STACKS = f".pulumi/stacks/{PROJECT}/"
_NAME = re.compile(r"(?P<name>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\.json(\.gz|\.zst)?")
_SUFFIXES = (".json", ".json.gz", ".json.zst")


def store_of(backend: Backend, settings: Settings) -> Store | None:
    """How to read a backend without Pulumi; None for one that we cannot."""
    if backend.folder:
        return FileStore(backend.folder)
    return BucketStore(Bucket(backend.url, settings.environ)) if backend.shared else None


@dataclass(frozen=True, slots=True)
class BucketStore:
    """The stacks of one bucket. A bucket writes whole objects, so there is no torn state and no checksum beside it."""

    bucket: Bucket

    def names(self) -> tuple[ClusterName, ...]:
        """All stacks of our project."""
        found = (_NAME.fullmatch(key.removeprefix(_STACKS)) for key in self.bucket.keys(_STACKS))
        return tuple(sorted({parse_cluster_name(m["name"]) for m in found if m}))

    def exists(self, cluster: ClusterName) -> bool:
        """True if there is a checkpoint, whatever state it is in."""
        return self._find(cluster) is not None

    def read(self, cluster: ClusterName) -> Deployment | None:
        """The checkpoint; None only if there is none.

        Raises PreconditionError (12) for a newer one, and for a damaged one or another cluster's, naming the copy that can
        be put in its place.
        """
        found = self._find(cluster)
        if found is None:
            return None
        try:
            return _parsed(cluster, *found)
        except PreconditionError as error:
            if error.hint:
                raise
            raise PreconditionError(error.message, hint=self._way_back(cluster)) from error

    def locks(self, cluster: ClusterName) -> tuple[StackLock, ...]:
        """Pulumi's own locks of this stack."""
        keys = [k for k in self.bucket.keys(f".pulumi/locks/organization/{PROJECT}/{cluster}/") if k.endswith(".json")]
        return tuple(lock for key in sorted(keys) if (lock := self._lock(key)) is not None)

    def dead_machines(self, cluster: ClusterName) -> frozenset[str]:
        """Those whose shared lock was broken on the way to the present holder, which is us where we repair."""
        holder = shared_holder(self.bucket, cluster)
        return frozenset(holder.dead) if holder else frozenset()

    def mend(self, cluster: ClusterName) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """Nothing: a bucket's objects are whole or absent."""
        return ()

    def copies(self, cluster: ClusterName) -> Iterator[StackCopy]:
        """Backups and history."""
        places = [f".pulumi/{kind}/{PROJECT}/{cluster}/" for kind in ("backups", "history")]
        found = [key for place in places for key in self.bucket.keys(place)]
        for key in (*found, *(f"{_STACKS}{cluster}{suffix}.bak" for suffix in _SUFFIXES)):
            blob = self.bucket.get(key)
            if blob is not None:
                yield StackCopy(key, blob.data, partial(self.bucket.delete, key))

    def put_aside(self, cluster: ClusterName) -> None:
        """Move the checkpoint to `set-aside/`, where a person can still read it."""
        found = self._find(cluster)
        if found is None:
            return
        taken = set(self.bucket.keys("set-aside/"))
        number = next(
            i for i in range(1, len(taken) + 2) if not any(k.startswith(f"set-aside/{cluster}-{i}/") for k in taken)
        )
        for key in sorted(k for k in self.bucket.keys(f"{_STACKS}{cluster}.json")):
            blob = self.bucket.get(key)
            if blob is not None:
                self.bucket.put(f"set-aside/{cluster}-{number}/{key.rsplit('/', 1)[-1]}", blob.data)
                self.bucket.delete(key)

    def drop_empty_folders(self, cluster: ClusterName) -> None:
        """A bucket has no folders."""

    def _way_back(self, cluster: ClusterName) -> str:
        for key in sorted(self.bucket.keys(f".pulumi/backups/{PROJECT}/{cluster}/"), reverse=True):
            blob = self.bucket.get(key)
            with contextlib.suppress(PreconditionError):
                if blob is not None and _parsed(cluster, key, blob.data):
                    return f"a copy that can be read: put {key} in its place"
        return "no copy of it can be read; restore an older version of this object from your own backups"

    def _find(self, cluster: ClusterName) -> tuple[str, bytes] | None:
        for key in (f"{_STACKS}{cluster}{suffix}" for suffix in _SUFFIXES):
            blob = self.bucket.get(key)
            if blob is not None:
                return key, blob.data
        return None

    def _lock(self, key: str) -> StackLock | None:
        blob = self.bucket.get(key)
        if blob is None:
            return None
        try:
            raw = json.loads(blob.data)
        except ValueError:
            raw = {}
        return StackLock(key, raw if isinstance(raw, dict) else {}, lambda: self.bucket.delete(key))


def _parsed(cluster: ClusterName, key: str, data: bytes) -> Deployment:
    deployment = parse_deployment(data, key)
    if deployment.stack != stack_name(cluster):
        raise PreconditionError(
            f"the state {key} is that of {deployment.stack}, not of {stack_name(cluster)}",
            hint="restore that object (a version of it, or a backup), or remove the machines: `sealer-cloud down NAME --provider P`",
        )
    return deployment
