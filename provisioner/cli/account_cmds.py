"""`gc`, `ttl`, `outputs`: what stands and for how long, and what it says."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provisioner.cli import flags, sites
from provisioner.cli import options as o
from provisioner.cli.run import open_session

By = Annotated[str, typer.Argument(metavar="DURATION", help="How much longer, like 30m or 2h.")]


@flags.taking(flags.Yes, flags.Answer)
def gc(
    *,
    provider: o.ProviderFlag = None,
    region: o.GcRegions = None,
    infra_file: sites.Files = None,
    cluster: o.GcCluster = None,
    run: o.GcRun = None,
    delete: o.Delete = False,
    **given: Any,
) -> int:
    """Find what is left in your cloud accounts, by tag, and delete what is past its deadline.

    Looks only, unless --delete or --yes is given. Deletes only clusters whose every part carries a deadline that is
    15 minutes past, or what --cluster or --run names. That this machine knows nothing of a cluster is no reason: all
    else is listed as "owner unknown", with age and price. With -f it looks where the file's Infra says, and only there.
    """
    from provisioner.cli.account import run_gc
    from provisioner.gc import GcChoice, name_run

    session = open_session(given["output"], **flags.talk_of(given))
    site = sites.read_site(provider, None, infra_file)
    regions = o.listed(region, "REGION", session.settings.environ) or site.regions
    yes = given["yes"] or given["auto_approve"]
    named = name_run(run, session.settings.environ, cluster)
    choice = GcChoice(site.provider, regions, named, delete=delete or yes, endpoints=site.endpoints)
    return run_gc(session, choice, yes=yes)


@flags.taking(flags.Answer)
def ttl_show(name: o.ClusterArg, **given: Any) -> int:
    """Show a cluster's deadline and who keeps it."""
    from provisioner.cli.account import TtlWords, run_ttl

    return run_ttl(open_session(given["output"], **flags.talk_of(given)), TtlWords(name))


@flags.taking(flags.Answer)
def ttl_extend(name: o.ClusterArg, duration: By, **given: Any) -> int:
    """Move a cluster's deadline; counted from the deadline, or from now where it is past or there is none."""
    from provisioner.cli.account import TtlWords, run_ttl

    return run_ttl(open_session(given["output"], **flags.talk_of(given)), TtlWords(name, extend=duration))


@flags.taking(flags.Answer)
def ttl_cancel(name: o.ClusterArg, **given: Any) -> int:
    """Take a cluster's deadline away: it stands, and costs, until `down`."""
    from provisioner.cli.account import TtlWords, run_ttl

    return run_ttl(open_session(given["output"], **flags.talk_of(given)), TtlWords(name, cancel=True))


@flags.taking(flags.Talk)
def outputs(
    name: o.ClusterArg, *, show_secrets: o.ShowSecrets = False, output: o.OutputsFormat = "table", **given: Any
) -> int:
    """Show what the cluster's scripts gave out (`key=value` lines in $SEALER_OUTPUT); secret ones as ***."""
    from provisioner.cli.account import run_outputs

    return run_outputs(open_session(output, **flags.talk_of(given)), name, secrets=show_secrets)
