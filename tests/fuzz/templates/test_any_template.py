"""Any text at all: a result, or our error with a place inside the text; plain text comes back as it was."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from provisioner.apply.env import Peer
from provisioner.apply.templates import names_in, parse_template, read_template, render
from provisioner.errors import InvalidFileError
from provisioner.model.ids import HostName
from provisioner.model.secret import reveal

PEERS = (Peer(HostName("m1"), "10.0.0.1", ("master",)),)
WORDS = [
    "{{", "}}", "{{-", "-}}", " ", "\n", "if", "else", "end", "range", "$i", ",", "$v", ":=", ".", ".A", ".Name", "$",
    '"x"', "`y`", "12", "-", "(", ")", "|", "default", "join", "b64enc", "b64dec", "eq", "not", "and", ".P", "/*", "*/",
    "text", '"', "\\", "true", "with",
]  # fmt: skip
words = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)
spaced = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


def _try(text: str) -> None:
    try:
        template = parse_template("f", text)
        render(template, {**dict.fromkeys(names_in(template), "v"), "P": PEERS})
    except InvalidFileError as error:
        for problem in error.problems:
            lines = text.split("\n")
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@given(st.one_of(st.text(), words, spaced))
def test_any_text_renders_or_is_refused_with_a_place(text: str) -> None:
    _try(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InvalidFileError):
        read_template("f", raw)


@given(st.text().filter(lambda text: "{{" not in text))
def test_plain_text_is_copied(text: str) -> None:
    assert render(parse_template("f", text), {}) == text


@given(st.text(), st.text().filter(lambda text: "{{" not in text + "{"))
def test_a_value_is_copied_whatever_it_holds(value: str, around: str) -> None:
    assert reveal(render(parse_template("f", around + "{{ .A }}" + around), {"A": value})) == around + value + around
