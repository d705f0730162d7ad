"""Paths of an accepted request no longer depend on the folder one stands in: every later command reads them again. Pure."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from provisioner.model.accepted import AcceptedJump, AcceptedMachine, AcceptedSsh
from provisioner.model.request import UpRequest


@dataclass(frozen=True, slots=True)
class Folders:
    """What relative paths and `~` mean; and the user's own key, for machines that exist and name none."""

    base: str
    home: str
    default_key: str | None = None

    def settle(self, path: str | None) -> str | None:
        """The path as an absolute one; None stays."""
        if path is None:
            return None
        if path == "~" or path.startswith("~/"):
            return posixpath.normpath(posixpath.join(self.home, path[2:]))
        return posixpath.normpath(posixpath.join(self.base, path))


def settle_logins(request: UpRequest, folders: Folders) -> UpRequest:
    """The request with every path of a login absolute: private keys, known_hosts files."""
    return replace(
        request,
        ssh=_ssh(request.ssh, folders) if request.ssh else None,
        machines=tuple(_machine(machine, folders) for machine in request.machines),
    )


def _machine(machine: AcceptedMachine, folders: Folders) -> AcceptedMachine:
    ssh = _ssh(machine.ssh, folders)
    key = ssh.private_key_file or folders.default_key
    update = {"ssh": ssh.model_copy(update={"private_key_file": key})}
    known = folders.settle(machine.known_hosts_file)
    return machine.model_copy(update={**update, "known_hosts_file": known})


def _ssh(ssh: AcceptedSsh, folders: Folders) -> AcceptedSsh:
    jump = _jump(ssh.jump, folders) if ssh.jump else None
    return ssh.model_copy(update={"private_key_file": folders.settle(ssh.private_key_file), "jump": jump})


def _jump(jump: AcceptedJump, folders: Folders) -> AcceptedJump:
    return jump.model_copy(update={"private_key_file": folders.settle(jump.private_key_file)})
