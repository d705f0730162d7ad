"""The build context on disk: which files a COPY means. No link is followed, nothing outside the context is read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import ImageError, Problem, UsageError
from provisioner.image import limits
from provisioner.image.disk import explain
from provisioner.image.ignore import Ignore, glob_regex, parse_ignore
from provisioner.image.kubefile import CopyStep
from provisioner.image.names import link_target, normal_name
from provisioner.model.images import Entry, EntryKind

IGNORE_FILES = (".sealerignore", ".dockerignore")
"""The first that exists is the one that counts."""
_GLOB = re.compile(r"[*?\[]")
_PLAIN, _EXECUTABLE, _LINK = 0o644, 0o755, 0o777


@dataclass(frozen=True, slots=True)
class Picked:
    """A file to copy: what it is in the image, and where its bytes are. Files have no digest yet."""

    entry: Entry
    real: Path


class CopyError(Exception):
    """Why one COPY cannot be done; becomes a Problem at its line."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def at(self, step: CopyStep, name: str) -> Problem:
        """The problem to show for it."""
        return Problem(name, step.line, step.column, "COPY", str(self), self.hint)


class Context:
    """A build context with its ignore file. Raises UsageError when the folder or its ignore file cannot be used."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UsageError(f"the build context {root} is no folder", hint="name the folder that COPY copies from")
        self.root = root
        self._ignore = _load_ignore(root)

    def pick(self, step: CopyStep, arch: str, tree: Mapping[str, EntryKind]) -> dict[str, Picked]:
        """What one COPY brings, by path in the image, parents included. `tree` is the image so far.

        Raises CopyError; AccessError for what cannot be read; ImageError for names that no image may hold.
        """
        found = [path for source in step.sources for path in self._expand(_with_arch(source, arch))]
        target = _with_arch(step.target, arch)
        into = step.into or not target or tree.get(target) is EntryKind.DIR
        if len(found) > 1 and not into:
            raise CopyError(f"{len(found)} sources match, so the destination is a folder", "end it with a slash")
        picked: dict[str, Picked] = {}
        for path in found:
            self._take(path, target, into, picked)
        for path in list(picked):
            self._add_parents(path, picked)
        for path, new in picked.items():
            _check_kind(path, tree.get(path), new.entry.kind)
        return picked

    def _expand(self, source: str) -> list[str]:
        parts = [part for part in source.split("/") if part not in {"", "."}]
        if ".." in parts:
            raise CopyError(f"source {source!r} leads out of the context", "copy it into the context first")
        found = [""]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            found = [child for folder in found for child in self._children(folder, part, source, last=last)]
        if not found:
            why = f"nothing in the context matches {source!r}"
            if not _GLOB.search(source):
                why = f"source {source!r} is not in the context"
            raise CopyError(why, f"the context is {self.root}")
        kept = [path for path in found if not path or self._reached(path)]
        if not kept:
            raise CopyError(f"source {source!r} is left out by the ignore file", "take it back there with a line !PATH")
        return sorted(kept)

    def _children(self, folder: str, part: str, source: str, *, last: bool) -> Iterator[str]:
        """The paths in `folder` that one part of a source matches; all but the last part must be real folders."""
        prefix = f"{folder}/" if folder else ""
        if not _GLOB.search(part):
            info = _lstat(self.root / folder / part)
            if info is None:
                return
            if not last and stat.S_ISLNK(info.st_mode):
                raise CopyError(f"source {source!r} leads through the link {prefix + part!r}", "name the real folder")
            yield prefix + part
            return
        pattern = re.compile(glob_regex(part) + r"\Z", re.DOTALL)
        for entry in _scan(self.root / folder):
            if pattern.match(entry.name) and (last or entry.is_dir(follow_symlinks=False)):
                yield prefix + entry.name

    def _reached(self, path: str) -> bool:
        return not self._ignore.ignores(path) or self._ignore.takes_back

    def _take(self, path: str, target: str, into: bool, picked: dict[str, Picked]) -> None:  # noqa: FBT001
        real = self.root / path
        info = _lstat(real)
        if info is not None and stat.S_ISDIR(info.st_mode):
            if target:
                self._put(_picked(target, real, info), picked)
            self._walk(path, target, picked)
            return
        name = "/".join(part for part in (target, path.rsplit("/", 1)[-1]) if part) if into else target
        self._put(_picked(name, real, info), picked)

    def _walk(self, folder: str, target: str, picked: dict[str, Picked]) -> None:
        for entry in _scan(self.root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            name = f"{target}/{entry.name}" if target else entry.name
            ignored = self._ignore.ignores(path)
            is_folder = entry.is_dir(follow_symlinks=False)
            if not ignored:
                self._put(_picked(name, Path(entry.path), entry.stat(follow_symlinks=False)), picked)
            if is_folder and (not ignored or self._ignore.takes_back):
                self._walk(path, name, picked)

    def _put(self, new: Picked, picked: dict[str, Picked]) -> None:
        old = picked.get(new.entry.path)
        if old and old.entry.kind is not new.entry.kind:
            raise CopyError(f"{new.entry.path!r} comes from two sources as {old.entry.kind} and {new.entry.kind}")
        picked[new.entry.path] = new
        if len(picked) > limits.ENTRIES:
            raise CopyError(f"more than {limits.ENTRIES} files are copied")

    def _add_parents(self, path: str, picked: dict[str, Picked]) -> None:
        parent = path.rpartition("/")[0]
        while parent and parent not in picked:
            picked[parent] = Picked(Entry(parent, EntryKind.DIR, _EXECUTABLE), self.root)
            parent = parent.rpartition("/")[0]
        if parent and picked[parent].entry.kind is not EntryKind.DIR:
            raise CopyError(f"{path!r} would lie below {parent!r}, which is a {picked[parent].entry.kind}")


def _check_kind(path: str, old: EntryKind | None, new: EntryKind) -> None:
    """A later COPY may replace a file, but not turn a directory into something else or the other way round."""
    if old and (old is EntryKind.DIR) != (new is EntryKind.DIR):
        raise CopyError(f"{path!r} is a {old} from an earlier COPY and would become a {new}", "copy it elsewhere")


def _load_ignore(root: Path) -> Ignore:
    for name in IGNORE_FILES:
        path = root / name
        try:
            with path.open("rb") as file:
                data = file.read(limits.KUBEFILE + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise explain(error, "read", path) from error
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8 text") from error
        if len(data) > limits.KUBEFILE:
            raise UsageError(f"{path} is larger than {limits.KUBEFILE} bytes")
        return parse_ignore(text, str(path))
    return Ignore()


def _with_arch(text: str, arch: str) -> str:
    return text.replace("${ARCH}", arch).replace("$ARCH", arch)


def _picked(name: str, real: Path, info: os.stat_result | None) -> Picked:
    """What a file becomes: root's, with one of two modes. Raises CopyError for what no image can hold."""
    if info is None:
        raise CopyError(f"{str(real)!r} went away while it was read")
    try:
        path = normal_name(os.fsencode(name))
        if stat.S_ISLNK(info.st_mode):
            target = link_target(os.fsencode(_readlink(real)))
            return Picked(Entry(path, EntryKind.SYMLINK, _LINK, target=target), real)
    except ImageError as error:
        raise CopyError(error.message.split(": the image is refused")[0], "rename it") from error
    if path.rsplit("/", 1)[-1].startswith(".wh."):
        raise CopyError(f"{name!r} would be read as a whiteout", "rename it")
    if stat.S_ISDIR(info.st_mode):
        return Picked(Entry(path, EntryKind.DIR, _EXECUTABLE), real)
    if not stat.S_ISREG(info.st_mode):
        raise CopyError(f"{str(real)!r} is a device, fifo or socket", "leave it out with an ignore file")
    mode = _EXECUTABLE if info.st_mode & 0o111 else _PLAIN
    return Picked(Entry(path, EntryKind.FILE, mode, info.st_size), real)


def _readlink(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path would tidy the text, which is data
    except OSError as error:
        raise explain(error, "read", path) from error


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise explain(error, "read", path) from error


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except NotADirectoryError:
        return []
    except OSError as error:
        raise explain(error, "read", folder) from error
