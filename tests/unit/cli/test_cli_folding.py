"""Narrow terminals: our lines break between words, below their label; what is copied stays whole."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli.folding import NARROWEST, fold
from provisioner.cli.screen import Look, SafeStream, Screen
from provisioner.cli.text import Line, plain, to_plain

LABEL = "Hosts     m1 m2 m3   send 38.7 MB each   5 steps: rootfs, etc/etcd.conf, init.sh"


def shown(line: Line, width: int) -> list[str]:
    return [to_plain(row) for row in fold(line, width)]


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("fits", 40, ["fits"]),
        (
            LABEL,
            40,
            [
                "Hosts     m1 m2 m3   send 38.7 MB each",
                "          5 steps: rootfs,",
                "          etc/etcd.conf, init.sh",
            ],
        ),
        (
            "  → run `sealer-cloud status etcd -o wide` then again",
            30,
            ["  → run `sealer-cloud status etcd -o wide`", "    then again"],
        ),
        (
            "  remove  sealer-cloud down etcd --provider local",
            30,
            ["  remove  sealer-cloud down etcd --provider local"],
        ),
        ("a" * 50, 40, ["a" * 50]),
        ("Plan      sha256:" + "a" * 40, 40, ["Plan      sha256:" + "a" * 40]),
        ("✔ plan       no hosts yet                    1.4 s", 40, ["✔ plan       no hosts yet          1.4 s"]),
        ("NAME   IMAGE            HOSTS", 24, ["NAME   IMAGE", "       HOSTS"]),
        ("  join = kubeadm join 10.0.0.1 --token abc", 30, ["  join = kubeadm join 10.0.0.1 --token abc"]),
        ("  │ what a host said, and that is long", 30, ["  │ what a host said, and that is long"]),
    ],
)
def test_rows(text: str, width: int, rows: list[str]) -> None:
    assert shown(plain(text), width) == rows


def test_a_row_keeps_its_styles() -> None:
    line = (("✘ ", "red"), ("a sentence that is longer than that", "bold"))
    assert fold(line, 24) == (
        (("✘ ", "red"), ("a sentence that is", "bold")),
        (("  ", ""), ("longer than that", "bold")),
    )


@given(st.text("ab` ", max_size=120), st.integers(NARROWEST, 60))
def test_no_word_is_lost_and_no_row_is_longer_than_one_word_makes_it(text: str, width: int) -> None:
    rows = shown(plain(text), width)
    assert " ".join(rows).split() == text.split()
    if "`" not in text:
        longest = max(map(len, text.split()), default=0)
        assert longest > width - width // 3 or all(len(row) <= width for row in rows)


def test_a_terminal_gets_rows_and_a_file_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        stream = io.StringIO()
        screen = Screen(Look(), stream, stream)
        screen.print([LABEL])
        screen.insist(LABEL)
        screen.print_raw([LABEL])
        screen.insist_raw(LABEL)
        return stream.getvalue().splitlines()

    assert told() == [LABEL] * 4
    monkeypatch.setattr(SafeStream, "width", lambda _self: 40)
    assert told() == [*shown(plain(LABEL), 40) * 2, LABEL, LABEL]


def test_how_wide_a_terminal_is(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(theirs, "w") as terminal, (tmp_path / "out").open("w") as file:
        assert [SafeStream(stream).width() for stream in (terminal, file, io.StringIO())] == [40, 0, 0]
    os.close(ours)
