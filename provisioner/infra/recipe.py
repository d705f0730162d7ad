"""The pinned engine: one Go module whose `tool` line names the CLI and whose `require` line names its version."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import provisioner
from provisioner.errors import PreconditionError

TOOL = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_MODULE = "github.com/pulumi/pulumi/pkg/v3"


def recipe_folder() -> Path:
    """`go.mod` and `go.sum`: in a wheel beside the package, in a checkout under `tools/`. Raises PreconditionError."""
    package = Path(provisioner.__file__).resolve().parent
    for folder in (package / "recipes" / "pulumi", package.parent / "tools" / "pulumi"):
        if (folder / "go.mod").is_file() and (folder / "go.sum").is_file():
            return folder
    raise PreconditionError("the engine's recipe is missing from this installation", hint="install sealer-cloud again")


@functools.cache
def pinned_version() -> str:
    """The engine version that the recipe makes, `v3.259.0`."""
    found = re.search(rf"(?m)^\s*{re.escape(_MODULE)} (v\S+)", _module_file())
    if not found:
        raise PreconditionError("the engine's recipe names no version", hint="install sealer-cloud again")
    return found[1]


def needed_go() -> tuple[int, ...]:
    """The oldest Go that the recipe builds with."""
    found = re.search(r"(?m)^go (\d+(?:\.\d+)*)", _module_file())
    return go_version(found[1]) if found else ()


def module_count() -> int:
    """How many modules the recipe needs: what a download counts against."""
    return len(re.findall(r"(?m)^\s+\S+ v\S+", _module_file()))


def go_version(text: str) -> tuple[int, ...]:
    """`go1.26.8` or `1.26.8` as numbers; empty for what is no release."""
    found = re.match(r"(?:go)?(\d+(?:\.\d+)*)", text.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _module_file() -> str:
    return (recipe_folder() / "go.mod").read_text(encoding="utf-8")
