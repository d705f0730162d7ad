"""`image build|ls|inspect|rm`: the local store of cluster images."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioner.cli import options as o
from provisioner.cli.complete import complete_image
from provisioner.cli.run import open_session

Tag = Annotated[str, typer.Option("--tag", "-t", metavar="NAME:TAG", help="What the image is called.")]
Kubefile = Annotated[
    str | None, typer.Option("--file", "-f", metavar="KUBEFILE", help="By default the Kubefile in CONTEXT.")
]
Context = Annotated[str, typer.Argument(metavar="CONTEXT", help="The folder that COPY reads from.")]
Reference = Annotated[
    str, typer.Argument(metavar="IMAGE", help="A reference or a digest.", autocompletion=complete_image)
]


def build(
    context: Context,
    *,
    tag: Tag,
    file: Kubefile = None,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Build a cluster image from a Kubefile (FROM scratch, COPY, ENV, LABEL, CMD)."""
    from provisioner.cli.image import run_build

    return run_build(open_session(output, quiet=quiet, verbose=verbose, color=color), tag, file, context)


def list_images(
    *,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """List the images of the store."""
    from provisioner.cli.image import run_list

    return run_list(open_session(output, quiet=quiet, verbose=verbose, color=color))


def inspect(
    reference: Reference,
    *,
    output: o.Output = "yaml",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Show an image: digest, layers, variables, labels and commands."""
    from provisioner.cli.image import run_inspect

    return run_inspect(open_session(output, quiet=quiet, verbose=verbose, color=color), reference)


def remove(
    reference: Reference,
    *,
    force: o.Force = False,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Remove an image from the store; one that a cluster runs needs --force."""
    from provisioner.cli.image import run_remove

    return run_remove(open_session(output, quiet=quiet, verbose=verbose, color=color), reference, force=force)
