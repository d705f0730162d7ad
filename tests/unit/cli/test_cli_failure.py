"""Every error has one exit code, one screen and one document."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import typer
from jsonschema import Draft202012Validator

from provisioner import errors
from provisioner.cli.failure import bug_report, by_variable, error_document, failure_lines, report_failure, to_sealer
from provisioner.cli.main import main
from provisioner.cli.screen import Look, Screen
from provisioner.cli.text import to_plain
from provisioner.errors import HostError, ImageError, InvalidFileError, Problem, SealerError, StepError, UsageError
from provisioner.model.deadline import parse_ttl
from provisioner.settings import load_settings

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs" / "schema" / "error.schema.json").read_text())
KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, SealerError)]


def shown(error: SealerError) -> str:
    return "\n".join(to_plain(line) for line in failure_lines(error))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {InvalidFileError, SealerError}])
def test_an_error_of_the_tree_is_printed_with_its_code(kind: type[SealerError]) -> None:
    out, err = io.StringIO(), io.StringIO()
    error = kind("it broke", hint="mend it", host="m1", phase="steps")
    assert report_failure(error, Screen(Look(output="json"), out, err), None) == kind.exit_code
    document = json.loads(out.getvalue())
    Draft202012Validator(SCHEMA).validate(document)
    assert document["error"] == {
        "code": kind.exit_code,
        "message": "it broke",
        "hint": "mend it",
        "host": "m1",
        "phase": "steps",
    }
    assert err.getvalue() == "✘ steps on m1: it broke\n  → mend it\n"


def test_a_bad_file_lists_every_problem_in_words_and_in_json() -> None:
    error = InvalidFileError([Problem("f", 1, 2, "a", "bad \x1b[2J", "h"), Problem("f", 3, 4, "", "worse")])
    assert shown(error) == "f:1:2: a: bad \\x1b[2J (h)\nf:3:4: worse\n✘ 2 problems"
    document = error_document(error)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(document)))
    assert len(document["error"]["problems"]) == 2  # type: ignore[index]


def test_a_place_that_the_message_names_is_not_named_twice() -> None:
    assert shown(HostError("m1 does not answer", host="m1")) == "✘ m1 does not answer"


def test_evidence_shows_its_last_lines_escaped() -> None:
    error = StepError("start.sh failed", evidence="".join(f"line {i}\x1b\n" for i in range(100)))
    lines = shown(error).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "  │ line 99\\x1b"


def test_of_several_causes_the_lowest_code_wins_and_a_bug_beats_all() -> None:
    group = ExceptionGroup("g", [HostError("h"), ExceptionGroup("inner", [ImageError("i"), UsageError("u")])])
    assert isinstance(to_sealer(group), UsageError)
    assert to_sealer(ExceptionGroup("g", [HostError("h"), ValueError("v")])) is None
    assert to_sealer(SealerError("a bug that somebody raised as itself")) is None


def test_the_parsers_own_errors_are_wrong_use() -> None:
    known = to_sealer(typer.BadParameter("no good"))
    assert isinstance(known, UsageError)
    assert "no good" in known.message


def test_a_bug_report_names_places_but_no_values(tmp_path: Path) -> None:
    canary = "s3cr3t-canary"

    def broken(password: str) -> None:
        try:
            {}[password]
        except KeyError as error:
            raise RuntimeError(password) from error

    with pytest.raises(RuntimeError) as caught:
        broken(canary)
    text = bug_report(caught.value)
    assert "builtins.RuntimeError" in text
    assert "builtins.KeyError" in text
    assert "in broken" in text
    assert canary not in text
    settings = load_settings({"HOME": str(tmp_path)})
    err = io.StringIO()
    assert report_failure(caught.value, Screen(Look(), io.StringIO(), err), settings) == 1
    assert canary not in err.getvalue()


def test_a_bug_among_tasks_is_named_itself() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        broken()
    group = ExceptionGroup("tasks", [HostError("h"), ExceptionGroup("more", [UsageError("u"), caught.value])])
    err = io.StringIO()
    assert report_failure(group, Screen(Look(), io.StringIO(), err), None) == 1
    assert "a bug of ours: ZeroDivisionError" in err.getvalue()
    text = bug_report(group)
    assert "builtins.ZeroDivisionError" in text
    assert "in broken" in text


def test_a_report_that_cannot_be_written_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings({"HOME": "/", "XDG_STATE_HOME": str(tmp_path / "file")})
    err = io.StringIO()
    assert report_failure(RuntimeError("x"), Screen(Look(), io.StringIO(), err), settings) == 1
    assert "a bug of ours: RuntimeError" in err.getvalue()


@pytest.mark.parametrize(
    ("words", "environ", "message", "hint"),
    [
        ([], {"SEALER_CLOUD_TTL": "5"}, "SEALER_CLOUD_TTL '5' is no duration", "like SEALER_CLOUD_TTL=2h"),
        (["--ttl", "5"], {"SEALER_CLOUD_TTL": "1h"}, "--ttl '5' is no duration", "like --ttl 2h"),
        (["--ttl=5"], {"SEALER_CLOUD_TTL": "1h"}, "--ttl '5' is no duration", "like --ttl 2h"),
        ([], {}, "--ttl '5' is no duration", "like --ttl 2h"),
    ],
)
def test_a_value_of_a_variable_is_refused_by_the_variables_name(
    words: list[str], environ: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ttl("5")
    told = by_variable(caught.value, words, environ)
    assert isinstance(told, UsageError)
    assert told.message.startswith(message)
    assert told.hint.endswith(hint)


@pytest.mark.parametrize(
    ("words", "environ", "named"),
    [
        (["list"], {"SEALER_CLOUD_OUTPUT": "jsn"}, "Invalid value for SEALER_CLOUD_OUTPUT: 'jsn' is not one of"),
        (["list", "-o", "jsn"], {"SEALER_CLOUD_OUTPUT": "json"}, "Invalid value for '--output' / '-o': 'jsn'"),
        (["list", "-ojsn"], {"SEALER_CLOUD_OUTPUT": "json"}, "Invalid value for '--output' / '-o': 'jsn'"),
    ],
)
def test_the_parsers_own_refusal_names_the_variable_too(
    words: list[str],
    environ: dict[str, str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert main(words) == 3
    told = capsys.readouterr()
    assert named in told.err + told.out


def test_other_errors_are_let_through_as_they_are() -> None:
    for error in (HostError("--ttl of a host"), ValueError("--ttl"), UsageError("no flag")):
        assert by_variable(error, [], {"SEALER_CLOUD_TTL": "5"}) is error
