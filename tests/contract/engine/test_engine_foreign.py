"""The real engine with another provider's plugin: no twin after a cut create, nothing in clear, no plugin left."""

import base64
import sys
from pathlib import Path

import pytest

from provisioner.errors import AccessError, ProviderError, SealerError
from provisioner.events import ignore
from provisioner.infra.engine import unasked
from provisioner.model.driver import EngineNeeds
from tests.contract.engine.rigs import CID, CLUSTER, PINNED_ENGINE, RealRig, TinyProgram, accepted

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(PINNED_ENGINE is None, reason="no engine: sealer-cloud engine install"),
]
FOREIGN = Path(__file__).with_name("foreign_provider.py")
INSTANCE = "alicloud:ecs/instance:Instance"
CANARY = base64.b64encode(b"#!/bin/sh\n# CANARY-of-the-bootstrap-key\n").decode()


class CloudProgram(TinyProgram):
    """The tiny program, and a machine of the other provider per host; `adopt` as in `Driver.declare`."""

    def __init__(self, wish, adopt):
        super().__init__(wish)
        self.adopt = adopt

    def __call__(self, sink):
        import pulumi

        super().__call__(sink)
        for host in self.accepted.hosts:
            inputs = {"userData": pulumi.Output.secret(CANARY), "instanceType": "small"}
            opts = pulumi.ResourceOptions(
                version="3.105.0", import_=self.adopt.get(host.name), ignore_changes=["userData"]
            )
            type("Instance", (pulumi.CustomResource,), {})(INSTANCE, f"{host.name}c", inputs, opts)


@pytest.fixture
def rig(tmp_path):
    return RealRig(tmp_path)


def needs(root):
    folder = root / "plugins"
    folder.mkdir(exist_ok=True)
    starter = folder / "pulumi-resource-alicloud"
    starter.write_text(f'#!/bin/sh\nPYTHONPATH="{FOREIGN.parent}" exec {sys.executable} "{FOREIGN}" "$@"\n')
    starter.chmod(0o700)
    return EngineNeeds({"CLOUD_VARIABLE": "there"}, {"alicloud": folder})


async def up(rig, adopt=None, hosts=("m1",), still=unasked):
    program = CloudProgram(accepted(*hosts), adopt or {})
    return await rig.engine.up(CLUSTER, CID, program, ignore, needs(rig.root), still=still)


def clear_text_in(rig):
    return [
        str(p) for p in (rig.settings.state_dir).rglob("*") if p.is_file() and CANARY in p.read_text(errors="replace")
    ]


async def test_a_cut_create_is_imported_hidden_and_then_an_ordinary_resource(rig):
    (rig.tiny / "cut").touch()
    with pytest.raises(SealerError):
        await up(rig)
    (rig.tiny / "cut").unlink()
    assert rig.running() == []
    notes = " ".join(await rig.engine.repair(CLUSTER))
    state = rig.engine.stored(CLUSTER)
    assert state.pending == (), notes
    assert "i-m1c" not in state.machine_ids
    await up(rig, {"m1": "i-m1c"})
    assert rig.engine.stored(CLUSTER).machine_ids == ("i-m1c", "m1")
    assert clear_text_in(rig) == []
    await up(rig)
    assert rig.calls().count("create m1c") == 1
    assert clear_text_in(rig) == []
    previewed = await rig.engine.preview(CLUSTER, CID, CloudProgram(accepted("m1"), {}), ignore, needs(rig.root))
    assert not previewed.plan.changes
    await rig.engine.destroy(CLUSTER, ignore, needs(rig.root))
    assert rig.running() == []


async def test_user_data_of_an_ordinary_create_is_never_in_clear(rig):
    await up(rig)
    assert clear_text_in(rig) == []
    await up(rig)
    assert clear_text_in(rig) == []


def refused():
    raise AccessError("the key is deleted")


async def test_what_its_own_refresh_calls_gone_is_not_forgotten_where_the_account_cannot_be_looked_into(rig):
    await up(rig, hosts=("m1", "m2"))
    (rig.tiny / "m1c.json").rename(rig.root / "m1c")
    before = rig.checkpoint.read_bytes()
    with pytest.raises(AccessError, match="deleted"):
        await up(rig, hosts=("m1", "m2"), still=refused)
    assert rig.checkpoint.read_bytes() == before
    assert rig.running() == []
    assert [*rig.root.rglob("locks/**/*.json")] == [], "nobody on another machine could know that its engine is dead"

    (rig.tiny / "m2c.json").rename(rig.root / "m2c")
    with pytest.raises(ProviderError, match="all 2 resources"):
        await up(rig, hosts=("m1", "m2"))
    assert rig.checkpoint.read_bytes() == before

    (rig.root / "m1c").rename(rig.tiny / "m1c.json")
    await up(rig, hosts=("m1", "m2"))
    made = [call for call in rig.calls() if call.startswith("create") and call.endswith("c")]
    assert sorted(made) == ["create m1c", "create m2c", "create m2c"], (
        "one that is gone, and nothing else, is made anew"
    )
    await up(rig, hosts=("m1", "m2"), still=refused)  # nothing is gone, so nobody is asked
