"""The system's `ssh` told what we know: pinned host keys, one key to log in with, the host on the way. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from provisioner.model.hosts import InventoryHost, SshTarget


@dataclass(frozen=True, slots=True)
class SshFiles:
    """What `ssh` reads: the key to log in with, that for the host on the way, and the pinned keys of both."""

    identity: Path
    jump_identity: Path
    known_hosts: Path


def ssh_words(program: str, machine: InventoryHost, files: SshFiles) -> list[str]:
    """The command that opens a shell on the machine. Nothing of the operator's own SSH configuration is read."""
    way: list[str] = []
    if machine.jump is not None:
        inner = _words(program, machine.jump.target, files.jump_identity, files.known_hosts)
        # ssh gives this line to a shell, after it has replaced its own tokens in it.
        line = (
            shlex.join([*inner[:-1], "-W", _HERE, inner[-1]]).replace("%", "%%").replace(_HERE, _forward(machine.ssh))
        )
        way = ["-o", f"ProxyCommand={line}"]
    words = _words(program, machine.ssh, files.identity, files.known_hosts)
    return [*words[:-1], *way, words[-1]]


_HERE = "target-of-this-connection"


def _forward(target: SshTarget) -> str:
    return f"'[{target.host}]:{target.port}'" if ":" in target.host else f"{target.host}:{target.port}"


def _words(program: str, target: SshTarget, identity: Path, known_hosts: Path) -> list[str]:
    options = {
        "IdentityFile": quoted(identity),
        "UserKnownHostsFile": quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "ForwardAgent": "no",
        "LogLevel": "ERROR",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return [program, "-F", "none", "-p", str(target.port), *words, f"{target.user}@{target.host}"]


def quoted(path: Path) -> str:
    """The path as an option of ssh holds it: quoted, and a percent sign would begin one of its tokens."""
    escaped = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
