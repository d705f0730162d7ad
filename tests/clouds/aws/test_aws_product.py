"""The product as its users meet it, on a simulated AWS: an image on real hosts, and nothing left."""

import json
import shutil
from collections import Counter

import pytest

from tests.clouds.aws.cloud import SECRET
from tests.e2e import tiny
from tests.e2e.product import Product

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(600)]

QUIET_CALLS = 13
"""What a run that changes nothing may ask of the cloud beyond what each machine costs: the tests' own plugin asks it."""
CALLS_PER_MACHINE = 1


@pytest.fixture
def user(real_cloud, tmp_path):
    cluster = tiny.unique("aws")
    user = Product(tmp_path, {**real_cloud.environ, "SEALER_CLOUD_NAME": cluster}, cluster=cluster)
    tiny.build(user, "app:v1", tiny.BASIC, 'CMD echo "done=yes" >>"$SEALER_OUTPUT"')
    (tmp_path / "Infra.yaml").write_text(
        "apiVersion: sealer.io/v2\nkind: Infra\nspec:\n  provider: aws\n"
        f"  osImage: {{id: {real_cloud.image()}}}\n"
        "  hosts:\n"
        "    - {roles: [master], count: 1, instanceType: t3.medium, systemDisk: 10}\n"
        "    - {roles: [node], count: 1, instanceType: t3.medium, systemDisk: 10}\n"
    )
    return user


def test_up_twice_then_down_without_any_state(user, real_cloud):
    words = ("up", "app:v1", "-f", "Infra.yaml", "--ttl", "2h", "--yes")
    user.ok(*words, "--only", "machines")
    user.ok(*words)  # the engine has nothing to do here, and what it knows of the hosts is what its preview told
    before = {name: m["InstanceId"] for name, m in real_cloud.machines().items()}
    assert set(before) == {"m1", "n1"}
    status = user.status()
    assert [h["state"] for h in status["hosts"]] == ["healthy", "healthy"], status
    gate = real_cloud.gate
    start = len(gate.log)
    again = user.ok(*words)
    asked = Counter(call.name for call in gate.log[start:])
    assert gate.mutations(start) == []
    assert asked.total() <= QUIET_CALLS + 2 * CALLS_PER_MACHINE, asked
    assert {name: m["InstanceId"] for name, m in real_cloud.machines().items()} == before

    real_cloud.client().stop_instances(InstanceIds=[before["n1"]])
    plan = json.loads(user.ok("plan", *words[1:-1], "-o", "json").out)
    assert "n1" in {change["name"] for change in plan["infra"]["update"]}, plan["infra"]
    user.ok(*words)
    running = {name: m["InstanceId"] for name, m in real_cloud.machines("running").items()}
    assert running == before, "one that was stopped by hand is started, in place"
    assert SECRET not in again.out + again.err

    shutil.rmtree(user.state)
    user.ok("down", user.cluster, "--provider", "aws", "--yes")
    assert real_cloud.standing() == []
