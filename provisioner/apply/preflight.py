"""What a host must have before anything is laid on it. Pure: facts in, lacks out, all hosts at once in one error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioner.apply.facts import HOST_TOOLS
from provisioner.errors import ImageError, PreconditionError, UsageError
from provisioner.model.facts import FactMap, HostFacts
from provisioner.model.ids import HostName
from provisioner.model.images import Changeset, PinnedImage

LABEL = "sealer-cloud.requires"
ROOM = 1.1
"""Space wanted, as a multiple of the rootfs: file systems round up."""

_SIZE = re.compile(r"([0-9]+)(KiB|MiB|GiB|TiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
# A machine sold with 2 GiB shows a little less: the kernel keeps some for itself.
MEMORY_SLACK = 0.9


@dataclass(frozen=True, slots=True)
class Requires:
    """`LABEL sealer-cloud.requires`: cores, bytes of memory and disk, free TCP ports, commands, architectures."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0
    ports: frozenset[int] = frozenset()
    commands: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()


def parse_requires(labels: Mapping[str, str]) -> Requires:
    """Read `cpu=2 memory=2GiB disk=10GiB ports=2379,2380 commands=awk,setsid arch=amd64`.

    Raises ImageError (4) naming the word that cannot be read.
    """
    found: dict[str, object] = {}
    for word in labels.get(LABEL, "").split():
        key, _, text = word.partition("=")
        value = _parse_value(key, text)
        if value is None or key in found:
            raise ImageError(
                f"the image's label {LABEL} cannot be read at {word!r}",
                hint="write cpu=2 memory=2GiB disk=10GiB ports=80,443 commands=awk,tar arch=amd64",
            )
        found[key] = value
    return Requires(**found)  # type: ignore[arg-type]  # _parse_value gives each key its own type


def _parse_value(key: str, text: str) -> object | None:
    items = text.split(",")
    if key == "cpu" and text.isascii() and text.isdigit():
        return int(text)
    if key in {"memory", "disk"} and (match := _SIZE.fullmatch(text)):
        return int(match[1]) * _UNITS[match[2]]
    if key == "ports" and all(i.isascii() and i.isdigit() and 0 < int(i) < 1 << 16 for i in items):
        return frozenset(map(int, items))
    if key in {"commands", "arch"} and all(_WORD.fullmatch(i) for i in items):
        return tuple(items)
    return None


def check_host(facts: HostFacts, requires: Requires, needed: int) -> list[str]:
    """What a host lacks, in words. `needed`: bytes that will be laid (0: nothing new, so ports may be ours)."""
    lacks = []
    if facts.uid != 0:
        lacks.append(f"root: the login has uid {facts.uid}")
    wanted = dict.fromkeys((*HOST_TOOLS, *requires.commands))
    missing = [tool for tool in wanted if tool not in facts.tools]
    if missing:
        lacks.append(f"commands: {', '.join(missing)}")
    if facts.cpus < requires.cpu:
        lacks.append(f"cpu: {facts.cpus} of {requires.cpu}")
    if facts.memory < requires.memory * MEMORY_SLACK:
        lacks.append(f"memory: {_size(facts.memory)} of {_size(requires.memory)}")
    if requires.arch and facts.arch not in requires.arch:
        lacks.append(f"arch: {facts.arch}, wanted {' or '.join(requires.arch)}")
    if needed:
        lacks += _check_fresh(facts, requires, needed)
    return lacks


def _check_fresh(facts: HostFacts, requires: Requires, needed: int) -> list[str]:
    lacks = []
    room = max(int(needed * ROOM), requires.disk)
    if facts.disk_free < room:
        lacks.append(f"disk: {_size(facts.disk_free)} free of {_size(room)}")
    # Where something of ours was done before, the ports are most likely held by it.
    taken = sorted(requires.ports & facts.ports) if not facts.ledger.entries else []
    if taken:
        lacks.append(f"ports in use: {', '.join(map(str, taken))}")
    return lacks


def check_all(facts: FactMap, image: PinnedImage, changeset: Changeset) -> None:
    """Check every host that was read.

    Raises UsageError (3) for hosts that hold another cluster, PreconditionError (12) with all lacks of all hosts,
    ImageError (4) for a label that cannot be read.
    """
    readable = {name: found for name, found in facts.items() if isinstance(found, HostFacts)}
    _refuse_foreign(readable)
    requires = parse_requires(image.labels)
    if not requires.arch:
        requires = Requires(
            requires.cpu, requires.memory, requires.disk, requires.ports, requires.commands, (image.arch,)
        )
    lacks = {}
    for name, found in readable.items():
        needed = 0 if image.digest in found.digests else max(changeset.total, 1)
        lacks[name] = check_host(found, requires, needed)
    refuse_lacks(lacks)


def refuse_lacks(lacks: Mapping[HostName, Sequence[str]]) -> None:
    """Raise PreconditionError (12) naming all lacks of all hosts, if there are any."""
    lines = [f"{name}: {'; '.join(found)}" for name, found in lacks.items() if found]
    if lines:
        raise PreconditionError(
            "not all hosts are ready:" + "".join(f"\n  {line}" for line in lines),
            hint="no host was changed; put that right and run the same command again",
            phase="preflight",
        )


def _refuse_foreign(facts: Mapping[HostName, HostFacts]) -> None:
    lines = []
    for name, found in facts.items():
        if found.other_cids:
            lines.append(f"{name} holds {', '.join(found.other_cids)}")
        elif found.name_taken:
            lines.append(f"{name} has a folder of this cluster's name that is not ours")
    if lines:
        raise UsageError(
            "not all hosts are free: " + "; ".join(lines),
            hint="nothing was changed; take other hosts, take that cluster over (`sealer-cloud adopt`), or remove by hand "
            "what lies there",
        )


def _size(count: int) -> str:
    for unit, size in reversed(_UNITS.items()):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
