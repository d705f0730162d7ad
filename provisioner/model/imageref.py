"""Image references: `[host[:port]/]path[:tag][@digest]`, the grammar of the distribution project. Pure."""

from __future__ import annotations

import re

from provisioner.errors import UsageError
from provisioner.model.ids import parse_digest
from provisioner.model.images import ImageRef

DEFAULT_TAG = "latest"
NAME_LIMIT = 255
_SHOWN = 80

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PART = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FORM = "write NAME:TAG, HOST/NAME:TAG or NAME@sha256:… with lower-case letters, digits and single separators in NAME"


def parse_reference(text: str) -> ImageRef:
    """The parts of a reference; the tag is `latest` where neither tag nor digest is written.

    No registry host is invented. Raises UsageError with what is wrong, for anything outside the grammar: names that
    start with `-`, control bytes, upper case in a path, a digest that is not sha256.
    """
    name, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    repository, tag = _split_tag(name)
    _check_repository(repository, text)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _wrong(text, f"the tag {_show(tag)} is not allowed")
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return ImageRef(repository, tag, digest)


def _split_tag(name: str) -> tuple[str, str | None]:
    """A colon after the last slash starts the tag; one before it belongs to the host's port."""
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, tag if colon else None


def _check_repository(repository: str, text: str) -> None:
    if not repository:
        raise _wrong(text, "the name is empty")
    if len(repository) > NAME_LIMIT:
        raise _wrong(text, f"the name is longer than {NAME_LIMIT} characters")
    first, slash, rest = repository.partition("/")
    if slash and _is_host(first):
        if not _HOST.fullmatch(first):
            raise _wrong(text, f"{_show(first)} is no registry host")
        parts = rest.split("/")
    else:
        parts = repository.split("/")
    for part in parts:
        if not _PART.fullmatch(part):
            raise _wrong(text, f"{_show(part)} is not allowed in a name")


def _is_host(first: str) -> bool:
    return first == "localhost" or any(mark in first for mark in ".:[")


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"{_show(text)} is no image reference: {why}", hint=_FORM)


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
