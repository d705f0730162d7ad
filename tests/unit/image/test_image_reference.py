from __future__ import annotations

import pytest

from provisioner.errors import UsageError
from provisioner.image.reference import NAME_LIMIT, parse_reference

HEX = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("etcd", "etcd", "latest", None),
        ("etcd:v1", "etcd", "v1", None),
        ("team/etcd:v1", "team/etcd", "v1", None),
        ("host:5000/etcd", "host:5000/etcd", "latest", None),
        ("host:5000/etcd:v1", "host:5000/etcd", "v1", None),
        ("localhost/a__b/c--d.e:V_1.x-y", "localhost/a__b/c--d.e", "V_1.x-y", None),
        ("Reg.Example.org/etcd", "Reg.Example.org/etcd", "latest", None),
        ("[::1]:5000/etcd:v1", "[::1]:5000/etcd", "v1", None),
        (f"etcd@{HEX}", "etcd", None, HEX),
        (f"etcd:v1@{HEX}", "etcd", "v1", HEX),
        ("a" * NAME_LIMIT, "a" * NAME_LIMIT, "latest", None),
        ("etcd:" + "t" * 128, "etcd", "t" * 128, None),
    ],
)
def test_parts(text: str, repository: str, tag: str | None, digest: str | None) -> None:
    ref = parse_reference(text)
    assert (ref.repository, ref.tag, ref.digest) == (repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":v1",
        "@",
        "-etcd",
        "--help",
        "etcd:",
        "etcd:-v",
        "etcd:.v",
        "etcd:" + "t" * 129,
        "Etcd",
        "host/Etcd",
        "a" * (NAME_LIMIT + 1),
        "a//b",
        "/a",
        "a/",
        "a..b",
        "a.",
        "a___b",
        "a b",
        "a\nb",
        "a\0b",
        "é",
        "a:v1\n",
        "etcd@",
        "etcd@sha256:abc",
        "etcd@md5:" + "a" * 32,
        "etcd@sha256:" + "A" * 64,
        "etcd@sha256:../../../etc/passwd",
        f"etcd@{HEX}@{HEX}",
        "host:port/etcd",
        "host:123456/etcd",
        "-host.example/etcd",
        "http://host.example/etcd",
        "../etcd",
        "a;touch x",
        "$(x)",
        "${x}",
    ],
)
def test_outside_the_grammar_is_wrong_use_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message
    assert "\0" not in caught.value.message


def test_a_reference_prints_as_it_is_parsed() -> None:
    for text in ("etcd:v1", "host:5000/a/b:v1", f"etcd@{HEX}"):
        assert str(parse_reference(text)) == text
    assert parse_reference("host:5000/a/b:v1").short_name == "b"


def test_the_error_shows_no_more_than_a_line_of_what_was_typed() -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference("A" * 10_000)
    assert len(caught.value.message) < 300
