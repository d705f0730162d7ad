"""What hosts and files say never reaches a terminal raw."""

from __future__ import annotations

import contextlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli.durations import parse_duration
from provisioner.cli.text import columns, count, escape, escape_lines, seconds, short_digest, size, to_ansi, to_plain
from provisioner.errors import UsageError

ANY = st.text(st.characters(codec=None, categories=None))


@given(ANY)
def test_escaped_text_holds_nothing_that_moves_a_terminal(text: str) -> None:
    shown = escape(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode("utf-8")


@given(ANY)
def test_escaping_twice_changes_nothing_more(text: str) -> None:
    assert escape(escape(text)) == escape(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


@given(ANY, st.integers(1, 5))
def test_lines_are_split_before_they_are_escaped(text: str, limit: int) -> None:
    lines = escape_lines(text, limit=limit)
    assert len(lines) <= limit
    assert all("\n" not in line and "\x1b" not in line and "\t" not in line for line in lines)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb", "a\\nb"),
        ("ab\u202edc", "ab\\u202edc"),
        ("\ud800", "\\ud800"),
        ("Übergröße ✔", "Übergröße ✔"),
    ],
)
def test_what_escapes_look_like(raw: str, shown: str) -> None:
    assert escape(raw) == shown


def test_styles_add_nothing_to_the_words() -> None:
    line = (("✔", "green"), (" ready ", ""), ("now", "unknown-style"))
    assert to_plain(line) == "✔ ready now"
    assert to_ansi(line) == "\x1b[32m✔\x1b[0m ready now"


@given(st.lists(st.tuples(ANY.map(escape), ANY.map(escape)), min_size=1))
def test_columns_start_at_the_same_place(rows: list[tuple[str, str]]) -> None:
    width = max(len(a) for a, _ in rows)
    assert [line[: width + 3].rstrip() for line in columns(rows)] == [
        (a.ljust(width) + "   " + b)[: width + 3].rstrip() for a, b in rows
    ]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (39_100_000, "39.1 MB"), (3 * 10**12, "3.0 TB")]
)
def test_sizes(number: int, words: str) -> None:
    assert size(number) == words


def test_small_words() -> None:
    assert seconds(1.94) == "1.9 s"
    assert seconds(125) == "2 min 5 s"
    assert count(1, "host") == "1 host"
    assert count(3, "host") == "3 hosts"
    assert short_digest("sha256:1f3c9a000") == "sha256:1f3c9a…"
    assert short_digest("") == ""


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0", 0), ("1.5s", 1.5), ("250ms", 0.25)]
)
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text, "--timeout") == value


@pytest.mark.parametrize("text", ["", "90", "-1s", "1d", "s", "1h 30m", "\u0661s", "1e3s", "nan", "1s\n"])
def test_what_is_no_duration_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout") as caught:
        parse_duration(text, "--timeout")
    assert caught.value.hint


@given(ANY)
def test_a_duration_is_seconds_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_duration(text, "--timeout") >= 0
