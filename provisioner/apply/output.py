"""Text from hosts, made fit for a person: secrets masked, bytes decoded, control characters escaped. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from provisioner.model.secret import Secret

MASK = b"***"
SHORTEST = 4
"""Bytes of the shortest secret that is masked: shorter ones would eat ordinary text."""
LINE_LIMIT = 200


class Masker:
    """Replaces every known secret, and its base64, by `***`. Works on bytes, before anything is decoded."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._secrets = frozenset(secrets)
        plain = {s.reveal().encode("utf-8", "surrogateescape") for s in self._secrets}
        whole = {p for p in plain if len(p) >= SHORTEST}
        lines = {line for p in whole for line in p.split(b"\n") if len(line) >= 2 * SHORTEST}
        coded = {base64.b64encode(p).rstrip(b"=") for p in whole if len(p) >= 2 * SHORTEST}
        # Longest first: a secret inside another one must not leave the rest of the longer one.
        self._needles = tuple(sorted(whole | lines | coded, key=lambda n: (-len(n), n)))
        self._pattern = re.compile(b"|".join(map(re.escape, self._needles)) or b"(?!)")

    def knowing(self, more: Iterable[Secret]) -> Masker:
        """One that masks these too."""
        return Masker({*self._secrets, *more})

    def mask(self, raw: bytes, *, cut: bool = False) -> bytes:
        """The bytes without secrets. `cut`: the beginning is missing, so the end of a secret may stand first."""
        if cut:
            raw = self._mask_start(raw)
        return self._pattern.sub(MASK, raw)

    def _mask_start(self, raw: bytes) -> bytes:
        for needle in self._needles:
            for begin in range(1, len(needle) - SHORTEST + 1):
                if raw.startswith(needle[begin:]):
                    return MASK + raw[len(needle) - begin :]
        return raw

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of a stream's data may be shown, masked, and what must wait for more: it may begin a secret."""
        shown = bytearray()
        done = 0
        edge = len(data) - self._open_tail(data)
        for match in self._pattern.finditer(data):
            if match.start() >= edge:
                break
            shown += data[done : match.start()] + MASK
            done = match.end()
        edge = max(edge, len(data) - self._open_tail(data[done:]))
        return bytes(shown + data[done:edge]), data[edge:]

    def _open_tail(self, data: bytes) -> int:
        """Length of the longest end of `data` that is the beginning, not the whole, of a secret."""
        longest = max((len(n) for n in self._needles), default=1) - 1
        for size in range(min(longest, len(data)), 0, -1):
            tail = data[-size:]
            if any(len(n) > size and n.startswith(tail) for n in self._needles):
                return size
        return 0


class MaskedStream:
    """Masks output that comes in chunks: a secret that is split over them is found too."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown so far."""
        shown, self._held = self._masker.split(self._held + chunk)
        return shown

    def flush(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return self._masker.mask(rest)


def to_text(raw: bytes) -> str:
    """Decoded, with bytes that are no UTF-8 and control characters escaped: nothing moves a cursor or a clipboard."""
    return "".join(_escape(c) for c in raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n"))


def _escape(char: str) -> str:
    if char in "\n\t" or char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 1 << 8 else f"\\u{ord(char):04x}"


def last_line(raw: bytes) -> str:
    """The last line with anything in it, for a person, at most 200 characters."""
    lines = [line.strip() for line in to_text(raw).split("\n")]
    return next((line for line in reversed(lines) if line), "")[:LINE_LIMIT]


def last_lines(text: str, count: int) -> str:
    """The last `count` lines."""
    return "\n".join(text.rstrip("\n").split("\n")[-count:])
