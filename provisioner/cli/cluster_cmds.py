"""`up`, `plan`, `down`: the commands that change clusters, or say what would change."""

from __future__ import annotations

from provisioner.cli import options as o
from provisioner.cli.run import open_session


def up(
    image: o.ImageArg = None,
    *,
    file: o.Files = None,
    name: o.Name = None,
    provider: o.ProviderFlag = None,
    masters: o.Masters = None,
    nodes: o.Nodes = None,
    env: o.Env = None,
    env_secret: o.EnvSecret = None,
    cmd: o.Cmd = None,
    data_root: o.DataRoot = None,
    yes: o.Yes = False,
    auto_approve: o.AutoApprove = False,
    allow_delete: o.AllowDelete = False,
    replace: o.Replace = False,
    expect_plan: o.ExpectPlan = None,
    all_at_once: o.AllAtOnce = False,
    redo: o.Redo = None,
    assume_done: o.AssumeDone = None,
    timeout: o.Timeout = "30m",
    lock_timeout: o.LockTimeout = "0",
    dry_run: o.DryRun = False,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Bring a cluster up, or change it to what is asked now.

    Makes the machines, lays the image on them, runs its scripts and waits until they are healthy. The same command
    again goes on where an earlier one stopped; with nothing to change it changes nothing.
    """
    given = dict(locals(), yes=yes or auto_approve)
    from provisioner.cli.cluster import run_plan, run_up

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    return run_plan(session, given) if dry_run else run_up(session, given)


def plan(
    image: o.ImageArg = None,
    *,
    file: o.Files = None,
    name: o.Name = None,
    provider: o.ProviderFlag = None,
    masters: o.Masters = None,
    nodes: o.Nodes = None,
    env: o.Env = None,
    env_secret: o.EnvSecret = None,
    cmd: o.Cmd = None,
    data_root: o.DataRoot = None,
    replace: o.Replace = False,
    expect_plan: o.ExpectPlan = None,
    all_at_once: o.AllAtOnce = False,
    redo: o.Redo = None,
    assume_done: o.AssumeDone = None,
    timeout: o.Timeout = "30m",
    detailed_exitcode: o.DetailedExit = False,
    output: o.PlanOutput = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Show what `up` would do, and change nothing anywhere (alias: preview)."""
    given = dict(locals())
    from provisioner.cli.cluster import run_plan

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    return run_plan(session, given, detailed=detailed_exitcode)


def down(
    name: o.ClusterArg,
    *,
    provider: o.ProviderFlag = None,
    yes: o.Yes = False,
    auto_approve: o.AutoApprove = False,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Remove a cluster and everything that was made for it (alias: destroy).

    Says that it is gone only after looking. Works without our state too: with --provider it looks at the machines.
    """
    from provisioner.cli.cluster import run_down

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    return run_down(session, name, provider, yes=yes or auto_approve)
