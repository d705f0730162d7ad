"""Where commands without a state look: flags over files, what is refused and at which line."""

from __future__ import annotations

import pytest

from provisioner.errors import InvalidFileError, UsageError
from provisioner.model.clusterfile import parse_clusterfile
from provisioner.model.site import ANYWHERE, Site, removal_words, site_of

HEAD = "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n"
STACK = "  provider: alicloud\n  region: cn-stack\n  endpoints: {ecs: 'ecs.stack.example:8443'}\n"
OLD = "apiVersion: sealer.cloud/v1\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1', provider: ALI_CLOUD}\n"


def read(provider: str | None, region: str | None, *texts: str) -> Site:
    sources = [(f"f{number}", text.encode()) for number, text in enumerate(texts)]
    infra = parse_clusterfile(sources).infra
    return site_of(provider, region, infra, sources, files=[name for name, _ in sources])


ECS = {"ecs": "ecs.stack.example:8443"}


@pytest.mark.parametrize(
    ("provider", "region", "texts", "found"),
    [
        (None, None, (), ANYWHERE),
        ("ALI_CLOUD", "r-1", (), Site("alicloud", "r-1")),
        (None, None, (STACK,), Site("alicloud", "cn-stack", ECS, ("f0",))),
        ("alicloud", "cn-flag", (STACK,), Site("alicloud", "cn-flag", ECS, ("f0",))),
        ("aws", None, ("  endpoints: {all: 'https://a'}\n",), Site("aws", None, {"all": "https://a"}, ("f0",))),
        (None, None, (STACK, "  region: cn-other\n"), Site("alicloud", "cn-other", ECS, ("f0", "f1"))),
        ("local", None, ("  provider: local\n",), Site("local", None, {}, ("f0",))),
    ],
)
def test_flags_win_and_files_fill(
    provider: str | None, region: str | None, texts: tuple[str, ...], found: Site
) -> None:
    assert read(provider, region, *(HEAD + text for text in texts)) == found


@pytest.mark.parametrize(
    ("provider", "region", "texts", "where", "words"),
    [
        ("aws", None, (HEAD + STACK,), "f0:4:3: spec.provider", "for provider alicloud, and --provider says aws"),
        ("aws", None, (HEAD + STACK, HEAD + "  zones: [a]\n"), "f0:4:3: spec.provider", "says aws"),
        ("aws", None, (OLD,), "f0:4:", "for provider alicloud"),
        ("aws", None, (OLD, HEAD + STACK), "f1:4:3: spec.provider", "for provider alicloud"),
        (
            "aws",
            None,
            (HEAD + "  endpoints: {ecs: e.example}\n",),
            "f0:4:15: spec.endpoints.ecs",
            "aws knows no endpoint ecs",
        ),
        (None, None, (HEAD + "  endpoints: {ecs: e.example}\n",), "f0:4:15: spec.endpoints.ecs", "nothing says whose"),
        ("local", None, (HEAD + "  region: cn-stack\n",), "f0:4:3: spec.region", "local has no regions"),
        (None, None, (HEAD + "  provider: azure\n",), "f0:4:13: spec.provider", "'azure' is no provider"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_at_its_line(
    provider: str | None, region: str | None, texts: tuple[str, ...], where: str, words: str
) -> None:
    with pytest.raises(InvalidFileError) as caught:
        read(provider, region, *texts)
    (problem,) = caught.value.problems
    assert str(problem).startswith(where)
    assert words in str(problem)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("provider", "region", "words"),
    [("azure", None, "azure"), ("local", "r-1", "has no regions"), ("aws", "R 1", "must be lower-case")],
)
def test_a_flag_that_does_not_fit_is_refused(provider: str, region: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        site_of(provider, region, None)


def test_a_file_that_says_nothing_of_machines_leads_nowhere() -> None:
    """It may come by a variable that is meant for `up`; named by `-f`, the next command would refuse it."""
    cluster = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1'}\n"
    assert read("aws", None, cluster).words("aws") == "--provider aws"


def test_the_next_command_is_led_to_the_same_place() -> None:
    assert Site("aws").words("aws") == "--provider aws"
    assert Site(None, None, {}, ("In fra.yaml", "b")).words("aws") == "--provider aws -f 'In fra.yaml' -f b"
    with pytest.raises(UsageError, match="no provider is named"):
        ANYWHERE.demand()


@pytest.mark.parametrize(
    ("provider", "cids", "words"),
    [
        ("aws", ("app-a",), "down app --provider aws -f 'my infra.yaml'"),
        ("aws", ("app-a", "app-b"), "gc --provider aws -f 'my infra.yaml' --cluster app-a --delete"),
        ("local", ("app-a",), "down app --provider local -f 'my infra.yaml'"),
        (
            "local",
            ("app-a", "app-b"),
            "adopt app --provider local -f 'my infra.yaml' --cluster-id app-a && sealer-cloud down app",
        ),
    ],
)
def test_what_removes_a_cluster_without_state_names_the_file_and_of_twins_the_one(
    provider: str, cids: tuple[str, ...], words: str
) -> None:
    assert removal_words("app", provider, ("my infra.yaml",), cids) == f"sealer-cloud {words}"


def test_files_that_say_nothing_of_machines_are_named_in_no_hint() -> None:
    assert parse_clusterfile([("f0", (HEAD + STACK).encode())]).files == ("f0",)
    cluster = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: a}\nspec: {image: 'a:1'}\n"
    assert parse_clusterfile([("f0", cluster.encode())]).files == ()
