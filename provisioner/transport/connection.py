"""The seam to a host: run words, send a file, nothing else. A link that died is an unknown end, never success."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioner.model.hosts import ClusterKeys, InventoryHost
from provisioner.model.ids import HostName

Argv = Sequence[str]
"""A command as words; quoted for the wire in `argv.py` alone."""

OUTPUT_LIMIT = 1 << 20
"""Bytes of each output stream that are kept; the rest is read and dropped: hosts are hostile input."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: `rc` None means the link died first, so its end is unknown. Output is capped bytes."""

    rc: int | None
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        """True only for a known exit status 0."""
        return self.rc == 0


class Connection(Protocol):
    """One open, verified connection to one host."""

    name: HostName
    host_key: str
    """The key that the host showed, as `<type> <base64>`: one that a pin matched."""
    way_key: str
    """That of the host on the way to it, likewise; empty where there is none."""

    async def run(self, argv: Argv, *, stdin: bytes = b"", timeout: float, limit: int = OUTPUT_LIMIT) -> CommandResult:
        """Run a command to its end. Raises DeadlineError after `timeout` seconds, HostError when it cannot start."""

    async def send(
        self, argv: Argv, source: Path, *, prefix: bytes = b"", idle: float, progress: Callable[[int], None]
    ) -> CommandResult:
        """Run a command with `prefix` then the file as its stdin; `progress` gets bytes sent so far.

        Raises DeadlineError when no byte moved for `idle` seconds.
        """

    async def close(self) -> None:
        """Close; never raises."""


Connect = Callable[[InventoryHost, ClusterKeys], Awaitable[Connection]]
"""Open a connection: keys are pinned first, then the login key, or the host's `identity`, is offered.

Where the user is not root every command runs as root by `sudo -n`. Through a `jump` its own pins hold, and its own
`identity`, else the host's. Raises HostError (7); AccessError (5) for a key file that cannot be used.
"""
