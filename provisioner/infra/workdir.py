"""The engine's work folder: a `Pulumi.yaml` that names our plugin, the plugin's starter, and the environment."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.files import atomic_write, private_folder, remove_stale
from provisioner.infra.backend import Backend
from provisioner.infra.processes import Recorded, boot_id, drop_dead_records, end_recorded, is_alive, this_process
from provisioner.model.ids import PROJECT, ClusterName
from provisioner.settings import Settings, python_executable

PLUGIN = "pulumi-resource-sealer"
PLUGIN_MODULE = "provisioner.plugin"

_ENVIRONMENT = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
    "PULUMI_SUPPRESS_NEO_LINK": "true",
}


_NO_LOGS = "A file, so that the engine keeps no logs here.\n"

_KEPT = frozenset(
    {
        "PULUMI_ACCESS_TOKEN",
        "PULUMI_BACKEND_URL",
        "PULUMI_CONFIG_PASSPHRASE",
        "PULUMI_CONFIG_PASSPHRASE_FILE",
        "PULUMI_HOME",
    }
)
"""Where state lies and what opens it: that is the user's. All other settings of the user's shell are for the user's own
stacks: some (another layout of the backend, no checkpoints between steps) would break what we rely on."""


def engine_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's environment as engine processes get it, before ours is added."""
    return {name: text for name, text in environ.items() if not name.startswith("PULUMI_") or name in _KEPT}


@dataclass(frozen=True, slots=True)
class WorkDir:
    """A folder that the engine runs in; `home` is its PULUMI_HOME, `run` holds the records of its processes."""

    path: Path

    @property
    def home(self) -> Path:
        """PULUMI_HOME: one per cluster, as stacks that share one can overwrite each other's settings."""
        return self.path / "home"

    @property
    def run(self) -> Path:
        """Records of engines and plugins."""
        return self.path / "run"

    def prepare(
        self,
        cluster: ClusterName,
        plugin: Sequence[str],
        opened_by: Mapping[str, str],
        plugins: Mapping[str, Path] | None = None,
    ) -> None:
        """Write what is missing or different; `opened_by` makes a lost stack settings file again, or another runner's.

        `plugins` are those of other providers, by name: the folder that holds each.
        """
        for folder in (self.path, self.home, self.run, self.path / "bin"):
            private_folder(folder)
        self._keep_no_logs()
        _write(self.path / "Pulumi.yaml", _project(plugins or {}), 0o600)
        _write(self.path / "bin" / PLUGIN, f'#!/bin/sh\nexec {shlex.join(plugin)} "$@"\n', 0o700)
        settings_file = self.path / f"Pulumi.{cluster}.yaml"
        if opened_by and not settings_file.exists():
            text = "".join(f"{key}: {json.dumps(said)}\n" for key, said in opened_by.items())
            _write(settings_file, text, 0o600)

    def environment(self, backend: Backend) -> dict[str, str]:
        """What every engine process of this folder gets on top of the user's environment."""
        home = (
            {"PULUMI_HOME": str(self.home)} if backend.needs_passphrase else {}
        )  # a service's login lies in the user's
        return {
            **_ENVIRONMENT,
            **home,
            "PULUMI_BACKEND_URL": backend.url,
            "SEALER_CLOUD_RUN_DIR": str(self.run),
        }

    def tidy(self) -> None:
        """Remove the records of the dead."""
        drop_dead_records(self.run)

    def _keep_no_logs(self) -> None:
        """Where the engine would have a folder for its own logs stands a file, and it goes on without them.

        It has no setting for it (pkg/logging/encrypted.go of v3.259), and writes every property of every resource at
        each step, compressed, encrypted once it has a key: a third of its CPU time, for a text that only it can read.
        """
        logs = self.home / "logs"
        if not logs.is_file():
            shutil.rmtree(logs, ignore_errors=True)  # of an older version
            _write(logs, _NO_LOGS, 0o600)


def plugin_command() -> tuple[str, ...]:
    """How our plugin is started: by this interpreter, from an editable install as from a wheel."""
    return (python_executable(), "-P", "-m", PLUGIN_MODULE)


@contextlib.contextmanager
def throwaway(settings: Settings) -> Iterator[WorkDir]:
    """A private folder (0700) that is gone afterwards; after a kill the next `sweep_throwaways` finds it.

    For the engine's work and for anything else that is large or must not stay: archives on their way to hosts.
    """
    parent = settings.state_dir / "tmp"
    me = this_process()
    path = private_folder(parent / f"{me.pid}-{me.start}-{secrets.token_hex(4)}")
    atomic_write(path / "owner.json", json.dumps({"pid": me.pid, "start": me.start, "boot": boot_id()}).encode())
    try:
        yield WorkDir(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            parent.rmdir()


def sweep_throwaways(settings: Settings) -> tuple[str, ...]:
    """Remove the throw-away folders of dead runs, and end the processes that those left. Blocks up to some seconds."""
    notes: list[str] = []
    parent = settings.state_dir / "tmp"
    for path in sorted(parent.glob("*-*-*")) if parent.is_dir() else ():
        pid, start = path.name.split("-")[:2]
        if not pid.isdigit() or not start.isdigit() or is_alive(_owner(path, int(pid), int(start))):
            continue
        ended = end_recorded(path / "run")
        shutil.rmtree(path, ignore_errors=True)
        notes.append(f"removed temporary files of pid {pid}, which is dead" + _ended_note(ended))
    with contextlib.suppress(OSError):
        parent.rmdir()
    return tuple(dict.fromkeys(notes))


def sweep_half_written(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Remove the half-written files that killed runs left beside the passphrase and in a cluster's folder."""
    places = (settings.state_dir, folder, *(folder / name for name in ("bin", "run", "ssh")))
    found = [name for place in places for name in remove_stale(place)]
    return (f"removed half-written files of a killed run: {', '.join(found)}",) if found else ()


def _owner(path: Path, pid: int, start: int) -> Recorded:
    try:
        return Recorded(pid, start, str(json.loads((path / "owner.json").read_bytes())["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Recorded(pid, start)


def _ended_note(pids: tuple[int, ...]) -> str:
    return f" and ended its processes {', '.join(map(str, pids))}" if pids else ""


def _project(plugins: Mapping[str, Path]) -> str:
    # The runtime is never started: the program runs in our process. A path is a folder, relative to this file.
    return (
        f"name: {PROJECT}\nruntime: python\ndescription: Machines of a cluster, made by sealer-cloud\n"
        "plugins:\n  providers:\n    - name: sealer\n      path: bin\n"
        + "".join(f"    - name: {name}\n      path: {json.dumps(str(plugins[name]))}\n" for name in sorted(plugins))
    )


def _write(path: Path, text: str, mode: int) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        atomic_write(path, text.encode(), mode=mode)
