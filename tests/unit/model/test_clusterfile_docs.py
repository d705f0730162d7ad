"""The documentation's own examples are valid, and what it calls not built yet is refused as that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioner.model.clusterfile import validate_files
from provisioner.model.fields import Items, Record, Spec
from provisioner.model.formats import CLUSTER_V2
from provisioner.model.infraformat import INFRA

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "clusterfile.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_are_valid(number: int) -> None:
    assert validate_files([("docs", EXAMPLES[number].encode())]) == ([], [])


def test_the_etcd_example_is_valid() -> None:
    raw = (ROOT / "examples" / "etcd" / "Clusterfile").read_bytes()
    assert validate_files([("Clusterfile", raw)]) == ([], [])


def _names(spec: Spec) -> set[str]:
    if isinstance(spec, Items):
        return _names(spec.item)
    if not isinstance(spec, Record):
        return set()
    own = {name for name in spec.fields if name not in ("apiVersion", "kind", "labels", "deletionTimestamp")}
    return own.union(*(_names(f.spec) for f in spec.fields.values() if f.built))


@pytest.mark.parametrize("name", sorted(_names(CLUSTER_V2) | _names(INFRA)))
def test_every_field_of_the_tables_is_in_the_documentation(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT)
