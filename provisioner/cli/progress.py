"""Progress as lines: the moving ones of a terminal, and the lasting ones that stay on the screen or in a log. Pure."""

from __future__ import annotations

from provisioner.cli.board import Board, Transfer
from provisioner.cli.text import Line, Lines, escape, seconds, size
from provisioner.events import (
    BytesSent,
    Event,
    HealthSeen,
    PhaseDone,
    PhaseStarted,
    Progress,
    ResourceChanged,
    StepDone,
    StepStarted,
    Warned,
)

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
LABEL = 10
BAR = 8
PACE = 34
ROWS = 8
"""Moving lines at most: a live view that is higher than the terminal cannot be repainted."""

EVERY = 2.0
"""Without a terminal: seconds between two lines on the same host's transfer or the same long work."""


def lasting_line(event: Event) -> Line | None:
    """The line that stays: an ended phase, a warning, a failed step."""
    match event:
        case PhaseDone(phase, text, wall):
            return (("✔", "green"), (f" {phase:<{LABEL}} {escape(text):<46} ", ""), (f"{seconds(wall):>9}", "dim"))
        case Warned(text, hint):
            return (("!", "yellow"), (f" {escape(text)}" + (f" ({escape(hint)})" if hint else ""), ""))
        case StepDone(host, _, title, rc, wall) if rc:
            return (("✘", "red"), (f" {escape(title)} on {host}: exit status {rc} after {seconds(wall)}", ""))
        case _:
            return None


def detail_line(event: Event) -> Line | None:
    """The further lines of a log, and of `-v`: what began, what ended, what was looked at."""
    match event:
        case PhaseStarted(phase, total):
            return (("…", "dim"), (f" {phase:<{LABEL}} " + (f"0 of {total}" if total else "begins"), ""))
        case StepStarted(host, _, title):
            return (("…", "dim"), (f" {host}: {escape(title)}", ""))
        case StepDone(host, _, title, 0, wall):
            return (("✔", "green"), (f" {host}: {escape(title)} ", ""), (seconds(wall), "dim"))
        case HealthSeen(host, rc, line):
            return (("✔" if rc == 0 else "…", "dim"), (f" {host}: {escape(line) or f'health {rc}'}", ""))
        case ResourceChanged(_, name, op, done) if op not in {"same", "refresh"}:
            return (("✔" if done else "…", "dim"), (f" {op} {escape(name)}", ""))
        case _:
            return None


class LogLines:
    """Events as log lines without control codes; transfers and long works are thinned to one line per `EVERY`."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._full: set[str] = set()

    def lines(self, event: Event, board: Board, now: float) -> Lines:
        """The lines for one event, which the board has taken already."""
        match event:
            case BytesSent(host, sent, total):
                return self._transfer(host, Transfer(sent, total), board, now)
            case Progress(phase, text, share):
                due = self._due(phase, now)
                return ((("…", ""), (f" {phase:<{LABEL}} {escape(text)}{_percent(share)}", "")),) if due else ()
            case ResourceChanged() if not board.making:
                return ()
            case _:
                line = lasting_line(event) or detail_line(event)
                return (line,) if line else ()

    def _transfer(self, host: str, transfer: Transfer, board: Board, now: float) -> Lines:
        full = transfer.sent >= transfer.total
        if host in self._full or not (full or self._due(host, now)):
            return ()
        if full:
            self._full.add(host)
        text = f" {host}: {size(transfer.sent)} of {size(transfer.total)}{_percent(transfer.share)}"
        return ((("…", ""), (text + ("" if full else _pace(board)), "")),)

    def _due(self, key: str, now: float) -> bool:
        if key in self._last and now - self._last[key] < EVERY:
            return False
        self._last[key] = now
        return True


def moving_lines(board: Board, now: float, width: int) -> Lines:
    """The lines at the bottom of a terminal, repainted several times a second; at most `ROWS`, none over `width`."""
    lines: list[Line] = [] if board.phases or board.finished else [_looking(now)]
    for phase in board.phases:
        lines.append(_phase_line(board, phase, now, width))
        if phase == "rootfs" and not _fits(board, width):
            lines += _bar_rows(board, width)
    return tuple(lines[:ROWS])


def _looking(now: float) -> Line:
    """Before the first phase the engine previews and hosts are read: some seconds without an event."""
    return ((_spinner(now), "cyan"), (" looking at what is there", ""))


def _spinner(now: float) -> str:
    return SPINNER[int(now * 10) % len(SPINNER)]


def _phase_line(board: Board, phase: str, now: float, width: int) -> Line:
    room = width - LABEL - 3
    text = _phase_text(board, phase, width)
    wall = f"  {seconds(max(0.0, now - board.phases[phase].since))}"
    shown = text[:room] if len(text) + len(wall) > room else f"{text:<46}"[: room - len(wall)] + wall
    return ((_spinner(now), "cyan"), (f" {phase:<{LABEL}} ", ""), (shown, ""))


def _phase_text(board: Board, phase: str, width: int) -> str:
    if phase == "rootfs" and board.transfers:
        return _bars(board) if _fits(board, width) else _summary(board)
    if phase == "machines" and board.resources:
        ready = sum(board.resources.values())
        return f"{ready} of {max(len(board.resources), board.phases[phase].total)}"
    if phase == "health" and board.health:
        return " · ".join(f"{h}: {escape(s.line) or s.rc}" for h, s in board.health.items())
    if board.running and phase in {"steps", "remove", "rootfs", "health"}:
        return board.awaited()
    if board.work and board.work.phase == phase:
        return escape(board.work.text) + _percent(board.work.share)
    total = board.phases[phase].total
    return f"0 of {total}" if total else ""


def _bars(board: Board) -> str:
    return "   ".join(_bar(host, transfer) for host, transfer in board.transfers.items()) + _pace(board)


def _bar(host: str, transfer: Transfer) -> str:
    filled = int(min(1.0, transfer.share) * BAR)
    return f"{host} {'█' * filled}{'░' * (BAR - filled)}{_percent(transfer.share)}"


def _summary(board: Board) -> str:
    full = sum(1 for t in board.transfers.values() if t.sent >= t.total)
    sent, total = sum(t.sent for t in board.transfers.values()), sum(t.total for t in board.transfers.values())
    return f"{full} of {len(board.transfers)} hosts, {size(sent)} of {size(total)}{_pace(board)}"


def _fits(board: Board, width: int) -> bool:
    """True where all hosts and the pace stand in the phase's own line; room is kept for the longest pace."""
    return len(_bars(board)) - len(_pace(board)) + PACE <= width - LABEL - 3


def _bar_rows(board: Board, width: int) -> list[Line]:
    """Bars in rows of their own; where not all fit, those of the slowest hosts."""
    cell = max((len(host) for host in board.transfers), default=0) + BAR + 10
    per_row = max(1, (width - LABEL - 3) // cell)
    shown = list(board.transfers.items())
    if len(shown) > per_row * (ROWS - 2):
        shown = sorted(shown, key=lambda item: item[1].share)[: per_row * (ROWS - 2)]
    cells = [f"{_bar(h, t):<{cell}}" for h, t in shown]
    rows = ["".join(cells[i : i + per_row]).rstrip() for i in range(0, len(cells), per_row)]
    return [((f"  {' ' * LABEL} {row}"[:width], ""),) for row in rows]


def _pace(board: Board) -> str:
    rate, left = board.rate(), board.seconds_left()
    if not rate or not left:
        return ""
    return f"   {size(int(rate))}/s   {seconds(left)} left"


def _percent(share: float | None) -> str:
    return "" if share is None else f" {int(min(1.0, share) * 100)} %"
