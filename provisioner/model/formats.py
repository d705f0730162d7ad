"""The formats themselves: `Cluster` v1 and v2, `Config`, as tables (`Infra` has a module of its own). What is not built yet is marked so."""

from __future__ import annotations

import re

from provisioner.model.fields import Env, Field, Flag, Free, Items, Number, Record, Text, TextMap
from provisioner.model.grammar import (
    MAX_COUNT,
    MAX_PORT,
    check_address,
    check_data_root,
    check_image,
    check_label,
    check_provider,
    check_role,
)

V2 = ("sealer.io/v2", "sealer.cloud/v2")
V1 = ("sealer.io/v1", "sealer.aliyun.com/v1alpha1", "zlink.aliyun.com/v1alpha1", "sealer.cloud/v1")
KUBEADM = (
    "InitConfiguration",
    "ClusterConfiguration",
    "JoinConfiguration",
    "KubeletConfiguration",
    "KubeProxyConfiguration",
    "KubeadmConfig",
)
KINDS = ("Cluster", "Infra", "Config", "Plugin", "Application", *KUBEADM)

_CMD_KEY = re.compile(r"sealer-cloud\.cmd\.[1-9][0-9]{0,3}")
_CMD_WORD = re.compile(
    r"repeat=(once|per-image|always)|idempotent=(true|false)|env=[A-Za-z_]\w*(,[A-Za-z_]\w*)*", re.ASCII
)
_TAG_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/=+@-]{0,127}")
_MAX_TAG_VALUE = 256
GIB = 1 << 16


def check_annotation(key: str, value: str) -> str:
    """A `sealer-cloud.cmd.N` annotation, as the image label of that name; other annotations are not ours."""
    if not key.startswith("sealer-cloud."):
        return ""
    if not _CMD_KEY.fullmatch(key):
        return "unknown annotation; known is sealer-cloud.cmd.N, N from 1"
    wrong = [w for w in value.split() if not _CMD_WORD.fullmatch(w)]
    if wrong:
        return f"{wrong[0][:80]!r} is not repeat=once|per-image|always, idempotent=true|false or env=A,B"
    return ""


def check_ips(text: str) -> str:
    """An address in a file: ranges stand on the command line alone."""
    if complaint := check_address(text):
        return complaint
    return "a range stands on the command line alone (--masters, --nodes)" if "-" in text else ""


def check_old_image(text: str) -> str:
    """An image reference in a v1 file: those were not held to lower case."""
    return check_image(text.lower())


def check_networks(text: str) -> str:
    """One CIDR, or an IPv4 and an IPv6 one joined by a comma."""
    import ipaddress

    for part in text.split(","):
        try:
            ipaddress.ip_network(part.strip())
        except ValueError as error:
            return f"is no network ({error})"
    return ""


def check_inside(text: str) -> str:
    """A path below the rootfs."""
    if text.startswith("/") or ".." in text.split("/") or not text:
        return "the path must be relative and stay inside the rootfs"
    return ""


def check_tag(key: str) -> str:
    """A tag's key: what every cloud takes, and none that we set."""
    if key.startswith("sealer-cloud"):
        return "tags that begin with sealer-cloud are ours"
    return "" if _TAG_KEY.fullmatch(key) else "is no tag key that every provider takes"


def check_tag_value(text: str) -> str:
    """A tag's value."""
    return (
        "" if len(text) <= _MAX_TAG_VALUE and text.isprintable() else f"at most {_MAX_TAG_VALUE} printable characters"
    )


def one_of(*words: str) -> Text:
    """One of a few words."""
    return Text(lambda text: "" if text in words else f"must be {' or '.join(words)}, not {text[:40]!r}")


METADATA = Record(
    {
        "name": Field(Text(check_label)),
        "annotations": Field(Free()),
        "labels": Field(Free()),
        "annotation": Field(Free(), ignored=True),
        "creationTimestamp": Field(Free(), ignored=True),
        "deletionTimestamp": Field(Free(), built=False),
    }
)
_SSH = Record(
    {
        "encrypted": Field(Flag()),
        "user": Field(Text()),
        "passwd": Field(Text()),
        "pk": Field(Text()),
        "pkPasswd": Field(Text()),
        "port": Field(Number(1, MAX_PORT)),
    }
)
_RUNTIME = Record({"type": Field(Text())})
_REGISTRY_ACCESS = {"port": Field(Number(1, MAX_PORT)), "username": Field(Text()), "password": Field(Text())}
_REGISTRY = Record(
    {
        "localRegistry": Field(
            Record(
                {
                    "domain": Field(Text()),
                    **_REGISTRY_ACCESS,
                    "ha": Field(Flag()),
                    "insecure": Field(Flag()),
                    "cert": Field(Free()),
                }
            )
        ),
        "externalRegistry": Field(Record({"domain": Field(Text(), required=True), **_REGISTRY_ACCESS})),
    }
)
_INFRA_KEYS = dict.fromkeys(
    ("count", "role", "cpu", "memory", "systemDisk", "dataDisk", "dataDisks", "instanceType", "spot"),
    "machines stand in an Infra document (kind: Infra, spec.hosts)",
)
_V1_KEYS = {
    **dict.fromkeys(("masters", "nodes"), "machines stand in an Infra document (kind: Infra, spec.hosts)"),
    **dict.fromkeys(("provider", "network"), "it stands in an Infra document (kind: Infra)"),
    "certSANS": "a field of a v1 Cluster; in v2 it is the env CertSANs",
}

CLUSTER_V2 = Record(
    {
        "apiVersion": Field(Free()),
        "kind": Field(Free()),
        "metadata": Field(METADATA),
        "status": Field(Free(), ignored=True),
        "spec": Field(
            Record(
                {
                    "image": Field(Text(check_image)),
                    "env": Field(Env()),
                    "cmd": Field(Items(Text())),
                    "dataRoot": Field(Text(check_data_root)),
                    "hosts": Field(
                        Items(
                            Record(
                                {
                                    "roles": Field(Items(Text(check_role), unique=True)),
                                    "env": Field(Env()),
                                    "ips": Field(Items(Text(check_ips), some=True)),
                                    "ssh": Field(_SSH),
                                    "labels": Field(TextMap(), built=False),
                                    "taints": Field(Items(Text()), built=False),
                                },
                                _INFRA_KEYS,
                            )
                        )
                    ),
                    "cmd_args": Field(Env(), built=False),
                    "appNames": Field(Items(Text()), built=False),
                    "ssh": Field(_SSH),
                    "containerRuntime": Field(_RUNTIME, built=False),
                    "hostAliases": Field(
                        Items(Record({"ip": Field(Text(check_address)), "hostnames": Field(Items(Text()))})),
                        built=False,
                    ),
                    "registry": Field(_REGISTRY, built=False),
                    "status": Field(Free(), ignored=True),
                },
                _V1_KEYS,
            )
        ),
    }
)

_V1_HOSTS = Record(
    {
        "count": Field(Number(0, MAX_COUNT)),
        "cpu": Field(Number(1, 4096)),
        "memory": Field(Number(1, GIB)),
        "systemDisk": Field(Number(1, GIB)),
        "dataDisks": Field(Items(Number(1, GIB))),
        "ipList": Field(Items(Text(check_ips))),
    }
)
CLUSTER_V1 = Record(
    {
        "apiVersion": Field(Free()),
        "kind": Field(Free()),
        "metadata": Field(METADATA),
        "status": Field(Free(), ignored=True),
        "spec": Field(
            Record(
                {
                    "image": Field(Text(check_old_image)),
                    "env": Field(Env()),
                    "provider": Field(Text(check_provider)),
                    "ssh": Field(_SSH),
                    "network": Field(
                        Record(
                            {
                                "podCIDR": Field(Text(check_networks)),
                                "svcCIDR": Field(Text(check_networks)),
                                "interface": Field(Free(), ignored=True),
                                "cniName": Field(Free(), ignored=True),
                                "withoutCNI": Field(Free(), ignored=True),
                            }
                        )
                    ),
                    "certSANS": Field(Items(Text())),
                    "masters": Field(_V1_HOSTS),
                    "nodes": Field(_V1_HOSTS),
                    "containerRuntime": Field(_RUNTIME, built=False),
                    "status": Field(Free(), ignored=True),
                }
            )
        ),
    }
)

CONFIG = Record(
    {
        "apiVersion": Field(Free()),
        "kind": Field(Free()),
        "metadata": Field(Free()),
        "status": Field(Free(), ignored=True),
        "spec": Field(
            Record(
                {
                    "path": Field(Text(check_inside), required=True),
                    "data": Field(Text(), required=True),
                    "strategy": Field(one_of("overwrite", "merge")),
                    "process": Field(Text()),
                    "appName": Field(Text()),
                }
            )
        ),
    }
)
