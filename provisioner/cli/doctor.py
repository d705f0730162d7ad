"""`doctor`: everything that a first `up` would stumble over, found before it. Reads only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from provisioner.cli.jsonout import checks_to_json
from provisioner.cli.run import Session
from provisioner.cli.text import size
from provisioner.cli.views import check_lines
from provisioner.cli.world import quiet_libraries
from provisioner.clock import SystemClock
from provisioner.errors import PreconditionError, SealerError
from provisioner.infra.backend import PASSPHRASE_VARIABLES, backend_of
from provisioner.infra.install import COMMAND, engine_status
from provisioner.model.driver import Check, Driver, DriverRegistry, Surroundings
from provisioner.model.grammar import BOUGHT
from provisioner.settings import Settings
from provisioner.world import surroundings_of

ROOM = 1_000_000_000
"""Bytes that should be free where images and state are kept."""

CREDENTIALS = "credentials"
"""How the clouds' drivers call the check of theirs, with or without the cloud's name before it."""

TOOLS: Mapping[str, str] = {"ssh": "needed by `sealer-cloud ssh`; install openssh-client"}


def run_doctor(session: Session) -> int:
    """`doctor`. Returns 12 if something is missing."""
    from drivers.base import DRIVERS

    checks = tuple(collect_checks(session.settings, DRIVERS))
    screen = session.screen
    if screen.look.machine:
        screen.document(checks_to_json(checks))
    elif screen.look.output == "name":
        screen.print(c.name for c in checks if not c.ok)
    else:
        screen.print(check_lines(checks))
    return 0 if all(c.ok for c in checks) else PreconditionError.exit_code


def run_permissions(session: Session, provider: str) -> int:
    """`doctor --permissions PROVIDER`: the least policy, as the provider writes policies. Raises UsageError (3)."""
    from drivers.base import load_driver
    from provisioner.model.words import parse_provider

    around = surroundings_of(session.settings, SystemClock())
    policy = load_driver(parse_provider(provider), around).permissions()
    if policy:
        session.screen.print([policy.rstrip("\n")])
    else:
        session.screen.say(f"provider {provider} needs no permissions")
    return 0


def collect_checks(settings: Settings, drivers: DriverRegistry) -> Iterator[Check]:
    """All checks, one after another; a check that cannot be made is one that failed.

    Of those that hold only a cloud that is not set up has a hint.
    """
    yield from map(_settled, _machine(settings))
    quiet_libraries()
    around = surroundings_of(settings, SystemClock())
    for name, make in drivers.items():
        yield from _provider(name, make, around)


def _settled(check: Check) -> Check:
    return replace(check, hint="") if check.ok else check


def _machine(settings: Settings) -> Iterator[Check]:
    yield _engine(settings)
    yield _passphrase(settings)
    for tool, hint in TOOLS.items():
        path = shutil.which(tool, path=settings.environ.get("PATH", ""))
        yield Check(f"tool {tool}", path is not None, path or "not found", hint)
    for word, folder in (("state", settings.state_dir), ("images", settings.images_dir), ("cache", settings.cache_dir)):
        yield _folder(word, folder)


def _provider(name: str, make: Callable[[Surroundings], Driver], around: Surroundings) -> Iterator[Check]:
    """What a provider needs. A cloud without credentials is one that this person does not use, and no fault."""
    try:
        checks = make(around).check()
    except SealerError as error:
        checks = (Check(CREDENTIALS, ok=False, detail=error.message, hint=error.hint),)
    unused = next((c for c in checks if name in BOUGHT and c.name.endswith(CREDENTIALS) and not c.ok), None)
    if unused is not None:
        yield Check(name, ok=True, detail=f"not set up: {unused.detail}", hint=unused.hint)
        return
    yield from (_settled(replace(c, name=f"{name}: {c.name}")) for c in checks)


def _engine(settings: Settings) -> Check:
    status = engine_status(settings)
    if status.found:
        return Check("engine", ok=True, detail=f"Pulumi {status.found.version} at {status.found.path}")
    return Check("engine", ok=False, detail="; ".join(status.rejected) or "not installed", hint=COMMAND)


def _passphrase(settings: Settings) -> Check:
    given = [v for v in PASSPHRASE_VARIABLES if v in settings.environ]
    path = settings.state_dir / "passphrase"
    try:
        needed = backend_of(settings).needs_passphrase
    except SealerError as error:
        return Check("passphrase", ok=False, detail=error.message, hint=error.hint)
    if not needed:
        return Check("passphrase", ok=True, detail="not needed by this backend")
    if given:
        return Check("passphrase", ok=True, detail=f"from ${given[0]}")
    if not path.exists():
        return Check("passphrase", ok=True, detail="the first `up` makes one")
    private = not path.stat().st_mode & 0o077 and os.access(path, os.R_OK)
    return Check("passphrase", private, str(path), f"chmod 600 {path}")


def _folder(word: str, folder: Path) -> Check:
    """A folder that is there, or that can be made; with room on its disk."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    name = f"folder {word}"
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Check(name, ok=False, detail=f"{folder} cannot be written", hint=f"set XDG_{_XDG[word]}_HOME")
    free = shutil.disk_usage(nearest).free
    return Check(name, free >= ROOM, f"{folder}, {size(free)} free", f"{size(ROOM)} should be free")


_XDG = {"state": "STATE", "images": "DATA", "cache": "CACHE"}
