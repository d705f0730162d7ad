"""No state, no variable: a file alone says where the cloud is, and every command that looks goes there. No engine runs."""

from provisioner.model.ids import ClusterId
from tests.clouds.aws.cloud import REGION
from tests.clouds.aws.made import make_machine, make_network
from tests.clouds.aws.scene import make_user
from tests.e2e import tiny

CID = ClusterId("web-abc234")
ELSEWHERE = {"AWS_ENDPOINT_URL": "", "AWS_REGION": ""}


def led_there(cloud, tmp_path):
    """A user whom nothing but Infra.yaml tells where the cloud is."""
    user = make_user(cloud, tmp_path / "user", tmp_path / "data", "web")
    user.extra |= ELSEWHERE
    (user.home / "Infra.yaml").write_text(
        "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: aws\n"
        f"  region: {REGION}\n  endpoints: {{all: '{cloud.url}'}}\n"
    )
    return user


def test_what_stands_without_a_state_is_shown_adopted_and_removed_where_the_file_says(cloud, tmp_path):
    user, gate = led_there(cloud, tmp_path), cloud.gate
    gate.policy = cloud.driver().permissions()
    subnet, _ = make_network(cloud, CID)
    machine = make_machine(cloud, subnet, "m1", CID)
    start = len(gate.log)
    shown = user.ok("status", "web", "-f", "Infra.yaml", "-o", "json").json
    tiny.keeps_schema("status-lost", shown)
    (found,) = shown["clusters"]
    (m1,) = found["machines"]
    assert (m1["host"], m1["id"], m1["state"], m1["region"]) == ("m1", machine, "running", REGION)
    assert m1["zone"].startswith(REGION)
    assert (shown["stateHere"], found["cid"], found["regions"]) == (False, CID, [REGION])
    table = user.ok("status", "web", "-f", "Infra.yaml").out
    assert "The state of web is not here" in table
    assert "sealer-cloud adopt web --provider aws -f Infra.yaml" in table
    assert "sealer-cloud down web --provider aws -f Infra.yaml" in table
    assert gate.mutations(start) == []

    gone = user.run("status", "other", "-f", "Infra.yaml")
    assert (gone.rc, "nothing in aws eu-central-1 carries its name" in gone.err) == (3, True), gone.err
    locked = user.run("adopt", "web", "-f", "Infra.yaml", "--yes")
    assert (locked.rc, "--identity FILE" in locked.err) == (5, True), locked.err
    assert [c["cid"] for c in user.ok("gc", "-f", "Infra.yaml", "-o", "json").json["clusters"]] == [CID]
    assert gate.mutations(start) == []

    assert user.ok("down", "web", "-f", "Infra.yaml", "--yes", "-o", "json").json["left"] == []
    assert cloud.standing() == []


def test_shared_networks_are_made_listed_and_deleted_where_the_file_says(cloud, tmp_path):
    user = led_there(cloud, tmp_path)
    made = user.ok("network", "create", "ci", "-f", "Infra.yaml", "--yes", "-o", "json").json
    assert (made["network"]["name"], made["network"]["region"]) == ("ci", REGION)
    listed = user.ok("network", "list", "-f", "Infra.yaml", "-o", "json").json
    assert [n["name"] for n in listed["networks"]] == ["ci"]
    assert user.ok("network", "delete", "ci", "-f", "Infra.yaml", "--yes", "-o", "json").json["left"] == []
    assert cloud.standing() == []


def test_a_variable_wins_over_the_file(cloud, tmp_path):
    user = led_there(cloud, tmp_path)
    make_network(cloud, CID)
    user.extra |= {"AWS_ENDPOINT_URL": cloud.url}
    file = user.home / "Infra.yaml"
    file.write_text(file.read_text().replace(cloud.url, "http://127.0.0.1:9"))
    assert user.ok("status", "web", "-f", "Infra.yaml", "-o", "json").json["clusters"][0]["cid"] == CID
