"""docs/cli.md says what the program says: its second half is made from the command tree (UPDATE_GOLDEN=1 writes it)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import typer

from provisioner import errors
from provisioner.cli.app import make_app
from provisioner.cli.options import LIST_FLAGS
from provisioner.errors import SealerError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
MARK = "<!-- made from the command tree: UPDATE_GOLDEN=1 pytest tests/unit/cli/test_cli_docs.py -->\n"


def commands(command: Any, path: str = "sealer-cloud") -> list[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        return [(path, command)]
    return [
        found for name, child in children.items() if not child.hidden for found in commands(child, f"{path} {name}")
    ]


def variable(param: Any) -> str:
    if param.envvar:
        return f"`{param.envvar}`"
    return (
        f"`SEALER_CLOUD_{LIST_FLAGS[param.name]}` (one a line)" if param.name in LIST_FLAGS and param.multiple else ""
    )


def flag_row(param: Any, context: Any) -> str:
    names = ", ".join(f"`{o}`" for o in (*param.opts, *param.secondary_opts))
    value = "" if param.is_flag or param.count else f" `{param.metavar or param.display_type(context).strip('<>')}`"
    default = f"`{param.default}`" if isinstance(param.default, str) else ""
    cells = (names + value, variable(param), default, param.help)
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |\n"


def section(path: str, command: Any) -> str:
    context = typer.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"## {path}\n\n```\n{path} {usage}\n```\n\n{command.help.strip()}\n\n"
    shown = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    if shown:
        text += "| flag | variable | default | meaning |\n|---|---|---|---|\n"
        text += "".join(flag_row(p, context) for p in shown) + "\n"
    example = re.sub(r"(?m)^  ", "", command.epilog.partition("Example:\n")[2])
    return f"{text}```sh\n{example}\n```\n\n"


def made_half() -> str:
    return "".join(section(path, c) for path, c in commands(typer.main.get_command(make_app()))).rstrip() + "\n"


def test_the_reference_is_that_of_the_program() -> None:
    head, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(head + mark + "\n" + made_half(), encoding="utf-8")
        return
    assert rest == "\n" + made_half()


def test_every_exit_code_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, SealerError)]
    for code in {k.exit_code for k in kinds} | {0, 2, 143}:
        assert re.search(rf"(?m)^\| {code} \|", text), code
