"""What a run that failed has done, what it has not, and the command that goes on. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.cli.board import Board
from provisioner.cli.text import escape
from provisioner.model.plan import Plan

SHOWN = 6


def story_lines(board: Board, plan: Plan) -> tuple[str, ...]:
    """Three lines at most, for under the failure: `done`, `not done`, `go on`."""
    good = [s for s in board.done if s.rc == 0]
    ended = {(s.host, s.step) for s in good}
    done = [*board.finished, *_grouped((s.title, s.host) for s in good)]
    waiting = _grouped((s.title, s.host) for s in plan.apply.steps if (s.host, s.id) not in ended)
    lines = [f"done      {_few(done) or 'nothing'}"]
    if waiting:
        lines.append(f"not done  {_few(waiting)}")
    return (*lines, f"go on     {next_command(board, plan)}")


def next_command(board: Board, plan: Plan) -> str:
    """What to type next: once the machines stand, the cluster knows its request and its name is enough."""
    if "machines" in board.finished or plan.cid is not None:
        return f"sealer-cloud up -n {plan.cluster}"
    return "the same command again"


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`start.sh on m2 m3`: one entry per title, in the order of first sight."""
    hosts: dict[str, list[str]] = {}
    for title, host in pairs:
        hosts.setdefault(title, []).append(host)
    return [f"{title} on {_few(names, ' ')}" for title, names in hosts.items()]


def _few(words: Iterable[str], gap: str = ", ") -> str:
    """The first few, and how many more."""
    known = [escape(w) for w in words]
    more = len(known) - SHOWN
    return gap.join(known[:SHOWN]) + (f" and {more} more" if more > 0 else "")
