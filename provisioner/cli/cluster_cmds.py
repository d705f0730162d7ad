"""`up`, `plan`, `down`: the commands that change clusters, or say what would change."""

from __future__ import annotations

from typing import Any

from provisioner.cli import flags, sites
from provisioner.cli import options as o
from provisioner.cli.run import open_session


@flags.taking(flags.Wish, flags.How, flags.Yes, flags.Answer)
def up(
    image: o.ImageArg = None,
    *,
    allow_delete: o.AllowDelete = False,
    lock_timeout: o.LockTimeout = "0",
    dry_run: o.DryRun = False,
    **given: Any,
) -> int:
    """Bring a cluster up, or change it to what is asked now.

    Makes the machines, lays the image on them, runs its scripts and waits until they are healthy. The same command
    again goes on where an earlier one stopped; with nothing to change it changes nothing.
    """
    yes = given["yes"] or given["auto_approve"]
    wanted = {**given, "image": image, "allow_delete": allow_delete, "lock_timeout": lock_timeout, "yes": yes}
    from provisioner.cli.cluster import run_plan, run_up

    session = open_session(given["output"], **flags.talk_of(given))
    return run_plan(session, wanted) if dry_run else run_up(session, wanted)


@flags.taking(flags.Wish, flags.How, flags.Talk)
def plan(
    image: o.ImageArg = None,
    *,
    detailed_exitcode: o.DetailedExit = False,
    output: o.PlanOutput = "table",
    **given: Any,
) -> int:
    """Show what `up` would do, and change nothing anywhere (alias: preview)."""
    from provisioner.cli.cluster import run_plan

    session = open_session(output, **flags.talk_of(given))
    return run_plan(session, {**given, "image": image}, detailed=detailed_exitcode)


@flags.taking(flags.Yes, flags.Answer)
def down(
    name: o.MaybeClusterArg = None,
    *,
    provider: o.ProviderFlag = None,
    infra_file: sites.Files = None,
    run: o.DownRun = None,
    delete_data: o.DeleteData = False,
    **given: Any,
) -> int:
    """Remove a cluster and everything that was made for it (alias: destroy).

    Says that it is gone only after looking. Works without our state too: with --provider it looks at the machines, in
    the cloud that the Infra of -f describes where it is not at the usual place.
    With --run instead of NAME it removes every cluster in your cloud accounts that this run made.
    """
    from provisioner.cli.cluster import DownWords, run_down

    session = open_session(given["output"], **flags.talk_of(given))
    words = DownWords(name, sites.read_site(provider, None, infra_file), run, delete_data=delete_data)
    return run_down(session, words, yes=given["yes"] or given["auto_approve"])
