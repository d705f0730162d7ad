"""The documents of `-o json`: one function per schema in docs/schema/. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provisioner.model.deadline import keeper_of
from provisioner.model.driver import Check
from provisioner.model.report import DownReport, HostStatus, ListRow, LockInfo, StatusReport, StepReport, UpReport
from provisioner.world import ExecResult

if TYPE_CHECKING:
    from provisioner.image.store import ImageDetail, ImageRow, Removed
    from provisioner.infra.install import EngineStatus

VERSION = 1

Document = dict[str, object]


def up_to_json(report: UpReport, plan: Mapping[str, object], phases: Mapping[str, float]) -> Document:
    """`up -o json`; `plan` is the document of the plan that ran."""
    return {
        "schemaVersion": VERSION,
        "cluster": report.inventory.cluster,
        "cid": report.inventory.cid,
        "changed": report.changed,
        "plan": dict(plan),
        "hosts": [{"name": h.name, "address": h.address, "roles": list(h.roles)} for h in report.inventory.hosts],
        "steps": [_step(s) for s in report.apply.steps],
        "health": {h: {"rc": r.rc, "line": r.line} for h, r in report.apply.health.items()},
        "outputs": dict(report.apply.outputs),
        "phases": {name: round(wall, 3) for name, wall in phases.items()},
        "seconds": round(report.seconds, 3),
    }


def down_to_json(report: DownReport) -> Document:
    """`down -o json`."""
    return {
        "schemaVersion": VERSION,
        "cluster": report.cluster,
        "cid": report.cid,
        "provider": report.provider,
        "removed": list(report.removed),
        "left": list(report.left),
        "warnings": list(report.warnings),
        "kept": [{"host": k.host, "path": k.path, "size": k.size} for k in report.kept],
        "seconds": round(report.seconds, 3),
    }


def status_to_json(report: StatusReport) -> Document:
    """`status NAME -o json`."""
    return {
        "schemaVersion": VERSION,
        "cluster": report.cluster,
        "cid": report.cid,
        "image": {"reference": report.image_reference, "digest": report.image_digest},
        "provider": report.provider,
        "phase": report.phase,
        "hosts": [_host(h) for h in report.hosts],
        "outputs": dict(report.outputs),
        "expiresAt": report.expires_at,
        "keptBy": keeper_of(report.provider, report.expires_at),
        "lock": _lock(report.lock),
    }


def list_to_json(rows: Sequence[ListRow]) -> Document:
    """`list -o json`."""
    clusters = [
        {
            "cluster": r.cluster,
            "cid": r.cid,
            "provider": r.provider,
            "image": r.image,
            "hosts": r.hosts,
            "expiresAt": r.expires_at,
        }
        for r in rows
    ]
    return {"schemaVersion": VERSION, "clusters": clusters}


def exec_to_json(result: ExecResult) -> Document:
    """One line of `exec -o json`: one object per host."""
    return {
        "schemaVersion": VERSION,
        "host": result.host,
        "rc": result.rc,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "error": result.error,
    }


def checks_to_json(checks: Sequence[Check]) -> Document:
    """`doctor -o json`."""
    rows = [{"name": c.name, "ok": c.ok, "detail": c.detail, "hint": c.hint} for c in checks]
    return {"schemaVersion": VERSION, "ok": all(c.ok for c in checks), "checks": rows}


def images_to_json(rows: Sequence[ImageRow]) -> Document:
    """`image ls -o json`."""
    return {"schemaVersion": VERSION, "images": [row.to_json() for row in rows]}


def image_to_json(detail: ImageDetail) -> Document:
    """`image inspect REF -o json`, and what `image build -o json` ends with."""
    image = detail.image
    layers = [
        {"digest": x.digest, "size": x.size, "diffId": x.diff_id, "mediaType": x.media_type} for x in image.layers
    ]
    return {
        "schemaVersion": VERSION,
        "reference": image.reference,
        "repository": image.repository,
        "digest": image.digest,
        "arch": image.arch,
        "size": image.size,
        "env": dict(image.env),
        "labels": dict(image.labels),
        "cmd": list(image.cmd),
        "layers": layers,
        "names": list(detail.names),
        "history": list(detail.history),
    }


def removed_to_json(removed: Removed) -> Document:
    """`image rm -o json`."""
    return {
        "schemaVersion": VERSION,
        "name": removed.name,
        "digest": removed.digest,
        "gone": removed.gone,
        "freed": removed.freed,
    }


def engine_to_json(status: EngineStatus) -> Document:
    """`engine status -o json`."""
    found = status.found
    engine = {"path": str(found.path), "version": found.version, "origin": found.origin} if found else None
    return {"schemaVersion": VERSION, "engine": engine, "pinned": status.pinned, "rejected": list(status.rejected)}


def _step(step: StepReport) -> Document:
    return {
        "id": step.id,
        "host": step.host,
        "title": step.title,
        "rc": step.rc,
        "seconds": round(step.seconds, 3),
        "log": step.log,
    }


def _host(host: HostStatus) -> Document:
    return {
        "name": host.name,
        "address": host.address,
        "roles": list(host.roles),
        "state": host.state,
        "health": host.line,
        "steps": {"done": host.done, "total": host.total},
    }


def _lock(lock: LockInfo | None) -> Document | None:
    if lock is None:
        return None
    return {"pid": lock.pid, "run": lock.run, "command": lock.command, "since": lock.since}
