"""Boto3's chain as the product has it: region and keys of files, and what is said where the chain leads nowhere."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from drivers.aws.credentials import region_of, resolve
from provisioner.errors import RefusedKeyError, SealerError


@pytest.mark.parametrize(("profile", "region"), [("", "eu-west-1"), ("team", "us-west-2"), ("bare", None)])
def test_the_region_is_the_profiles_or_that_of_the_default_one(profile, region, tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text(
        "[default]\nregion = eu-west-1\n[profile team]\nregion = us-west-2\n[profile bare]\noutput = json\n"
    )
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    assert region_of({"AWS_CONFIG_FILE": str(config), **({"AWS_PROFILE": profile} if profile else {})}) == region
    assert region_of({"AWS_CONFIG_FILE": str(config), "AWS_REGION": "a"}) == "a"
    assert region_of({"AWS_CONFIG_FILE": str(tmp_path / "none"), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("environ", "code", "told"),
    [
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token", "AWS_ROLE_ARN": "r" * 20},
            5,
            "/nonexistent/token: No such",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/null"}, 5, "no role ARN"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/null", "AWS_ROLE_ARN": "r" * 20}, 5, "WebIdentityToken"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/passwd", "AWS_ROLE_ARN": "r" * 20}, 6, "cannot be reached"),
        ({"AWS_PROFILE": "none"}, 5, "ProfileNotFound"),
        ({"AWS_ACCESS_KEY_ID": "AKIAHALF"}, 5, "no AWS credentials"),
    ],
)
def test_a_chain_that_leads_nowhere_is_said_by_its_link(environ, code, told, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    nowhere = {
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_MAX_ATTEMPTS": "1",
    }
    nowhere |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", **environ}
    for name, text in nowhere.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SealerError, match=told) as caught:
        resolve(nowhere)
    assert (caught.value.exit_code, bool(caught.value.hint)) == (code, True)
    meant = told != "no AWS credentials"  # a link that is named and does not hold is an account that somebody uses
    assert isinstance(caught.value, RefusedKeyError) is (code == RefusedKeyError.exit_code and meant)


@pytest.mark.parametrize("left", [None, 3600, 1200])
def test_a_program_is_not_asked_again_for_the_plugin_though_its_keys_end_soon(left, cloud, tmp_path, monkeypatch):
    ends = (datetime.now(UTC) + timedelta(seconds=left)).isoformat() if left else None
    keys = {"Version": 1, "AccessKeyId": "AKIAPROGRAM@", "SecretAccessKey": "s", "Expiration": ends}
    program = tmp_path / "program"
    said = json.dumps({name: text for name, text in keys.items() if text})
    program.write_text(f"#!/bin/sh\ncd {tmp_path}\necho >>asked\necho '{said}' | sed s/@/$(wc -l <asked)/\n")
    program.chmod(0o755)
    config = tmp_path / "config"
    config.write_text(f"[profile team]\ncredential_process = {program}\n")
    for name, text in {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "team"}.items():
        monkeypatch.setenv(name, text)
    driver = cloud.driver(
        AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_PROFILE="team", AWS_CONFIG_FILE=str(config)
    )
    for _ in range(2):
        assert [check.ok for check in driver.check()] == [True, True]
    assert driver.needs().environ["AWS_ACCESS_KEY_ID"] == "AKIAPROGRAM1"
    assert {call.key for call in cloud.gate.log} == {"AKIAPROGRAM1"}
