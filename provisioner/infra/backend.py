"""Where stacks live: our own file backend under the state folder, or the one that the user's environment names."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit

from provisioner.errors import AccessError, PreconditionError, UsageError
from provisioner.files import atomic_write, private_folder
from provisioner.infra.statefile import Deployment, checksum, parse_deployment, stack_name
from provisioner.infra.store import StackCopy, StackLock
from provisioner.model.ids import PROJECT, ClusterName, parse_cluster_name
from provisioner.settings import Settings

SECRETS_PROVIDER = "SEALER_CLOUD_SECRETS_PROVIDER"
"""A key service as Pulumi names it (`awskms://…`), for new stacks in a shared backend, in place of a passphrase."""
PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_STACK_FILE = re.compile(r"(?P<name>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)\.json(\.gz|\.zst)?")
_SUFFIXES = (".json", ".json.gz", ".json.zst")


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend by URL; `folder` is its folder where it is a file backend that we can read, `own` if we made it."""

    url: str
    folder: Path | None
    own: bool

    @property
    def shared(self) -> bool:
        """True for a bucket, which runners on many machines may share."""
        return self.url.startswith("s3://")

    @property
    def needs_passphrase(self) -> bool:
        """True unless a service keeps the secrets."""
        return not self.url.startswith(("http://", "https://"))


def backend_of(settings: Settings) -> Backend:
    """The user's PULUMI_BACKEND_URL if there is one, else ours."""
    url = settings.environ.get("PULUMI_BACKEND_URL", "")
    if not url:
        folder = settings.state_dir / "backend"
        return file_backend(folder)
    return Backend(url, _folder_of(url, settings.environ), own=False)


def file_backend(folder: Path) -> Backend:
    """A file backend of our making."""
    return Backend(f"file://{quote(str(folder))}", folder, own=True)


@dataclass(frozen=True, slots=True)
class FileStore:
    """Pulumi's file backend, read directly: no process, no key derivation."""

    folder: Path

    def names(self) -> tuple[ClusterName, ...]:
        """All stacks of our project; files that cannot be ours are passed over."""
        folder = self._bookkeeping / "stacks" / PROJECT
        found = (_STACK_FILE.fullmatch(p.name) for p in folder.glob("*.json*")) if folder.is_dir() else ()
        return tuple(sorted({parse_cluster_name(m["name"]) for m in found if m}))

    def exists(self, cluster: ClusterName) -> bool:
        """True if there is a checkpoint, whatever state it is in."""
        return self._path(cluster) is not None

    def read(self, cluster: ClusterName) -> Deployment | None:
        """The checkpoint; None only if there is none.

        Raises PreconditionError (12) for a damaged one or another cluster's, naming the backup that can be put back, and
        for a newer one.
        """
        path = self._path(cluster)
        if path is None:
            return None
        try:
            return self._parsed(cluster, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PreconditionError(
                f"cannot read {path}: {error.strerror}", hint="check the file's permissions"
            ) from error
        except PreconditionError as error:
            if error.hint:
                raise
            raise PreconditionError(error.message, hint=self._way_back(cluster, path)) from error

    def locks(self, cluster: ClusterName) -> tuple[StackLock, ...]:
        """Pulumi's own locks of this stack."""
        files = sorted((self._bookkeeping / "locks" / "organization" / PROJECT / cluster).glob("*.json"))
        return tuple(lock for path in files if (lock := _lock_in(path)) is not None)

    def dead_machines(self, cluster: ClusterName) -> frozenset[str]:  # noqa: ARG002 - the seam's
        """None: of another machine's process nobody here can know."""
        return frozenset()

    def mend(self, cluster: ClusterName) -> tuple[str, ...]:
        """Remove torn notes beside the checkpoint and its copies.

        Pulumi writes each file whole, but the note beside it (its checksum) in place; with an empty one it reads nothing.
        """
        beside = (self._bookkeeping / "stacks" / PROJECT).glob(f"{cluster}.json*.attrs")
        copies = [(self._bookkeeping / kind / PROJECT / cluster).glob("*.attrs") for kind in ("backups", "history")]
        torn = [path for found in (beside, *copies) for path in found if _is_torn(path)]
        for path in torn:
            path.unlink(missing_ok=True)
        return (f"removed torn notes of the state: {', '.join(p.name for p in torn)}",) if torn else ()

    def copies(self, cluster: ClusterName) -> Iterator[StackCopy]:
        """The checkpoint's `.bak`, backups and history."""
        folders = [self._bookkeeping / kind / PROJECT / cluster for kind in ("backups", "history")]
        beside = (self._bookkeeping / "stacks" / PROJECT).glob(f"{cluster}.json*.bak")
        for path in sorted((*beside, *(p for folder in folders if folder.is_dir() for p in folder.iterdir()))):
            if path.suffix != ".attrs":
                with contextlib.suppress(OSError):  # gone by now
                    yield StackCopy(str(path), path.read_bytes(), partial(_remove, path))

    def put_aside(self, cluster: ClusterName) -> None:
        """Move the checkpoint with its copies to `set-aside/`, where a person can still read it."""
        path = self._path(cluster)
        if path is None:
            return
        parent = private_folder(self.folder / "set-aside")
        taken = {p.name for p in parent.iterdir()}
        target = parent / next(n for n in (f"{cluster}-{i}" for i in count(1)) if n not in taken)
        target.mkdir(mode=0o700)
        for file in sorted(path.parent.glob(f"{path.name}*"), key=lambda p: p != path):
            file.rename(target / file.name)

    def drop_empty_folders(self, cluster: ClusterName) -> None:
        """Remove the folders that the engine leaves empty when a stack goes."""
        project = self._bookkeeping / "locks" / "organization" / PROJECT
        for folder in (project, self._bookkeeping / "backups" / PROJECT, self._bookkeeping / "history" / PROJECT):
            with contextlib.suppress(OSError):  # not there, or in use
                (folder / cluster).rmdir()

    def _path(self, cluster: ClusterName) -> Path | None:
        base = self._bookkeeping / "stacks" / PROJECT
        return next((p for p in (base / f"{cluster}{s}" for s in _SUFFIXES) if p.is_file()), None)

    def _parsed(self, cluster: ClusterName, path: Path) -> Deployment:
        deployment = parse_deployment(self._checked(path), str(path))
        if deployment.stack != stack_name(cluster):
            raise PreconditionError(f"the state {path} is that of {deployment.stack}, not of {stack_name(cluster)}")
        return deployment

    def _checked(self, path: Path) -> bytes:
        """The file's bytes, compared with the checksum that the backend keeps beside it, if it has one.

        The checksum is written just before the file: a reader, or a kill, may come between. The file is then still the
        one before, which is what `.bak` holds, so that one's checksum is as good.
        """
        for _ in range(3):
            raw = path.read_bytes()
            noted = _noted(path)
            if not noted or checksum(raw) in {noted, _noted(path.with_name(path.name + ".bak"))}:
                return raw
        raise PreconditionError(f"the state {path} is damaged: its bytes are not the ones that were written")

    def _way_back(self, cluster: ClusterName, path: Path) -> str:
        backups = sorted((self._bookkeeping / "backups" / PROJECT / cluster).glob(f"{cluster}.*.json*"), reverse=True)
        for backup in (path.with_name(path.name + ".bak"), *(b for b in backups if b.suffix != ".attrs")):
            try:
                self._parsed(cluster, backup)
            except (OSError, PreconditionError):
                continue
            source, target, sums = (shlex.quote(str(p)) for p in (backup, path, f"{path}.attrs"))
            return f"a backup that can be read: cp {source} {target} && rm -f {sums}"
        return "no backup of it can be read; restore it from your own backups"

    @property
    def _bookkeeping(self) -> Path:
        return self.folder / ".pulumi"


def _is_torn(note: Path) -> bool:
    try:
        return not isinstance(json.loads(note.read_bytes()), dict)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def _lock_in(path: Path) -> StackLock | None:
    """None where it is gone by now."""
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raw = {}

    return StackLock(str(path), raw if isinstance(raw, dict) else {}, partial(_remove, path))


def _remove(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".attrs")):
        file.unlink(missing_ok=True)


def passphrase_environment(
    settings: Settings, backend: Backend, opened_by: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """What the engine needs to open secrets: the user's own setting as it is, else our 0600 file, made once.

    Raises AccessError (5), or UsageError (3) for a bucket: a passphrase of our making is never used for a backend that
    we did not make. A stack whose own state names a key service (`opened_by`) needs none.
    """
    if not backend.needs_passphrase or "secretsprovider" in opened_by:
        return {}
    if backend.shared:
        # An empty one is what a CI makes of a secret that is missing: it would lie open to all who read the bucket.
        if any(settings.environ.get(name) for name in (*PASSPHRASE_VARIABLES, SECRETS_PROVIDER)):
            return {}
        raise UsageError(
            f"the shared state {safe_url(backend.url)} needs a passphrase that all who share it know",
            hint=f"set PULUMI_CONFIG_PASSPHRASE_FILE or PULUMI_CONFIG_PASSPHRASE, or {SECRETS_PROVIDER}=awskms://…",
        )
    if any(v in settings.environ for v in PASSPHRASE_VARIABLES):
        return {}
    if not backend.own:
        raise AccessError(
            f"the backend {safe_url(backend.url)} needs a passphrase",
            hint="set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
        )
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(_own_passphrase(settings))}


def by_service(settings: Settings, backend: Backend) -> dict[str, str]:
    """The stack settings where the user's key service opens a shared backend; Pulumi adds the data key to them.

    For stacks whose own state names nothing yet, as the run that made them was killed before it held anything.
    """
    service = settings.environ.get(SECRETS_PROVIDER)
    return {"secretsprovider": service} if backend.shared and service else {}


def secrets_words(settings: Settings, backend: Backend) -> tuple[str, ...]:
    """What `stack init` is told where a key service opens the secrets of a shared backend."""
    return tuple(word for service in by_service(settings, backend).values() for word in ("--secrets-provider", service))


def new_passphrase(path: Path) -> Path:
    """Write a random passphrase, whole and 0600 from the start; one that is there already stays.

    Two first runs at once must not each use another one: a stack would be locked for ever.
    """
    mine = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    atomic_write(mine, secrets.token_urlsafe(32).encode(), mode=0o600)
    try:
        path.hardlink_to(mine)
    except FileExistsError:
        return path
    except FileNotFoundError:  # another run's `remove_stale` took it for a dead one's
        return new_passphrase(path)
    except OSError as error:
        raise PreconditionError(
            f"cannot write {path}: {error.strerror}", hint="check the folder's permissions and the space on its disk"
        ) from error
    finally:
        mine.unlink(missing_ok=True)
    return path


def safe_url(url: str) -> str:
    """A backend URL without credentials or parameters, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _own_passphrase(settings: Settings) -> Path:
    path = settings.state_dir / "passphrase"
    if path.is_file():
        return path
    stacks = FileStore(settings.state_dir / "backend").names()
    if stacks:  # a new one would open nothing and hide what is wrong
        raise AccessError(
            f"the passphrase file {path} is gone, and {', '.join(stacks)} cannot be opened without it",
            hint="restore the file, or remove the machines with `sealer-cloud down NAME --provider P`",
        )
    private_folder(path.parent)
    return new_passphrase(path)


def _folder_of(url: str, environ: Mapping[str, str]) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    path = unquote(parts.netloc + parts.path)
    if path.startswith("~"):
        path = environ.get("HOME", "") + path[1:]
    return Path(path) if path.startswith("/") else None


def _noted(path: Path) -> str:
    try:
        return str(json.loads(path.with_name(path.name + ".attrs").read_bytes())["md5"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
