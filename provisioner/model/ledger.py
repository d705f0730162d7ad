"""The ledger of a host: one JSON line per event. Written by the wrapper on the host, read here."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provisioner.errors import PreconditionError
from provisioner.model.ids import HostName, StepId
from provisioner.model.secret import Secret
from provisioner.model.steps import StepKind

LEDGER_VERSION = 1
_EDITED = "somebody edited it; `sealer-cloud down` still works, `up` refuses to guess"


class LedgerEntry(BaseModel):
    """One line. `prev` is the sha256 (hex) of the line before without its newline, "" for the first.

    `inputs` is an HMAC over canonical JSON; `rc` is None on an intent; `time` is the host's clock and never compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v: int
    seq: int
    prev: str
    time: str
    run: str
    fence: int
    cid: str
    owner: str
    step: str
    kind: str
    scope: str
    event: Literal["intent", "result"]
    inputs: str
    boot_id: str
    rc: int | None
    tool: str


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the ledger says of one step: the last result, and an intent that has no result after it."""

    last_done: LedgerEntry | None
    last_failed: LedgerEntry | None
    open_intent: LedgerEntry | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """A whole ledger, verified. `torn` is True when the last line was cut by a power loss and ignored."""

    entries: tuple[LedgerEntry, ...] = ()
    torn: bool = False

    def record(self, step: StepId) -> StepRecord:
        """The state of one step."""
        done = failed = intent = None
        for entry in self.entries:
            if entry.step != step:
                continue
            if entry.event == "intent":
                intent = entry
                continue
            intent = None
            if entry.rc == 0:
                done, failed = entry, None
            else:
                failed = entry
        return StepRecord(done, failed, intent)


LedgerMap = Mapping[HostName, Ledger]

EMPTY_LEDGER = Ledger()


def parse_ledger(text: str, host: str) -> Ledger:
    """Read a ledger. A torn last line is dropped; anything else that is wrong is refused.

    Raises PreconditionError (12): an unknown version or kind (newer), a broken chain, a line that is no entry.
    """
    lines = text.split("\n")
    tail = lines.pop()
    entries: list[LedgerEntry] = []
    prev = ""
    for number, line in enumerate(lines, start=1):
        entry = _parse_line(line, number, host)
        if entry.prev != prev or entry.seq != number:
            raise PreconditionError(
                f"the ledger of {host} is broken at line {number}: the chain does not fit",
                host=host,
                hint=_EDITED,
            )
        prev = hashlib.sha256(line.encode()).hexdigest()
        entries.append(entry)
    return Ledger(tuple(entries), torn=bool(tail))


def _parse_line(line: str, number: int, host: str) -> LedgerEntry:
    where = f"line {number} of the ledger of {host}"
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PreconditionError(f"{where} is no JSON", host=host, hint=_EDITED) from error
    version = raw.get("v") if isinstance(raw, dict) else None
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if _is_newer(version, kind):
        raise PreconditionError(
            f"{where} was written by a newer sealer-cloud (v {version!s:.20}, kind {kind!r:.40})",
            host=host,
            hint="use the newer version; nothing was changed",
        )
    try:
        return LedgerEntry.model_validate(raw)
    except ValidationError as error:
        what = f"{where} is no ledger entry: {error.errors()[0]['msg']}"
        raise PreconditionError(what, host=host, hint=_EDITED) from error


def _is_newer(version: object, kind: object) -> bool:
    """True for what a later version may write; anything of another type was written by none."""
    if not isinstance(version, int):
        return False
    return version != LEDGER_VERSION or (isinstance(kind, str) and kind not in {k.value for k in StepKind})


def canonical(value: object) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. What HMACs and plan hashes are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hmac_inputs(key: Secret, value: object) -> str:
    """The HMAC-SHA256 (hex) of a step's inputs: inputs may hold secrets, so no plain hash of them is stored."""
    return hmac.new(bytes.fromhex(key.reveal()), canonical(value), hashlib.sha256).hexdigest()
