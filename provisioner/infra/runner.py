"""One blocking engine call inside asyncio: bounded, asked to stop softly, ended hard when its task is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from provisioner.errors import DeadlineError, InterruptedRunError, SealerError
from provisioner.events import Events
from provisioner.infra.changes import StepSeen, to_event
from provisioner.infra.processes import Child, end_recorded
from provisioner.stop import Stop

_T = TypeVar("_T")
GRACE = 3.0
"""Seconds from a second interrupt to SIGKILL: with the plugins' end and TIDY this stays below the five that we promise."""
TIDY = 0.8
"""Seconds that may be spent, after the engine's end, on what it left in a store: a bucket may be slow to answer."""


async def run_bounded(work: Callable[[], _T], child: Child, stop: Stop, run_dir: Path, limit: float) -> _T:
    """Run `work` in a thread for at most `limit` seconds.

    A stop request reaches the engine as one SIGINT: running steps end and are saved. Cancellation and the limit end
    engine and plugins within seconds. Raises InterruptedRunError (130) or DeadlineError (11) then. Where the right to go
    on is lost the engine is killed, as it would save over another run's state; raises why.
    """
    stop.check_right()
    forget_loss = stop.on_loss(child.kill)
    forget = stop.on_request(child.soft)
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        async with asyncio.timeout(limit):
            return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _end(future, child, run_dir)
        raise
    except TimeoutError as error:
        await _end(future, child, run_dir)
        raise DeadlineError(
            f"the engine did not end within {limit:g} s",
            phase="machines",
            hint="the same command goes on; --timeout gives it more time",
        ) from error
    except SealerError as error:
        if stop.lost is not None:
            await _end(future, child, run_dir)
            raise stop.lost from error
        if stop.requested and not isinstance(error, InterruptedRunError):
            raise InterruptedRunError("interrupted; what the engine had begun is saved", phase="machines") from error
        raise
    finally:
        forget()
        forget_loss()


@contextlib.contextmanager
def only_looking() -> Iterator[None]:
    """An interrupt in here is told as one of a look: `run_bounded` says that something was begun, which is not so."""
    try:
        yield
    except InterruptedRunError as error:
        what = "interrupted while the engine looked; a look changes nothing"
        raise InterruptedRunError(what, hint="run the same command again", phase=error.phase) from error


async def tidied(work: Callable[[], None], *, hurried: bool) -> None:
    """Run `work` in a thread. Who is `hurried` waits TIDY seconds for it: what is slower ends by itself, or with us."""
    thread = threading.Thread(target=work, daemon=True)  # one of the loop's own would be waited for at its end
    thread.start()
    await asyncio.to_thread(thread.join, TIDY if hurried else None)


def forward(events: Events) -> Callable[[StepSeen], None]:
    """Pass steps on as events in the loop's own thread, in order, before the call returns."""
    loop = asyncio.get_running_loop()

    def on_step(step: StepSeen) -> None:
        event = to_event(step)
        if event:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody looks any more
                loop.call_soon_threadsafe(events, event)

    return on_step


async def _end(future: asyncio.Future[_T], child: Child, run_dir: Path) -> None:
    await asyncio.to_thread(child.end, GRACE)
    await asyncio.wait({future}, timeout=GRACE)
    if future.done() and not future.cancelled():
        future.exception()  # looked at, so that nobody complains that it was not
    await asyncio.to_thread(end_recorded, run_dir, patience=0.2, grace=0.9)
