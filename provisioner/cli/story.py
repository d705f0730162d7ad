"""What a run that failed has done, what it has not, and the command that goes on. Pure."""

from __future__ import annotations

from provisioner.cli.board import Board
from provisioner.cli.text import few, grouped
from provisioner.model.plan import Plan


def story_lines(board: Board, plan: Plan) -> tuple[str, ...]:
    """Three lines at most, for under the failure: `done`, `not done`, `go on`."""
    good = [s for s in board.done if s.rc == 0]
    ended = {(s.host, s.step) for s in good}
    done = [*board.finished, *grouped((s.title, s.host) for s in good)]
    waiting = grouped((s.title, s.host) for s in plan.apply.steps if (s.host, s.id) not in ended)
    lines = [f"done      {few(done) or 'nothing'}"]
    if waiting:
        lines.append(f"not done  {few(waiting)}")
    return (*lines, f"go on     {next_command(board, plan)}")


def next_command(board: Board, plan: Plan) -> str:
    """What to type next: the name is enough once stage 1 has stored this run's request, or had nothing to change of it.

    Before that the cluster knows an older request, and the name alone would lose this run's flags.
    """
    if "machines" in board.finished or not plan.infra.changes:
        return f"sealer-cloud up -n {plan.cluster}"
    return "the same command again"
