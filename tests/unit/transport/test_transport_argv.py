"""Words go over the wire unchanged; what a person sees is short, and never changes what goes over the wire."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.transport.argv import quote_words, render_log

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30), max_size=6)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_a_real_shell_reads_back_the_words(words: list[str]) -> None:
    line = quote_words(["printf", "%s\\0", *words])
    raw = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert raw.decode().split("\0")[:-1] == (words or [""])


@given(WORDS.filter(bool))
def test_log_rendering_is_one_line_of_bounded_words(words: list[str]) -> None:
    before = quote_words(words)
    assert len(render_log(words)) <= 6 * 400
    assert "\n" not in render_log(words)
    assert quote_words(words) == before


def test_script_is_shortened_in_the_log() -> None:
    assert render_log(["sh", "-c", "set -u\n" * 1000]) == "sh -c 'set -u… (7000 characters)'"


@pytest.mark.parametrize("words", [[], ["a\0b"]])
def test_what_no_shell_can_take_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        quote_words(words)
