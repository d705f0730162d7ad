"""The program `sealer-cloud`: parse, run one command, turn whatever happens into an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.cli.names import COMPLETE_VARIABLE, PROGRAM

if TYPE_CHECKING:
    from provisioner.settings import Settings

HELP_ASKED = frozenset({"NoArgsIsHelpError"})

FORMATS = frozenset({"json", "yaml"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit code; the console script passes it to `sys.exit`."""
    _open_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    gc.set_threshold(50_000)  # importing makes many objects and no garbage: looking for it costs a tenth of a second
    try:
        return _run(words)
    except SystemExit as error:  # the parser's completion leaves by this door
        return error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001  the one place where nothing may get through
        return _fail(error, words)
    finally:
        _flush()


def _open_streams() -> None:
    """Lead closed standard streams nowhere: else the first file that is opened takes their number, and is written to."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
        setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _run(words: list[str]) -> int:
    import typer
    from typer._completion_classes import completion_init

    from provisioner.cli.app import make_app

    completion_init()
    command = typer.main.get_command(make_app())
    code = command.main(args=words, prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    return code if isinstance(code, int) else 0


def _fail(error: BaseException, words: list[str]) -> int:
    from provisioner.cli.failure import by_variable, report_failure
    from provisioner.cli.screen import Look, make_screen
    from provisioner.errors import SealerError
    from provisioner.settings import load_settings

    if type(error).__name__ in HELP_ASKED:
        print(getattr(error, "format_message", str)(), file=sys.stderr)  # noqa: T201
        return 3
    try:
        settings = load_settings()
    except SealerError:
        settings = None
    environ = settings.environ if settings else {}
    look = Look(output=wanted_format(words, environ), verbose=verbosity(words), color=_colored(words, settings))
    return report_failure(by_variable(error, _own(words), environ), make_screen(look), settings)


def _colored(words: Sequence[str], settings: Settings | None) -> bool:
    own = _own(words)
    if "--no-color" in own or "--color" in own:
        return "--color" in own
    wanted = {"always": True, "never": False}.get(settings.color if settings else "never")
    return sys.stderr.isatty() if wanted is None else wanted


def wanted_format(words: Sequence[str], environ: Mapping[str, str]) -> str:
    """The format of the answer, found without the parser: it may be the parser that failed."""
    found = environ.get("SEALER_CLOUD_OUTPUT", "table")
    for word, after in zip(_own(words), [*_own(words)[1:], ""], strict=True):
        if word in {"-o", "--output"}:
            found = after
        elif word.startswith("--output="):
            found = word.partition("=")[2]
        elif word.startswith("-o") and word[2:] in FORMATS:
            found = word[2:]
    return found


def verbosity(words: Sequence[str]) -> int:
    """How many times `-v` was given."""
    own = _own(words)
    return sum(w.count("v") for w in own if w.startswith("-") and set(w[1:]) == {"v"}) + own.count("--verbose")


def _own(words: Sequence[str]) -> list[str]:
    """The words before `--`: the others belong to a command on a host."""
    return list(words[: words.index("--")] if "--" in words else words)


def _flush() -> None:
    """Write out what is buffered; a reader that has gone away is no error."""
    from provisioner.cli.screen import silence

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            silence(stream)


if __name__ == "__main__":
    sys.exit(main())
