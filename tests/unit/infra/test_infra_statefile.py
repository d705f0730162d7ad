"""Reading Pulumi's state without Pulumi: both forms, compressed or not, and every kind of damage."""

import gzip
import json
import shutil
import subprocess

import pytest
import zstandard

from provisioner.errors import PreconditionError
from provisioner.infra.backend import FileStore
from provisioner.infra.outputs import OutputCollector
from provisioner.infra.recovery import drop_begun, read_unread, write_unread
from provisioner.infra.statefile import (
    bares_user_data,
    checksum,
    name_of_urn,
    parse_deployment,
    to_state,
    with_hidden_user_data,
    with_unread,
    without_pending_creates,
)
from provisioner.model.ids import ClusterId, ClusterName

NAME = ClusterName("demo")
CID = "demo-abc234"


def urn(kind, name):
    return f"urn:pulumi:demo::sealer-cloud::{kind}::{name}"


def resource(kind, name, inputs=None, outputs=None, **more):
    return {
        "urn": urn(kind, name),
        "custom": True,
        "type": kind,
        "inputs": inputs or {},
        "outputs": outputs or {},
        **more,
    }


REQUEST = {
    "schemaVersion": 1,
    "cluster": "demo",
    "provider": "local",
    "image": {"reference": "etcd:v1", "repository": "etcd", "digest": "sha256:" + "0" * 64},
    "pools": [],
    "hosts": [
        {"name": "m2", "pool": "p", "roles": ["master"], "slot": 1},
        {"name": "m1", "pool": "p", "roles": ["master"], "slot": 0},
    ],
    "dataRoot": "/var/lib/sealer/data",
}


def host(name, slot, **more):
    outputs = {"address": f"10.213.0.{10 + slot}", "hostKey": f"ssh-ed25519 {name}", "machineId": name, "running": True}
    return resource("sealer:local:Host", name, {"name": name, "roles": ["master"], "slot": slot}, outputs, **more)


def latest(**more):
    return {
        "manifest": {"time": "2026-11-24T14:09:43Z", "magic": "ab", "version": "v3.259.0"},
        "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:salt"}},
        "resources": [
            resource("pulumi:pulumi:Stack", "sealer-cloud-demo"),
            resource("pulumi:providers:sealer", "default"),
            resource("sealer:index:Intent", "intent", {"cid": CID, "request": REQUEST}),
            host("m1", 0),
            host("m2", 1),
        ],
        "metadata": {},
        **more,
    }


def checkpoint(**more):
    body = {"version": 3, "checkpoint": {"stack": "organization/sealer-cloud/demo", "latest": latest(**more)}}
    return json.dumps(body).encode()


def export(**more):
    return json.dumps({"version": 3, "deployment": latest(**more)}).encode()


@pytest.mark.parametrize("raw", [checkpoint(), export(), gzip.compress(checkpoint()), zstandard.compress(checkpoint())])
def test_all_forms_say_the_same(raw):
    state = to_state(NAME, parse_deployment(raw, "here"))
    assert (state.cid, state.resources, state.engine_version) == (ClusterId(CID), 3, "v3.259.0")
    assert state.accepted.image.reference == "etcd:v1"
    assert [h.name for h in state.inventory.hosts] == ["m2", "m1"]  # the order of the request
    assert state.inventory.hosts[1].ssh.host == "10.213.0.10"
    assert state.inventory.hosts[1].host_keys == ("ssh-ed25519 m1",)
    assert parse_deployment(raw, "here").opened_by == {"encryptionsalt": "v1:salt"}


def test_a_key_service_is_named_with_the_data_key_that_it_opens():
    service = {"type": "cloud", "state": {"url": "awskms://alias/x?region=a&b=c", "encryptedkey": "QUI="}}
    told = parse_deployment(checkpoint(secrets_providers=service), "here").opened_by
    assert told == {"secretsprovider": "awskms://alias/x?region=a&b=c", "encryptedkey": "QUI="}
    for nothing in (None, {}, {"type": "service", "state": {"project": "x"}}):
        assert parse_deployment(checkpoint(secrets_providers=nothing), "here").opened_by == {}


def test_a_stack_that_was_only_begun():
    raw = b'{"version":0,"checkpoint":{"stack":"organization/sealer-cloud/demo"}}'
    state = to_state(NAME, parse_deployment(raw, "here"))
    assert (state.cid, state.accepted, state.inventory, state.resources) == (None, None, None, 0)


def test_pending_operations_and_replaced_hosts():
    pending = [{"resource": host("m3", 2), "type": "creating"}]
    resources = [*latest()["resources"], host("m2", 5, delete=True)]
    state = to_state(NAME, parse_deployment(checkpoint(pending_operations=pending, resources=resources), "here"))
    assert state.pending == ("creating sealer:local:Host m3",)
    assert [h.name for h in state.inventory.hosts] == ["m2", "m1"]
    assert state.resources == 4  # what waits for its deletion still exists


def test_hosts_of_unknown_types_come_from_the_exports():
    exported = {"hosts": [{"name": "m1", "address": "1.2.3.4", "roles": ["master"], "machineId": "i-1"}]}
    root = resource("pulumi:pulumi:Stack", "x", outputs=exported)
    intent = resource("sealer:index:Intent", "intent", {"cid": CID, "request": REQUEST})
    state = to_state(NAME, parse_deployment(checkpoint(resources=[root, intent]), "here"))
    assert [(h.name, h.address, h.running) for h in state.inventory.hosts] == [("m1", "1.2.3.4", None)]


@pytest.mark.parametrize(
    "raw", [checkpoint().replace(b'"version": 3', b'"version": 5'), export().replace(b"3", b"9", 1)]
)
def test_a_newer_state_is_refused_with_the_way_on(raw):
    with pytest.raises(PreconditionError, match="newer Pulumi") as caught:
        parse_deployment(raw, "here")
    assert "newer sealer-cloud" in caught.value.hint


def test_a_newer_intent_is_refused():
    intent = resource("sealer:index:Intent", "intent", {"cid": CID, "request": {**REQUEST, "schemaVersion": 2}})
    with pytest.raises(PreconditionError, match="newer sealer-cloud"):
        to_state(NAME, parse_deployment(checkpoint(resources=[intent]), "here"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" \n",
        b"null",
        b"[]",
        b"{}",
        b'{"version":3}',
        b'{"version":true,"checkpoint":{"stack":"x"}}',
        b'{"version":3,"checkpoint":{}}',
        b'{"version":3,"checkpoint":{"stack":"x","latest":[]}}',
        b'{"version":3,"checkpoint":{"stack":"x","latest":{"resources":[]}}}',
        b'{"version":3,"checkpoint":{"stack":"x","lates":{}}}',
        b'{"version":3,"deployment":{"manifest":{},"resourses":[]}}',
        b'{"version":3,"deployment":{"manifest":{},"resources":[{"type":"a"}]}}',
        b'{"version":3,"deployment":{"manifest":{},"pending_operations":[{"type":"creating"}]}}',
        checkpoint()[:-1],
        gzip.compress(checkpoint())[:-9],
        zstandard.compress(checkpoint())[:20] + b"x",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_damage_is_refused_by_name(raw):
    with pytest.raises(PreconditionError, match=r"state here is damaged"):
        parse_deployment(raw, "here")


def store(tmp_path, raw):
    folder = tmp_path / ".pulumi/stacks/sealer-cloud"
    folder.mkdir(parents=True)
    (folder / "demo.json").write_bytes(raw)
    (folder / "demo.json.attrs").write_text(json.dumps({"md5": checksum(raw)}))
    return FileStore(tmp_path), folder / "demo.json"


def test_every_flipped_byte_is_noticed(tmp_path):
    raw = checkpoint(resources=[host("m1", 0)])
    files, path = store(tmp_path, raw)
    for at in range(0, len(raw), 3):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x04]) + raw[at + 1 :])
        with pytest.raises(PreconditionError, match="damaged"):
            files.read(NAME)
    path.write_bytes(raw)
    assert files.read(NAME) is not None


def test_a_kill_between_checksum_and_file_is_no_damage(tmp_path):
    """The backend writes `.bak` (the old bytes), then the new checksum, then the new file."""
    raw = checkpoint()
    files, path = store(tmp_path, raw)
    path.with_name("demo.json.bak").write_bytes(raw)
    path.with_name("demo.json.bak.attrs").write_text(json.dumps({"md5": checksum(raw)}))
    path.with_name("demo.json.attrs").write_text(json.dumps({"md5": checksum(b"the new bytes, never written")}))
    assert files.read(NAME) is not None


def test_the_hint_names_a_backup_that_can_be_read(tmp_path):
    files, path = store(tmp_path, checkpoint())
    path.write_bytes(b"")
    with pytest.raises(PreconditionError) as caught:
        files.read(NAME)
    assert "no backup" in caught.value.hint
    backups = tmp_path / ".pulumi/backups/sealer-cloud/demo"
    backups.mkdir(parents=True)
    (backups / "demo.1.json").write_bytes(checkpoint())
    (backups / "demo.2.json").write_bytes(b"torn")
    with pytest.raises(PreconditionError) as caught:
        files.read(NAME)
    assert f"cp {backups / 'demo.1.json'} {path}" in caught.value.hint


def test_the_printed_remedy_works(tmp_path):
    """Run exactly what the hint says, with a backup and with `.bak` damaged too, below a name with a space."""
    root = tmp_path / "a b"
    root.mkdir()
    files, path = store(root, checkpoint())
    bak = path.with_name("demo.json.bak")
    bak.write_bytes(b"torn")
    bak.with_name("demo.json.bak.attrs").write_text(json.dumps({"md5": checksum(b"what it once was")}))
    backups = root / ".pulumi/backups/sealer-cloud/demo"
    backups.mkdir(parents=True)
    (backups / "demo.1.json").write_bytes(checkpoint())
    path.write_bytes(b"torn")
    with pytest.raises(PreconditionError, match="damaged") as caught:
        files.read(NAME)
    subprocess.run(caught.value.hint.partition(": ")[2], shell=True, check=True)
    assert to_state(NAME, files.read(NAME)).cid == CID


def test_the_state_of_another_cluster_is_refused(tmp_path):
    """A copy of a checkpoint under another name: whoever acts on it acts on the other cluster's machines."""
    files, path = store(tmp_path, checkpoint())
    for name in ("demo.json", "demo.json.attrs"):
        shutil.copy(path.with_name(name), path.with_name(name.replace("demo", "other")))
    with pytest.raises(PreconditionError, match=r"is that of organization/sealer-cloud/demo") as caught:
        files.read(ClusterName("other"))
    assert "no backup" in caught.value.hint
    backups = tmp_path / ".pulumi/backups/sealer-cloud/other"
    backups.mkdir(parents=True)
    (backups / "other.1.json").write_bytes(checkpoint())  # no backup either
    with pytest.raises(PreconditionError, match="is that of") as caught:
        files.read(ClusterName("other"))
    assert "no backup" in caught.value.hint
    renamed = parse_deployment(checkpoint().replace(b"sealer-cloud/demo", b"sealer-cloud/other"), "here")
    with pytest.raises(PreconditionError, match="of another cluster, demo"):
        to_state(ClusterName("other"), renamed)


def test_names_are_stacks_and_nothing_else(tmp_path):
    files, path = store(tmp_path, checkpoint())
    for name in ("demo.json.bak", "b.json.gz", "c.json.zst", "UPPER.json", "x.txt", "-.json"):
        path.with_name(name).write_bytes(b"")
    assert files.names() == ("b", "c", "demo")
    assert FileStore(tmp_path / "none").names() == ()
    assert FileStore(tmp_path / "none").read(NAME) is None


def test_begun_creates_are_dropped_and_nothing_else():
    foreign = {"resource": resource("aws:ec2/instance:Instance", "m9"), "type": "creating"}
    update = {"resource": host("m1", 0), "type": "updating"}
    ours = {"resource": host("m3", 2), "type": "creating"}
    cleared, dropped = without_pending_creates(export(pending_operations=[foreign, ours, update]), "here")
    assert dropped == ("creating aws:ec2/instance:Instance m9", "creating sealer:local:Host m3")
    assert json.loads(cleared)["deployment"]["pending_operations"] == [update]
    assert without_pending_creates(export(), "here")[1] == ()


def cloud(*names, identities=(), **values):
    """The resources of a cloud's cluster that was cut: machines by name, and those of them that were reached."""
    intent = resource("sealer:index:Intent", "intent", {"cid": CID, "request": {**REQUEST, "provider": "alicloud"}})
    tags = {"tags": {"sealer-cloud:cid": CID}}
    machines = [
        resource("alicloud:ecs/instance:Instance", n, {**tags, **values}, {"publicIp": "x"}, id=f"i-{n}") for n in names
    ]
    reached = [
        resource(
            "sealer:index:HostIdentity",
            f"{n}-identity",
            {"host": n, "roles": ["master"], "address": "10.0.0.9"},
            {
                "address": "10.0.0.1",
                "ssh": {"host": "198.51.100.7", "port": 22, "user": "root"},
                "hostKeys": [f"ssh-ed25519 {n}"],
                "machineId": f"i-{n}",
                "running": True,
            },
            id=f"{n}-id",
        )
        for n in identities
    ]
    return [intent, resource("alicloud:vpc/network:Network", "network", tags, id="vpc-1"), *machines, *reached]


def test_a_half_made_cloud_cluster_knows_its_machines_and_the_hosts_that_were_reached():
    raw = checkpoint(resources=cloud("m1", "m2", identities=["m1"]))
    state = to_state(NAME, parse_deployment(raw, "here"))
    assert (state.cid, state.cids) == (CID, (CID,))
    assert state.machine_ids == ("i-m1", "i-m2")
    assert state.machines == ("m1", "m2")
    assert state.resource_ids == ("i-m1", "i-m2", "m1-id", "vpc-1")
    (m1,) = state.inventory.hosts
    assert (m1.name, m1.address, m1.ssh.host) == ("m1", "10.0.0.1", "198.51.100.7")
    assert (m1.host_keys, m1.machine_id, m1.running, m1.roles) == (("ssh-ed25519 m1",), "i-m1", True, ("master",))


def test_the_cid_of_a_cloud_state_without_intent_is_that_of_its_tags():
    resources = cloud("m1")[1:]
    assert to_state(NAME, parse_deployment(checkpoint(resources=resources), "here")).cids == (CID,)


def test_user_data_in_clear_is_found_and_made_a_secret():
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:x"}
    hidden = export(resources=cloud("m1", userData=secret))
    assert not bares_user_data(parse_deployment(hidden, "here"))
    assert json.loads(with_hidden_user_data(hidden, "here")) == json.loads(hidden)
    bare = export(resources=cloud("m1", userData="IyEvYmluL3No"))
    assert bares_user_data(parse_deployment(bare, "here"))
    changed = with_hidden_user_data(bare, "here")
    assert not bares_user_data(parse_deployment(changed, "here"))
    machine = json.loads(changed)["deployment"]["resources"][2]
    assert machine["inputs"]["userData"]["plaintext"] == '"IyEvYmluL3No"'


def test_urns():
    nested = "urn:pulumi:demo::sealer-cloud::my:Part$sealer:local:Host::m1"
    assert name_of_urn(nested) == "m1"
    assert name_of_urn("urn:pulumi:s::p::t::a::b") == "a::b"


def test_what_a_plugin_does_not_read_back_is_written_down_where_there_is_none():
    kind, disks = "alicloud:ecs/instance:Instance", [{"size": 50}]
    taken = resource(kind, "n1", {"instanceType": "small"}, {"dataDisks": []}, id="i-1")
    made = resource(kind, "n2", {"dataDisks": [{"size": 60}]}, {"dataDisks": [{"size": 60}]}, id="i-2")
    text = export(resources=[taken, made])
    told = {"i-1": {"dataDisks": disks}, "i-2": {"dataDisks": disks}, "i-3": {"dataDisks": disks}}
    after = json.loads(with_unread(text, "here", told))["deployment"]["resources"]
    assert after[0]["inputs"] == {"instanceType": "small", "dataDisks": disks}
    assert after[0]["outputs"] == {"dataDisks": disks}
    assert after[1] == made
    assert json.loads(with_unread(text, "here", {"i-1": {"dataDisks": []}})) == json.loads(text)


def test_what_is_unread_is_noted_before_an_import_and_forgotten_after_it(tmp_path):
    assert read_unread(tmp_path) == {}
    sink = OutputCollector(lambda unread: write_unread(tmp_path, unread))
    sink("unread", {"id": "i-1", "inputs": {"dataDisks": [{"size": 50}]}})
    assert read_unread(tmp_path) == sink.unread == {"i-1": {"dataDisks": [{"size": 50}]}}
    (tmp_path / "unread.json").write_text("[1")
    assert read_unread(tmp_path) == {}
    drop_begun(tmp_path)
    assert list(tmp_path.iterdir()) == []
