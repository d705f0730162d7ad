"""The request: flags over files over what is stored over defaults; hosts named once and kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.errors import SealerError, UsageError
from provisioner.model import words
from provisioner.model.accepted import Accepted, parse_accepted
from provisioner.model.clusterfile import parse_clusterfile
from provisioner.model.ids import Digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, changed_parts, resolve_name, resolve_request, same_request
from provisioner.model.request import Clusterfile, Pool, UpArgs, UpRequest

CANARY = "hunter2-canary"
NO_FILES = Clusterfile()
DIGEST = Digest("sha256:" + "0" * 64)


def _files(cluster: str = "", infra: str = "") -> Clusterfile:
    texts = []
    if cluster:
        texts.append(f"apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {{name: etcd}}\nspec: {cluster}\n")
    if infra:
        texts.append(f"apiVersion: sealer.io/v2\nkind: Infra\nspec: {infra}\n")
    return parse_clusterfile([("f", "---\n".join(texts).encode())])


def _image(reference: str = "etcd:v1") -> PinnedImage:
    return PinnedImage(reference, reference.partition(":")[0], DIGEST, "amd64", {}, {}, (), (), 0)


def _accept(args: UpArgs, files: Clusterfile = NO_FILES, stored: Accepted | None = None) -> Accepted:
    request = resolve_request(args, files, stored)
    return accept_request(request, _image(request.image), stored)


def _names(accepted: Accepted) -> list[str]:
    return [host.name for host in accepted.hosts]


UP = UpArgs(image="etcd:v1", provider="local", masters="3")


def test_a_bare_up_makes_one_master_by_default() -> None:
    request = resolve_request(UpArgs(image="etcd:v1"), NO_FILES, None)
    assert request == UpRequest(
        cluster=request.cluster,
        image="etcd:v1",
        provider="local",
        provider_named=False,
        pools=(Pool("master", ("master",), 1),),
        env={},
        cmd=None,
        data_root="/var/lib/sealer/data",
        network={},
        tags={},
        protect=False,
        replace=False,
    )
    assert request.cluster == "etcd"


def test_flags_win_over_files_and_files_over_what_is_stored() -> None:
    stored = _accept(replace(UP, env=("A=stored", "B=stored", "C=stored")))
    files = _files("{env: [A=file, B=file], cmd: [one]}", "{hosts: [{roles: [master], count: 1}], tags: {a: b}}")
    request = resolve_request(UpArgs(env=("A=flag",), cmd=("two",), nodes="2"), files, stored)
    assert request.env == {"A": "flag", "B": "file"}  # a file that states env states it whole
    assert request.cmd == ("two",)
    assert [(p.name, p.count) for p in request.pools] == [("master", 1), ("node", 2)]
    assert (request.image, request.provider, request.tags) == ("etcd:v1", "local", {"a": "b"})


def test_what_neither_flags_nor_files_say_stays_as_stored() -> None:
    infra = "{provider: local, network: {cidr: 10.1.0.0/24}, tags: {a: b}, protect: true, hosts: [{roles: [master]}]}"
    cluster = "{image: etcd:v1, env: [A=1], cmd: [x], dataRoot: /data/x}"
    stored = _accept(UpArgs(), _files(cluster, infra))
    again = _accept(UpArgs(env=("B=2",)), NO_FILES, stored)
    assert again.env == {"A": "1", "B": "2"}
    assert same_request(again.model_copy(update={"env": {"A": "1"}}), stored)
    assert not same_request(again, stored)


def test_explicit_emptiness_in_a_file_removes_what_is_stored() -> None:
    stored = _accept(UP, _files("{env: [A=1], cmd: [x]}", "{tags: {a: b}, protect: true}"))
    again = _accept(UpArgs(), _files("{env: [], cmd: []}", "{tags: {}, protect: false}"), stored)
    assert (again.env, again.cmd, again.tags, again.protect) == ({}, (), {}, False)


@pytest.mark.parametrize(
    ("args", "cluster", "name"),
    [
        (UpArgs(image="registry.example:5000/team/etcd:v1"), "", "etcd"),
        (UpArgs(image="etcd:v1", name="mine"), "{image: a:1}", "mine"),
        (UpArgs(image="other:v1"), "{image: a:1}", "etcd"),  # metadata.name over the image
    ],
)
def test_the_name_comes_from_flag_then_file_then_image(args: UpArgs, cluster: str, name: str) -> None:
    assert resolve_name(args, _files(cluster)) == name


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (UpArgs(), "no image"),
        (UpArgs(image="etcd:v1", name="Bad_Name"), "cluster name"),
        (UpArgs(image="my_app:v1"), "--name"),
        (UpArgs(image="Etcd:v1"), "not allowed"),
        (UpArgs(image="etcd:v1", provider="local", masters="10.0.0.1,10.0.0.2"), "makes its own"),
        (UpArgs(image="etcd:v1", masters="three"), "no count"),
        (UpArgs(image="etcd:v1", masters="-1"), "no count"),
        (UpArgs(image="etcd:v1", masters="1000000"), "no count"),
        (UpArgs(image="etcd:v1", masters="0"), "at least one master"),
        (UpArgs(image="etcd:v1", provider="locl"), "did you mean local?"),
        (UpArgs(image="etcd:v1", env=("A",)), "'A' has no '='"),
        (UpArgs(image="etcd:v1", env=("1A=b",)), "digit"),
        (UpArgs(image="etcd:v1", env=("SEALER_CID=b",)), "itself"),
        (UpArgs(image="etcd:v1", env=("A=x${env:B}",)), "whole value"),
        (UpArgs(image="etcd:v1", env=("A=${env:}",)), "names nothing"),
        (UpArgs(image="etcd:v1", env=("a-b=c",)), "not built yet"),
        (UpArgs(image="etcd:v1", env=("A=" + "x" * 200_000,)), "100 KiB"),
        (UpArgs(image="etcd:v1", env=("A=\udcff",)), "UTF-8"),
        (UpArgs(image="etcd:v1", cmd=("\udcff",)), "UTF-8"),
        (UpArgs(image="etcd:v1", data_root="/etc"), "system"),
        (UpArgs(image="etcd:v1", data_root="x"), "absolute"),
    ],
)
def test_bad_words_are_refused_by_name(args: UpArgs, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_request(args, NO_FILES, None)
    assert caught.value.exit_code == 3
    assert words in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("word", ["TOKEN", "TOKEN=${env:TOKEN}"])
def test_secrets_are_kept_as_references(word: str) -> None:
    assert resolve_request(replace(UP, env_secret=(word,)), NO_FILES, None).env == {"TOKEN": "${env:TOKEN}"}


def test_a_secret_may_come_from_a_file_and_wins_over_a_clear_value() -> None:
    request = resolve_request(replace(UP, env=("T=clear",), env_secret=("T=${file:/run/t}",)), NO_FILES, None)
    assert request.env == {"T": "${file:/run/t}"}


@pytest.mark.parametrize("word", [f"T={CANARY}", f"{CANARY}!", f"T=${{env:X}}{CANARY}", f"={CANARY}"])
def test_a_literal_secret_is_refused_and_never_shown(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_request(replace(UP, env_secret=(word,)), NO_FILES, None)
    assert CANARY not in f"{caught.value.to_dict()}{caught.value}"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (UpArgs(image="other:v1", name="etcd"), "runs etcd, not other"),
        (UpArgs(data_root="/data/y"), "cannot change"),
    ],
)
def test_a_name_is_bound_to_repository_and_data_root(args: UpArgs, words: str) -> None:
    stored = _accept(UP)
    with pytest.raises(UsageError, match=words) as caught:
        resolve_request(args, NO_FILES, stored)
    assert "--replace" in caught.value.hint
    assert resolve_request(replace(args, replace=True), NO_FILES, stored).replace


def test_a_name_is_bound_to_its_provider() -> None:
    stored = _accept(UP).model_copy(update={"provider": "alicloud"})
    with pytest.raises(UsageError, match="on provider alicloud, not local"):
        resolve_request(UpArgs(provider="local"), NO_FILES, stored)


@pytest.mark.parametrize("word", ["alicloud", "ALI_CLOUD"])
def test_a_provider_that_is_not_built_is_refused_by_name(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "BUILT_PROVIDERS", ("local",))
    with pytest.raises(UsageError, match="alicloud is not built yet"):
        resolve_request(UpArgs(image="etcd:v1", provider=word), NO_FILES, None)


def test_a_new_tag_of_the_same_repository_is_an_upgrade() -> None:
    assert _accept(UpArgs(image="etcd:v2"), stored=_accept(UP)).image.reference == "etcd:v2"


def test_replacing_starts_from_nothing_stored() -> None:
    stored = _accept(replace(UP, env=("A=1",), name="c"))
    request = resolve_request(UpArgs(image="other:v1", name="c", replace=True), NO_FILES, stored)
    assert (request.env, [p.count for p in request.pools]) == ({}, [1])


def test_replacing_with_another_data_root_is_another_cluster_too() -> None:
    stored = _accept(replace(UP, env=("A=1",), name="c"))
    request = resolve_request(UpArgs(image=UP.image, name="c", data_root="/data2", replace=True), NO_FILES, stored)
    assert (request.env, request.data_root) == ({}, "/data2")


def test_a_flag_wins_over_the_pool_that_sets_the_same_key() -> None:
    files = _files("{image: a:1}", "{hosts: [{roles: [master], env: {A: pool, B: pool}}]}")
    request = resolve_request(UpArgs(env=("A=flag", "C=flag")), files, None)
    assert request.env == {"A": "flag", "C": "flag"}
    assert request.pools[0].env == {"A": "flag", "B": "pool"}


def test_changed_parts_name_keys_and_never_values() -> None:
    before = _accept(replace(UP, env=("A=1", "B=2"), name="c"))
    after = _accept(replace(UP, env=("A=1", "B=hidden", "C=3"), name="c"))
    assert changed_parts(before, after) == ("env B", "env C")
    assert changed_parts(before, before) == ()


def test_env_for_roles_lands_in_their_pools_over_the_pools_own() -> None:
    infra = "{hosts: [{roles: [master]}, {name: big, roles: [node, gpu], env: {A: infra, B: infra}}]}"
    files = _files("{image: a:1, env: [A=all], hosts: [{roles: [gpu], env: [A=role]}]}", infra)
    request = resolve_request(UpArgs(), files, None)
    assert request.env == {"A": "all"}
    assert [dict(p.env) for p in request.pools] == [{}, {"A": "role", "B": "infra"}]


def test_env_for_roles_that_no_pool_has_is_refused() -> None:
    files = _files("{image: a:1, hosts: [{roles: [gpu], env: [A=b]}]}")
    with pytest.raises(UsageError, match="roles gpu"):
        resolve_request(UpArgs(), files, None)


def test_a_count_flag_that_could_mean_two_pools_is_refused() -> None:
    infra = "{hosts: [{roles: [master]}, {name: a, roles: [node]}, {name: b, roles: [node]}]}"
    with pytest.raises(UsageError, match="pools a, b"):
        resolve_request(replace(UP, nodes="3"), _files("{image: a:1}", infra), None)


def test_an_even_number_of_masters_is_noted() -> None:
    assert "odd number" in resolve_request(replace(UP, masters="2"), NO_FILES, None).notes[0]


def test_hosts_are_named_by_their_first_role() -> None:
    infra = "{hosts: [{roles: [node], count: 2}, {roles: [master], count: 1}, {roles: [db2, node], count: 2}]}"
    accepted = _accept(UpArgs(), _files("{image: a:1}", infra))
    assert _names(accepted) == ["m1", "n1", "n2", "db2-1", "db2-2"]
    assert sorted(h.slot for h in accepted.hosts) == [0, 1, 2, 3, 4]


def test_pools_that_share_their_first_role_are_named_apart() -> None:
    infra = "{hosts: [{roles: [master]}, {roles: [node], count: 1}, {name: gpu, roles: [node], count: 2}]}"
    assert _names(_accept(UpArgs(), _files("{image: a:1}", infra))) == ["m1", "n1", "gpu1", "gpu2"]


def test_scaling_down_takes_the_highest_and_up_takes_the_lowest_free() -> None:
    three = _accept(UP)
    one = _accept(replace(UP, masters="1"), stored=three)
    assert _names(one) == ["m1"]
    assert _names(_accept(replace(UP, masters="3"), stored=one)) == ["m1", "m2", "m3"]


def test_ten_and_more_hosts_are_ordered_by_number() -> None:
    twelve = _accept(replace(UP, nodes="12"))
    eleven = _accept(replace(UP, nodes="11"), stored=twelve)
    assert set(_names(twelve)) - set(_names(eleven)) == {"n12"}


def test_a_pool_that_gets_a_name_keeps_its_hosts() -> None:
    before = _accept(UpArgs(), _files("{image: a:1}", "{hosts: [{roles: [master]}, {roles: [node], count: 2}]}"))
    named = "{hosts: [{roles: [master]}, {name: workers, roles: [node], count: 3}]}"
    after = _accept(UpArgs(), _files("{image: a:1}", named), before)
    assert [(h.name, h.pool) for h in after.hosts[1:]] == [("n1", "workers"), ("n2", "workers"), ("n3", "workers")]


def test_nothing_new_takes_the_place_of_what_leaves_in_the_same_change() -> None:
    before = _accept(UpArgs(), _files("{image: a:1}", "{hosts: [{roles: [master]}, {name: a, roles: [node]}]}"))
    two = "{hosts: [{roles: [master]}, {name: b, roles: [node]}, {name: c, roles: [node]}]}"
    after = _accept(UpArgs(), _files("{image: a:1}", two), before)
    gone = {(h.name, h.slot) for h in before.hosts} - {(h.name, h.slot) for h in after.hosts}
    assert gone == {("n1", 1)}
    assert not {h.slot for h in after.hosts[1:]} & {1}


def test_what_is_accepted_survives_its_storage() -> None:
    accepted = _accept(UP, _files("{env: [A=1]}", "{hosts: [{roles: [master], dataDisks: [10]}]}"))
    assert same_request(parse_accepted(accepted.to_json()), accepted)


def test_deadline_and_exclusions_stay() -> None:
    stored = _accept(UP).model_copy(update={"expires_at": "2026-12-01T00:00:00Z", "excluded": ("m2", "m3")})
    again = _accept(replace(UP, masters="2"), stored=stored)
    assert (again.expires_at, again.excluded) == ("2026-12-01T00:00:00Z", ("m2",))


def test_a_newer_stored_request_is_refused() -> None:
    with pytest.raises(SealerError) as caught:
        parse_accepted({**_accept(UP).to_json(), "schemaVersion": 2})
    assert caught.value.exit_code == 12
