"""`engine install|status` and `doctor`: what this machine has, and what it lacks."""

from __future__ import annotations

from provisioner.cli import options as o
from provisioner.cli.run import open_session


def engine_install(
    *,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Bring the Pulumi engine: by its own installer, else built from the pinned source (4 to 5 minutes)."""
    from provisioner.cli.engine import run_install

    return run_install(open_session("table", quiet=quiet, verbose=verbose, color=color))


def engine_status(
    *,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Show which engine would be used; ends with 12 if there is none."""
    from provisioner.cli.engine import run_status

    return run_status(open_session(output, quiet=quiet, verbose=verbose, color=color))


def doctor(
    *,
    permissions: o.Permissions = None,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Check this machine: engine, tools, folders, passphrase, and what each provider needs. Changes nothing.

    Ends with 12 if something is missing.
    """
    from provisioner.cli.doctor import run_doctor, run_permissions

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    return run_permissions(session, permissions) if permissions is not None else run_doctor(session)
