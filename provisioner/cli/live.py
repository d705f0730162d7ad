"""The view of a run on this process's terminal, or its lines in a log. The only place that knows rich."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TextIO, cast

from provisioner.cli.board import Board
from provisioner.cli.folding import fold
from provisioner.cli.progress import LogLines, detail_line, lasting_line, moving_lines
from provisioner.cli.screen import Screen
from provisioner.cli.text import Line
from provisioner.events import Event

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

PER_SECOND = 10


class View:
    """Takes events from any thread, keeps the board, shows what is new. Use as a context; `pause` around a question."""

    def __init__(self, screen: Screen, now: Callable[[], float] = time.monotonic) -> None:
        self.board = Board()
        self._screen = screen
        self._now = now
        self._lock = threading.RLock()
        self._log = LogLines()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._screen.look.live and not self._screen.look.quiet:
            self._live = _make_live(self._screen, self._moving)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def take(self, event: Event) -> None:
        """One event: `provisioner.events.Events`."""
        with self._lock:
            now = self._now()
            self.board.take(event, now)
            for line in self._lines(event, now):
                self.say(line)

    def say(self, line: Line) -> None:
        """A line that stays, above the moving ones."""
        if self._live:
            for row in fold(line, self._live.console.width):
                self._live.console.print(to_rich(row), soft_wrap=True)
        else:
            self._screen.say(line)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Without moving lines: for a question and for what stands above it."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _lines(self, event: Event, now: float) -> tuple[Line, ...]:
        if not self._screen.look.live:
            return self._log.lines(event, self.board, now)
        line = lasting_line(event)
        if line is None and self._screen.look.verbose:
            line = detail_line(event)
        return (line,) if line else ()

    def _moving(self, width: int) -> tuple[Line, ...]:
        with self._lock:
            return moving_lines(self.board, self._now(), width)


def to_rich(line: Line) -> Text:
    """A line for rich; markup in it is never read, as hosts wrote parts of it."""
    from rich.text import Text

    return Text.assemble(*line)


def make_console(screen: Screen) -> Console:
    """A rich console on stderr that obeys our choice of colour."""
    from rich.console import Console

    return Console(
        file=cast("TextIO", screen.err),
        no_color=not screen.look.color,
        force_terminal=True if screen.look.live else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _make_live(screen: Screen, moving: Callable[[int], tuple[Line, ...]]) -> Live:
    from rich.live import Live
    from rich.text import Text

    console = make_console(screen)

    def renderable() -> Text:
        lines = Text("\n").join(to_rich(line) for line in moving(console.width))
        lines.no_wrap, lines.overflow = True, "ellipsis"  # wide characters could still be too many for a row
        return lines

    return Live(
        console=console,
        get_renderable=renderable,
        refresh_per_second=PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
