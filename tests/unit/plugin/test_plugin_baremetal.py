"""`sealer:baremetal:Host` on a pretended machine: never made, never deleted, gone only where another one answers."""

from __future__ import annotations

import pytest

from drivers.baremetal.probe import Seen
from provisioner.errors import HostError, UsageError
from provisioner.model.hosts import Jump, SshTarget
from provisioner.plugin.baremetal import BaremetalKind, host_of
from provisioner.plugin.kinds import Change, Old, check_fields
from provisioner.plugin.values import UNKNOWN

CID = "app-abc234"
KEY = "ssh-ed25519 AAAA"
PRINT = "SHA256:" + "a" * 43
HOST = {
    "cid": CID,
    "name": "m1",
    "roles": ["master"],
    "address": "10.0.0.1",
    "ssh": {"host": "far", "port": 22.0, "user": "ops"},
    "hostKeys": [PRINT],
    "identity": "/home/me/.ssh/id_ed25519",
    "jump": {"host": "way", "port": 2222.0, "user": "root", "hostKeys": [KEY], "identity": "/k"},
}
MADE = {**HOST, "hostKeys": [KEY], "machineId": "machine-1"}
OLD = Old(f"{CID}/m1", HOST, MADE)


def kind(answer: Seen | Exception | None = None) -> BaremetalKind:
    def probe(_host: object) -> Seen:
        if answer is None:
            raise AssertionError("nothing may be looked at")
        if isinstance(answer, Exception):
            raise answer
        return answer

    return BaremetalKind(probe)


def seen(machine: str = "machine-1", *cids: str) -> Seen:
    return Seen(machine, (KEY,), cids, taken=False)


def test_inputs_become_the_host_that_is_entered():
    host = host_of(HOST)
    assert (host.name, host.address, host.ssh, host.host_keys) == (
        "m1",
        "10.0.0.1",
        SshTarget("far", 22, "ops"),
        (PRINT,),
    )
    assert (host.identity, host.jump) == (HOST["identity"], Jump(SshTarget("way", 2222, "root"), (KEY,), "/k"))
    assert host_of({**HOST, "identity": None, "jump": None}).jump is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"hostKeys": []}, "list of public keys"),
        ({"ssh": {"host": "far", "port": 0.0}}, "needs port, user"),
        ({"jump": {"host": "way", "port": 22.0, "user": "root"}}, "needs hostKeys"),
        ({"cid": "app"}, "must be a cluster id"),
        ({"address": ""}, "must"),
        ({"disk": 4.0}, "is no input"),
    ],
)
def test_check_names_the_property(wrong, reason):
    assert check_fields(BaremetalKind.fields, HOST) == ()
    (failure,) = check_fields(BaremetalKind.fields, {**HOST, **wrong})
    assert (failure.key, reason in failure.reason) == (next(iter(wrong)), True), failure


@pytest.mark.parametrize(
    ("news", "change"),
    [
        ({}, Change()),
        ({"roles": ["node"]}, Change(("roles",))),
        ({"address": "10.0.0.9"}, Change(("address",))),
        ({"hostKeys": [KEY]}, Change(("hostKeys",))),
        ({"identity": None}, Change(("identity",))),
        ({"jump": None}, Change(("jump",))),
        ({"name": "m2"}, Change(("name",), ("name",))),
        ({"cid": "app-bcd234"}, Change(("cid",), ("cid",))),
    ],
)
def test_only_another_name_or_cluster_replaces(news, change):
    assert kind().diff(OLD, {**HOST, **news}) == change


def test_create_looks_and_a_preview_does_not():
    assert kind().create(HOST, preview=True) == ("", {**HOST, "machineId": UNKNOWN})
    assert kind(seen()).create(HOST, preview=False) == (f"{CID}/m1", MADE)
    assert kind(seen("machine-1", CID)).create(HOST, preview=False)[1] == MADE, "its own state is no stranger's"


def test_a_machine_with_another_cluster_is_refused():
    with pytest.raises(UsageError, match="m1 holds other-abc234") as told:
        kind(seen("machine-1", CID, "other-abc234")).create(HOST, preview=False)
    assert "down" in told.value.hint


def test_a_machine_that_does_not_answer_is_not_gone():
    assert kind(HostError("off")).read(OLD) == MADE
    assert kind(seen()).read(OLD) == MADE


def test_another_machine_in_its_place_means_it_is_gone():
    assert kind(seen("machine-2")).read(OLD) is None


def test_an_update_looks_only_where_the_machine_may_be_another():
    assert kind().update(OLD, {**HOST, "roles": ["node"]}, preview=False) == {**MADE, "roles": ["node"]}
    moved = {**HOST, "ssh": {"host": "near", "port": 22.0, "user": "root"}}
    assert kind().update(OLD, moved, preview=True) == {**moved, "machineId": "machine-1"}
    assert kind(seen("machine-2")).update(OLD, moved, preview=False) == {
        **moved,
        "hostKeys": [KEY],
        "machineId": "machine-2",
    }
    with pytest.raises(UsageError, match="holds"):
        kind(seen("machine-2", "other-abc234")).update(OLD, moved, preview=False)


def test_delete_touches_nothing():
    kind().delete(OLD)
