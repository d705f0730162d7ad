"""What the local disk answers, told as errors of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import AccessError, PreconditionError, SealerError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while writing `path` into PreconditionError (full, read-only) or AccessError."""
    try:
        yield
    except OSError as error:
        raise explain(error, "write", path) from error


def explain(error: OSError, verb: str, path: Path) -> SealerError:
    """An OSError as an error of ours; `verb` is what was being done to `path`."""
    text = f"cannot {verb} {error.filename or path}: {error.strerror or error}"
    if error.errno in _DENIED:
        return AccessError(text, hint="check the owner and mode of that path")
    if error.errno in _FULL:
        return PreconditionError(text, hint=f"free some space below {path.parent} and run the same command again")
    return PreconditionError(text, hint="look at that path: a folder that you can write is wanted")
