"""`with`: a cluster for the length of one command."""

from __future__ import annotations

from typing import Any

import typer

from provisioner.cli import flags
from provisioner.cli import options as o
from provisioner.cli.quick import QuickCommand
from provisioner.cli.run import open_session

_COMMAND = "sealer-cloud.command"


class WithCommand(QuickCommand):
    """What stands behind `--` is the user's command, whether an image stands before it or not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the command out of the words before they are parsed."""
        place = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = tuple(args[place + 1 :])
        return list(super().parse_args(ctx, args[:place]))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """As for every command, and the command at the end."""
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


@flags.taking(flags.Wish, flags.Yes, flags.How, flags.Talk)
def with_(
    ctx: typer.Context,
    image: o.ImageArg = None,
    *,
    on_failure: o.OnFailure = "destroy",
    artifacts: o.Artifacts = None,
    **given: Any,
) -> int:
    """Bring a cluster up, run a command beside it, remove the cluster; the exit code is the command's.

    The command finds the cluster's outputs as SEALER_OUTPUT_<KEY>, its name as SEALER_CLUSTER, and in the file
    SEALER_INVENTORY how to reach each host. Without --name each run has a cluster of its own. Ctrl-C and SIGTERM reach
    the command; the cluster is removed whatever happens.
    """
    from provisioner.cli.lease import run_with

    session = open_session("table", **flags.talk_of(given))
    more = {"image": image, "on_failure": on_failure, "artifacts": artifacts}
    wanted = {**given, **more, "yes": given["yes"] or given["auto_approve"]}
    return run_with(session, wanted, ctx.meta[_COMMAND])
