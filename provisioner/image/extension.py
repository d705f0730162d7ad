"""The annotation `sealer.image.extension`, as upstream writes it: what kind of image it is and what it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioner.errors import ImageError
from provisioner.image import limits
from provisioner.image.manifest import canonical, load_json

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
    cmds = launch.get("cmds") if isinstance(launch, dict) else None
    apps = launch.get("app_names") if isinstance(launch, dict) else None
    if apps:
        raise ImageError(
            f"{what} launches applications ({', '.join(map(str, apps))}), which is not built yet",
            hint="use CMD lines instead of APP and LAUNCH",
        )
    if cmds is None:
        return ()
    if not isinstance(cmds, list) or not all(isinstance(cmd, str) and cmd for cmd in cmds):
        raise ImageError(f"{what}: {KEY} holds commands that are no texts")
    return tuple(cmds)
