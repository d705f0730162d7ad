"""The only reader of `os.environ`: folders, output and safety settings, each with its origin; and references."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import AccessError, UsageError
from provisioner.model.refs import ValueRef, has_embedded_ref, parse_ref
from provisioner.model.secret import Secret, Value

PREFIX = "SEALER_CLOUD_"
APP = "sealer-cloud"
SECRET_FILE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things lie on this machine and how we talk. `origins` says where each value came from."""

    state_dir: Path
    data_dir: Path
    cache_dir: Path
    non_interactive: bool
    ci: bool
    color: str
    environ: Mapping[str, str] = field(repr=False)
    origins: Mapping[str, str]

    @property
    def images_dir(self) -> Path:
        """The image store (OCI layout)."""
        return self.data_dir / "images"

    @property
    def engine_dir(self) -> Path:
        """Engines by version: `<version>/bin/pulumi`."""
        return self.cache_dir / "engine"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment once. Raises UsageError for a relative XDG folder (the XDG rules call it invalid)."""
    env = dict(os.environ if environ is None else environ)
    origins: dict[str, str] = {}
    home = Path(env.get("HOME") or Path("~").expanduser())

    def folder(key: str, variable: str, default: str) -> Path:
        own = env.get(f"{PREFIX}{key.upper()}")
        base = env.get(variable)
        origins[key] = f"${PREFIX}{key.upper()}" if own else (f"${variable}" if base else "default")
        path = Path(own) if own else Path(base or home / default) / APP
        if not path.is_absolute():
            raise UsageError(f"{origins[key]} must be an absolute path, not {str(path)!r}", hint="set it to one")
        return path

    return Settings(
        state_dir=folder("state_dir", "XDG_STATE_HOME", ".local/state"),
        data_dir=folder("data_dir", "XDG_DATA_HOME", ".local/share"),
        cache_dir=folder("cache_dir", "XDG_CACHE_HOME", ".cache"),
        non_interactive=_flag(env, "NON_INTERACTIVE") or _flag(env, "YES"),
        ci=env.get("CI", "").lower() in {"1", "true", "yes"},
        color=_color(env),
        environ=env,
        origins=origins,
    )


def resolve_values(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Value]:
    """Env values with their references resolved; what came from a reference is a Secret.

    Raises AccessError (5) naming every reference that leads nowhere; UsageError for `a${env:X}b`.
    """
    resolved: dict[str, Value] = {}
    missing: list[str] = []
    for key, text in values.items():
        ref = parse_ref(text)
        if ref is None and has_embedded_ref(text):
            raise UsageError(f"{key}: a reference must be the whole value", hint="put the whole text into the variable")
        if ref is None:
            resolved[key] = text
            continue
        found = _look_up(ref, environ)
        if found is None:
            missing.append(f"{key}: {ref} leads nowhere")
        else:
            resolved[key] = Secret(found)
    if missing:
        raise AccessError("; ".join(missing), hint="set the variable or create the file, then run the same command")
    return resolved


def with_absolute_files(values: Mapping[str, str], base: Path) -> dict[str, str]:
    """Env values whose `${file:…}` references no longer depend on the folder one stands in."""
    found = {}
    for key, text in values.items():
        ref = parse_ref(text)
        relative = ref is not None and ref.kind == "file" and not ref.name.startswith(("/", "~"))
        found[key] = str(ValueRef("file", str(base / ref.name))) if ref and relative else text
    return found


def _look_up(ref: ValueRef, environ: Mapping[str, str]) -> str | None:
    if ref.kind == "env":
        return environ.get(ref.name)
    try:
        # Never waits: a FIFO without a writer would hold the command for ever.
        descriptor = os.open(Path(ref.name).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{ref}: that is no regular file")
            raw = file.read(SECRET_FILE_LIMIT + 1)
    except (OSError, RuntimeError, ValueError):  # not there, no such user's home, a zero byte in the name
        return None
    if len(raw) > SECRET_FILE_LIMIT:
        raise UsageError(f"{ref}: the file is larger than 1 MiB")
    try:
        return raw.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{ref}: the file is not UTF-8 text") from error


def _flag(env: Mapping[str, str], name: str) -> bool:
    return env.get(PREFIX + name, "").lower() in {"1", "true", "yes"}


def _color(env: Mapping[str, str]) -> str:
    if env.get("NO_COLOR"):
        return "never"
    if env.get("FORCE_COLOR"):
        return "always"
    return "never" if env.get("TERM") == "dumb" else "auto"


def python_executable() -> str:
    """The interpreter that runs us: what the plugin is started with."""
    return sys.executable


def plugin_failpoint(environ: Mapping[str, str] | None = None) -> str:
    """Where a test has the plugin stop, by `$SEALER_CLOUD_FAILPOINT` (see `failpoints`); empty for everybody else."""
    return (os.environ if environ is None else environ).get(f"{PREFIX}FAILPOINT", "")


def plugin_run_dir(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where a plugin records its pid: `$SEALER_CLOUD_RUN_DIR`, set by the run that starts the engine; else None.

    Raises UsageError for a relative folder: the engine starts plugins in a folder of its own choice.
    """
    text = (os.environ if environ is None else environ).get(f"{PREFIX}RUN_DIR")
    if not text:
        return None
    if not Path(text).is_absolute():
        raise UsageError(f"${PREFIX}RUN_DIR must be an absolute path, not {text!r}")
    return Path(text)
