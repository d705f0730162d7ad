"""`status`, `list`, `ssh`, `exec`: the commands that look and reach, and change nothing of ours."""

from __future__ import annotations

from typing import Annotated

from provisioner.cli import options as o
from provisioner.cli import sites
from provisioner.cli.run import open_session

Region = Annotated[
    str | None, o.region_option("Look only there, where the state is not here. Default: every region you can see.")
]
Provider = Annotated[str | None, o.provider_option("Where to look for NAME by tag, where its state is not here.")]


def status(
    name: o.MaybeClusterArg = None,
    *,
    provider: Provider = None,
    region: Region = None,
    infra_file: sites.Files = None,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Show a cluster: its hosts, their health, and who holds its lock. Without NAME: all clusters.

    Where its state is lost, --provider has it looked for by tag: what stands of it, where, since which run and until
    when. That reads from the provider alone, enters no machine and changes nothing.
    """
    from provisioner.cli.look import run_list, run_status

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    if name is None:
        sites.refuse_site(session, provider, region, infra_file)
        return run_list(session)
    return run_status(session, name, sites.read_site(provider, region, infra_file))


def list_clusters(
    *,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """List the clusters of this state folder (alias: ls)."""
    from provisioner.cli.look import run_list

    return run_list(open_session(output, quiet=quiet, verbose=verbose, color=color))


def ssh(name: o.ClusterArg, host: o.HostArg, command: o.Words = None) -> int:
    """Log in to a host with the system's ssh, our key and the pinned host key.

    A command after -- is run instead of a shell; as ssh itself does, its words are joined and read by a shell there.
    """
    from provisioner.cli.look import run_ssh

    return run_ssh(open_session("table"), name, host, tuple(command or ()))


def exec_on(
    name: o.ClusterArg,
    command: o.Words = None,
    *,
    host: o.Hosts = None,
    role: o.Roles = None,
    timeout: o.Timeout = "10m",
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Run a command on several hosts at once, by default on all.

    The words after -- reach the host as they are, without a shell. With more than one host each line is led by the
    host's name; with -o json there is one object per host. Ends with 8 if the command failed anywhere.
    """
    from provisioner.cli.look import Reach, run_exec

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    environ = session.settings.environ
    reach = Reach(o.listed(host, "HOST", environ), o.listed(role, "ROLE", environ))
    return run_exec(session, name, reach, tuple(command or ()), timeout)
