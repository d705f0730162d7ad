"""Whose backend, whose passphrase; and that looking at state imports no Pulumi."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provisioner.errors import PreconditionError, UsageError
from provisioner.infra.backend import (
    SECRETS_PROVIDER,
    FileStore,
    backend_of,
    by_service,
    new_passphrase,
    passphrase_environment,
    safe_url,
    secrets_words,
)
from provisioner.infra.keycache import read_keys, write_keys
from provisioner.infra.outputs import keys_from
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.infra.recovery import drop_begun, read_begun, write_begun
from provisioner.infra.statefile import Deployment
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.settings import load_settings
from provisioner.stop import Stop

CID = ClusterId("demo-abc234")
KEYS = {"loginPrivate": "CANARY", "loginPublic": "ssh-ed25519 A", "hmac": "00"}


@pytest.fixture
def make(tmp_path):
    return lambda **env: load_settings({"HOME": "/home/ann", "XDG_STATE_HOME": str(tmp_path), "PATH": "/bin", **env})


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///srv/state", "/srv/state"),
        ("file:///srv/a%20b?no_tmp_dir=true", "/srv/a b"),
        ("file://~", "/home/ann"),
        ("file://~/state", "/home/ann/state"),
        ("file://relative", None),
        ("s3://bucket/x", None),
        ("https://api.example.invalid", None),
    ],
)
def test_the_users_backend_wins(make, url, folder):
    backend = backend_of(make(PULUMI_BACKEND_URL=url))
    assert (backend.url, backend.own) == (url, False)
    assert backend.folder == (Path(folder) if folder else None)
    assert backend.needs_passphrase is not url.startswith("https")


def test_ours_lies_below_the_state_folder_under_any_name(make, tmp_path):
    backend = backend_of(make(XDG_STATE_HOME=str(tmp_path / "a b#")))
    assert backend.own
    assert backend.url == f"file://{tmp_path}/a%20b%23/sealer-cloud/backend"


def test_a_backend_that_cannot_be_read_is_refused_by_name(make):
    engine = PulumiEngine(make(PULUMI_BACKEND_URL="gs://bucket"), Stop())
    for look in (engine.names, lambda: engine.stored(ClusterName("demo"))):
        with pytest.raises(PreconditionError, match="PULUMI_BACKEND_URL"):
            look()


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_the_users_passphrase_wins_even_an_empty_one(make, variable):
    settings = make(**{variable: ""})
    assert passphrase_environment(settings, backend_of(settings)) == {}
    assert not settings.state_dir.exists()


@pytest.mark.parametrize("empty", [{}, {"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_CONFIG_PASSPHRASE_FILE": ""}])
def test_a_foreign_backend_never_gets_a_passphrase_of_ours(make, empty):
    settings = make(PULUMI_BACKEND_URL="s3://key:secret@bucket/x?region=CANARY", **empty)
    with pytest.raises(UsageError) as caught:
        passphrase_environment(settings, backend_of(settings))
    assert "s3://bucket/x" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not settings.state_dir.exists()
    assert safe_url("https://u:p@host/a?b") == "https://host/a"


def test_a_key_service_needs_no_passphrase_whether_this_runner_or_the_state_names_it(make):
    service = "awskms://alias/x?region=a"
    here, elsewhere = (make(PULUMI_BACKEND_URL="s3://b/x", **more) for more in ({SECRETS_PROVIDER: service}, {}))
    assert passphrase_environment(here, backend_of(here)) == {}
    assert secrets_words(here, backend_of(here)) == ("--secrets-provider", service)
    assert by_service(here, backend_of(here)) == {"secretsprovider": service}
    assert passphrase_environment(elsewhere, backend_of(elsewhere), {"secretsprovider": service}) == {}
    assert secrets_words(elsewhere, backend_of(elsewhere)) == ()
    alone = make(**{SECRETS_PROVIDER: service})
    assert by_service(alone, backend_of(alone)) == {}, "our own backend has a passphrase of our own"


def test_our_passphrase_is_made_once_and_private(make):
    settings = make()
    old = os.umask(0)
    try:
        [path] = passphrase_environment(settings, backend_of(settings)).values()
    finally:
        os.umask(old)
    first = Path(path).read_text()
    assert len(first) > 30
    assert Path(path).stat().st_mode & 0o777 == 0o600
    passphrase_environment(settings, backend_of(settings))
    assert Path(path).read_text() == first
    assert [p.name for p in settings.state_dir.iterdir()] == ["passphrase"]


def test_many_first_runs_agree_on_one_passphrase(tmp_path):
    seen = set()
    start = threading.Barrier(8)

    def run():
        start.wait()
        seen.add(new_passphrase(tmp_path / "passphrase").read_text())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["passphrase"]


def test_cached_keys_are_those_of_exactly_this_cluster(tmp_path):
    keys = keys_from(KEYS)
    write_keys(tmp_path / "c", CID, keys)
    path = tmp_path / "c/keys.json"
    assert read_keys(tmp_path / "c", CID) == keys
    assert read_keys(tmp_path / "c", ClusterId("demo-zzzzzz")) is None
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat().st_mtime_ns
    write_keys(tmp_path / "c", CID, keys)
    assert path.stat().st_mtime_ns == before
    for torn in ("", "[]", "{", '{"cid": "demo-abc234"}'):
        path.write_text(torn)
        assert read_keys(tmp_path / "c", CID) is None


def test_looking_at_state_imports_no_pulumi():
    code = (
        "import sys; from provisioner.infra.pulumi_engine import PulumiEngine; from provisioner.stop import Stop\n"
        "from provisioner.settings import load_settings\n"
        "engine = PulumiEngine(load_settings({'HOME': '/nowhere', 'PATH': ''}), Stop())\n"
        "assert engine.names() == () and engine.stored('demo') is None\n"
        "assert not {'pulumi', 'grpc', 'asyncssh'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torn_note_beside_the_state_goes_and_a_whole_one_stays(tmp_path):
    """An engine that was killed between making the note and writing it could not read its own state afterwards."""
    stacks, backups = (tmp_path / ".pulumi" / kind / "sealer-cloud" for kind in ("stacks", "backups"))
    files = {
        stacks / "etcd.json.attrs": "",
        stacks / "etcd.json.bak.attrs": '{"md5": "abc="}\n',
        stacks / "other.json.attrs": "",
        backups / "etcd" / "etcd.1.json.attrs": '{"md',
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    store = FileStore(tmp_path)
    assert store.mend(ClusterName("etcd")) == ("removed torn notes of the state: etcd.json.attrs, etcd.1.json.attrs",)
    assert store.mend(ClusterName("etcd")) == ()
    assert {path.name for path in files if path.exists()} == {"etcd.json.bak.attrs", "other.json.attrs"}, (
        "not ours to mend"
    )


def test_which_machines_a_cut_run_had_begun_is_noted_and_forgotten(tmp_path):
    def begun(kind, name, type_="creating"):
        urn = f"urn:pulumi:etcd::sealer-cloud::{kind}::{name}"
        return {"type": type_, "resource": {"type": kind, "urn": urn}}

    machine = "aws:ec2/instance:Instance"
    pending = (
        begun(machine, "m1"),
        begun(machine, "m2", "deleting"),
        begun("aws:ec2/vpc:Vpc", "network"),
        begun("sealer:local:Host", "m3"),
    )
    assert read_begun(tmp_path) == (frozenset(), 0.0)
    write_begun(tmp_path, Deployment(pending=pending))
    hosts, when = read_begun(tmp_path)
    assert hosts == {"m1"}, "our own machines are adopted by their own create"
    assert when > 0
    drop_begun(tmp_path)
    assert read_begun(tmp_path) == (frozenset(), 0.0)
