"""YAML as nodes: text as written, positions, and hostile input refused within its bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from provisioner.errors import Problem
from provisioner.model.yamlnodes import MAX_BYTES, MAX_NODES, Map, Scalar, Seq, find, find_key, parse_documents


def _roots(text: str) -> list[object]:
    documents, problems = parse_documents("f", text.encode())
    assert problems == []
    return [d.root for d in documents]


def _root(text: str) -> Map:
    (root,) = _roots(text)
    assert isinstance(root, Map)
    return root


def _refused(raw: bytes) -> list[Problem]:
    return parse_documents("f", raw)[1]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("000000", "int"),
        ("012345", "int"),
        ("123e4", "str"),
        ("yes", "bool"),
        ("off", "bool"),
        ('"yes"', "str"),
        ("~", "null"),
        ("2024-01-01", "timestamp"),
        ("1.50", "float"),
        ("0x1F", "int"),
        ("plain words", "str"),
    ],
)
def test_scalars_keep_their_text(text: str, kind: str) -> None:
    value = _root(f"a: {text}").get("a")
    assert value == Scalar(text.strip('"'), kind, 1, 4)


def test_positions_count_from_one_across_documents_and_line_ends() -> None:
    first, second = _roots("a: 1\r\n--- # comment\r\nb:\r\n  - c\r\n")
    assert isinstance(first, Map)
    assert isinstance(second, Map)
    assert find(second, ("b", 0)) == Scalar("c", "str", 4, 5)
    assert find_key(second, ("b",)) == Scalar("b", "str", 3, 1)
    assert find(second, ("b", 7)) == second.get("b")


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "# only words\n", "---\n---\n", "--- # x\n", "...\n", "null\n", "\ufeff# x\n", "---\n# x\n...\n"],
)
def test_files_that_hold_nothing_are_legal(text: str) -> None:
    assert _roots(text) == []


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert _root("\ufeffa: 1").entries[0][0].text == "a"


def test_dots_end_a_document_and_may_be_repeated() -> None:
    assert len(_roots("a: 1\n...\n...\n---\nb: 2\n...\n")) == 2


def test_text_after_dots_is_refused_at_its_line() -> None:
    (problem,) = _refused(b"a: 1\n...\nb: 2\n---\nc: 3\n")
    assert (problem.line, problem.column) == (3, 1)
    assert "..." in problem.message


def test_one_broken_document_hides_no_other() -> None:
    documents, problems = parse_documents("f", b"a: [\n---\nb: 2\n---\nc: }\n")
    assert [d.number for d in documents] == [2]
    assert [p.line for p in problems] == [2, 5] or [p.line for p in problems] == [1, 5]


def test_the_key_on_is_a_key_like_any_other() -> None:
    assert _root("on: master").get("on") == Scalar("master", "str", 1, 5)


def test_repeated_keys_are_all_refused_and_the_first_stays() -> None:
    documents, problems = parse_documents("f", b"a: 1\nb: 2\na: 3\nb: 4\n")
    assert [(p.line, "repeated" in p.message) for p in problems] == [(3, True), (4, True)]
    root = documents[0].root
    assert isinstance(root, Map)
    assert root.get("a") == Scalar("1", "int", 1, 4)


def test_anchors_and_merge_keys_are_read() -> None:
    root = _root("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n")
    use = root.get("use")
    assert isinstance(use, Map)
    assert {k.text: v.text for k, v in use.entries if isinstance(v, Scalar)} == {"x": "1", "y": "3"}


@pytest.mark.parametrize(
    ("raw", "line", "column", "word"),
    [
        (b"a: b\nc: \xff\n", 2, 4, "UTF-8"),
        (b"a: b\nc\x00: d\n", 2, 2, "U+0000"),
        (b'a: "x\\0y"\n', 1, 4, "U+0000"),
        (b"a: \x1b[31m\n", 1, 4, "U+001B"),
        (b"ssh:\n\tuser: x\n", 2, 1, "tab"),
        (b"a: *b\n", 1, 4, "no anchor"),
        (b"a: &a [*a]\n", 1, 8, "no anchor"),
        (b"%YAML 1.2\n---\na: 1\n", 1, 1, "directives"),
        (b"a: !!python/object:os.system x\n", 1, 4, "tag"),
        (b"a: !secret x\n", 1, 4, "tag"),
        (b"? [a]\n: b\n", 1, 3, "key"),
        (b"a: @x\n", 1, 4, "not YAML"),
        (b"\xff\xfea\x00", 1, 1, "UTF-8"),
        (b"<<: 3\n", 1, 5, "mapping"),
    ],
)
def test_what_is_no_yaml_of_ours_is_refused_at_its_place(raw: bytes, line: int, column: int, word: str) -> None:
    problems = _refused(raw)
    assert [(p.line, p.column) for p in problems] == [(line, column)]
    assert word in problems[0].message


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        pytest.param(b"a" * (MAX_BYTES + 1), "1 MiB", id="size"),
        pytest.param(b"[" * 10_000, "64 levels", id="depth-flow"),
        pytest.param(b"- " * 10_000 + b"x", "64 levels", id="depth-block"),
        pytest.param(b'{"a":' * 10_000, "64 levels", id="depth-map"),
        pytest.param(_BOMB.encode(), "aliases", id="bomb"),
        pytest.param(b"- a\n" * 20_000, "10000 values", id="many"),
        pytest.param(b"a: &x {b: c}\nd: [" + b"*x," * 9000 + b"]", "aliases", id="many-aliases"),
        pytest.param(b"---\na: b\n" * 100_000, "500 documents", id="documents"),
        pytest.param(b"---\n" * 200_000, "500 documents", id="empty-documents"),
        pytest.param(b"---\n- *a\n" * 100_000, "no anchor", id="broken-documents"),
    ],
)
def test_bombs_end_early_and_with_little_memory(raw: bytes, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parse, events = yaml.parse, 0

    def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal events
        for event in parse(*args, **kwargs):
            events += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    tracemalloc.start()
    problems = _refused(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert word in problems[0].message
    assert events <= 2 * MAX_NODES  # of up to a million that stand in the file
    assert peak < 100 << 20


def test_lists_are_lists() -> None:
    assert find(_root("a: [x]"), ("a",)) == Seq((Scalar("x", "str", 1, 5),), 1, 4)
