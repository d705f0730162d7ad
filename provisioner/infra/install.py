"""The engine on this machine: found, required, or installed, by the vendor's installer or from source."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provisioner.errors import PreconditionError
from provisioner.events import Events, Phase, PhaseDone, PhaseStarted, Warned
from provisioner.files import atomic_write, private_folder
from provisioner.infra.fetch import fetch_engine
from provisioner.infra.gobuild import build_engine
from provisioner.infra.locks import file_lock
from provisioner.infra.recipe import pinned_version
from provisioner.settings import Settings

FLOOR = "v3.181.0"
"""The oldest CLI that can destroy and refresh with an inline program."""
CHOICE = "SEALER_CLOUD_ENGINE"
COMMAND = "sealer-cloud engine install"
Method = Literal["auto", "download", "build"]

_PROBE_LIMIT = 4.0  # seconds; a missing or broken engine must be told within five
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+\S*)?")


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine that can be used: its binary, its version (`v3.259.0`), and where it was found."""

    path: Path
    version: str
    origin: Literal["choice", "path", "cache"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What `engine status` shows. `found` is None if nothing can be used; `rejected` says why others cannot."""

    found: EngineInfo | None
    pinned: str
    rejected: tuple[str, ...]


def find_engine(settings: Settings, *, at_least: str = "") -> EngineInfo | None:
    """The engine to use: the user's SEALER_CLOUD_ENGINE, else PATH's, else ours.

    `at_least` is the version that wrote the state: an older one is never taken. Raises PreconditionError for a choice
    that cannot be used: what a person named is not passed over in silence.
    """
    return _search(settings, at_least)[0]


def require_engine(settings: Settings, *, at_least: str = "") -> EngineInfo:
    """As find_engine. Raises PreconditionError (12) within 5 s, with the command to type."""
    found, rejected = _search(settings, at_least)
    if found:
        return found
    why = f": {'; '.join(rejected)}" if rejected else ""
    raise PreconditionError(f"there is no Pulumi engine on this machine{why}", hint=COMMAND, phase="engine")


def engine_status(settings: Settings) -> EngineStatus:
    """For `engine status` and `doctor`; never raises for an engine that is missing or wrong."""
    try:
        found, rejected = _search(settings, "")
    except PreconditionError as error:
        return EngineStatus(None, pinned_version(), (error.message,))
    return EngineStatus(found, pinned_version(), tuple(rejected))


def install_engine(settings: Settings, events: Events, *, method: Method = "auto") -> EngineInfo:
    """Put the pinned version into our cache: whole and verified, or not at all. At once if it is there already.

    `auto` asks the vendor's installer, gives up within 10 seconds without a network, and builds from source then.
    Raises PreconditionError (no network, no space, no memory, no Go, build failed), LockedError (installed just now by
    another process), DeadlineError.
    """
    version = pinned_version()
    target = settings.engine_dir / version
    events(PhaseStarted(Phase.ENGINE))
    started = time.monotonic()
    with file_lock(settings.engine_dir / "lock", "another process is installing the engine"):
        _sweep(settings.engine_dir)
        if not _is_good(settings, target, version):
            scratch = private_folder(settings.engine_dir / f".new-{secrets.token_hex(6)}")
            try:
                _make(settings, events, method, scratch, version)
                _place(settings, scratch, target, version)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    info = EngineInfo(target / "bin" / "pulumi", version, "cache")
    events(PhaseDone(Phase.ENGINE, f"engine {version} at {info.path}", time.monotonic() - started))
    return info


def is_older(version: str, other: str) -> bool:
    """True if `version` is surely older than `other`; an unreadable one is not."""
    mine, theirs = _parts(version), _parts(other)
    return bool(mine and theirs and mine < theirs)


def _search(settings: Settings, at_least: str) -> tuple[EngineInfo | None, list[str]]:
    rejected: list[str] = []
    floor = at_least if at_least and is_older(FLOOR, at_least) else FLOOR
    choice = settings.environ.get(CHOICE)
    if choice:
        return _chosen(settings, Path(choice), floor), rejected
    on_path = shutil.which("pulumi", path=settings.environ.get("PATH", ""))
    if on_path:
        version = _version_of(settings, Path(on_path))
        if version and not is_older(version, floor):
            return EngineInfo(Path(on_path), version, "path"), rejected
        rejected.append(f"{on_path} is {version or 'no engine'}, at least {floor} is needed")
    for path, version in _cached(settings):
        if not is_older(version, floor):
            return EngineInfo(path, version, "cache"), rejected
        rejected.append(f"{path} is {version}, at least {floor} is needed")
    return None, rejected


def _chosen(settings: Settings, path: Path, floor: str) -> EngineInfo:
    version = _version_of(settings, path)
    if version and not is_older(version, floor):
        return EngineInfo(path, version, "choice")
    raise PreconditionError(
        f"{CHOICE} names {path}, which is {version or 'no engine'}; at least {floor} is needed",
        hint=f"unset {CHOICE}, or let it name a newer one",
        phase="engine",
    )


def _cached(settings: Settings) -> list[tuple[Path, str]]:
    """Our engines, the pinned version first, then newer before older. A folder's name was checked when it was made."""
    found = [(p / "bin" / "pulumi", p.name) for p in settings.engine_dir.glob("v*") if _parts(p.name)]
    usable = [(path, version) for path, version in found if os.access(path, os.X_OK)]
    pinned = pinned_version()
    return sorted(usable, key=lambda e: (e[1] == pinned, _parts(e[1])), reverse=True)


def _version_of(settings: Settings, path: Path) -> str:
    """The version of a binary, from our notes if it has not changed since; empty if it is no engine."""
    try:
        real = path.resolve(strict=True)
        info = real.stat()
    except OSError:
        return ""
    stamp = f"{info.st_mtime_ns}-{info.st_size}-{info.st_ino}"
    notes = _read_notes(settings)
    noted = notes.get(str(real))
    if isinstance(noted, list) and noted[:1] == [stamp]:
        return str(noted[1])
    version = probe(path, settings.environ)
    if version:
        _write_notes(settings, {**notes, str(real): [stamp, version]})
    return version


def probe(path: Path, environ: Mapping[str, str]) -> str:
    """Ask a binary for its version; empty if it does not answer like an engine within 4 seconds."""
    env = {**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [str(path), "version"],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout.decode(errors="replace").strip()
    return f"v{text.removeprefix('v')}" if done.returncode == 0 and _VERSION.fullmatch(text) else ""


def _make(settings: Settings, events: Events, method: Method, scratch: Path, version: str) -> None:
    if method != "build":
        try:
            fetch_engine(settings, events, scratch, version)
        except PreconditionError as error:
            if method == "download":
                raise
            events(
                Warned(f"{error.message}: building the engine from source", hint="4 to 5 minutes, about 6 GB of disk")
            )
        else:
            return
    build_engine(settings, events, scratch, version)


def _place(settings: Settings, scratch: Path, target: Path, version: str) -> None:
    """Check what was made by running it, then give it its name by one rename."""
    made = probe(scratch / "bin" / "pulumi", settings.environ)
    if made != version:
        raise PreconditionError(
            f"the engine that was made says {made or 'nothing'}, not {version}",
            phase="engine",
            hint="run `sealer-cloud engine install` again",
        )
    if target.exists():  # broken, else nothing would have been made
        shutil.rmtree(target)
    scratch.chmod(0o755)
    scratch.rename(target)


def _is_good(settings: Settings, target: Path, version: str) -> bool:
    return probe(target / "bin" / "pulumi", settings.environ) == version


def _sweep(folder: Path) -> None:
    """What interrupted installs left: we hold the lock, so nobody works on it."""
    for path in folder.glob(".new-*"):
        shutil.rmtree(path, ignore_errors=True)


def _notes_path(settings: Settings) -> Path:
    return settings.engine_dir / "versions.json"


def _read_notes(settings: Settings) -> dict[str, object]:
    try:
        raw = json.loads(_notes_path(settings).read_bytes())
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _write_notes(settings: Settings, notes: Mapping[str, object]) -> None:
    try:
        private_folder(settings.engine_dir)
        atomic_write(_notes_path(settings), json.dumps(notes).encode())
    except PreconditionError:
        return  # only a note: without it the next run asks the binary again


def _parts(version: str) -> tuple[int, int, int, bool] | None:
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2]), int(found[3]), not found[4]) if found else None
