"""Two works at once, with one error out of it: a group of exceptions would meet nobody who knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from provisioner.errors import SealerError, worst_of

_A = TypeVar("_A")
_B = TypeVar("_B")


async def together(one: Awaitable[_A], other: Awaitable[_B]) -> tuple[_A, _B]:
    """Both results. The first failure cancels the other work, is waited for, and decides; a bug of ours wins over all.

    `one` is started first. Raises what failed; of two errors of ours the one with the lower exit code.
    """
    tasks = (asyncio.ensure_future(one), asyncio.ensure_future(other))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()  # does nothing to one that has ended
        await asyncio.gather(*tasks, return_exceptions=True)
    errors = [e for t in tasks if not t.cancelled() and (e := t.exception()) is not None]
    if errors:
        ours = [e for e in errors if isinstance(e, SealerError)]
        raise worst_of(ours) if len(ours) == len(errors) else next(e for e in errors if e not in ours)
    return tasks[0].result(), tasks[1].result()
