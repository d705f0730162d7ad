"""Infra for clouds and for machines that exist: what is read, what is refused where, whose words win."""

from __future__ import annotations

import pytest

from provisioner.errors import Problem
from provisioner.model.clusterfile import parse_clusterfile, validate_files
from provisioner.model.request import InfraDoc, JumpDoc, Machine, OsImageDoc, Pool, Spot, SshDoc

HEAD = "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n"
KEY = "SHA256:" + "a" * 43
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPh1"
BARE = f"address: 10.1.2.3, roles: [master], hostKeys: ['{KEY}']"


def _infra(text: str, name: str = "f") -> InfraDoc:
    found = parse_clusterfile([(name, (HEAD + text).encode())]).infra
    assert found is not None
    return found


def _problems(text: str) -> list[Problem]:
    return validate_files([("f", (HEAD + text).encode())])[0]


CLOUD = """\
  provider: ALI_CLOUD
  region: cn-hangzhou
  zones: [cn-hangzhou-h, cn-hangzhou-i]
  network:
    vpc: vpc-1
    subnets: [vsw-1, vsw-2]
    public: first
    ingress: [{port: 6443, from: operator}, {port: 8000-8100, from: 10.0.0.0/8, protocol: udp}]
  ssh: {user: ops, port: 2222}
  osImage: {name: debian-12, arch: arm64, id: null}
  ttl: 1h30m
  tags: {team: ci}
  hosts:
  - {roles: [master], count: 3, instanceType: ecs.c7.large, spot: true}
  - name: workers
    role: [node]
    instanceType: [ecs.c7.large, ecs.c6.large]
    spot: {maxPrice: {perHostHour: 0.4, currency: USD}, fallback: on-demand}
    labels: {zone: a}
    taints: ["dedicated=gpu-a:NoSchedule"]
"""


def test_every_word_of_a_cloud_is_read() -> None:
    assert _infra(CLOUD) == InfraDoc(
        provider="alicloud",
        pools=(
            Pool("master", ("master",), 3, instance_types=("ecs.c7.large",), spot=Spot()),
            Pool(
                "workers",
                ("node",),
                1,
                instance_types=("ecs.c7.large", "ecs.c6.large"),
                spot=Spot(0.4, "USD", "on-demand"),
                labels={"zone": "a"},
                taints=("dedicated=gpu-a:NoSchedule",),
            ),
        ),
        network={
            "vpc": "vpc-1",
            "subnets": ["vsw-1", "vsw-2"],
            "public": "first",
            "ingress": [
                {"port": 6443, "from": "operator", "protocol": "tcp"},
                {"port": "8000-8100", "from": "10.0.0.0/8", "protocol": "udp"},
            ],
        },
        tags={"team": "ci"},
        said=frozenset({"region", "zones", "network", "ssh", "osImage", "ttl", "tags", "pools"}),
        region="cn-hangzhou",
        zones=("cn-hangzhou-h", "cn-hangzhou-i"),
        os_image=OsImageDoc("debian-12", "arm64"),
        ssh=SshDoc(port=2222, user="ops"),
        ttl=5400,
    )


METAL = f"""\
  provider: baremetal
  ssh: {{user: ops, privateKeyFile: keys/ops, knownHostsFile: /k/known}}
  hosts:
  - name: m1
    address: 10.1.2.3
    roles: [master]
    env: {{A: "1"}}
    hostKeys: ["{KEY}", "{PUBLIC}"]
    ssh: {{host: bastion.example, port: 2203, user: root, jump: "ops@[fd00::1]:2222", sudo: {{mode: auto}}}}
  - address: 10.1.2.4
    roles: [node]
    knownHostsFile: known
    ssh: {{jump: {{host: b.example, hostKeys: ["{KEY}"], privateKeyFile: ~/b}}}}
"""


def test_machines_that_exist_are_read_with_paths_beside_their_file() -> None:
    infra = _infra(METAL, "sub/Clusterfile")
    assert infra.ssh == SshDoc(user="ops", private_key_file="sub/keys/ops", known_hosts_file="/k/known")
    assert infra.pools == ()
    assert infra.machines == (
        Machine(
            "10.1.2.3",
            ("master",),
            "m1",
            {"A": "1"},
            SshDoc("bastion.example", 2203, "root", jump=JumpDoc("fd00::1", 2222, "ops")),
            (KEY, PUBLIC),
        ),
        Machine(
            "10.1.2.4",
            ("node",),
            ssh=SshDoc(known_hosts_file="sub/known", jump=JumpDoc("b.example", 22, "root", "~/b", (KEY,))),
        ),
    )


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("  region: CN\n", "spec.region", "lower-case"),
        ("  zones: [a, a]\n", "spec.zones[1]", "twice"),
        ("  network: {public: some}\n", "spec.network.public", "all or first or none"),
        ("  network: {ingress: [{port: 0, from: operator}]}\n", "spec.network.ingress[0].port", "no port"),
        ("  network: {ingress: [{port: 9-8, from: operator}]}\n", "spec.network.ingress[0].port", "backwards"),
        ("  network: {ingress: [{port: 1, from: me}]}\n", "spec.network.ingress[0].from", "operator"),
        ("  network: {ingress: [{port: 1, from: 10.0.0.1}]}\n", "spec.network.ingress[0].from", "10.0.0.1/32"),
        ("  network: {ingress: [{port: 1}]}\n", "spec.network.ingress[0]", "from is missing"),
        ("  network: {ingress: [{port: 1, from: operator, protocol: icmp}]}\n", "spec.network.ingress[0].protocol", ""),
        ("  network: {shared: a, vpc: b}\n", "spec.network.shared", "keep one"),
        ("  endpoints: {ecs: 'https://canary@a.example'}\n", "spec.endpoints.ecs", "user or a password"),
        ("  endpoints: {ecs: 'a.example:70000'}\n", "spec.endpoints.ecs", "is no endpoint"),
        ("  endpoints: {ec2: 'https://a.example/?k=canary'}\n", "spec.endpoints.ec2", "is no endpoint"),
        ("  endpoints: {esc: a.example}\n", "spec.endpoints.esc", "known here: ecs"),
        ("  provider: alicloud\n  endpoints: {ec2: 'https://a'}\n", "spec.endpoints.ec2", "knows no endpoint ec2"),
        ("  provider: alicloud\n  endpoints: {vpc: 'http://a'}\n", "spec.endpoints.vpc", "always by HTTPS"),
        ("  provider: aws\n  endpoints: {sts: a.example}\n", "spec.endpoints.sts", "must be a URL"),
        ("  provider: local\n  endpoints: {ecs: a.example}\n", "spec.endpoints.ecs", "local has no endpoints"),
        ("  provider: baremetal\n  endpoints: {all: 'https://a'}\n", "spec.endpoints.all", "has no endpoints"),
        ("  osImage: {arch: mips}\n", "spec.osImage.arch", "amd64"),
        ("  osImage: debian\n", "spec.osImage", "mapping"),
        ("  ttl: 2 hours\n", "spec.ttl", "1h30m"),
        ("  ttl: 0s\n", "spec.ttl", "1h30m"),
        ("  ttl: 366d\n", "spec.ttl", "365"),
        ("  ssh: {user: -oProxy}\n", "spec.ssh.user", "login name"),
        ("  ssh: {host: a}\n", "spec.ssh.host", "hosts[].ssh"),
        ("  ssh: {sudo: {mode: none}}\n", "spec.ssh.sudo.mode", "auto"),
        ("  hosts: [{roles: [master], spot: maybe}]\n", "spec.hosts[0].spot", "true or false"),
        ("  hosts: [{roles: [master], spot: {maxPrice: {perHostHour: 0, currency: USD}}}]\n", "", "positive"),
        ("  hosts: [{roles: [master], spot: {maxPrice: {perHostHour: 1}}}]\n", "", "currency is missing"),
        ("  hosts: [{roles: [master], spot: {maxPrice: {perHostHour: 1, currency: usd}}}]\n", "", "capital"),
        ("  hosts: [{roles: [master], spot: {fallback: wait}}]\n", "spec.hosts[0].spot.fallback", "on-demand"),
        ("  hosts: [{roles: [master], instanceType: {a: b}}]\n", "spec.hosts[0].instanceType", "list"),
        ("  hosts: [{roles: [master], labels: {-a: b}}]\n", "spec.hosts[0].labels.-a", "label"),
        ("  hosts: [{roles: [master], taints: [a=b]}]\n", "spec.hosts[0].taints[0]", "NoSchedule"),
        ("  hosts: [{roles: [master], taints: ['a=b:NoSchedule-']}]\n", "spec.hosts[0].taints[0]", "NoSchedule"),
        (f"  hosts: [{{roles: [master], hostKeys: ['{KEY}']}}]\n", "spec.hosts[0].hostKeys", "that exist"),
        ("  hosts: [{roles: [master], ssh: {user: a}}]\n", "spec.hosts[0].ssh", "spec.ssh"),
        ("  hosts: [{address: 10.1.2.3, roles: [master]}]\n", "spec.hosts[0]", "ssh-keyscan"),
        ("  hosts: [{address: bastion, roles: [master]}]\n", "spec.hosts[0].address", "no IP"),
        ("  hosts: [{address: '10.1.2.3:22', roles: [master]}]\n", "spec.hosts[0].address", "no IP"),
        ("  hosts: [{address: 10.1.2.3, roles: [master], hostKeys: [abc]}]\n", "spec.hosts[0].hostKeys[0]", "SHA256"),
        (f"  hosts: [{{{BARE}, count: 2}}]\n", "spec.hosts[0].count", "exists"),
        (f"  hosts: [{{{BARE}, spot: true}}]\n", "spec.hosts[0].spot", "exists"),
        (f"  hosts: [{{{BARE}}}, {{roles: [node]}}]\n", "spec.hosts[1]", "do not mix"),
        (f"  hosts: [{{{BARE}}}, {{{BARE}}}]\n", "spec.hosts[1].address", "twice"),
        (f"  hosts: [{{{BARE.replace('[master]', '[db]')}}}]\n", "spec.hosts", "master"),
        (f"  hosts: [{{{BARE}, ssh: {{jump: 'a b'}}}}]\n", "spec.hosts[0].ssh.jump", "user@host"),
        (f"  hosts: [{{{BARE}, ssh: {{jump: 'a,b'}}}}]\n", "spec.hosts[0].ssh.jump", "one jump"),
        (f"  hosts: [{{{BARE}, ssh: {{jump: b}}}}]\n", "spec.hosts[0].ssh.jump", "not known"),
        (f"  provider: aws\n  hosts: [{{{BARE}}}]\n", "spec.hosts[0].address", "makes its machines"),
        ("  provider: baremetal\n  hosts: [{roles: [master]}]\n", "spec.hosts[0]", "address"),
        ("  provider: baremetal\n  ssh: {passwd: x}\n", "spec.ssh.passwd", "not built yet"),
    ],
)
def test_what_is_wrong_is_named_at_its_key(text: str, key: str, words: str) -> None:
    (problem, *_) = _problems(text)
    assert problem.key.startswith(key)
    assert words in f"{problem.message} {problem.hint}"
    assert "canary" not in str(problem)


def test_later_files_win_field_by_field() -> None:
    second = HEAD + "  region: cn-beijing\n  ssh: {port: 22}\n  ttl: 2h\n"
    infra = parse_clusterfile([("a", (HEAD + CLOUD).encode()), ("b", second.encode())]).infra
    assert infra is not None
    assert (infra.region, infra.ttl, infra.ssh) == ("cn-beijing", 7200, SshDoc(port=22, user="ops"))
    assert [pool.name for pool in infra.pools] == ["master", "workers"]


V1 = """\
apiVersion: sealer.aliyun.com/v1alpha1
kind: Cluster
metadata: {{name: c}}
spec:
  image: app:v1
  {rest}
"""


def _v1(rest: str) -> tuple[InfraDoc, dict[str, str], list[str]]:
    text = V1.format(rest=rest).encode()
    files = parse_clusterfile([("f", text)])
    assert files.cluster
    assert files.infra
    return files.infra, dict(files.cluster.env), [w.key for w in validate_files([("f", text)])[1]]


def test_v1_in_its_cloud_form_means_an_infra() -> None:
    rest = (
        "provider: ALI_CLOUD\n  ssh: {passwd: Seadent123, user: root}\n  certSANS: [a, b]\n"
        "  network: {podCIDR: 100.64.0.0/10, svcCIDR: 10.96.0.0/22}\n"
        '  masters: {count: "3", cpu: "4", memory: 8, systemDisk: 100, dataDisks: [50]}\n  nodes: {}'
    )
    infra, env, warned = _v1(rest)
    assert infra == InfraDoc(
        "alicloud",
        (Pool("master", ("master",), 3, 4, 8, 100, (50,)),),
        said=frozenset({"pools"}),
        ssh=SshDoc(user="root"),
    )
    assert env == {"PodCIDR": "100.64.0.0/10", "SvcCIDR": "10.96.0.0/22", "CertSANs": "a,b"}
    assert warned == ["spec.ssh.passwd"]


def test_v1_with_addresses_means_machines_that_exist() -> None:
    rest = "ssh: {pk: key, port: 2222}\n  masters: {ipList: [10.0.0.1], count: 1}\n  nodes: {ipList: ['10.0.0.2:23']}"
    infra, _, warned = _v1(rest)
    assert infra.machines == (
        Machine("10.0.0.1", ("master",)),
        Machine("10.0.0.2", ("node",), ssh=SshDoc(port=23)),
    )
    assert (infra.ssh, warned) == (SshDoc(port=2222, private_key_file="key"), [])


def test_an_infra_document_wins_over_v1_wherever_it_stands() -> None:
    v1 = V1.format(rest="provider: ALI_CLOUD\n  masters: {count: 1}")
    for text in (f"{v1}---\n{HEAD}  provider: aws\n", f"{HEAD}  provider: aws\n---\n{v1}"):
        infra = parse_clusterfile([("f", text.encode())]).infra
        assert infra is not None
        assert (infra.provider, infra.pools[0].count) == ("aws", 1)


@pytest.mark.parametrize(
    ("rest", "key", "words"),
    [
        ("masters: {ipList: [10.0.0.1]}\n  ssh: {passwd: x}", "spec.ssh.passwd", "password is not built yet"),
        ("masters: {ipList: [10.0.0.1]}\n  ssh: {pk: a, pkPasswd: x}", "spec.ssh.pkPasswd", "not built yet"),
        ("provider: ALI_CLOUD\n  masters: {cpu: 4}", "spec.masters", "count is missing"),
        ("provider: BAREMETAL\n  masters: {count: 4}", "spec.masters.count", "ipList"),
        ("masters: {ipList: [10.0.0.1-10.0.0.3]}", "spec.masters.ipList[0]", "command line"),
        ("masters: {ipList: [10.0.0.1]}\n  nodes: {ipList: [10.0.0.1]}", "spec.nodes.ipList[0]", "twice"),
        ("containerRuntime: {type: docker}", "spec.containerRuntime", "not built yet"),
    ],
)
def test_what_v1_cannot_have_is_named(rest: str, key: str, words: str) -> None:
    (problem, *_) = validate_files([("f", V1.format(rest=rest).encode())])[0]
    assert problem.key == key
    assert words in f"{problem.message} {problem.hint}"


def test_secrets_of_files_stand_in_no_problem_and_no_warning() -> None:
    canary = "hunter2-canary"
    for rest in ("masters: {ipList: [10.0.0.1]}", "provider: ALI_CLOUD\n  masters: {count: 1}"):
        text = V1.format(rest=f"{rest}\n  ssh: {{passwd: {canary}, pkPasswd: {canary}}}").encode()
        assert canary not in str(validate_files([("f", text)]))
