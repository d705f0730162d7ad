"""What the shell offers on TAB: clusters, hosts and images, read from files in a few milliseconds, no engine started.

A completion must never print an error into somebody's prompt: whatever cannot be read is simply not offered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from provisioner.errors import SealerError
from provisioner.model.ids import PROJECT
from provisioner.settings import Settings, load_settings

_REF_NAME = "org.opencontainers.image.ref.name"


def complete_cluster(incomplete: str) -> list[str]:
    """Names of the clusters of this state folder."""
    return [n for n in cluster_names(_settings()) if n.startswith(incomplete)]


def complete_host(ctx: typer.Context, incomplete: str) -> list[str]:
    """Hosts of the cluster that stands on the command line already."""
    # After `exec NAME --host` the parser stumbles over the missing value and leaves the words it had in `args`.
    name = ctx.params.get("name") or next(iter(ctx.args), "")
    return [h for h in host_names(_settings(), str(name)) if h.startswith(incomplete)]


def complete_image(incomplete: str) -> list[str]:
    """References of the images in the store."""
    return [r for r in image_references(_settings()) if r.startswith(incomplete)]


def complete_provider(incomplete: str) -> list[str]:
    """The providers that this version can use."""
    from provisioner.model.grammar import BUILT_PROVIDERS

    return [p for p in sorted(BUILT_PROVIDERS) if p.startswith(incomplete)]


def cluster_names(settings: Settings | None) -> list[str]:
    """The folders below `clusters/`."""
    folder = settings.state_dir / "clusters" if settings else None
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder else []
    except OSError:
        return []


def host_names(settings: Settings | None, cluster: str) -> list[str]:
    """Hosts in the last state that the file backend holds."""
    if not settings or not cluster or "/" in cluster:
        return []
    state = _read_json(settings.state_dir / "backend" / ".pulumi" / "stacks" / PROJECT / f"{cluster}.json")
    resources = _dig(state, "checkpoint", "latest", "resources")
    if not isinstance(resources, list):
        return []
    from provisioner.model.plan import is_machine

    urns = [str(_dig(r, "urn")) for r in resources if is_machine(str(_dig(r, "type")))]
    return sorted(urn.rpartition("::")[2] for urn in urns)


def image_references(settings: Settings | None) -> list[str]:
    """The names in the store's index."""
    index = _read_json(settings.images_dir / "index.json") if settings else None
    manifests = _dig(index, "manifests")
    if not isinstance(manifests, list):
        return []
    names = (_dig(m, "annotations", _REF_NAME) for m in manifests)
    return sorted({n for n in names if isinstance(n, str)})


def _settings() -> Settings | None:
    try:
        return load_settings()
    except SealerError:
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
