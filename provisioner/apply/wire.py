"""What goes to the host side and what comes back: words, env lines, ledger fields, and framed replies. Pure but for one read.

A host is hostile input: replies are parsed strictly, by length, and nothing in them is evaluated.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from urllib.parse import quote

from provisioner.errors import LOOK_THERE, HostError, UsageError
from provisioner.model.ids import CLUSTER_SCOPE, ClusterId, RunId, StepId
from provisioner.model.paths import HostPaths
from provisioner.model.secret import Value, reveal
from provisioner.model.steps import Step, StepKind

MARKER = b"\n@@sealer-1\n"
ENV_VALUE_LIMIT = 100 * 1024
"""Bytes of one env value: Linux takes 128 KiB per word."""
ENV_LIMIT = 1 << 20
"""Bytes of all env of one script as lines: Linux takes 2 MiB of words and env together."""
KEY_LIMIT = 150

_HEADER = re.compile(rb"@([a-z_]{1,20}) ([0-9]{1,9})\n")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

EnvItems = Iterable[tuple[str, Value]]


_LOOK = ("base", "ledger", "scripts", "read", "main")
_LAY = ("base", "ledger", "rootfs", "main")
_RUN = ("base", "ledger", "scripts", "wrapper", "main")
_UNDO = ("base", "read", "undo", "main")
_RECORD = ("base", "ledger", "record", "main")
_KEEP = ("base", "keep", "main")
PARTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("read", "health", "probe"), _LOOK),
    **dict.fromkeys(("switch", "lay"), _LAY),
    "put": ("base", "ledger", "files", "main"),
    **dict.fromkeys(("run", "wait"), _RUN),
    **dict.fromkeys(("record", "outputs"), _RECORD),
    **dict.fromkeys(("keep", "kept"), _KEEP),
    **dict.fromkeys(("remains", "erase"), _UNDO),
}
"""The parts of the host side that each verb needs: on a slow link every kilobyte of every call counts."""


@functools.cache
def host_script(parts: tuple[str, ...]) -> str:
    """Parts of the host side as they travel: without comment lines."""
    folder = resources.files("provisioner.apply").joinpath("hostside")
    text = "".join(folder.joinpath(f"{part}.sh").read_text(encoding="utf-8") for part in parts)
    return "\n".join(line for line in text.split("\n") if line and not line.lstrip().startswith("#"))


def host_argv(paths: HostPaths, verb: str, *args: str | int) -> tuple[str, ...]:
    """The words that run one verb of the host side."""
    where = (paths.data_root, paths.cluster, paths.state_root, paths.tmpfs_root, paths.cid)
    return ("sh", "-c", 'eval "$1"', "sealer-host", host_script(PARTS[verb]), verb, *where, *map(str, args))


def render_env(env: EnvItems) -> bytes:
    """Env as lines that a shell evaluates to exactly these values, whatever is in them.

    Raises UsageError naming the variable (never its value): a bad name, a NUL byte, a value over 100 KiB; and for
    more than 1 MiB together.
    """
    lines = b"".join(_env_line(name, reveal(value)) for name, value in env)
    if len(lines) > ENV_LIMIT:
        raise UsageError("all env variables together are longer than 1 MiB", hint="put some into files of the image")
    return lines


def _env_line(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of an env variable", hint="use letters, digits and underscores")
    raw = value.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise UsageError(f"the env variable {name} holds a NUL byte", hint="take that byte out of its value")
    if len(raw) > ENV_VALUE_LIMIT:
        raise UsageError(f"the env variable {name} is longer than 100 KiB", hint="put it into a file of the image")
    return b"export %s='%s'\n" % (name.encode(), raw.replace(b"'", b"'\\''"))


def step_key(step: StepId) -> str:
    """The step's id as a file name: unique, and still readable."""
    safe = quote(step, safe="").replace("%2F", "+")
    if len(safe) <= KEY_LIMIT:
        return safe
    return f"{safe[: KEY_LIMIT - 65]}-{hashlib.sha256(step.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes ledger lines: the run, its cluster, the owner (state folder and pid), fence, and our version."""

    run: RunId
    cid: ClusterId
    owner: str
    tool: str
    fence: int = 0


def ledger_fields(author: Author, step: StepId, kind: StepKind, inputs: str | None) -> str:
    """The fields of a ledger line that we know, as JSON without braces; the host adds the others."""
    fields = {
        "run": author.run,
        "fence": author.fence,
        "cid": author.cid,
        "owner": author.owner,
        "step": step,
        "kind": kind.value,
        "scope": scope_of(step),
        "inputs": inputs or "",
        "tool": author.tool,
    }
    return json.dumps(fields, separators=(",", ":"))[1:-1]  # ASCII: a line break in it would be two lines


def step_fields(author: Author, step: Step) -> str:
    """As `ledger_fields`, for a planned step."""
    return ledger_fields(author, step.id, step.kind, step.inputs)


def scope_of(step: StepId) -> str:
    """`cluster` for a step that is done once per cluster, else `host`."""
    return CLUSTER_SCOPE if step.startswith(f"{CLUSTER_SCOPE}/") else "host"


def parse_reply(raw: bytes, host: str) -> Mapping[str, bytes]:
    """The sections of a reply. Raises HostError (7) where the marker, a length or the end is missing."""
    start = raw.find(MARKER)
    if start < 0:
        raise HostError(
            f"{host} gave no reply that we can read",
            host=host,
            evidence=_start_of(raw),
            hint=LOOK_THERE,
        )
    position = start + len(MARKER)
    sections: dict[str, bytes] = {}
    while True:
        header = _HEADER.match(raw, position)
        if header is None:
            raise HostError(f"the reply of {host} was cut or is broken", host=host)
        name, length = header[1].decode(), int(header[2])
        body = raw[header.end() : header.end() + length]
        position = header.end() + length + 1
        if name == "end":
            return sections
        if len(body) != length or name in sections:
            raise HostError(f"the reply of {host} was cut or is broken", host=host)
        sections[name] = body


def _start_of(raw: bytes) -> str:
    return raw[:200].decode("utf-8", "backslashreplace")
