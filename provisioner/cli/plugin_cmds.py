"""`plugin install`: a cloud's plugin for the engine, where it has to be built."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli import options as o
from provisioner.cli.run import open_session

Name = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider: alicloud.")]


def plugin_install(
    name: Name,
    *,
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Build a provider's plugin from the pinned source (about 9 minutes, 7 GB of memory); at once if it is there."""
    from provisioner.cli.live import View
    from provisioner.infra.plugins import install_plugin

    session = open_session("table", quiet=quiet, verbose=verbose, color=color)
    with View(session.screen) as view:
        info = install_plugin(session.settings, view.take, name)
    session.screen.print([f"{info.name} {info.version} {info.folder}"])
    return 0
