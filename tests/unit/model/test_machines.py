"""Machines that exist: flags over files over what is stored, each named once; and what only clouds can serve."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedJump, AcceptedSsh, parse_accepted
from provisioner.model.clusterfile import parse_clusterfile
from provisioner.model.ids import Digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request, same_request
from provisioner.model.request import Clusterfile, UpArgs, UpRequest
from provisioner.model.settle import Folders, settle_logins

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
NO_FILES = Clusterfile()
KEY = "SHA256:" + "a" * 43
BARE = UpArgs(image="app:v1", masters="10.1.2.3")
CLOUD = UpArgs(image="app:v1", provider="alicloud")


def _infra(spec: str, cluster: str = "{image: app:v1}") -> Clusterfile:
    texts = [f"apiVersion: sealer.io/v2\nkind: Infra\nspec: {spec}\n"]
    texts.append(f"apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {{name: app}}\nspec: {cluster}\n")
    return parse_clusterfile([("f", "---\n".join(texts).encode())])


def _v2(spec: str) -> Clusterfile:
    return parse_clusterfile(
        [("f", f"apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {{name: app}}\nspec: {spec}\n".encode())]
    )


def _accept(
    args: UpArgs, files: Clusterfile = NO_FILES, stored: Accepted | None = None, now: datetime = NOW
) -> Accepted:
    request = resolve_request(args, files, stored, now=now)
    image = PinnedImage("app:v1", "app", Digest("sha256:" + "0" * 64), "amd64", {}, {}, (), (), 0)
    return accept_request(request, image, stored, now=now)


def _hosts(accepted: Accepted) -> list[tuple[str, str, int]]:
    addresses = {machine.name: machine.address for machine in accepted.machines}
    return [(host.name, addresses[host.name], host.slot) for host in accepted.hosts]


METAL = f"""{{provider: baremetal, ssh: {{user: ops, port: 2222}}, hosts: [
 {{name: m1, address: 10.1.2.3, roles: [master], hostKeys: ['{KEY}'], env: {{A: b}}}},
 {{address: 10.1.2.4, roles: [node, gpu], knownHostsFile: /k, ssh: {{user: root, jump: j@b.example}}}}]}}"""


@pytest.mark.parametrize(
    ("args", "files", "expected"),
    [
        (UpArgs(image="a:1"), NO_FILES, ("local", False)),
        (BARE, NO_FILES, ("baremetal", True)),
        (
            UpArgs(),
            _infra(f"{{hosts: [{{address: 10.1.2.3, roles: [master], hostKeys: ['{KEY}']}}]}}"),
            ("baremetal", True),
        ),
        (UpArgs(), _v2("{image: a:1, hosts: [{ips: [10.1.2.3], roles: [master]}]}"), ("baremetal", True)),
        (UpArgs(), _infra("{provider: ALI_CLOUD}"), ("alicloud", True)),
        (UpArgs(provider="aws"), _infra("{provider: ALI_CLOUD}"), ("aws", True)),
    ],
)
def test_the_provider_is_the_first_that_somebody_names(
    args: UpArgs, files: Clusterfile, expected: tuple[str, bool]
) -> None:
    request = resolve_request(args, files, None)
    assert (request.provider, request.provider_named) == expected


def test_v1_names_the_provider_too() -> None:
    text = b"apiVersion: sealer.io/v1\nkind: Cluster\nspec: {image: a:1, provider: ALI_CLOUD, masters: {count: 1}}\n"
    assert resolve_request(UpArgs(), parse_clusterfile([("f", text)]), None).provider == "alicloud"


def test_flags_name_machines_by_address() -> None:
    args = replace(BARE, masters="10.1.2.3,10.1.2.5:2222", nodes="10.1.2.9-10.1.2.11", user="ops", identity="key")
    accepted = _accept(args)
    assert _hosts(accepted) == [
        ("m1", "10.1.2.3", 0),
        ("m2", "10.1.2.5", 1),
        ("n1", "10.1.2.9", 2),
        ("n2", "10.1.2.10", 3),
        ("n3", "10.1.2.11", 4),
    ]
    assert accepted.machines[1].ssh == AcceptedSsh(port=2222, user="ops", private_key_file="key")
    assert {machine.known_hosts_file for machine in accepted.machines} == {"~/.ssh/known_hosts"}
    assert [(pool.name, pool.roles, pool.count) for pool in accepted.pools][:1] == [("m1", ("master",), 1)]


def test_files_name_machines_with_their_own_words_over_those_for_all() -> None:
    accepted = _accept(UpArgs(), _infra(METAL))
    m1, n1 = accepted.machines
    assert (m1.name, m1.ssh, m1.host_keys, m1.known_hosts_file) == (
        "m1",
        AcceptedSsh(port=2222, user="ops"),
        (KEY,),
        None,
    )
    jump = AcceptedJump(host="b.example", user="j")
    assert (n1.name, n1.ssh, n1.known_hosts_file) == ("n1", AcceptedSsh(port=2222, user="root", jump=jump), "/k")
    assert [dict(pool.env) for pool in accepted.pools] == [{"A": "b"}, {}]
    assert same_request(parse_accepted(accepted.to_json()), accepted)


def test_what_is_stored_stays_and_a_flag_replaces_its_role_alone() -> None:
    stored = _accept(UpArgs(), _infra(METAL))
    assert same_request(_accept(UpArgs(), stored=stored), stored)
    more = _accept(UpArgs(nodes="10.1.2.7,10.1.2.4"), stored=stored)
    assert _hosts(more) == [("m1", "10.1.2.3", 0), ("n1", "10.1.2.4", 1), ("n2", "10.1.2.7", 2)]
    by_name = {machine.name: machine for machine in more.machines}
    assert by_name["n1"] == stored.machines[1]
    assert by_name["n2"].ssh == AcceptedSsh(port=2222, user="ops")
    assert {host.name: host.roles for host in more.hosts}["n1"] == ("node", "gpu")
    assert _hosts(_accept(UpArgs(nodes="0"), stored=more)) == [("m1", "10.1.2.3", 0)]


def test_upstreams_v2_names_machines_with_env_and_ssh_by_entry() -> None:
    files = _v2(
        "{image: app:v1, env: [A=1], ssh: {user: ops, pk: key}, hosts: ["
        "{ips: [10.0.0.1], roles: [master], ssh: {port: 23}}, {ips: ['10.0.0.2'], roles: [node], env: [A=2]},"
        "{roles: [node], env: [B=3]}]}"
    )
    accepted = _accept(UpArgs(), files)
    assert accepted.machines[0].ssh == AcceptedSsh(port=23, user="ops", private_key_file="key")
    assert [dict(pool.env) for pool in accepted.pools] == [{}, {"A": "2", "B": "3"}]


@pytest.mark.parametrize(
    ("args", "files", "words"),
    [
        (UpArgs(image="a:1", provider="baremetal"), NO_FILES, "none is named"),
        (UpArgs(image="a:1", provider="baremetal", masters="3"), NO_FILES, "makes no machines"),
        (replace(BARE, masters=None, nodes="10.1.2.3"), NO_FILES, "at least one master"),
        (replace(BARE, nodes="10.1.2.3"), NO_FILES, "twice"),
        (replace(BARE, masters="10.1.2.3,10.1.2.3"), NO_FILES, "twice"),
        (replace(BARE, masters="10.1.2.3,fd00::1"), NO_FILES, "IPv4"),
        (replace(BARE, masters="10.1.2.300"), NO_FILES, "no IP address"),
        (replace(BARE, masters="10.1.2.9-10.1.2.3"), NO_FILES, "backwards"),
        (replace(BARE, masters="10.0.0.0-10.255.0.0"), NO_FILES, "more than 1000"),
        (replace(BARE, masters="10.1.2.3:0"), NO_FILES, "no port"),
        (replace(BARE, provider="alicloud"), NO_FILES, "makes its own"),
        (UpArgs(image="a:1", provider="aws"), _v2("{hosts: [{ips: [10.1.2.3], roles: [master]}]}"), "makes its mach"),
        (UpArgs(), _infra(METAL, "{image: a:1, hosts: [{ips: [10.1.2.3], roles: [master]}]}"), "keep the addresses"),
        (replace(BARE, user="-x"), NO_FILES, "login name"),
        (replace(BARE, ttl="2h"), NO_FILES, "cannot serve ttl"),
        (replace(BARE, zones=("a",)), NO_FILES, "cannot serve zones"),
        (replace(BARE, region="a1"), NO_FILES, "no regions"),
        (UpArgs(image="a:1", region="a1"), NO_FILES, "no regions"),
        (UpArgs(image="a:1", user="ops"), NO_FILES, "cannot serve ssh"),
        (UpArgs(image="a:1", identity="k"), NO_FILES, "key of their own"),
        (UpArgs(), _infra("{hosts: [{roles: [master], spot: true, instanceType: a}]}"), "instanceType, spot"),
        (replace(CLOUD, region="CN"), NO_FILES, "lower-case"),
        (replace(CLOUD, zones=("a", "B")), NO_FILES, "lower-case"),
        (replace(CLOUD, ttl="soon"), NO_FILES, "--ttl"),
    ],
)
def test_what_cannot_be_is_refused_by_name(args: UpArgs, files: Clusterfile, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_request(args, files, None, now=NOW)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_words_of_a_cloud_are_accepted_flags_first_and_kept() -> None:
    spec = (
        "{provider: alicloud, region: a1, zones: [a1-b], osImage: {name: debian-12}, ssh: {port: 2222}, ttl: 2h,"
        " hosts: [{roles: [master], instanceType: [x.a, x.b], spot: {maxPrice: {perHostHour: 0.4, currency: USD}},"
        " labels: {a: b}, taints: ['a:NoSchedule']}]}"
    )
    accepted = _accept(UpArgs(zones=("a1-c",), ttl="1h"), _infra(spec))
    assert (accepted.region, accepted.zones, accepted.ttl) == ("a1", ("a1-c",), 3600)
    assert accepted.expires_at == "2026-11-24T13:00:00Z"
    assert accepted.ssh == AcceptedSsh(port=2222)
    assert accepted.os_image is not None
    pool = accepted.pools[0]
    assert (pool.instance_types, dict(pool.labels), pool.taints) == (("x.a", "x.b"), {"a": "b"}, ("a:NoSchedule",))
    assert pool.spot is not None
    assert (pool.spot.max_price, pool.spot.currency, pool.spot.fallback) == (0.4, "USD", None)
    chosen = accepted.model_copy(update={"placement": {"region": "a1"}})
    assert same_request(_accept(UpArgs(), stored=parse_accepted(chosen.to_json())), chosen)


def test_a_cluster_does_not_move_to_another_region() -> None:
    stored = _accept(replace(CLOUD, region="a1"))
    with pytest.raises(UsageError, match="is in region a1, not a2"):
        resolve_request(UpArgs(region="a2"), NO_FILES, stored)


def test_a_deadline_is_fixed_at_the_first_create() -> None:
    stored = _accept(replace(CLOUD, ttl="4h"))
    assert stored.expires_at == "2026-11-24T16:00:00Z"
    assert _accept(UpArgs(ttl="4h"), stored=stored, now=LATER).expires_at == "2026-11-24T16:00:00Z"
    with pytest.raises(UsageError) as caught:
        resolve_request(UpArgs(ttl="5h"), NO_FILES, stored, now=LATER)
    assert caught.value.hint == "sealer-cloud ttl extend app 5h"
    never = _accept(CLOUD)
    with pytest.raises(UsageError, match="fixed since its create"):
        resolve_request(UpArgs(ttl="5h"), NO_FILES, never, now=LATER)


def test_an_expired_cluster_needs_a_new_ttl() -> None:
    stored = _accept(replace(CLOUD, ttl="2h"))
    with pytest.raises(UsageError, match="had its deadline at 2026-11-24T14:00:00Z") as caught:
        resolve_request(UpArgs(), _infra("{ttl: 2h}"), stored, now=LATER)
    assert (caught.value.exit_code, "--ttl" in caught.value.hint) == (3, True)
    assert _accept(UpArgs(ttl="2h"), stored=stored, now=LATER).expires_at == "2026-11-24T17:00:00Z"
    another = resolve_request(UpArgs(image="other:v1", name="app", replace=True), NO_FILES, stored, now=LATER)
    assert another.ttl is None  # another cluster takes the name


@pytest.mark.parametrize(
    ("args", "ttl"), [(CLOUD, 14400), (replace(CLOUD, ttl="1h"), 3600), (UpArgs(image="a:1"), None), (BARE, None)]
)
def test_under_ci_what_is_bought_ends_after_four_hours(args: UpArgs, ttl: int | None) -> None:
    request = resolve_request(args, NO_FILES, None, now=NOW, ci=True)
    assert request.ttl == ttl
    assert any("4h" in note for note in request.notes) == (ttl == 14400)
    stored = _accept(CLOUD)
    assert resolve_request(UpArgs(), NO_FILES, stored, now=NOW, ci=True).ttl is None  # it stood without one before


def test_a_ttl_without_a_time_is_our_own_fault() -> None:
    request = resolve_request(replace(CLOUD, ttl="1h"), NO_FILES, None)
    image = PinnedImage("app:v1", "app", Digest("sha256:" + "0" * 64), "amd64", {}, {}, (), (), 0)
    with pytest.raises(ValueError, match="counts from a time"):
        accept_request(request, image, None)


def _settled(request: UpRequest) -> UpRequest:
    return settle_logins(request, Folders("/base", "/home/me", "/home/me/.ssh/id_rsa"))


def test_paths_of_logins_are_absolute_once_accepted() -> None:
    request = _settled(resolve_request(replace(BARE, identity="../key"), NO_FILES, None))
    assert request.machines[0].ssh.private_key_file == "/key"
    assert request.machines[0].known_hosts_file == "/home/me/.ssh/known_hosts"
    jump = f"{{host: b, privateKeyFile: ~/j, hostKeys: ['{KEY}']}}"
    infra = f"{{hosts: [{{address: 10.1.2.3, roles: [master], hostKeys: ['{KEY}'], ssh: {{jump: {jump}}}}}]}}"
    (machine,) = _settled(resolve_request(UpArgs(), _infra(infra), None)).machines
    assert (machine.ssh.private_key_file, machine.known_hosts_file) == ("/home/me/.ssh/id_rsa", None)
    assert machine.ssh.jump is not None
    assert machine.ssh.jump.private_key_file == "/home/me/j"
