"""What an image brings for stage 2: which scripts, on which env they depend, its templates, rules of its CMDs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from provisioner.apply.templates import Template, read_template
from provisioner.errors import ImageError, UsageError
from provisioner.model.envnames import is_reserved
from provisioner.model.images import Changeset, Entry, EntryKind, PinnedImage

SCRIPTS = "scripts/"
TEMPLATE_SUFFIX = ".tmpl"
CMD_LABEL = "sealer-cloud.cmd."
_ENV_LINE = re.compile(r"^[ \t]*#[ \t]*sealer:env(?:[ \t:]+(?P<names>.*))?$")
_HEAD = 20
"""Lines of a script in which its `# sealer:env` line may stand."""


class Script(StrEnum):
    """The scripts of the rootfs contract that planning knows, by file name."""

    INIT = "init.sh"
    START = "start.sh"
    RECONFIGURE = "reconfigure.sh"
    HEALTH = "health.sh"
    MEMBER = "member.sh"

    @property
    def path(self) -> str:
        """Where it lies in the rootfs."""
        return SCRIPTS + self.value


@dataclass(frozen=True, slots=True)
class ImageTemplate:
    """A template of the image: where its result is laid (relative to the rootfs), with which mode."""

    target: str
    mode: int
    template: Template


@dataclass(frozen=True, slots=True)
class Contract:
    """An image as stage 2 sees it. `env_names` holds the names of `# sealer:env` lines; a script without one is not in it."""

    scripts: frozenset[Script]
    env_names: Mapping[Script, frozenset[str]]
    templates: tuple[ImageTemplate, ...]


class Repeat(StrEnum):
    """How often a CMD runs: once per cluster, once per image digest, or at every `up`."""

    ONCE = "once"
    PER_IMAGE = "per-image"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class CmdRule:
    """What a `sealer-cloud.cmd.N` label says. `env` names the user env that the command depends on."""

    repeat: Repeat = Repeat.PER_IMAGE
    idempotent: bool = False
    env: tuple[str, ...] = ()


def read_contract(changeset: Changeset) -> Contract:
    """Read scripts and templates. Raises InvalidFileError for a template, ImageError for a target that cannot be laid."""
    files = {entry.path: entry for entry in changeset.entries}
    scripts = frozenset(script for script in Script if _is_script(files.get(script.path)))
    names = {script: _env_names(changeset.texts.get(script.path, b"")) for script in scripts}
    return Contract(
        scripts=scripts,
        env_names={script: found for script, found in names.items() if found is not None},
        templates=tuple(_read_templates(changeset, files)),
    )


def _is_script(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is not EntryKind.DIR


def _env_names(script: bytes) -> frozenset[str] | None:
    head = script.decode(errors="replace").splitlines()[:_HEAD]
    lines = [match for line in head if (match := _ENV_LINE.match(line.rstrip()))]
    if not lines:
        return None
    names = {name for match in lines for name in re.split(r"[ \t,]+", match["names"] or "") if name}
    # Derived names never make a script run again, so a script that names one does not depend on it.
    return frozenset(name for name in names if not is_reserved(name))


def _read_templates(changeset: Changeset, files: Mapping[str, Entry]) -> list[ImageTemplate]:
    found: list[ImageTemplate] = []
    for path, entry in sorted(files.items()):
        target = path.removesuffix(TEMPLATE_SUFFIX)
        if entry.kind is not EntryKind.FILE or target == path or not target.rsplit("/", 1)[-1]:
            continue
        if target in files and files[target].kind is not EntryKind.FILE:
            raise ImageError(f"{path} cannot be rendered: {target} is a {files[target].kind.value} of the image")
        raw = changeset.texts.get(path)
        if raw is None:
            raise ImageError(f"{path} is too large for a template (1 MiB)", hint="rename the file if it is no template")
        found.append(ImageTemplate(target, entry.mode, read_template(path, raw)))
    return found


def commands_of(cmd: tuple[str, ...] | None, image: PinnedImage) -> tuple[str, ...]:
    """The commands that run on the first master: the request's, or the image's where the request says nothing."""
    return image.cmd if cmd is None else cmd


def cmd_rule(number: int, command: str, image: PinnedImage, annotations: Mapping[str, str]) -> CmdRule:
    """The rule of the command with that number (from 1): annotation over label over default.

    A label speaks of the image's own command only: it says nothing about a command the user put in its place.
    Raises UsageError for an annotation, ImageError for a label that cannot be read.
    """
    key = f"{CMD_LABEL}{number}"
    if key in annotations:
        return _parse_rule(annotations[key], f"the annotation {key}", UsageError)
    own = number <= len(image.cmd) and image.cmd[number - 1] == command
    if own and key in image.labels:
        return _parse_rule(image.labels[key], f"the label {key} of {image.reference}", ImageError)
    return CmdRule()


def _parse_rule(text: str, where: str, error: type[UsageError | ImageError]) -> CmdRule:
    words = dict(word.partition("=")[::2] for word in text.split())
    repeat, idempotent = words.pop("repeat", Repeat.PER_IMAGE.value), words.pop("idempotent", "false")
    names = tuple(sorted({name for name in words.pop("env", "").split(",") if name and not is_reserved(name)}))
    if words or repeat not in set(Repeat) or idempotent not in {"true", "false"}:
        hint = "write repeat=once|per-image|always idempotent=true|false env=NAME,NAME"
        raise error(f"{where} cannot be read: {text!r}", hint=hint)
    return CmdRule(Repeat(repeat), idempotent == "true", names)
