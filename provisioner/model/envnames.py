"""The env names that are ours: a user, a pool or an image may not set them."""

from __future__ import annotations

HOST_IP = "HostIP"
RESERVED_PREFIX = "SEALER_"
RESERVED_NAMES = frozenset({HOST_IP})

DERIVED_NAMES = (
    "SEALER_CLUSTER",
    "SEALER_CID",
    "SEALER_HOST",
    "SEALER_ROLES",
    "SEALER_PHASE",
    "SEALER_ROOTFS",
    "SEALER_DATA",
    "SEALER_PEERS",
    "SEALER_MASTERS",
    HOST_IP,
)
"""Names that every script and template gets; SEALER_OUTPUT comes on top for scripts, from the wrapper."""

LIST_NAMES = frozenset({"SEALER_PEERS", "SEALER_MASTERS"})
"""Derived names that are lists of records (`.Name`, `.Address`, `.Roles`) in templates."""


def is_reserved(name: str) -> bool:
    """True for a name that only sealer-cloud sets: `SEALER_…` and `HostIP`."""
    return name.startswith(RESERVED_PREFIX) or name in RESERVED_NAMES
