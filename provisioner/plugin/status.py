"""Errors as gRPC statuses. The code matters to the engine: after INTERNAL it keeps the operation as pending."""

from __future__ import annotations

import traceback
from pathlib import Path

import grpc

from provisioner.errors import (
    AccessError,
    CapacityError,
    DeadlineError,
    InterruptedRunError,
    LockedError,
    SealerError,
    UsageError,
)
from provisioner.model.wire import to_wire

_CODES: tuple[tuple[type[SealerError], grpc.StatusCode], ...] = (
    (UsageError, grpc.StatusCode.INVALID_ARGUMENT),
    (AccessError, grpc.StatusCode.PERMISSION_DENIED),
    (LockedError, grpc.StatusCode.ABORTED),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (CapacityError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (InterruptedRunError, grpc.StatusCode.ABORTED),
)


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status for an error. A bug says its type and place only: its text might hold a secret."""
    if isinstance(error, SealerError) and type(error) is not SealerError:
        known = (code for kind, code in _CODES if isinstance(error, kind))
        return next(known, grpc.StatusCode.FAILED_PRECONDITION), to_wire(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    text = f"a bug in sealer-cloud's plugin: {type(error).__name__}{where}"
    return grpc.StatusCode.INTERNAL, to_wire(SealerError(text))
