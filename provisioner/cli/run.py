"""One run of a command: its screen and settings, its event loop, its signals, and the story of its failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from provisioner.cli.screen import Look, Screen, make_screen
from provisioner.settings import Settings, load_settings

if TYPE_CHECKING:
    from provisioner.cli.ask import Asker
    from provisioner.cli.live import View
    from provisioner.errors import SealerError
    from provisioner.world import World

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """What every command starts from: where it prints, and the settings of this process."""

    screen: Screen
    settings: Settings


@dataclass(frozen=True, slots=True)
class Run:
    """A session with its seams opened: what the asynchronous commands work with."""

    session: Session
    world: World
    view: View
    asker: Asker


def open_session(output: str, *, quiet: bool = False, verbose: int = 0, color: bool | None = None) -> Session:
    """Read the environment once and decide how to talk. Raises UsageError for a relative state folder."""
    settings = load_settings()
    return Session(make_screen(_look(settings, output, quiet=quiet, verbose=verbose, color=color)), settings)


def can_ask(settings: Settings) -> bool:
    """True where a person sits at a terminal."""
    streams = (sys.stdin, sys.stderr)  # a question that is written into a file is read by nobody
    return not settings.non_interactive and all(s is not None and s.isatty() for s in streams)


def execute(session: Session, work: Callable[[Run], Awaitable[T]], *, yes: bool = False) -> T:
    """Run `work` with the real seams to its end. Raises what it raises, with the story of the run as notes."""
    import asyncio

    return asyncio.run(_execute(session, work, yes=yes))


async def _execute(session: Session, work: Callable[[Run], Awaitable[T]], *, yes: bool) -> T:
    from provisioner.cli.ask import Asker
    from provisioner.cli.live import View
    from provisioner.cli.signals import Interrupts
    from provisioner.cli.text import styled
    from provisioner.cli.world import build_world
    from provisioner.stop import Stop

    stop = Stop()
    with View(session.screen) as view:

        def stopping() -> None:
            awaited = f"Stopping: waiting for {view.board.awaited()}; Ctrl-C again leaves at once"
            view.say(styled(awaited, "yellow"))

        interrupts = Interrupts(stop, stopping, leave=_leave(session.screen))
        asker = Asker(session.screen, view, yes=yes, can_ask=can_ask(session.settings), asking=interrupts.asking)
        with interrupts.watch():
            run = Run(session, build_world(session.settings, view.take, stop), view, asker)
            return await _explained(run, work, interrupts)


async def _explained(run: Run, work: Callable[[Run], Awaitable[T]], interrupts: Any) -> T:
    import asyncio

    from provisioner.cli.failure import to_sealer
    from provisioner.cli.signals import TerminatedError
    from provisioner.errors import InterruptedRunError, SealerError

    try:
        return await work(run)
    except asyncio.CancelledError:
        error: SealerError = InterruptedRunError(
            "interrupted twice; what was running on the hosts may still be running",
            hint="the next run looks before it acts: run the same command again",
        )
    except KeyboardInterrupt:  # raised by our handler just beside the question
        error = InterruptedRunError("interrupted at the question; nothing was changed")
    except (SealerError, BaseExceptionGroup) as raised:
        known = to_sealer(raised)
        if known is None:
            raise
        error = known
    if isinstance(error, InterruptedRunError) and interrupts.terminated:
        told = error.told
        error = TerminatedError(error.message, hint=error.hint, host=error.host, phase=error.phase)
        error.told = told
    _tell(error, run)
    raise error


def _tell(error: SealerError, run: Run) -> None:
    """The story of a failure before stage 2; from there on the error's own hint tells it, in JSON too."""
    from provisioner.cli.story import story_lines

    if not error.told and run.asker.agreed and run.asker.seen is not None:
        for line in story_lines(run.view.board, run.asker.seen):
            error.add_note(line)


def _leave(screen: Screen) -> Callable[[int], None]:
    """The last way out, from a timer's thread: nothing of Python's own ending could be relied on here."""

    def leave(code: int) -> None:
        screen.err.write("\x1b[?25h" if screen.look.live else "")
        screen.insist("left at once; the next run looks before it acts")
        os._exit(code)

    return leave


def _look(settings: Settings, output: str, *, quiet: bool, verbose: int, color: bool | None) -> Look:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    dumb = settings.environ.get("TERM") == "dumb"
    wanted = color if color is not None else {"always": True, "never": False}.get(settings.color)
    return Look(
        output=output,
        quiet=quiet,
        verbose=verbose,
        color=terminal if wanted is None else wanted,
        live=terminal and not dumb and not settings.ci,
    )
