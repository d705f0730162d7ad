"""Layers merged into one tree, by the OCI rules and ours. Pure: it only computes on items that were read elsewhere.

Whiteouts and opaque marks hide what *lower* layers brought, wherever in the layer they stand. Within a layer later
members win. A symlink is data and is never followed: a member below one, or below a file, is refused. A hardlink
becomes a copy of a file that lies inside the image by then, or is refused. The root stays a directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.items import Item, Verb
from provisioner.model.images import Entry, EntryKind

IMPLICIT_MODE = 0o755
"""The mode of a directory that only its children's names imply."""


class Source(NamedTuple):
    """Where a file's bytes are: layer number and number of the member, both from 0."""

    layer: int
    member: int


class Node:
    """One path of the tree; `children` is None for anything but a directory."""

    __slots__ = ("children", "item", "layer")

    def __init__(self, item: Item, layer: int, children: dict[str, Node] | None) -> None:
        self.item = item
        self.layer = layer
        self.children = children


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged tree as lists: directories, files, symlinks, each sorted by path; `sources` by file path."""

    entries: tuple[Entry, ...]
    sources: dict[str, Source]
    total: int


class Merger:
    """Takes layers from the lowest to the highest, then gives the merged tree."""

    def __init__(self) -> None:
        self._root = Node(Item("", Verb.DIR, IMPLICIT_MODE), -1, {})
        self._layer = -1
        self._members = 0
        self._implied = 0

    def add_layer(self, items: Sequence[Item]) -> None:
        """Put one layer on top. Raises ImageError naming the member that cannot be laid."""
        self._layer += 1
        self._members += len(items)
        limits.check(self._members, limits.ENTRIES, "number of archive members")
        own_dirs = {item.path for item in items if item.verb is Verb.DIR}
        for item in items:
            if item.verb >= Verb.WHITEOUT:
                self._hide(item, own_dirs)
        for item in items:
            if item.verb < Verb.WHITEOUT:
                self._put(item)

    def merged(self) -> Merged:
        """The tree as it is now. Raises ImageError when its files, or its paths, together are too large."""
        dirs: list[Entry] = []
        files: list[Entry] = []
        links: list[Entry] = []
        sources: dict[str, Source] = {}
        names = 0
        for path, node in _walk(self._root):
            item = node.item
            names += len(path)
            limits.check(names, limits.NAMES, "characters of all paths")
            if item.verb is Verb.DIR:
                dirs.append(Entry(path, EntryKind.DIR, item.mode))
            elif item.verb is Verb.SYMLINK:
                links.append(Entry(path, EntryKind.SYMLINK, item.mode, target=item.target))
            else:
                files.append(Entry(path, EntryKind.FILE, item.mode, item.size, item.digest))
                sources[path] = Source(node.layer, item.member)
        total = sum(file.size for file in files)
        limits.check(total, limits.TOTAL, "bytes of all files")
        parts = (sorted(part, key=_by_path) for part in (dirs, files, links))
        return Merged(tuple(entry for part in parts for entry in part), sources, total)

    def _hide(self, item: Item, own_dirs: set[str]) -> None:
        """Runs before the layer's own members are put, so that only lower layers' files can be hit."""
        node = self._root
        parts = item.path.split("/") if item.path else []
        name = parts.pop() if item.verb is Verb.WHITEOUT else ""
        for depth, part in enumerate(parts):
            found = _children(node).get(part)
            if found is None:
                return
            if found.children is None:
                self._check_hidden_parent("/".join(parts[: depth + 1]), item, own_dirs)
                return
            node = found
        if item.verb is Verb.WHITEOUT:
            _children(node).pop(name, None)
        else:
            _children(node).clear()

    def _check_hidden_parent(self, parent: str, item: Item, own_dirs: set[str]) -> None:
        if parent not in own_dirs:
            raise ImageError(
                f"a whiteout of {item.path!r} leads through {parent!r}, which is no directory: the image is refused"
            )

    def _put(self, item: Item) -> None:
        node = self._node(item)
        if not item.path:
            self._root.item = item
            return
        parent, name = self._parent(item)
        old = parent.get(name)
        if old and old.children is not None and node.children is not None:
            old.item, old.layer = item, self._layer
        else:
            parent[name] = node

    def _node(self, item: Item) -> Node:
        if item.verb is Verb.LINK:
            shared = self._linked(item)
            return Node(shared.item, shared.layer, None)
        return Node(item, self._layer, {} if item.verb is Verb.DIR else None)

    def _parent(self, item: Item) -> tuple[dict[str, Node], str]:
        node = self._root
        *parts, name = item.path.split("/")
        for depth, part in enumerate(parts):
            children = _children(node)
            found = children.get(part)
            if found is None:
                found = children[part] = self._imply()
            elif found.children is None:
                kind = "a symlink" if found.item.verb is Verb.SYMLINK else "a file"
                raise ImageError(
                    f"{item.path!r} lies below {'/'.join(parts[: depth + 1])!r}, which is {kind}: the image is refused",
                    hint="links are never followed; name the real directory in the image",
                )
            node = found
        return _children(node), name

    def _imply(self) -> Node:
        """A directory that only a member's name makes: one deep name makes hundreds, so they count as members do."""
        self._implied += 1
        limits.check(self._members + self._implied, limits.ENTRIES, "number of archive members and their folders")
        return Node(Item("", Verb.DIR, IMPLICIT_MODE), self._layer, {})

    def _linked(self, item: Item) -> Node:
        node: Node | None = self._root
        for part in item.target.split("/"):
            node = node.children.get(part) if node and node.children is not None else None
        if node is None or node.item.verb is not Verb.FILE:
            why = "is not in the image by then" if node is None else "is no regular file"
            raise ImageError(f"hardlink {item.path!r} leads to {item.target!r}, which {why}: the image is refused")
        return node


def wanted_text(path: str) -> bool:
    """True for files that planning reads: templates anywhere, and what lies right in `scripts/`."""
    return path.endswith(".tmpl") or (path.startswith("scripts/") and path.count("/") == 1)


def _children(node: Node) -> dict[str, Node]:
    if node.children is None:
        raise AssertionError(node.item.path)  # callers looked before
    return node.children


def _walk(root: Node) -> Iterator[tuple[str, Node]]:
    stack = [("", root)]
    while stack:
        prefix, node = stack.pop()
        for name, child in _children(node).items():
            path = prefix + name
            yield path, child
            if child.children is not None:
                stack.append((path + "/", child))


def _by_path(entry: Entry) -> str:
    return entry.path
