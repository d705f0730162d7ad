"""The `ip` program (iproute2): lines in, JSON out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from provisioner.errors import PreconditionError, ProviderError

SECONDS = 30
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def batch(lines: Sequence[str], netns: str | None = None) -> None:
    """Run commands in order, in one process. Raises ProviderError with what `ip` said."""
    where = ["-n", netns] if netns else []
    _run(["ip", *where, "-batch", "-"], "\n".join(lines) + "\n")


def query(*words: str) -> list[object]:
    """Run a query, parsed from its JSON. Raises ProviderError."""
    text = _run(["ip", "-j", *words], "")
    try:
        found = json.loads(text or "[]")
    except ValueError as error:
        raise ProviderError(f"`ip {' '.join(words)}` answered no JSON") from error
    return found if isinstance(found, list) else [found]


def _run(command: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run(
            command,
            input=text,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            start_new_session=True,  # who ends the plugin's whole group must not leave a batch half done
        )
    except FileNotFoundError as error:
        raise PreconditionError("the program `ip` is missing", hint="install the package iproute2") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProviderError(f"`ip` cannot be run: {error}") from error
    if done.returncode != 0:
        raise ProviderError(f"`{' '.join(command)}` failed: {done.stderr.strip()}", evidence=text)
    return done.stdout
