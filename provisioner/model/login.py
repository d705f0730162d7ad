"""How files say that machines are logged in to: the `ssh` of an `Infra`, and upstream's, of both its Clusterfiles.

Of upstream's, passwords are not taken: machines that we make have none, and for those that exist it is not built yet.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from provisioner.model.fields import Path, Report
from provisioner.model.infraformat import split_jump
from provisioner.model.request import JumpDoc, SshDoc
from provisioner.model.yamlnodes import Map, find, find_key

_SECRETS = {"passwd": "a login by password", "pkPasswd": "a private key with a passphrase"}


def read_login(entry: Any, report: Report) -> SshDoc:
    """The `ssh` of an Infra, or of one of its hosts, from values that the walk has read."""
    ssh = entry or {}
    return SshDoc(
        host=ssh.get("host"),
        port=ssh.get("port"),
        user=ssh.get("user"),
        private_key_file=beside(report.file, ssh.get("privateKeyFile")),
        known_hosts_file=beside(report.file, ssh.get("knownHostsFile")),
        jump=_jump(ssh.get("jump"), report),
    )


def read_old_login(entry: Any, root: Map, path: Path, report: Report, *, exist: bool, key: bool = False) -> SshDoc:
    """Upstream's `ssh`, with a word about its passwords.

    `exist`: for machines that exist, else for those we make; `key`: a private key is named for all of them.
    """
    ssh = entry or {}
    for name, what in _SECRETS.items():
        if not ssh.get(name):
            continue
        if not exist:
            warn_made(root, (*path, name), report)
        elif name == "passwd" and (ssh.get("pk") or key):
            report.warn(find_key(root, (*path, name)), (*path, name), "is not read", "the key in pk is used")
        else:
            hint = "write pk: the path of a private key without a passphrase"
            report.not_built(find_key(root, (*path, name)), (*path, name), what, hint)
    if ssh.get("pk") and not exist:
        warn_made(root, (*path, "pk"), report)
    key_file = beside(report.file, ssh.get("pk")) if exist else None
    return SshDoc(port=ssh.get("port"), user=ssh.get("user"), private_key_file=key_file)


def warn_made(root: Map, path: Path, report: Report) -> None:
    """Say of a login's secret that machines of ours do not have it."""
    what = "is not read: machines that we make get a key of their own, and no password"
    report.warn(find_key(root, path), path, what, "remove it")


def beside(file: str, path: str | None) -> str | None:
    """A path as the file means it: relative ones start at the file's own folder."""
    if path is None or path.startswith(("/", "~")):
        return path
    return str(PurePosixPath(file).parent / path)


def check_jump_keys(root: Map, path: Path, ssh: SshDoc, report: Report) -> None:
    """A jump host is pinned like every other one."""
    if ssh.jump is None or ssh.jump.host_keys or ssh.known_hosts_file:
        return
    here = (*path, "ssh", "jump")
    hint = 'write jump: {host: …, hostKeys: ["SHA256:…"]}, or knownHostsFile'
    report.problem(find(root, here), here, "the key of the jump host is not known", hint)


def _jump(said: Any, report: Report) -> JumpDoc | None:
    if said is None:
        return None
    if isinstance(said, str):
        user, host, port = split_jump(said) or (None, said, None)
        return JumpDoc(host, port or 22, user or "root")
    if not said.get("host"):
        return None
    return JumpDoc(
        host=said["host"],
        port=said.get("port") or 22,
        user=said.get("user") or "root",
        private_key_file=beside(report.file, said.get("privateKeyFile")),
        host_keys=said.get("hostKeys") or (),
    )
