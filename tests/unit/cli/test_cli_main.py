"""The command line: help, exit codes, aliases, variables, and how little is imported for the quick commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from jsonschema import Draft202012Validator

from provisioner.cli.app import make_app
from provisioner.cli.main import main, verbosity, wanted_format

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "docs" / "schema"
HEAVY = ("pulumi", "grpc", "asyncssh", "pydantic", "rich", "asyncio", "zstandard", "cryptography", "filelock")


def walk(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = [(path, command)]
    for name, child in getattr(command, "commands", {}).items():
        found += walk(child, (*path, name))
    return found


TREE = walk(typer.main.get_command(make_app()))
COMMANDS = [(path, c) for path, c in TREE if not hasattr(c, "commands")]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    for name in [n for n in os.environ if n.startswith("SEALER_CLOUD_")]:
        monkeypatch.delenv(name)


def test_every_verb_of_this_order_is_there() -> None:
    paths = {" ".join(path) for path, _ in COMMANDS}
    wanted = "up plan preview down destroy status list ls ssh exec validate doctor completion version with outputs gc"
    wanted += " adopt"
    images = {f"image {verb}" for verb in ("build", "ls", "list", "inspect", "rm")}
    ttl = {f"ttl {verb}" for verb in ("show", "extend", "cancel")}
    networks = {f"network {verb}" for verb in ("create", "list", "ls", "delete")}
    assert paths == {*wanted.split(), *images, *ttl, *networks, "engine install", "engine status", "plugin install"}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(p) for p, _ in COMMANDS])
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    out = capsys.readouterr().out
    assert "\n  Example:\n" in out
    assert "sealer-cloud " in out.partition("Example:")[2]
    assert all(p.help for p in command.params if not getattr(p, "hidden", False)), "each flag says what it does"


def test_help_is_grouped_and_leaves_aliases_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    out = capsys.readouterr().out
    places = [out.index(f"\n{group}:") for group in ("Clusters", "Hosts", "Images and files", "This machine")]
    assert places == sorted(places)
    assert "preview " not in out.replace("alias:\n", "")
    assert "\n  destroy" not in out


def test_no_command_shows_help_and_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 3
    captured = capsys.readouterr()
    assert "Usage: sealer-cloud" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["upp"],
        ["up", "--no-such-flag"],
        ["up", "a", "b"],
        ["down"],
        ["ssh", "etcd"],
        ["status", "-o", "xml"],
        ["image", "build", "."],
        ["completion", "tcsh"],
        ["up", "etcd:v1", "--timeout", "90"],
        ["validate", "/no/such/file"],
        ["exec", "etcd"],
        ["down", "Not A Name"],
    ],
)
def test_wrong_use_is_3_with_a_hint_and_never_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 3
    captured = capsys.readouterr()
    assert captured.err.startswith("✘ ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("words", [["up", "--nope", "-o", "json"], ["upp", "-ojson"], ["validate", "--output=json"]])
def test_wrong_use_answers_in_json_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 3
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(json.loads((SCHEMAS / "error.schema.json").read_text())).validate(document)
    assert document["error"]["code"] == 3


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "SEALER_CLOUD_DATA_DIR"])
def test_a_relative_folder_is_refused_by_name(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "some/where")
    assert main(["list", "-o", "json"]) == 3
    assert variable in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main(["--help"]) == 0


def test_the_format_is_found_without_the_parser() -> None:
    assert wanted_format(["up", "-o", "json"], {}) == "json"
    assert wanted_format(["exec", "e", "--", "x", "-o", "json"], {}) == "table"
    assert wanted_format(["up"], {"SEALER_CLOUD_OUTPUT": "yaml"}) == "yaml"
    assert wanted_format(["up", "-o", "table"], {"SEALER_CLOUD_OUTPUT": "yaml"}) == "table"
    assert wanted_format(["up", "-o"], {}) == ""
    assert verbosity(["up", "-vv", "--verbose", "-v", "--", "-v"]) == 4
    assert verbosity(["-", "up"]) == 0


def test_every_flag_has_a_variable() -> None:
    from provisioner.cli.options import LIST_FLAGS

    without = {
        p.name
        for _, c in COMMANDS
        for p in c.params
        if p.param_type_name == "option" and p.envvar is None and p.name not in LIST_FLAGS and not p.hidden
    }
    # A tag names one image, never all that one session builds; a file of `up` must not narrow a clean-up.
    assert without <= {"help", "tag", "infra_file"}


def test_a_flag_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEALER_CLOUD_OUTPUT", "json")
    assert main(["version"]) == 0
    assert json.loads(capsys.readouterr().out)["version"]
    assert main(["version", "-o", "table"]) == 0
    assert capsys.readouterr().out.startswith("sealer-cloud ")
    monkeypatch.setenv("SEALER_CLOUD_OUTPUT", "nonsense")
    assert main(["version"]) == 3


def test_a_wrong_switch_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEALER_CLOUD_YES", "maybe")
    assert main(["down", "etcd"]) == 3
    assert "'maybe' is neither true nor false" in capsys.readouterr().err


def test_lists_come_from_a_variable_one_a_line() -> None:
    from provisioner.cli.options import listed

    environ = {"SEALER_CLOUD_CMD": "etcdctl put a b\n\nsleep 1\n"}
    assert listed(None, "CMD", environ) == ("etcdctl put a b", "sleep 1")
    assert listed(["x"], "CMD", environ) == ("x",)


@pytest.mark.parametrize(
    "words", [["--help"], ["version"], ["validate", "Clusterfile"], ["completion", "bash"], ["up", "--help"]]
)
def test_the_quick_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "Clusterfile").write_text(
        "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1'}\n"
    )
    code = (
        "import sys; from provisioner.cli.main import main; rc = main(sys.argv[1:]); "
        f"print(rc, [m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stderr.splitlines()[-1] == "0 []"


def test_a_bug_is_1_with_a_report_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary = "s3cr3t-canary"
    with mock.patch("provisioner.cli.file_cmds.open_session", side_effect=RuntimeError(canary)):
        assert main(["version", "-o", "json"]) == 1
    captured = capsys.readouterr()
    assert "a bug of ours: RuntimeError" in captured.err
    assert "Traceback" not in captured.err
    assert json.loads(captured.out)["error"]["code"] == 1
    (report,) = (tmp_path / "state" / "sealer-cloud" / "reports").iterdir()
    assert str(report) in captured.err
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    assert "builtins.RuntimeError" in text
    assert "file_cmds.py" in text
    assert canary not in text + captured.out + captured.err


def test_a_traceback_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with mock.patch("provisioner.cli.file_cmds.open_session", side_effect=RuntimeError("x")):
        assert main(["version", "-vv"]) == 3, "version has no -v"
        assert main(["validate", "-vv", "x"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (SystemExit(7), 7), (SystemExit("x"), 1)])
def test_other_ways_out(raised: BaseException, code: int) -> None:
    with mock.patch("provisioner.cli.file_cmds.open_session", side_effect=raised):
        assert main(["version"]) == code


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    program = f"{sys.executable} -m provisioner.cli.main"
    for words in ("--help", "version", "validate -o json nothing", "list"):
        line = f"set -o pipefail; {{ {program} {words}; }} 2>err | true"
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=False)
        text = (tmp_path / "err").read_text()
        assert "BrokenPipe" not in text
        assert "Traceback" not in text


def test_an_ascii_terminal_gets_escapes_instead_of_an_error(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "provisioner.cli.main", "up", "--nope"]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert run.returncode == 3
    assert run.stderr.startswith(b"\\u2718 No such option")


def test_version_is_a_flag_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    by_word = capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == by_word
