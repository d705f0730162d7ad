"""`gc` and `down --run` on fakes: what goes, what stays, what is said of places nobody could look at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from provisioner.errors import (
    NO_ACCOUNT,
    AccessError,
    InterruptedRunError,
    PreconditionError,
    ProviderError,
    RefusedKeyError,
    SealerError,
    UsageError,
    pip_install,
)
from provisioner.gc import GcChoice, GcReport, gc, name_run
from provisioner.infra.locks import RunLock
from provisioner.model.driver import FoundResource, Surroundings, Survey, unsure_of
from provisioner.model.ids import ClusterId, ClusterName, RunId, parse_digest
from provisioner.model.images import PinnedImage
from provisioner.model.intent import accept_request, resolve_request
from provisioner.model.leftovers import Named
from provisioner.model.request import Clusterfile, InfraDoc, UpArgs
from provisioner.world import World
from tests.fakes.driver import FakeDriver
from tests.fakes.engine import FakeStack

from .conftest import Stage

AT = UpArgs(image="old:v1")
INFRA = InfraDoc("alicloud", endpoints={"ecs": "ecs.cloud.example"}, said=frozenset({"endpoints"}))
IMAGE = PinnedImage("old:v1", "old", parse_digest("sha256:" + "0" * 64), "", {}, {}, (), (), 0)
OLD, NEW = "2020-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"


@dataclass
class Account(FakeDriver):
    """A driver with an account: `stands` maps cids to the deadline that their machines carry."""

    stands: dict[str, str | None] = field(default_factory=dict)
    dark: tuple[tuple[str, str], ...] = ()
    unseen: tuple[tuple[str, str], ...] = ()
    """Dark where no region is named."""
    unsure: frozenset[str] = frozenset()
    refuses: Exception | None = None
    swept: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    repos: dict[str, str] = field(default_factory=dict)
    """Cids to the repository of the CI's run 77 that made them."""

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:
        self.asked.append(regions)
        if self.refuses:
            raise self.refuses
        stands = [found(cid, deadline) for cid, deadline in self.stands.items() if cid not in self.hidden]
        marked = [replace(r, ci_run="77", repo=repo) if (repo := self.repos.get(str(r.cid))) else r for r in stands]
        return Survey(tuple(marked), self.dark if regions else (*self.dark, *self.unseen), self.unsure)

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        if cid in self.stuck:
            raise ProviderError("the cloud refused")
        self.swept.append(cid)
        self.stands.pop(cid, None)
        return ("instance i-1",)

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        return ("instance i-1",) if cid in self.stands else ()


def found(cid: str, deadline: str | None) -> FoundResource:
    return FoundResource("instance", "i-1", "here", "m1", ClusterId(cid), f"run-{cid}", OLD, deadline)


@pytest.fixture
def account(stage: Stage) -> Account:
    return Account(stage.engine.machines, stands={"old-aaaaaa": OLD, "new-aaaaaa": NEW, "lost-aaaaaa": None})


async def run(stage: Stage, account: Account, choice: GcChoice, *, answer: bool = True) -> GcReport:
    return await gc(world_of(stage, account), choice, lambda _going: answer)


def world_of(stage: Stage, account: Account) -> World:
    return replace(stage.world, drivers={"local": lambda _around: account})


async def test_it_is_dry_unless_told_otherwise(stage: Stage, account: Account) -> None:
    report = await run(stage, account, GcChoice())
    assert [(str(left.cid), left.goes) for left in report.found] == [
        ("old-aaaaaa", True),
        ("lost-aaaaaa", False),
        ("new-aaaaaa", False),
    ]
    assert (account.swept, report.removed, report.deleted) == ([], (), False)


async def test_only_the_expired_one_goes(stage: Stage, account: Account) -> None:
    report = await run(stage, account, GcChoice(delete=True))
    assert account.swept == ["old-aaaaaa"]
    assert report.removed == ("old-aaaaaa: instance i-1",)
    assert report.left == ()


@pytest.mark.parametrize(
    ("named", "gone"),
    [
        (Named(cluster="lost"), ["lost-aaaaaa"]),
        (Named(cluster="new-aaaaaa"), ["new-aaaaaa"]),
        (Named(run="run-new-aaaaaa"), ["new-aaaaaa"]),
        (Named(run="another"), []),
    ],
)
async def test_what_is_named_goes_and_nothing_else(
    named: Named, gone: list[str], stage: Stage, account: Account
) -> None:
    await run(stage, account, GcChoice(named=named, delete=True))
    assert account.swept == gone


async def test_a_ci_run_that_several_repositories_have_is_refused_and_one_of_them_is_not(
    stage: Stage, account: Account
) -> None:
    account.repos = {"old-aaaaaa": "team/shop", "new-aaaaaa": "team/web"}
    for delete in (False, True):
        with pytest.raises(UsageError, match="run 77 is one of several repositories: team/shop, team/web") as told:
            await run(stage, account, GcChoice(named=name_run("77", {}), delete=delete))
    assert told.value.exit_code == 3
    assert "--run 'team/web#77'" in told.value.hint
    assert account.swept == []
    await run(stage, account, GcChoice(named=name_run("team/web#77", {}), delete=True))
    assert account.swept == ["new-aaaaaa"]
    ours = {"GITHUB_RUN_ID": "78", "GITHUB_REPOSITORY": "team/shop"}
    await run(stage, account, GcChoice(named=name_run("77", ours), delete=True))
    assert account.swept == ["new-aaaaaa", "old-aaaaaa"]


def test_words_that_name_a_run() -> None:
    environ = {"CI_PIPELINE_ID": "8", "CI_PROJECT_PATH": "g/p"}
    assert name_run(None, environ, "app") == Named("app")
    assert name_run("8", environ) == Named(None, "8", "g/p")
    assert name_run("o/r#8", environ) == Named(None, "8", "o/r")
    assert name_run("https://me:pw@git.example/x#jenkins-9", {}) == Named(None, "jenkins-9", "https://git.example/x")
    for word in ("", "#", "#8", "o/r#", "o/r# "):
        with pytest.raises(UsageError, match="names no run"):
            name_run(word, environ)


async def test_a_name_that_means_several_is_refused_and_a_cid_is_not(stage: Stage, account: Account) -> None:
    account.stands["lost-bbbbbb"] = NEW
    with pytest.raises(UsageError, match="lost-aaaaaa, lost-bbbbbb"):
        await run(stage, account, GcChoice(named=Named(cluster="lost"), delete=True))
    assert account.swept == []
    await run(stage, account, GcChoice(named=Named(cluster="lost-bbbbbb"), delete=True))
    assert account.swept == ["lost-bbbbbb"]


async def test_a_no_keeps_all(stage: Stage, account: Account) -> None:
    with pytest.raises(InterruptedRunError):
        await run(stage, account, GcChoice(delete=True), answer=False)
    assert account.swept == []


async def test_a_deadline_that_is_moved_while_a_person_reads_counts(stage: Stage, account: Account) -> None:
    def confirm(_going: object) -> bool:
        account.stands["old-aaaaaa"] = NEW
        return True

    report = await gc(world_of(stage, account), GcChoice(delete=True), confirm)
    assert account.swept == []
    assert (report.removed, report.left) == ((), ())
    assert "old-aaaaaa stays: its deadline is not 15 minutes past" in [getattr(e, "text", "") for e in stage.seen]


async def test_where_nobody_can_look_once_more_nothing_goes(stage: Stage, account: Account) -> None:
    def confirm(_going: object) -> bool:
        account.stands["old-aaaaaa"] = NEW  # in a region that does not answer just now
        account.hidden = {"old-aaaaaa"}
        account.dark = (("here", "it does not answer"),)
        return True

    report = await gc(world_of(stage, account), GcChoice(delete=True), confirm)
    assert account.swept == []
    assert report.left == ("old-aaaaaa: it was not looked at once more: here: it does not answer",)


async def test_what_cannot_go_is_said_and_stops_no_other(stage: Stage, account: Account) -> None:
    account.stands["older-aaaaaa"] = OLD
    account.stuck = {"old-aaaaaa"}
    report = await run(stage, account, GcChoice(delete=True))
    assert account.swept == ["older-aaaaaa"]
    assert report.left == ("old-aaaaaa: the cloud refused", "old-aaaaaa: instance i-1")
    again = await run(stage, account, GcChoice(delete=True))
    assert again.left == report.left, "the same ids, as long as they stand"


async def test_a_cluster_that_a_run_is_at_work_on_stays(stage: Stage, account: Account) -> None:
    world = world_of(stage, account)
    with RunLock(world.settings, ClusterName("old"), RunId("r"), "up old", world.clock.now()):
        report = await run(stage, account, GcChoice(delete=True))
    assert account.swept == []
    assert "locked" in report.left[0]


async def test_places_that_refuse_are_named(stage: Stage, account: Account) -> None:
    account.dark = (("eu-1", "not allowed"),)
    assert (await run(stage, account, GcChoice(regions=("eu-1",)))).not_looked_at == (("local eu-1", "not allowed"),)
    assert account.asked == [("eu-1",)]
    account.refuses = AccessError("no credentials")
    there = replace(stage.world, drivers={"aws": lambda _around: account})
    with pytest.raises(AccessError):
        await gc(there, GcChoice(provider="aws"), lambda _going: True)
    with pytest.raises(AccessError, match="no cloud account could be looked at: no credentials"):
        await run(stage, account, GcChoice())
    account.refuses = PreconditionError("no SDK", hint=pip_install("aws"))
    with pytest.raises(AccessError) as told:
        await gc(there, GcChoice(), lambda _going: True)
    assert told.value.hint == f"{NO_ACCOUNT}\naws: {pip_install('aws')}", "a missing SDK is no matter of credentials"
    other = Account(stage.engine.machines, stands={"other-aaaaaa": OLD})
    drivers = {"alicloud": lambda _around: account, "aws": lambda _around: other}
    report = await gc(replace(stage.world, drivers=drivers), GcChoice(delete=True), lambda _going: True)
    assert report.not_looked_at == (("alicloud", "no SDK"),)
    assert other.swept == ["other-aaaaaa"]
    with pytest.raises(UsageError):
        await run(stage, account, GcChoice(provider="nowhere"))


@pytest.mark.parametrize("provider", ["local", "baremetal"])
async def test_a_provider_without_an_account_is_refused_by_name(provider: str, stage: Stage, account: Account) -> None:
    """Where "nothing to delete" is said while its clusters run, a person thinks them gone."""
    with pytest.raises(UsageError, match=f"provider {provider} has no account") as told:
        await run(stage, account, GcChoice(provider=provider))
    assert "sealer-cloud down NAME" in told.value.hint
    assert account.asked == []


@pytest.mark.parametrize("delete", [True, False])
async def test_a_deletion_that_could_not_look_everywhere_does_the_rest_and_is_not_complete(
    delete: bool, stage: Stage, account: Account
) -> None:
    account.unseen = (("eu-1", "not allowed"), ("eu-2", "no answer"))
    assert (await run(stage, account, GcChoice())).complete
    account.unsure = frozenset({"eu-2"})
    report = await run(stage, account, GcChoice(delete=delete))
    assert (report.unsure, report.complete) == (("local eu-2",), not delete)
    assert ("old-aaaaaa" in account.stands) is not delete
    assert (await run(stage, account, GcChoice(delete=delete))).complete is not delete, "with nothing to delete too"


async def test_an_account_that_does_not_answer_may_hold_something_and_one_without_credentials_does_not(
    stage: Stage, account: Account
) -> None:
    silent = Account(stage.engine.machines, refuses=ProviderError("no answer"))
    unused = Account(stage.engine.machines, refuses=AccessError("no credentials"))
    drivers = {"alicloud": lambda _around: silent, "aws": lambda _around: unused, "local": lambda _around: account}
    with pytest.raises(AccessError):
        await gc(replace(stage.world, drivers=drivers), GcChoice(delete=True), lambda _going: True)
    drivers["aws"] = lambda _around: account
    report = await gc(replace(stage.world, drivers=drivers), GcChoice(delete=True), lambda _going: True)
    assert report.unsure == ("alicloud",)


@pytest.mark.parametrize(
    ("error", "unsure"),
    [
        (AccessError("no credentials"), ()),
        (PreconditionError("no SDK"), ()),
        (AccessError("Forbidden.RAM"), ()),
        (RefusedKeyError("the key is deleted"), ("alicloud",)),
    ],
)
@pytest.mark.parametrize("delete", [True, False])
async def test_a_key_that_is_refused_is_of_an_account_that_somebody_uses(
    error: SealerError, unsure: tuple[str, ...], delete: bool, stage: Stage, account: Account
) -> None:
    refused = Account(stage.engine.machines, refuses=error)
    world = replace(stage.world, drivers={"alicloud": lambda _around: refused, "aws": lambda _around: account})
    report = await gc(world, GcChoice(delete=delete), lambda _going: True)
    assert report.not_looked_at == (("alicloud", error.message),)
    assert (report.unsure, report.complete) == (unsure, not (unsure and delete))
    assert ("old-aaaaaa" in account.stands) is not delete, "all else is done"


def test_a_region_that_the_policy_closes_holds_nothing_unless_it_was_meant() -> None:
    refused = [("home", AccessError("no")), ("closed", AccessError("no")), ("silent", ProviderError("no answer"))]
    assert unsure_of(refused, ("home", None)) == {"home", "silent"}


@pytest.mark.parametrize("protect", [True, False])
async def test_a_protected_cluster_of_this_folder_stays_and_another_is_forgotten(
    protect: bool, stage: Stage, account: Account
) -> None:
    await stage.stand()
    stack = stage.engine.stacks["app"]
    assert stack.cid is not None
    assert stack.accepted is not None
    stack.accepted = stack.accepted.model_copy(update={"protect": protect})
    account.stands = {str(stack.cid): OLD}
    report = await run(stage, account, GcChoice(delete=True, named=Named(cluster="app")))
    assert bool(account.swept) is not protect
    assert ("app" in stage.engine.stacks) is protect
    assert report.found[0].goes is not protect


async def test_a_namesake_of_this_folder_keeps_its_state(stage: Stage, account: Account) -> None:
    await stage.stand()
    account.stands = {"app-zzzzzz": OLD}
    await run(stage, account, GcChoice(delete=True))
    assert account.swept == ["app-zzzzzz"]
    assert "app" in stage.engine.stacks


def two_places(stage: Stage, there: Account, usual: Account) -> World:
    """A folder whose one request says that its cloud is `there`."""
    request = accept_request(resolve_request(AT, Clusterfile(infra=INFRA), None), IMAGE, None)
    stage.engine.stacks["old"] = FakeStack(ClusterId("old-aaaaaa"), request)

    def driver(around: Surroundings) -> Account:
        return there if around.environ.get("ALIBABA_CLOUD_ENDPOINT_ECS") == "ecs.cloud.example" else usual

    return replace(stage.world, drivers={"alicloud": driver})


@pytest.mark.parametrize(
    "error", [AccessError("Forbidden.RAM"), RefusedKeyError("no such key"), PreconditionError("x")]
)
async def test_a_place_where_a_cluster_of_ours_is_must_answer_and_another_clouds_need_not_know_the_key(
    error: SealerError, stage: Stage
) -> None:
    good, bad = Account(stage.engine.machines), Account(stage.engine.machines, refuses=error)
    for there, usual, unsure in ((bad, good, ("alicloud",)), (good, bad, ())):
        for provider in (None, "alicloud"):
            world = two_places(stage, there, usual)
            report = await gc(world, GcChoice(provider, delete=True), lambda _going: True)
            assert report.not_looked_at == (("alicloud", error.message),)
            assert (report.unsure, report.complete) == (unsure, not unsure)


async def test_an_account_that_holds_a_cluster_of_ours_is_used_without_credentials_too(stage: Stage) -> None:
    lacking = Account(stage.engine.machines, refuses=AccessError("no credentials"))
    world = two_places(stage, lacking, lacking)
    stage.environ["ALIBABA_CLOUD_ENDPOINT_ECS"] = "ecs.cloud.example"
    drivers = {**world.drivers, "aws": lambda _around: Account(stage.engine.machines)}
    report = await gc(replace(stage.world, drivers=drivers), GcChoice(delete=True), lambda _going: True)
    assert report.not_looked_at == (("alicloud", "no credentials"),)
    assert report.unsure == ("alicloud",)


async def test_a_cluster_at_an_endpoint_of_its_own_is_looked_for_and_removed_there(stage: Stage) -> None:
    """Without its files: the accepted request says where its cloud is. A variable of the user's wins over that."""
    there, usual = Account(stage.engine.machines, stands={"old-aaaaaa": OLD}), Account(stage.engine.machines)
    world = two_places(stage, there, usual)
    report = await gc(world, GcChoice(delete=True), lambda _going: True)
    assert (there.swept, usual.swept) == (["old-aaaaaa"], [])
    assert report.left == ()
    stage.environ["ALIBABA_CLOUD_ENDPOINT_ECS"] = "mine.example"
    world = two_places(stage, there, usual)
    await gc(world, GcChoice(), lambda _going: True)
    assert (len(there.asked), len(usual.asked)) == (2, 2)
