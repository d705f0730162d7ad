"""No state, no variable of the place: a file alone says where the cloud is, as on a stack of one's own. No engine runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clouds.alicloud.made import make_cluster
from tests.clouds.alicloud.scene import make_user
from tests.clouds.alicloud.sim.server import Simulator
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = pytest.mark.clouds
CID = "web-abc234"
REGION = "cn-hangzhou"
PLACES = [f"ALIBABA_CLOUD_ENDPOINT_{product}" for product in ("ECS", "VPC", "STS")]


@pytest.fixture
def user(tmp_path: Path, alicloud: Simulator) -> Product:
    """A user whom nothing but Infra.yaml tells where the cloud is."""
    one = make_user(tmp_path / "user", alicloud, tmp_path / "data", "web")
    one.extra |= dict.fromkeys((*PLACES, "ALIBABA_CLOUD_REGION_ID"), "")
    (one.home / "Infra.yaml").write_text(
        "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: alicloud\n"
        f"  region: {REGION}\n  endpoints: {{ecs: '{alicloud.endpoint}', vpc: '{alicloud.endpoint}'}}\n"
    )
    return one


def test_what_stands_without_a_state_is_shown_and_removed_where_the_file_says(
    user: Product, alicloud: Simulator
) -> None:
    account = alicloud.account
    tags = {"run": "run-1", "expires_at": "2026-11-25T10:00:00Z", "ci_run": "77", "repo": "o/app"}
    (machine,) = make_cluster(alicloud, CID, "m1", **tags)
    start = len(account.log)
    shown = user.ok("status", "web", "-f", "Infra.yaml", "-o", "json").json
    tiny.keeps_schema("status-lost", shown)
    (found,) = shown["clusters"]
    (m1,) = found["machines"]
    assert (m1["host"], m1["id"], m1["region"]) == ("m1", machine, REGION)
    assert (m1["run"], m1["expiresAt"], m1["ciRun"], m1["repo"]) == tuple(tags.values())
    assert m1["address"].startswith("10.8.0.")
    assert m1["zone"].startswith(REGION)
    assert (m1["type"] or "").startswith("ecs.")
    assert (found["cid"], found["regions"]) == (CID, [REGION])
    table = user.ok("status", "web", "-f", "Infra.yaml").out
    assert "sealer-cloud down web --provider alicloud -f Infra.yaml" in table
    assert "o/app, CI run 77" in table
    assert [c["cid"] for c in user.ok("gc", "-f", "Infra.yaml", "-o", "json").json["clusters"]] == [CID]
    locked = user.run("adopt", "web", "-f", "Infra.yaml", "--yes")
    assert (locked.rc, "--identity FILE" in locked.err) == (5, True), locked.err
    assert account.mutations(start) == []

    assert user.ok("down", "web", "-f", "Infra.yaml", "--yes", "-o", "json").json["left"] == []
    assert account.store.counts() == {}


def test_shared_networks_are_made_listed_and_deleted_where_the_file_says(user: Product, alicloud: Simulator) -> None:
    made = user.ok("network", "create", "ci", "-f", "Infra.yaml", "--yes", "-o", "json").json
    assert (made["network"]["name"], made["network"]["region"]) == ("ci", REGION)
    assert [n["name"] for n in user.ok("network", "list", "-f", "Infra.yaml", "-o", "json").json["networks"]] == ["ci"]
    assert user.ok("network", "delete", "ci", "-f", "Infra.yaml", "--yes", "-o", "json").json["left"] == []
    assert alicloud.account.store.counts() == {}
