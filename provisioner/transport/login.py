"""A person's private key file as a login key of a cluster."""

from __future__ import annotations

from pathlib import Path

from provisioner.model.adoption import Login
from provisioner.model.secret import Secret
from provisioner.transport.dial import read_identity


def read_login(path: Path) -> Login:
    """Both halves of a key file. Raises AccessError (5): not there, no key, or locked by a passphrase."""
    key = read_identity(path)
    public = " ".join(key.export_public_key().decode().split()[:2])
    return Login(Secret(key.export_private_key("openssh").decode()), public)
