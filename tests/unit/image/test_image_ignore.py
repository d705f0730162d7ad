from __future__ import annotations

import re

import pytest

from provisioner.errors import UsageError
from provisioner.image.ignore import glob_regex, parse_ignore


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        ("*.md", ["a.md"], ["d/a.md", "a.mdx"]),
        ("**/*.md", ["a.md", "d/a.md", "d/e/a.md"], ["a.txt"]),
        ("d", ["d", "d/a", "d/e/f"], ["e/d", "dd"]),
        ("/d/", ["d", "d/a"], ["e/d"]),
        ("d/*", ["d/a", "d/e/f"], ["d"]),
        ("d/**", ["d/a", "d/e/f"], ["d", "e"]),
        ("**", ["a", "d/a"], []),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c].x", ["a.x", "c.x"], ["d.x"]),
        ("[^a-c].x", ["d.x"], ["a.x"]),
        ("[!a].x", ["d.x"], ["a.x"]),
        ("[z-a]", ["z", "a", "-"], ["m"]),
        ("[a--]", ["a", "-"], ["b"]),
        ("a[", ["a["], ["a"]),
        ("a\\*", ["a*"], ["ab"]),
        ("a.b+(c)", ["a.b+(c)"], ["aXb+(c)"]),
        ("*\n!keep", ["a"], ["keep", "keep/x"]),
        ("d\n!d/keep", ["d/a", "d"], ["d/keep"]),
        ("!a\na", ["a"], []),
        ("# d\n\n  e  \r\n", ["e"], ["d", "# d"]),
        ("\ufeffa", ["a"], []),
        ("a//b/./c", ["a/b/c"], []),
        (".", [], ["a"]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_docker_rules(patterns: str, ignored: list[str], kept: list[str]) -> None:
    ignore = parse_ignore(patterns, ".dockerignore")
    assert [path for path in ignored if not ignore.ignores(path)] == []
    assert [path for path in kept if ignore.ignores(path)] == []


def test_upwards_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"\.dockerignore:2"):
        parse_ignore("a\n../b\n", ".dockerignore")


@pytest.mark.parametrize("pattern", ["[^]", "[!]", "[]", "["])
def test_a_class_of_nothing_is_taken_letter_by_letter(pattern: str) -> None:
    assert re.fullmatch(glob_regex(pattern), pattern)
