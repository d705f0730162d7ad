"""`status`, `list`, `ssh`, `exec`: the commands that look and reach, and change nothing of ours."""

from __future__ import annotations

from provisioner.cli import options as o
from provisioner.cli.run import open_session


def status(
    name: o.MaybeClusterArg = None,
    *,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Show a cluster: its hosts, their health, and who holds its lock. Without NAME: all clusters."""
    from provisioner.cli.look import run_list, run_status

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    return run_list(session) if name is None else run_status(session, name)


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
