"""Secrets are masked wherever chunks are cut; nothing from a host moves a cursor."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.apply.output import MaskedStream, Masker, last_line, to_text
from provisioner.model.secret import Secret

# No asterisk: a mask beside text must not be taken for a secret.
SECRETS = st.lists(st.text("abcdé 'x\n", min_size=4, max_size=12), min_size=1, max_size=4)
NOISE = st.text("abcdéx\n' ", max_size=30)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[str], bytes]:
    secrets = draw(SECRETS)
    parts = draw(st.lists(st.one_of(NOISE, st.sampled_from(secrets)), max_size=8))
    return secrets, "".join(parts).encode()


@given(texts())
def test_no_secret_survives(case: tuple[list[str], bytes]) -> None:
    secrets, raw = case
    masked = Masker(map(Secret, secrets)).mask(raw)
    assert not any(s.encode() in masked for s in secrets)


@given(texts(), st.lists(st.integers(0, 200), max_size=6))
def test_chunks_change_nothing(case: tuple[list[str], bytes], cuts: list[int]) -> None:
    secrets, raw = case
    masker = Masker(map(Secret, secrets))
    stream = MaskedStream(masker)
    edges = [0, *sorted(c for c in cuts if c <= len(raw)), len(raw)]
    shown = b"".join(stream.feed(raw[a:b]) for a, b in pairwise(edges)) + stream.flush()
    assert shown == masker.mask(raw)


@given(texts())
def test_without_secrets_nothing_changes(case: tuple[list[str], bytes]) -> None:
    assert Masker().mask(case[1]) == case[1]
    assert Masker([Secret("abc")]).mask(case[1]) == case[1]  # too short to be masked


@pytest.mark.parametrize("lost", range(1, 8))
def test_end_of_a_secret_at_a_cut_beginning_is_masked(lost: int) -> None:
    secret = "canary-token"
    raw = secret[lost:].encode() + b" and more"
    assert Masker([Secret(secret)]).mask(raw, cut=True) == b"*** and more"
    assert Masker([Secret(secret)]).mask(b"clean", cut=True) == b"clean"


def test_base64_and_single_lines_of_a_secret_are_masked() -> None:
    secret = "line-one-of-key\nline-two-of-key"
    masker = Masker([Secret(secret)])
    coded = base64.b64encode(secret.encode())
    assert masker.mask(b"x " + coded) == b"x ***" + b"=" * coded.count(b"=")
    assert masker.mask(b"only line-two-of-key") == b"only ***"


@given(st.binary(max_size=200))
def test_text_for_people_has_no_control_characters(raw: bytes) -> None:
    assert all(c in "\n\t" or c.isprintable() for c in to_text(raw))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("täst €".encode(), "täst €"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("a\u202eb".encode(), "a\\u202eb"),
        (b"one\r\ntwo", "one\ntwo"),
    ],
)
def test_escapes(raw: bytes, shown: str) -> None:
    assert to_text(raw) == shown


def test_last_line_is_the_last_that_says_anything() -> None:
    assert last_line(b"a\n b \n\n \n") == "b"
    assert last_line(b"") == ""
    assert len(last_line(b"x" * 5000)) == 200
