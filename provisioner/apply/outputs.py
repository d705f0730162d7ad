"""The cluster's outputs: what scripts appended to SEALER_OUTPUT, kept on all masters, one merge for every command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from provisioner.apply.output import Masker, to_text
from provisioner.model.facts import FactMap, HostFacts
from provisioner.model.hosts import is_master
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret, Value, reveal

_HIDDEN = "secret:"
_KEY = re.compile(r"[A-Za-z0-9_.-]+")
"""As on the host's side."""
NO_MASK = Masker()


class Named(Protocol):
    """A host by name and roles, whatever else is known of it."""

    @property
    def name(self) -> HostName:
        """Its name."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Its roles."""


def decode_outputs(raw: bytes) -> str:
    """Bytes from a host as text that leads back to the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def parse_outputs(text: str) -> dict[str, Value]:
    """The `key=value` lines of a cluster's outputs; `secret:` before the key makes a Secret. Later lines win."""
    found: dict[str, Value] = {}
    for line in text.split("\n"):  # nothing else ends a line: a value may hold any other character
        key, equals, value = line.removeprefix(_HIDDEN).partition("=")
        if equals and _KEY.fullmatch(key):
            found[key] = Secret(value) if line.startswith(_HIDDEN) else value
    return found


def render_outputs(outputs: Mapping[str, Value]) -> bytes:
    """The lines that `parse_outputs` reads."""
    lines = [f"{_HIDDEN if isinstance(v, Secret) else ''}{key}={reveal(v)}\n" for key, v in outputs.items()]
    return "".join(lines).encode("utf-8", "surrogateescape")


def merge_outputs(hosts: Iterable[Named], facts: FactMap) -> dict[str, Value]:
    """What all hosts that were read say together: of several values the first master's counts, then the next one's.

    Masters have them all but where a run was killed; then the host that ran the script still has its own.
    """
    found: dict[str, Value] = {}
    for host in sorted(hosts, key=lambda h: not is_master(h.roles)):
        found = {**outputs_of(facts, host.name), **found}
    return found


def outputs_of(facts: FactMap, host: HostName) -> dict[str, Value]:
    """What one host has; nothing where it was not read."""
    seen = facts.get(host)
    return parse_outputs(seen.outputs) if isinstance(seen, HostFacts) else {}


def show_outputs(outputs: Mapping[str, Value], masker: Masker = NO_MASK) -> dict[str, str]:
    """Outputs for a person or JSON: secret ones as `***`, and what any known secret or they say in others masked."""
    secrets = [value for value in outputs.values() if isinstance(value, Secret)]
    masker = masker.knowing(secrets)
    return {key: "***" if isinstance(v, Secret) else _show(v, masker) for key, v in outputs.items()}


def _show(value: str, masker: Masker) -> str:
    return to_text(masker.mask(value.encode("utf-8", "surrogateescape")))
