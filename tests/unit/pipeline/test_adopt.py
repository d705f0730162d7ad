"""`adopt` on fakes: what is read back from the disks of hosts, what is refused, and that a later `up` has nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.adopting import AdoptArgs, AdoptPlan, AdoptReport, adopt
from provisioner.errors import AccessError, BusyError, InterruptedRunError, PreconditionError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import Bought, Login, Standing
from provisioner.model.driver import Check, Visit
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.model.kept import parse_kept
from provisioner.model.request import Clusterfile
from provisioner.model.secret import Secret
from provisioner.plugin.keys import make_pair
from tests.fakes.connection import FakeHost
from tests.fakes.driver import FakeCloud, FakeDriver

from .conftest import UP, Stage, changed

ARGS = AdoptArgs(ClusterName("app"), "local")


@dataclass
class Disks(FakeDriver):
    """A provider whose hosts' disks lie here. `admitted` lists the cids whose hosts were given a login key."""

    stage: Any = None
    admitted: list[str] = field(default_factory=list)

    def kept(self, cid: ClusterId) -> Mapping[HostName, bytes]:
        found = {}
        for _, name in (key for key in self.machines if key[0] == cid):
            file = self.stage.host(name).at(f"/var/lib/sealer-cloud/{cid}/cluster.json")
            found[HostName(name)] = file.read_bytes() if file.exists() else b""
        return found

    def admit(self, cid: ClusterId) -> Login:
        self.admitted.append(cid)
        return Login(Secret("new private half"), "ssh-ed25519 AAAAnew")


@dataclass
class Tagged(FakeCloud):
    """A cloud that finds its machines by tag; nothing else is there to import."""

    def standing(self, cid: ClusterId, region: str | None) -> Standing:
        mine = {name: machine for (of, name), machine in self.machines.items() if of == cid}
        bought = [Bought(HostName(n), m.machine_id, m.address, None) for n, m in sorted(mine.items())]
        return Standing(region or "r1", tuple(bought), {}, "2026-11-24T20:00:00Z")

    def imports(self, accepted: Accepted, standing: Standing) -> Mapping[str, str]:
        return {machine.host: machine.id for machine in standing.machines}


@dataclass
class Walled(Tagged):
    """One whose machines answer nobody before a rule lets him in. `visits` are the requests and the regions that asked."""

    behind: Mapping[str, FakeHost] = field(default_factory=dict)
    visits: list[tuple[object, str | None]] = field(default_factory=list)

    def let_in(self, accepted: Accepted, _cid: ClusterId, _visit: Visit) -> str:
        self.visits.append((accepted.network["ingress"], accepted.region))
        for host in self.behind.values():
            host.refuse = False
        return "a rule lets it in"


async def lose(stage: Stage) -> Disks:
    """A cluster that stands, and no state of it."""
    await stage.stand()
    stage.engine.stacks.clear()
    disks = Disks(stage.engine.machines, stage=stage)
    stage.driver = disks
    stage.seen.clear()
    return disks


async def take(stage: Stage, args: AdoptArgs = ARGS, *, yes: bool = True) -> tuple[AdoptReport, list[AdoptPlan]]:
    asked: list[AdoptPlan] = []

    def confirm(plan: AdoptPlan) -> bool:
        asked.append(plan)
        return yes

    return await adopt(stage.world, args, Clusterfile(), confirm), asked


async def test_what_was_lost_is_taken_over_and_up_has_nothing_to_do(stage: Stage) -> None:
    disks = await lose(stage)
    machines = dict(stage.engine.machines)
    with pytest.raises(UsageError, match="its state is not here") as strange:
        await stage.up()
    assert "sealer-cloud adopt app --provider local" in strange.value.hint
    report, asked = await take(stage)
    assert [h.name for h in report.hosts] == ["m1", "m2", "n1"]
    assert (asked[0].cid, asked[0].hosts, asked[0].references) == (report.cid, ("m1", "m2", "n1"), ())
    assert disks.admitted == [report.cid]
    assert stage.engine.machines == machines
    again = await stage.up(changed(UP, image=None, name="app", masters=None, nodes=None, env=()))
    assert (again.changed, again.apply.steps, again.apply.outputs) == (False, (), {"who": "app"})
    with pytest.raises(UsageError, match="is not lost"):
        await take(stage)


async def test_without_an_engine_no_host_is_given_a_new_key(stage: Stage) -> None:
    disks = await lose(stage)
    stage.engine.missing = True
    with pytest.raises(PreconditionError, match="no Pulumi engine"):
        await take(stage)
    assert (disks.admitted, stage.engine.stacks) == ([], {})


async def test_a_no_changes_nothing_and_nothing_found_is_no_error(stage: Stage) -> None:
    disks = await lose(stage)
    with pytest.raises(InterruptedRunError):
        await take(stage, yes=False)
    assert (disks.admitted, stage.engine.stacks) == ([], {})
    report, asked = await take(stage, replace(ARGS, name=ClusterName("other")))
    assert (report.cid, report.hosts, asked) == (None, (), [])
    with pytest.raises(UsageError, match=r"there is app-"):
        await take(stage, replace(ARGS, cid="app-aaaaaa"))


async def test_hosts_that_are_gone_or_keep_nothing_are_refused_by_name(stage: Stage) -> None:
    disks = await lose(stage)
    cid = next(iter(disks.machines))[0]
    host = disks.machines.pop((cid, "n1"))
    with pytest.raises(UsageError, match="n1 of app cannot be found"):
        await take(stage)
    disks.machines[cid, "n1"] = host
    m1, m2 = (stage.host(n).at(f"/var/lib/sealer-cloud/{cid}/cluster.json") for n in ("m1", "m2"))
    m1.write_bytes(b"{")
    await take(stage)
    stage.engine.stacks.clear()
    m2.unlink()
    with pytest.raises(PreconditionError, match="m1 keeps is no record"):
        await take(stage)
    m1.unlink()
    with pytest.raises(UsageError, match="keeps what was accepted") as caught:
        await take(stage)
    assert "down app --provider local" in caught.value.hint


async def lose_what_a_cloud_sold(stage: Stage, tmp_path: Path) -> AdoptArgs:
    """A cluster of bought machines whose state is gone; and the words, with its key, that take it over."""
    stage.sell()
    await stage.stand()
    stage.driver = Tagged(stage.engine.machines)
    stage.engine.stacks.clear()
    key = tmp_path / "login"
    key.write_text(make_pair().private)
    return replace(ARGS, identity=key, host_keys=(f"SHA256:{'A' * 43}",))


def dies_after_m1(name: str) -> None:
    """A failpoint."""
    if name == "up/after/m1":
        raise ProviderError("killed")


async def test_a_key_that_is_deleted_while_it_takes_over_makes_it_forget_nothing(stage: Stage, tmp_path: Path) -> None:
    args = await lose_what_a_cloud_sold(stage, tmp_path)
    stage.engine._at = dies_after_m1
    with pytest.raises(ProviderError):
        await take(stage, args)
    recorded = stage.engine.stored(ClusterName("app"))

    def hide(name: str) -> None:
        if name == "up/begin":
            stage.engine.machines.clear()
            stage.driver.lacks = [Check("credentials", ok=False, detail="no such key", access=True)]

    stage.engine._at = hide
    with pytest.raises(AccessError, match="no such key"):
        await take(stage, args)
    assert recorded is not None
    assert stage.engine.stored(ClusterName("app")) == recorded


async def test_a_busy_cloud_is_ridden_out(stage: Stage, tmp_path: Path) -> None:
    args = await lose_what_a_cloud_sold(stage, tmp_path)
    busy = ["up/before/n1"]

    def throttle(name: str) -> None:
        if name in busy:
            busy.remove(name)
            raise BusyError("reading n1: ErrorCode: Throttling.User")

    stage.engine._at = throttle
    report, _ = await take(stage, args)
    assert ([h.name for h in report.hosts], busy) == (["m1", "m2", "n1"], [])


async def test_what_a_cloud_sold_is_imported_and_a_cut_adopt_goes_on_with_the_same_words(
    stage: Stage, tmp_path: Path
) -> None:
    args = await lose_what_a_cloud_sold(stage, tmp_path)
    machines, done = dict(stage.engine.machines), len(stage.engine.mutations)
    with pytest.raises(AccessError, match=r"--identity FILE .* and --host-key") as caught:
        await take(stage)
    assert "down app --provider local" in caught.value.hint
    stage.engine._at = dies_after_m1
    with pytest.raises(ProviderError):
        await take(stage, args)
    assert [e.hint for e in stage.seen if isinstance(e, Warned)][-1].startswith("run the same `adopt` again")
    stage.engine._at = lambda _name: None
    report, _ = await take(stage, args)
    assert [h.name for h in report.hosts] == ["m1", "m2", "n1"]
    assert stage.engine.mutations[done:] == ["import m1", "import m2", "import n1"]
    assert stage.engine.machines == machines
    accepted = stage.engine.stacks["app"].accepted
    assert accepted is not None
    assert (accepted.expires_at, accepted.region) == ("2026-11-24T20:00:00Z", "r1"), "as its machines are tagged"
    assert (await stage.up(changed(UP, image=None, name="app", masters=None, nodes=None, env=()))).changed is False


async def test_machines_that_answer_the_operator_alone_are_entered_once_a_rule_lets_him_in(
    stage: Stage, tmp_path: Path
) -> None:
    stage.sell()
    await stage.stand()
    stage.driver = wall = Walled(stage.engine.machines, behind=stage.hosts)
    stage.engine.stacks.clear()
    stage.seen.clear()
    for host in stage.hosts.values():
        host.refuse = True
    key = tmp_path / "login"
    key.write_text(make_pair().private)
    args = replace(ARGS, identity=key, host_keys=(f"SHA256:{'A' * 43}",), port=2222)
    report, _ = await take(stage, args)
    assert [h.name for h in report.hosts] == ["m1", "m2", "n1"]
    assert wall.visits == [([{"port": 2222, "from": "operator"}], "r1")], "once, by what the words alone say"
    assert "a rule lets it in" in [e.text for e in stage.seen if isinstance(e, Warned)]


async def test_masters_that_an_older_version_set_up_get_their_record_from_a_run_without_work(stage: Stage) -> None:
    await stage.stand()
    cid = next(iter(stage.engine.machines))[0]
    files = {n: stage.host(n).at(f"/var/lib/sealer-cloud/{cid}/cluster.json") for n in ("m1", "m2", "n1")}
    assert {n: f.exists() for n, f in files.items()} == {"m1": True, "m2": True, "n1": False}
    before = files["m1"].read_bytes()
    files["m1"].unlink()
    assert (await stage.up()).changed is False
    assert files["m1"].read_bytes() == before
    assert not [e for e in stage.seen if isinstance(e, Warned)]


def test_a_record_is_of_its_own_cluster_or_none() -> None:
    with pytest.raises(PreconditionError, match="no record"):
        parse_kept(b"[]", ClusterId("app-aaaaaa"), "m1")
    with pytest.raises(PreconditionError, match="newer"):
        parse_kept(b'{"v": 9, "cid": "app-aaaaaa", "hmac": "", "request": {}}', ClusterId("app-aaaaaa"), "m1")
