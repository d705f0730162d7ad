"""Free input: any bytes give a value or an error of ours; random layer stacks give what a slow dictionary model gives."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioner.errors import ImageError, InvalidFileError, UsageError
from provisioner.image.changeset import Merger
from provisioner.image.ignore import parse_ignore
from provisioner.image.items import Item, Verb
from provisioner.image.kubefile import parse_kubefile
from provisioner.image.manifest import OCI_INDEX, OCI_MANIFEST, parse_config, parse_index, parse_manifest
from provisioner.image.names import normal_name
from provisioner.image.reference import parse_reference
from provisioner.model.ids import Digest
from provisioner.model.images import EntryKind
from tests.fakes.tars import Member, pax, read_all, tar

T = TypeVar("T")


def with_ours(act: Callable[[], T]) -> T | None:
    """The value, or None for an error of our tree that is no bug; anything else escapes."""
    try:
        return act()
    except (ImageError, UsageError):
        return None


# Layer stacks against the model

PARTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
CONTENT = st.integers(0, 5)


def item(path: str, verb: Verb, number: int = 0, target: str = "") -> Item:
    digest = Digest(f"sha256:{number:064x}") if verb is Verb.FILE else None
    return Item(path, verb, 0o755, number, digest, target)


ITEMS = st.one_of(
    st.builds(lambda p: item(p, Verb.DIR), PARTS),
    st.builds(lambda p, n: item(p, Verb.FILE, n), PARTS, CONTENT),
    st.builds(lambda p, t: item(p, Verb.SYMLINK, target=t), PARTS, PARTS),
    st.builds(lambda p, t: item(p, Verb.LINK, target=t), PARTS, PARTS),
    st.builds(lambda p: item(p, Verb.WHITEOUT), PARTS),
    st.builds(lambda p: item(p, Verb.OPAQUE), st.one_of(PARTS, st.just(""))),
)


@dataclass(frozen=True)
class Thing:
    """A path in the model: what it is, and what it holds (content number or link target)."""

    kind: str
    value: object = None


class RefusedError(Exception):
    pass


def prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def model(layers: list[list[Item]]) -> dict[str, Thing]:
    """The slow way: a flat dictionary of paths, every rule written out."""
    tree: dict[str, Thing] = {}
    for layer in layers:
        own = {i.path for i in layer if i.verb is Verb.DIR}
        for mark in (i for i in layer if i.verb in {Verb.WHITEOUT, Verb.OPAQUE}):
            hide(tree, mark, own)
        for new in (i for i in layer if i.verb not in {Verb.WHITEOUT, Verb.OPAQUE}):
            thing = thing_of(new, tree)
            for parent in prefixes(new.path):
                if tree.setdefault(parent, Thing("dir")).kind != "dir":
                    raise RefusedError
            if not (thing.kind == "dir" and tree.get(new.path, thing).kind == "dir"):
                for path in [p for p in tree if p.startswith(new.path + "/")]:
                    del tree[path]
            tree[new.path] = thing
    return tree


def hide(tree: dict[str, Thing], mark: Item, own: set[str]) -> None:
    chain = prefixes(mark.path) + ([mark.path] if mark.verb is Verb.OPAQUE and mark.path else [])
    first = next((p for p in chain if p not in tree or tree[p].kind != "dir"), None)
    if first is not None:
        if first in tree and first not in own:
            raise RefusedError
        return
    below = mark.path + "/" if mark.path else ""
    for path in [p for p in tree if p.startswith(below) or (mark.verb is Verb.WHITEOUT and p == mark.path)]:
        del tree[path]


def thing_of(new: Item, tree: dict[str, Thing]) -> Thing:
    if new.verb is Verb.LINK:
        shared = tree.get(new.target)
        if shared is None or shared.kind != "file":
            raise RefusedError
        return shared
    if new.verb is Verb.FILE:
        return Thing("file", new.size)
    return Thing("dir") if new.verb is Verb.DIR else Thing("symlink", new.target)


def merged(layers: list[list[Item]]) -> dict[str, Thing]:
    merger = Merger()
    for layer in layers:
        merger.add_layer(layer)
    values = {EntryKind.DIR: lambda _: None, EntryKind.FILE: lambda e: e.size, EntryKind.SYMLINK: lambda e: e.target}
    result = merger.merged()
    assert result.total == sum(e.size for e in result.entries)
    return {e.path: Thing(e.kind.value, values[e.kind](e)) for e in result.entries}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(ITEMS, max_size=6), min_size=1, max_size=4))
def test_merge_equals_the_model(layers: list[list[Item]]) -> None:
    try:
        expected = model(layers)
    except RefusedError:
        with pytest.raises(ImageError):
            merged(layers)
        return
    assert merged(layers) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(ITEMS, max_size=6), st.lists(ITEMS, max_size=6))
def test_marks_may_stand_anywhere(lower: list[Item], upper: list[Item]) -> None:
    marks = [i for i in upper if i.verb >= Verb.WHITEOUT]
    others = [i for i in upper if i.verb < Verb.WHITEOUT]
    outcomes = []
    for order in (marks + others, others + marks, upper):
        try:
            outcomes.append(merged([lower, order]))
        except ImageError:
            outcomes.append({})
    assert outcomes[0] == outcomes[1] == outcomes[2]


# Any bytes


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000))
def test_tar_any_bytes(data: bytes) -> None:
    with_ours(lambda: read_all(data))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 255), st.integers(1, 40))
@example(147, 0, 2)  # a checksum behind a NUL
@example(105, 40, 5)  # the mode of an extension header, with the sum unchanged
def test_tar_any_damage(at: int, byte: int, length: int) -> None:
    data = bytearray(
        tar(
            pax({b"path": b"long/" + b"n" * 200, b"SCHILY.xattr.user.x": b"1"}),
            Member(b"x", b"body" * 200),
            Member(b"L", b"gnu/" + b"m" * 200 + b"\0", kind=b"L"),
            Member(b"y", b"z"),
        )
    )
    data[at : at + length] = bytes([byte]) * len(data[at : at + length])
    found = with_ours(lambda: read_all(bytes(data)))
    if found is not None:  # what we take, the stdlib reads alike
        with tarfile.open(fileobj=io.BytesIO(bytes(data))) as archive:
            theirs = [(m.name.rstrip("/"), m.size) for m in archive]
        assert [(h.name.decode(errors="surrogateescape").rstrip("/"), h.size) for h, _ in found] == theirs


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\n\r"), min_size=1, max_size=60).filter(
    lambda name: name.strip(".") and name.isprintable()
)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=5).map("/".join), st.binary(max_size=1500)), max_size=5),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_tar_same_as_the_stdlib(files: list[tuple[str, bytes]], form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert [(h.name.decode(), body) for h, body in read_all(out.getvalue())] == files


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_names_never_lead_out(raw: bytes) -> None:
    name = with_ours(lambda: normal_name(raw))
    if name:
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert normal_name(name.encode()) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([OCI_MANIFEST, "layers"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "mediaType", "layers", "config", "manifests", "rootfs", "digest", "size", "a"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_manifests_any_bytes(data: bytes) -> None:
    with_ours(lambda: parse_manifest(data, OCI_MANIFEST, "m"))
    with_ours(lambda: parse_index(data, OCI_INDEX, "i"))
    with_ours(lambda: parse_config(data, "c"))


KUBEFILES = st.lists(
    st.tuples(
        st.sampled_from(["FROM ", "COPY ", "ENV ", "LABEL ", "CMD ", "RUN <<E", "#", "", "copy\t", "\\", "X "]),
        st.text("abc=\"'\\[]{}$,./*? \t#", max_size=20),
        st.sampled_from(["\n", "\r\n", " \\\n", "\n\n"]),
    ).map("".join),
    max_size=8,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), KUBEFILES.map(str.encode), st.text(max_size=100).map(str.encode)))
def test_kubefiles_any_bytes(data: bytes) -> None:
    try:
        found = parse_kubefile(data, "Kubefile")
    except InvalidFileError as error:
        lines = data.count(b"\n") + 1
        for problem in error.problems:
            assert 1 <= problem.line <= lines
            assert problem.column >= 1
            assert problem.message
        return
    assert all(cmd.strip() for cmd in found.cmds)


@settings(max_examples=150, deadline=None)
@given(st.text("abZ09.:/@_-[]é\n ", max_size=30))
def test_references_print_back(text: str) -> None:
    ref = with_ours(lambda: parse_reference(text))
    if ref is not None:
        assert parse_reference(str(ref)).repository == ref.repository
        assert not ref.repository.startswith("-")


@settings(max_examples=150, deadline=None)
@given(st.text("ab*?[]!^-\\/.#\n ", max_size=20), st.text("ab*[]-/", max_size=8))
def test_ignore_any_text(patterns: str, path: str) -> None:
    ignore = with_ours(lambda: parse_ignore(patterns, "f"))
    if ignore is not None:
        assert ignore.ignores(path) in {True, False}
