"""The annotation `sealer.image.extension`, as upstream writes it: what kind of image it is and what it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.manifest import canonical, load_json
from provisioner.model.grammar import check_text

KEY = "sealer.image.extension"
SCHEMA = "v1alpha1"
TYPE = "app-installer"


def render_extension(env: Mapping[str, str], labels: Mapping[str, str], cmds: Sequence[str]) -> str:
    """The annotation's text for an image that runs `cmds`, each one shell command, in order."""
    return canonical(
        {
            "schemaVersion": SCHEMA,
            "type": TYPE,
            "env": dict(env),
            "labels": dict(labels),
            "launch": {"cmds": list(cmds), "app_names": []},
        }
    ).decode()


def read_cmds(annotations: Mapping[str, str], what: str) -> tuple[str, ...]:
    """The commands that an image runs; none where there is no annotation (an ordinary OCI image).

    Raises ImageError for an unknown schema version and for what we cannot launch: never half of an image's meaning.
    """
    if KEY not in annotations:
        return ()
    body = load_json(annotations[KEY].encode(), limits.MANIFEST, f"{what}: {KEY}")
    if not isinstance(body, dict) or body.get("schemaVersion") != SCHEMA:
        raise ImageError(f"{what}: {KEY} is not of schema version {SCHEMA}")
    launch = body.get("launch") or {}
    if not isinstance(launch, dict):
        raise ImageError(f"{what}: {KEY} holds a launch that is no object")
    apps = _names(launch.get("app_names"), f"{what}: {KEY} holds applications that are no texts")
    if apps:
        raise ImageError(
            f"{what} launches applications ({', '.join(apps)}), which is not built yet",
            hint="use CMD lines instead of APP and LAUNCH",
        )
    return _names(launch.get("cmds"), f"{what}: {KEY} holds commands that are no texts")


def _names(value: object, complaint: str) -> tuple[str, ...]:
    """A list of texts; absent is empty. Raises ImageError."""
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(text, str) and _writable(text) for text in found):
        raise ImageError(complaint)
    return tuple(found)


def _writable(text: str) -> bool:
    """JSON can spell what no command line can hold."""
    return bool(text) and "\0" not in text and not check_text(text)
