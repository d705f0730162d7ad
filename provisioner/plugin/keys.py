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


def make_keys(cid: str) -> Keys:
    """Fresh keys from the system's randomness; the public key's comment names the cluster."""
    from cryptography.hazmat.primitives import serialization  # 0.05 s that only this call needs
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return Keys(f"{public.decode()} sealer-cloud:{cid}", text.decode(), secrets.token_hex(HMAC_BYTES))
