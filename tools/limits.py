"""Count what the house limits: functions of 40 lines, modules of 400 (of tests too), 5 parameters.

Prints each excess as `file:line: text` and exits 1 if there is one.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FUNCTION_LINES = 40
MODULE_LINES = 400
PARAMETERS = 6  # five, and one for what every hop carries (world, context)
ROOMS = ("provisioner", "stacks", "drivers", "sdk")
LENGTH_ALONE = ("tests", "tools", "benchmarks")


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a module."""
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller meets; keyword-only ones are named at the call and count half a burden: none."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    return len([n for n in names if n not in {"self", "cls"}])


def too_long(path: Path) -> list[str]:
    """The excess of a file as a whole, if there is one."""
    lines = path.read_text().count("\n")
    return [f"{path}:1: module has {lines} lines, {MODULE_LINES} at most"] if lines > MODULE_LINES else []


def excesses(path: Path) -> list[str]:
    """Every excess of one file."""
    found = too_long(path)
    for node in functions(ast.parse(path.read_text())):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES:
            found.append(f"{path}:{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} at most")
        if parameters(node) > PARAMETERS:
            found.append(f"{path}:{node.lineno}: {node.name} takes {parameters(node)} parameters, {PARAMETERS} at most")
    return found


def main() -> int:
    """Look at every file of the product, and at the length of all others."""
    found = [e for room in ROOMS for path in sorted(Path(room).rglob("*.py")) for e in excesses(path)]
    found += [e for room in LENGTH_ALONE for path in sorted(Path(room).rglob("*.py")) for e in too_long(path)]
    print(*found, sep="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
