"""Who the product is to AWS: a CI's OIDC token, a profile; the engine's plugin is always the same as its own calls."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from moto.sts.models import sts_backends

from tests.clouds.aws.cloud import KEY, SECRET
from tests.clouds.aws.gate import ACCOUNT
from tests.clouds.aws.scene import in_clear, living, make_user, write_infra
from tests.e2e.product import PROGRAM

pytestmark = [pytest.mark.clouds, pytest.mark.engine, pytest.mark.hosts, pytest.mark.timeout(600)]

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci"
OIDC = "CANARY-of-the-ci.oidc.token"
PROFILE_KEY, PROFILE_SECRET, PROFILE_TOKEN = "ASIAPROFILE000000001", "CANARY-profile-secret", "CANARY-profile-token"
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
EXPIRES = "sealer-cloud:expires-at"
LOOK = f"""
set -e
cp -r "$XDG_STATE_HOME" kept
unset AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export AWS_PROFILE=team
{PROGRAM} plan app:v1 -n "$SEALER_CLUSTER" -f Infra.yaml
echo "looked at by a profile"
"""


def write_profile(folder, ends):
    """A config file whose profile asks a program for keys, as SSO and vaults have it; they end at `ends`."""
    keys = {"AccessKeyId": PROFILE_KEY, "SecretAccessKey": PROFILE_SECRET, "SessionToken": PROFILE_TOKEN}
    program = folder / "sign-in"
    program.write_text(f"#!/bin/sh\necho '{json.dumps({'Version': 1, **keys, 'Expiration': ends})}'\n")
    program.chmod(0o755)
    config = folder / "aws-config"
    config.write_text(f"[profile team]\nregion = eu-central-1\ncredential_process = {program}\n")
    return config


@pytest.fixture
def user(real_cloud, app_image, tmp_path):
    """A runner with an OIDC token and no keys; its config file holds a profile, too."""
    user = make_user(real_cloud, tmp_path / "user", app_image, "web")
    token = tmp_path / "oidc-token"
    token.write_text(OIDC)
    soon = datetime.now(UTC) + timedelta(minutes=20)
    config = write_profile(tmp_path, soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    user.extra |= {**NO_KEYS, "AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    user.extra |= {"AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "true", "CI": "true"}
    write_infra(user, real_cloud, nodes=0)
    return user


def test_an_oidc_token_and_a_profile_reach_the_plugin_as_they_reach_us(user, real_cloud):
    gate, begun = real_cloud.gate, datetime.now(UTC).replace(microsecond=0)
    answer = user.run("with", "app:v1", "-f", "Infra.yaml", "--yes", "--ttl", "1h", "--", "sh", "-c", LOOK)
    assert answer.rc == 0, answer.err
    assert answer.out.endswith("looked at by a profile\n")
    assert real_cloud.standing() == []
    assert user.ok("list", "-o", "json").json["clusters"] == []
    assert living(user) == {}

    sessions = {role.access_key_id: role for role in sts_backends[ACCOUNT]["aws"].assumed_roles}
    callers = {call.key for call in gate.log}
    assert PROFILE_KEY in callers
    assert callers - {PROFILE_KEY} <= set(sessions)
    by_profile = [call.name for call in gate.log if call.key == PROFILE_KEY]
    assert not [call.name for call in gate.log if call.key == PROFILE_KEY and call.mutates], "nothing was to change"
    assert by_profile.count("ec2:DescribeInstances") >= 1, "the plugin's own read"
    made = [call for call in gate.log if call.action == "RunInstances"]
    assert [call.key in sessions for call in made] == [True]
    tags = {tag["Key"]: tag["Value"] for tag in tags_at_create(made[0].params)}
    hour, ends = timedelta(hours=1), datetime.fromisoformat(tags[EXPIRES])
    assert begun + hour <= ends <= datetime.now(UTC) + hour
    assert "no --ttl" not in answer.err

    said = " ".join(answer.out.split())
    assert re.search(r"the AWS credentials may end before the run does: they end in 1?\d minutes", said)
    assert "may end before" not in answer.err, "those of the token live for an hour"
    needles = [OIDC, PROFILE_SECRET, PROFILE_TOKEN, SECRET]
    needles += [text for role in sessions.values() for text in (role.secret_access_key, role.session_token)]
    assert (user.home / "kept").is_dir()
    assert in_clear(user, *needles) == []
    assert not [word for word in (*needles, KEY, PROFILE_KEY, *sessions) if word in answer.out + answer.err]


def tags_at_create(params):
    """The tags of an EC2 call's first TagSpecification."""
    start = "TagSpecification.1.Tag."
    numbers = {name.removeprefix(start).partition(".")[0] for name in params if name.startswith(start)}
    return [{part: params[f"{start}{n}.{part}"] for part in ("Key", "Value")} for n in numbers]
