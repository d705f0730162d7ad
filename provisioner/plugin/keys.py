"""A cluster's keys: the login key pair, and the key of its ledgers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

HMAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """OpenSSH ed25519 pair as text (the private one with its final newline), HMAC key as 64 hex characters."""

    login_public: str
    login_private: str = field(repr=False)
    hmac: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """An OpenSSH ed25519 key pair as text: the public one without comment, the private one with its final newline."""

    public: str
    private: str = field(repr=False)


def make_pair() -> Pair:
    """A fresh pair from the system's randomness."""
    from cryptography.hazmat.primitives import serialization  # 0.05 s that only this call needs
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return Pair(public.decode(), text.decode())


def make_keys(cid: str) -> Keys:
    """Fresh keys of a cluster; the public key's comment names it."""
    pair = make_pair()
    return Keys(f"{pair.public} sealer-cloud:{cid}", pair.private, secrets.token_hex(HMAC_BYTES))
