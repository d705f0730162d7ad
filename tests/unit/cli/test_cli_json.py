"""Every document keeps its schema, and every schema is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from provisioner.adopting import AdoptReport
from provisioner.cli import accountviews, adopt_cmds, jsonout, lostviews, networkviews
from provisioner.cli.screen import to_json, to_yaml
from provisioner.image.store import ImageDetail, ImageRow, Removed
from provisioner.infra.install import EngineInfo, EngineStatus
from provisioner.model.driver import Check
from provisioner.model.ids import ClusterName, Digest, HostName
from provisioner.model.images import Layer, PinnedImage
from provisioner.model.networks import Networks
from provisioner.model.planhash import plan_to_json
from provisioner.model.report import KeptData
from provisioner.world import ExecResult
from tests.golden.cli import netsamples as ns
from tests.golden.cli import samples as s

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schema"
FILES = sorted(SCHEMAS.glob("*.schema.json"))
REGISTRY: Registry[Any] = Registry().with_resources(
    (f.name, Resource.from_contents(json.loads(f.read_text()))) for f in FILES
)
DIGEST = Digest("sha256:" + "a" * 64)
IMAGE = PinnedImage(
    "etcd:v1", "etcd", DIGEST, "amd64", {"A": "b"}, {}, ("run",), (Layer(DIGEST, 9, DIGEST, "zstd"),), 9
)

ADOPTED: tuple[tuple[Any, ...], ...] = (
    (None, "local"),
    ("etcd-a2b3c4", "local", "etcd:v1", DIGEST, s.up_report().inventory.hosts, 1.25),
)

DOCUMENTS: dict[str, list[dict[str, object]]] = {
    "plan": [plan_to_json(p) for p in (s.new_cluster(), s.changed_value(), s.losing_hosts(), s.no_change())],
    "up": [
        jsonout.up_to_json(s.up_report(), plan_to_json(s.new_cluster()), {"rootfs": 1.40001}),
        jsonout.up_to_json(s.up_report(changed=False), plan_to_json(s.no_change()), {}),
    ],
    "down": [
        jsonout.down_to_json(s.down_report()),
        jsonout.down_to_json(s.down_report(cid=None, removed=(), left=("link",), warnings=("w",))),
        jsonout.down_to_json(s.down_report(kept=(KeptData(HostName("m1"), "/data", None),))),
    ],
    "status": [jsonout.status_to_json(s.status_report()), jsonout.status_to_json(s.status_report(lock=None))],
    "status-lost": [lostviews.lost_to_json(r) for r in (s.lost_report(), s.lost_twice())],
    "list": [jsonout.list_to_json(s.list_rows()), jsonout.list_to_json(())],
    "exec": [jsonout.exec_to_json(ExecResult("m1", rc, "out", "err", "")) for rc in (0, 3, None)],
    "doctor": [jsonout.checks_to_json([Check("a", ok=False, detail="d", hint="h")]), jsonout.checks_to_json([])],
    "engine": [
        jsonout.engine_to_json(EngineStatus(EngineInfo(Path("/x/pulumi"), "v3.1.0", "path"), "v3.2.0", ())),
        jsonout.engine_to_json(EngineStatus(None, "v3.2.0", ("too old",))),
    ],
    "images": [jsonout.images_to_json((ImageRow("etcd", None, DIGEST, "", 0, "corrupt"),))],
    "image": [jsonout.image_to_json(ImageDetail(IMAGE, ("etcd:v1",), ("COPY a /",)))],
    "gc": [accountviews.gc_to_json(s.gc_report()), accountviews.gc_to_json(s.gc_report(deleted=True, left=("x",)))],
    "ttl": [accountviews.ttl_to_json(s.ttl_report()), accountviews.ttl_to_json(s.ttl_report(expires_at=None))],
    "outputs": [accountviews.outputs_to_json(s.outputs(), secrets=secrets) for secrets in (True, False)],
    "network": [networkviews.created_to_json(r) for r in (ns.created(), ns.created(made=()))],
    "networks": [networkviews.networks_to_json(ns.networks()), networkviews.networks_to_json(Networks(()))],
    "network-deleted": [networkviews.deleted_to_json(r) for r in (ns.deleted(), ns.deleted(left=("x",)))],
    "adopt": [adopt_cmds.adopt_to_json(AdoptReport(ClusterName("etcd"), *found)) for found in ADOPTED],
    "image-removed": [jsonout.removed_to_json(Removed("etcd:v1", DIGEST, gone=True, freed=9))],
}


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return Draft202012Validator(schema, registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_a_schema_is_a_schema_and_every_object_is_closed(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schemaVersion"] == {"const": 1}
    assert "schemaVersion" in schema["required"]


def test_every_schema_is_tested() -> None:
    names = {p.name.removesuffix(".schema.json") for p in FILES}
    assert names == {*DOCUMENTS, "error", "validate", "version"}


@pytest.mark.parametrize(("name", "document"), [(n, d) for n, ds in DOCUMENTS.items() for d in ds])
def test_a_document_keeps_its_schema(name: str, document: dict[str, object]) -> None:
    text = to_json(document)
    assert text.isascii()
    validator(name).validate(json.loads(text))


def test_json_and_yaml_say_the_same() -> None:
    import yaml

    document = jsonout.status_to_json(s.status_report())
    assert yaml.safe_load(to_yaml(document)) == json.loads(to_json(document))
    assert "\x1b" not in to_yaml(document) + to_json(document)


def test_the_schemas_refuse_what_is_not_promised() -> None:
    document = json.loads(to_json(jsonout.list_to_json(s.list_rows())))
    document["clusters"][0]["hosts"] = "three"
    assert not validator("list").is_valid(document)
    assert not validator("list").is_valid({**jsonout.list_to_json(()), "more": 1})
