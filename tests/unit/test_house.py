"""The rules of the house that no linter knows: who reads the environment, who prints, who may see a secret."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from provisioner import errors

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("provisioner", "stacks", "drivers", "sdk")

MAY_REVEAL = {
    "provisioner/model/secret.py": "the type itself",
    "provisioner/model/kept.py": "the key of the ledgers, on its way to the masters' stdin",
    "provisioner/model/ledger.py": "the HMAC key of a cluster's ledgers",
    "provisioner/access.py": "the 0600 identity file that the system's ssh reads",
    "provisioner/apply/clusterplan.py": "what a CMD depends on, before it is signed",
    "provisioner/apply/due.py": "what a step depends on, before it is signed",
    "provisioner/apply/hostplan.py": "what a file depends on, before it is signed",
    "provisioner/apply/output.py": "finding secrets in what hosts say, to mask them",
    "provisioner/apply/outputs.py": "outputs on their way to another master's stdin",
    "provisioner/apply/perform.py": "a rendered file on its way to the host's stdin",
    "provisioner/apply/templates.py": "rendering; the result is a Secret again",
    "provisioner/apply/wire.py": "the env of a script on its way to the host's stdin",
    "provisioner/cli/accountviews.py": "outputs, where `--show-secrets` asked for the hidden ones",
    "provisioner/handover.py": "outputs and the login key, for the user's own command of `with`",
    "provisioner/infra/outputs.py": "the 0600 cache of the keys",
    "provisioner/transport/dial.py": "logging in",
    "provisioner/transport/identity.py": "a new machine's host key on its way to its stdin",
    "drivers/alicloud/credentials.py": "the environment of the engine's plugin",
    "drivers/alicloud/wire.py": "signing a call",
    "drivers/aws/api.py": "the session of the SDK that signs",
    "drivers/aws/credentials.py": "the environment of the engine's plugin",
    "drivers/local/disk.py": "the host's own private key on its own disk",
}


def sources() -> list[Path]:
    return [p for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))]


@cache
def calls(path: Path) -> tuple[tuple[int, str], ...]:
    """Every attribute and name that a file uses, as `line, dotted`."""
    return tuple(_calls(path))


def _calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Attribute):
            yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, f"{node.func.id}()"


def users(*wanted: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in sources()
        if any(
            what in wanted or what.partition(".")[2] in {w[1:] for w in wanted if w[0] == "."}
            for _, what in calls(path)
        )
    }


def test_only_settings_reads_the_environment() -> None:
    assert users("os.environ", "os.getenv", "os.environb") == {"provisioner/settings.py"}


def test_nothing_below_the_command_line_prints_prompts_or_exits() -> None:
    # The plugin is a program of its own: its main answers the engine with a port line and ends itself.
    allowed = (
        "provisioner/cli/",
        "provisioner/plugin/main.py",
        "provisioner/plugin/lifetime.py",
        "drivers/local/guest/",
    )
    assert not {u for u in users("print()", "input()", "sys.exit", "os._exit") if not u.startswith(allowed)}


def test_who_may_see_a_secret_is_written_down() -> None:
    assert users(".reveal", "reveal()") == set(MAY_REVEAL)


def test_the_lists_of_this_file_would_notice() -> None:
    assert "provisioner/settings.py" in users("os.environ")
    assert "provisioner/model/ledger.py" in users(".reveal")


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_names_a_registry_host_or_this_machine(path: Path) -> None:
    text = path.read_text()
    assert "/work/" not in text
    assert "/root/." not in text


def test_mocks_stay_in_the_shell_of_the_command_line() -> None:
    found = {
        str(p.relative_to(ROOT))
        for p in (ROOT / "tests").rglob("*.py")
        if "unittest.mock" in p.read_text() and p.name != "test_house.py"
    }
    assert all(name.startswith("tests/unit/cli/") for name in found), found


MAY_HAVE_NO_HINT = {
    "provisioner/infra/backend.py": 2,  # whoever reads it says which backup there is
    "provisioner/infra/statefile.py": 1,  # the same
    "provisioner/infra/outputs.py": 3,  # a program of ours that is broken
    "provisioner/transport/argv.py": 1,  # a bug of ours
    "provisioner/transport/hostset.py": 2,  # a bug of ours
    "provisioner/transport/identity.py": 1,  # a try that failed; the last one says what to do
}


def unhinted(path: Path) -> list[int]:
    """The lines where an error of our tree is made without a next step."""
    kinds = {name for name in vars(errors) if name.endswith("Error")} - {"InterruptedRunError"}
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in kinds
        and not {k.arg for k in node.keywords} & {"hint", None}
    ]


@pytest.mark.parametrize("room", ["provisioner/infra", "provisioner/transport"])
def test_errors_of_engine_and_transport_name_the_next_step(room: str) -> None:
    found = {str(p.relative_to(ROOT)): unhinted(p) for p in sources() if str(p.relative_to(ROOT)).startswith(room)}
    over = {name: lines for name, lines in found.items() if len(lines) > MAY_HAVE_NO_HINT.get(name, 0)}
    assert found
    assert not over
