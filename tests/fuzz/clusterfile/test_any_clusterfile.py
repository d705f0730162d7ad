"""Any bytes and any shape: a value or problems, inside the file; and hosts that stay who they are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provisioner.model import grammar, words
from provisioner.model.accepted import Accepted
from provisioner.model.clusterfile import read_clusterfile
from provisioner.model.ids import Digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request, same_request
from provisioner.model.request import Clusterfile, InfraDoc, Pool, UpArgs


@pytest.fixture(autouse=True, scope="module")
def _every_provider_is_built() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "BUILT_PROVIDERS", grammar.PROVIDERS)
        yield


DIGEST = Digest("sha256:" + "0" * 64)
IMAGE = PinnedImage("etcd:v1", "etcd", DIGEST, "amd64", {}, {}, (), (), 0)

KEYS = (  # noqa: SIM905 - reads better
    "apiVersion kind metadata name annotations spec image env cmd dataRoot hosts roles role count cpu dataDisks ips ssh "
    "provider network cidr tags protect masters nodes ipList podCIDR svcCIDR status on << registry data path strategy "
    "region zones ttl osImage spot maxPrice instanceType ingress port from address hostKeys knownHostsFile jump user pk passwd"
).split()
VALUES = [
    "sealer.io/v2",
    "sealer.io/v1",
    "Cluster",
    "Infra",
    "Config",
    "merge",
    "A=1",
    "10.0.0.0/24",
    "10.0.0.1",
    "a@b:1",
    "2h",
    "yes",
    "1",
    "-1",
]
LEAVES = st.sampled_from(VALUES) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner),
    max_leaves=25,
)
DOCUMENTS = st.fixed_dictionaries(
    {"apiVersion": st.sampled_from(VALUES), "kind": st.sampled_from(["Cluster", "Infra", "Config"]), "spec": TREES}
)


def _read(raw: bytes) -> None:
    reading = read_clusterfile([("f", raw)])
    lines = raw.count(b"\n") + raw.count(b"\r") + 1
    for problem in (*reading.problems, *reading.warnings):
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.message


@given(st.binary(max_size=400))
@example(b"a: &a [*a]")
@example(b"---\n...\n---")
@example(b"\xef\xbb\xbf---")
def test_any_bytes_give_a_value_or_problems(raw: bytes) -> None:
    _read(raw)


@given(st.text(alphabet="abc:-[]{}#&*!|>'\"%@`,? \t\r\n.0\\", max_size=200))
def test_any_punctuation_gives_a_value_or_problems(text: str) -> None:
    _read(text.encode())


@given(st.lists(DOCUMENTS | TREES, max_size=3))
@settings(max_examples=100)
def test_any_shape_gives_a_value_or_problems(documents: list[object]) -> None:
    _read("\n---\n".join(json.dumps(d, ensure_ascii=True) for d in documents).encode())


COUNTS = st.tuples(st.integers(1, 5), st.integers(0, 5), st.integers(0, 5))


def _accept(counts: tuple[int, int, int], stored: Accepted | None) -> Accepted:
    masters, nodes, gpus = counts
    pools = (Pool("master", ("master",), masters), Pool("node", ("node",), nodes), Pool("gpu", ("node", "gpu"), gpus))
    files = Clusterfile(None, InfraDoc("local", pools, said=frozenset({"pools"})))
    return accept_request(resolve_request(UpArgs(image="etcd:v1"), files, stored), IMAGE, stored)


@given(st.lists(COUNTS, min_size=1, max_size=8))
def test_hosts_that_stay_keep_name_and_slot(history: list[tuple[int, int, int]]) -> None:
    stored: Accepted | None = None
    for counts in history:
        accepted = _accept(counts, stored)
        assert [sum(h.pool == p for h in accepted.hosts) for p in ("master", "node", "gpu")] == list(counts)
        assert len({h.name for h in accepted.hosts}) == len({h.slot for h in accepted.hosts}) == sum(counts)
        for pool, old in zip(("master", "node", "gpu"), (stored.hosts,) * 3 if stored else (), strict=False):
            before = [(h.name, h.slot) for h in old if h.pool == pool]
            after = [(h.name, h.slot) for h in accepted.hosts if h.pool == pool]
            assert set(before) <= set(after) or set(after) <= set(before)
        assert [h.name for h in accepted.hosts if "master" in h.roles] == [h.name for h in accepted.hosts][: counts[0]]
        assert same_request(_accept(counts, accepted), accepted)
        stored = accepted


ADDRESSES = st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True)


def _by_address(numbers: list[int], stored: Accepted | None) -> Accepted:
    text = ",".join(f"10.0.0.{number}" for number in numbers)
    return accept_request(resolve_request(UpArgs(image="etcd:v1", masters=text), Clusterfile(), stored), IMAGE, stored)


@given(st.lists(ADDRESSES, min_size=1, max_size=6))
def test_machines_that_stay_keep_name_and_slot(history: list[list[int]]) -> None:
    stored: Accepted | None = None
    for numbers in history:
        accepted = _by_address(numbers, stored)
        now = {m.address: m.name for m in accepted.machines}
        assert list(now) == [f"10.0.0.{number}" for number in numbers]
        assert len(set(now.values())) == len({h.slot for h in accepted.hosts}) == len(numbers)
        if stored:
            before = {m.address: m.name for m in stored.machines}
            assert all(now[address] == before[address] for address in now.keys() & before.keys())
            gone = {before[address] for address in before.keys() - now.keys()}
            assert not gone & set(now.values())  # nothing new takes a name that is still being removed
            slots = {h.name: h.slot for h in stored.hosts}
            assert all(slots.get(h.name, h.slot) == h.slot for h in accepted.hosts)
        assert same_request(_by_address(numbers, accepted), accepted)
        stored = accepted
