"""`validate`, `completion`, `version`: the commands that need no cluster and must be quick."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from provisioner.cli import options as o
from provisioner.cli.run import open_session

FileArgs = Annotated[list[str], typer.Argument(metavar="FILE", help="Clusterfiles, folders, or - for stdin.")]
Shell = Annotated[
    Literal["bash", "zsh", "fish", "powershell"], typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")
]


def validate(
    files: FileArgs,
    *,
    output: o.Output = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = 0,
    color: o.Color = None,
) -> int:
    """Check Clusterfiles: all problems at once, with file, line, column, key and what to do."""
    from dataclasses import asdict

    from provisioner.cli.sources import read_sources
    from provisioner.cli.text import count, escape, styled
    from provisioner.errors import InvalidFileError
    from provisioner.model.clusterfile import validate_files

    session = open_session(output, quiet=quiet, verbose=verbose, color=color)
    screen = session.screen
    problems, warnings = validate_files(read_sources(files))
    if screen.look.machine:
        found = {"problems": [asdict(p) for p in problems], "warnings": [asdict(w) for w in warnings]}
        screen.document({"schemaVersion": 1, "valid": not problems, **found})
    else:
        for warning in warnings:
            screen.insist((("! ", "yellow"), (escape(str(warning)), "")))
        screen.print(escape(str(p)) for p in problems)
        verdict = f"✘ {count(len(problems), 'problem')}" if problems else f"✔ {count(len(files), 'file')} valid"
        screen.say(styled(verdict, "red" if problems else "green"))
    return InvalidFileError.exit_code if problems else 0


def version(*, output: o.Output = "table") -> int:
    """Print the version."""
    import platform

    from provisioner import __version__

    screen = open_session(output).screen
    if screen.look.machine:
        python = platform.python_version()
        screen.document({"schemaVersion": 1, "version": __version__, "python": python})
    else:
        screen.print([f"sealer-cloud {__version__}"])
    return 0


def completion(shell: Shell) -> int:
    """Print a completion script: commands, flags, clusters, hosts and images.

    bash:  source <(sealer-cloud completion bash)
    """
    from typer._completion_shared import get_completion_script

    from provisioner.cli.names import COMPLETE_VARIABLE, PROGRAM

    script = get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell)
    open_session("table").screen.print([script])
    return 0
