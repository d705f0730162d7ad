"""Endpoints of an Infra: whose words win, what is stored, and how they reach the SDKs."""

from __future__ import annotations

import pytest

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, parse_accepted
from provisioner.model.clusterfile import parse_clusterfile
from provisioner.model.endpoints import with_endpoints
from provisioner.model.ids import parse_digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request
from provisioner.model.request import Clusterfile, UpArgs

HEAD = "apiVersion: sealer.io/v2\nkind: Infra\nspec: "
DIGEST = parse_digest("sha256:" + "0" * 64)
IMAGE = PinnedImage("a:1", "a", DIGEST, "", {}, {}, (), (), 0)
CLOUD = UpArgs(image="a:1", provider="alicloud")


def _files(text: str) -> Clusterfile:
    return parse_clusterfile([("f", (HEAD + text + "\n").encode())])


def _accept(args: UpArgs, files: Clusterfile, stored: Accepted | None = None) -> Accepted:
    return accept_request(resolve_request(args, files, stored), IMAGE, stored)


def test_they_are_stored_where_a_file_says_them_and_only_then() -> None:
    said = _accept(CLOUD, _files("{endpoints: {ecs: 'ecs.cloud.example:8443', vpc: null}}"))
    assert said.to_json()["endpoints"] == {"ecs": "ecs.cloud.example:8443"}
    assert parse_accepted(said.to_json()) == said
    assert "endpoints" not in _accept(CLOUD, Clusterfile()).to_json()
    assert _accept(UpArgs(name="a"), Clusterfile(), said).endpoints == said.endpoints
    assert _accept(CLOUD, _files("{endpoints: {}}"), said).endpoints == {}
    second = _files("{endpoints: {vpc: v.example}}")
    assert _accept(CLOUD, second, said).endpoints == {"vpc": "v.example"}


@pytest.mark.parametrize(
    ("provider", "text", "words"),
    [
        ("local", "{ecs: a.example}", "has no endpoints"),
        ("aws", "{ecs: a.example}", "knows no endpoint ecs"),
        ("alicloud", "{sts: 'http://a.example'}", "HTTPS"),
    ],
)
def test_a_provider_of_the_command_line_refuses_what_it_has_not(provider: str, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _accept(UpArgs(image="a:1", provider=provider), _files(f"{{endpoints: {text}}}"))


@pytest.mark.parametrize(
    ("provider", "environ", "endpoints", "found"),
    [
        ("alicloud", {}, {"ecs": "e", "sts": "s"}, {"ALIBABA_CLOUD_ENDPOINT_ECS": "e", "ALIBABA_CLOUD_ENDPOINT_STS": "s"}),
        ("alicloud", {"ECS_ENDPOINT": "mine"}, {"ecs": "e"}, {"ECS_ENDPOINT": "mine"}),
        ("aws", {}, {"all": "https://a"}, {"AWS_ENDPOINT_URL": "https://a"}),
        ("aws", {"AWS_ENDPOINT_URL": "https://m"}, {"ec2": "https://a"}, {"AWS_ENDPOINT_URL": "https://m"}),
        ("aws", {"AWS_ENDPOINT_URL_STS": "https://m"}, {"sts": "https://a", "ec2": "https://b"},
         {"AWS_ENDPOINT_URL_STS": "https://m", "AWS_ENDPOINT_URL_EC2": "https://b"}),
        ("local", {}, {"ecs": "e"}, {}),
    ],
)  # fmt: skip
def test_a_variable_wins_over_the_file(
    provider: str, environ: dict[str, str], endpoints: dict[str, str], found: dict[str, str]
) -> None:
    assert with_endpoints(environ, provider, endpoints) == found
