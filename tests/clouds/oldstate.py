"""The engine's state as a run that was killed, or an older version of ours, left it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def edited(state_dir: Path, cluster: str) -> Iterator[list[dict[str, Any]]]:
    """The resources of a cluster's state, written back as they are at the end."""
    (file,) = state_dir.rglob(f".pulumi/stacks/**/{cluster}.json")
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    yield latest["resources"]
    file.write_text(json.dumps(state))
    for noted in file.parent.glob("*.attrs"):  # the checksum of what was there
        noted.unlink()


def without_triggers(state_dir: Path, cluster: str) -> list[str]:
    """Take from machines what ties them to their cluster's id: once there was nothing of it. Returns what it was."""
    with edited(state_dir, cluster) as resources:
        return [resource.pop("replacementTrigger") for resource in resources if "replacementTrigger" in resource]


def with_old_names(state_dir: Path, cluster: str, old: Mapping[str, str]) -> None:
    """Give resources the names that they once had: old names by today's."""
    with edited(state_dir, cluster) as resources:
        text = json.dumps([{k: v for k, v in r.items() if k != "aliases"} for r in resources])
        for now, before in old.items():
            assert f'::{now}"' in text, now
            text = text.replace(f'::{now}"', f'::{before}"')
        resources[:] = json.loads(text)


def names_in(state_dir: Path, cluster: str, start: str) -> set[str]:
    """Names in the state that begin with this."""
    with edited(state_dir, cluster) as resources:
        names = {str(r["urn"]).rpartition("::")[2] for r in resources}
    return {name for name in names if name.startswith(start)}
