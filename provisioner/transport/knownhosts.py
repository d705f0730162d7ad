"""A person's `known_hosts` file as pins, read by asyncssh's own reader: names, `[host]:port`, hashed entries, wildcards."""

from __future__ import annotations

from pathlib import Path

import asyncssh

from provisioner.errors import UsageError
from provisioner.transport.hostkeys import SSH_PORT

LIMIT = 16 << 20
"""Bytes; a larger file is no known_hosts."""


def pins_from_known_hosts(path: Path, host: str, port: int = SSH_PORT) -> tuple[str, ...]:
    """The public keys that the file holds for a host, as `<type> <base64>`.

    Raises UsageError (3) where the file cannot be read, holds none, or holds only what we do not trust by: a certificate
    authority. Revoked keys are left out.
    """
    # The port's own entry alone: a key of port 22 says nothing about what listens at another one.
    where = host if port == SSH_PORT else f"[{host}]:{port}"
    keys, authorities, revoked, *_ = _read(path).match(where, "", None)
    if authorities:
        raise UsageError(
            f"{path} trusts {where} by a certificate authority, which is not supported",
            hint="give the host's own key or its fingerprint under hostKeys",
        )
    found = tuple(dict.fromkeys(_text(key) for key in keys if key not in revoked))
    if not found:
        raise UsageError(
            f"{path} holds no key of {where}",
            hint=f"log in once with `ssh -p {port} {host}` and check the fingerprint, or give it under hostKeys",
        )
    return found


def _read(path: Path) -> asyncssh.SSHKnownHosts:
    try:
        with path.expanduser().open("rb") as file:
            raw = file.read(LIMIT + 1)
        if len(raw) > LIMIT:
            raise UsageError(
                f"{path} is larger than 16 MiB: that is no known_hosts file",
                hint="name the file that holds the hosts' keys",
            )
        return asyncssh.import_known_hosts(raw.decode())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="check knownHostsFile") from error
    except ValueError as error:  # no UTF-8, or a line that is no entry
        raise UsageError(f"{path} is no known_hosts file", hint="check knownHostsFile") from error


def _text(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
