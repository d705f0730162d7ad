"""The program, the SDK and the plugin under the real engine: what a user's `up` and `down` do, without our wrapper."""

import json
import os
import runpy
import secrets
import sys
from pathlib import Path

import pytest

from drivers.local.driver import LocalDriver
from provisioner.infra.install import find_engine
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool, parse_accepted
from provisioner.model.driver import Marks
from provisioner.model.ids import RunId
from provisioner.plugin.gate import Gate
from provisioner.plugin.host import HostKind
from provisioner.plugin.intent import IntentKind
from provisioner.plugin.main import make_server
from provisioner.plugin.network import NetworkKind
from provisioner.plugin.service import SealerProvider
from provisioner.settings import load_settings
from stacks.program import build_program
from tests.fakes.machines import FakeMachines

pytestmark = [pytest.mark.engine, pytest.mark.slow]
CANARY = "canary-literal-secret"


@pytest.fixture(scope="module")
def engine():
    settings = load_settings()
    found = find_engine(settings)
    if found is None:
        if settings.ci:
            pytest.fail("no engine, and this is CI: run `make setup`")
        pytest.skip("no engine: run `make setup`")
    return found


@pytest.fixture
def cid():
    return "etcd-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(6))


class Stack:
    """One stack on a file backend of its own, driven by the Automation API."""

    def __init__(self, engine, folder, cid, *, port=None):
        from pulumi import automation

        self.folder, self.cid, self.request, self.sunk = folder, cid, accepted(1), []
        work, self.backend, self.run_dir = folder / "work", folder / "backend", folder / "run"
        (work / "bin").mkdir(parents=True)
        self.backend.mkdir()
        plugin = work / "bin" / "pulumi-resource-sealer"
        plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -m provisioner.plugin "$@"\n')
        plugin.chmod(0o755)
        (work / "Pulumi.yaml").write_text(
            "name: sealer-cloud\nruntime: python\nplugins:\n  providers:\n    - {name: sealer, path: bin}\n"
        )
        environment = {
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "canary-passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "SEALER_CLOUD_RUN_DIR": str(self.run_dir),
        }
        if port is not None:
            environment["PULUMI_DEBUG_PROVIDERS"] = f"sealer:{port}"
        self.stack = automation.create_or_select_stack(
            "etcd",
            project_name="sealer-cloud",
            program=self._program,
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(work),  # beside `program` it is ignored, and the file with the plugin's path with it
                env_vars=environment,
                pulumi_command=automation.PulumiCommand(root=str(Path(engine.path).parent.parent)),
            ),
        )

    def _program(self):
        driver = LocalDriver()
        program = build_program(driver, driver.parse_spec(self.request), self.request, Marks(self.cid, RunId("run")))
        return program(lambda kind, value: self.sunk.append((kind, value)))

    def preview(self):
        self.sunk.clear()
        events = []
        result = self.stack.preview(refresh=True, parallel=16, on_event=events.append)
        return changes(result.change_summary), events

    def up(self):
        self.sunk.clear()
        result = self.stack.up(refresh=True, parallel=16, show_secrets=False)
        self.hosts = {host["name"]: host for host in result.outputs["hosts"].value}
        return changes(result.summary.resource_changes), result.stdout + result.stderr

    def destroy(self):
        result = self.stack.destroy(parallel=16, show_secrets=False)
        return changes(result.summary.resource_changes), result.stdout + result.stderr

    def resources(self):
        state = json.loads((self.backend / ".pulumi/stacks/sealer-cloud/etcd.json").read_text())
        return {r["urn"].rpartition("::")[2]: r for r in state["checkpoint"]["latest"].get("resources", [])}

    def sunk_of(self, kind):
        return [value for sunk, value in self.sunk if sunk == kind]


def changes(summary):
    return {str(getattr(op, "value", op)).lower(): count for op, count in (summary or {}).items()}


def accepted(masters, **changes):
    made = Accepted(
        cluster="etcd",
        provider="local",
        image=AcceptedImage(reference="etcd:v1", repository="etcd", digest="sha256:" + "0" * 64),
        pools=(AcceptedPool(name="master", roles=("master",), count=masters),),
        hosts=tuple(AcceptedHost(name=f"m{n + 1}", pool="master", roles=("master",), slot=n) for n in range(masters)),
        data_root="/var/lib/sealer/data",
    )
    return made.model_copy(update=changes)


@pytest.fixture
def machines():
    return FakeMachines()


@pytest.fixture
def stack(engine, tmp_path, cid, machines):
    """A stack whose plugin runs in this process, with machines in memory."""
    provider = SealerProvider((IntentKind(), NetworkKind(machines), HostKind(machines)), Gate())
    server, port = make_server(provider)
    yield Stack(engine, tmp_path, cid, port=port)
    server.stop(None).wait()


def test_a_clusters_life(stack, machines, cid):
    stack.request = accepted(3)
    summary, _ = stack.preview()
    assert summary == {"create": 6}  # the stack itself, Intent, network, three hosts
    assert stack.sunk == [], "nothing is known yet"
    assert machines.calls == []
    assert stack.up()[0] == {"create": 6}
    assert [h["address"] for h in stack.hosts.values()] == ["10.213.0.10", "10.213.0.11", "10.213.0.12"]
    (keys,) = stack.sunk_of("keys")
    assert keys["loginPrivate"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert sorted(h["name"] for h in stack.sunk_of("host")) == ["m1", "m2", "m3"]
    assert machines.calls[0] == f"ensure_network {cid}"

    machines.calls.clear()
    assert stack.preview()[0] == {"same": 6}
    assert stack.sunk_of("keys") == [keys], "a preview of what stands knows the keys"
    assert len(stack.sunk_of("host")) == 3
    assert stack.up()[0] == {"same": 6}

    stack.request = accepted(3, env={"A": "2"})
    assert stack.preview()[0] == {"update": 1, "same": 5}
    assert stack.up()[0] == {"update": 1, "same": 5}
    assert stack.sunk_of("keys") == [keys]
    stored = stack.resources()["intent"]
    assert parse_accepted(stored["inputs"]["request"]) == stack.request
    assert stored["inputs"]["cid"] == cid

    stack.request = accepted(4)
    assert stack.preview()[0] == {"create": 1, "update": 1, "same": 5}
    assert machines.calls == []
    assert stack.up()[0] == {"create": 1, "update": 1, "same": 5}
    assert machines.calls == ["ensure_host m4"]

    assert stack.destroy()[0] == {"delete": 7}
    assert (machines.hosts, machines.networks) == ({}, {})
    assert machines.calls[-1] == f"delete_network {cid}", "the network goes after its hosts"


def test_drift(stack, machines, cid):
    stack.request = accepted(2)
    stack.up()
    before = dict(stack.hosts)
    machines.calls.clear()
    machines.set_running(cid, "m2", running=False)
    summary, events = stack.preview()
    assert summary == {"update": 1, "same": 4}
    (pre,) = [e.resource_pre_event.metadata for e in events if e.resource_pre_event and named(e, "m2", "update")]
    assert pre.diffs == ["running"]
    assert set(pre.detailed_diff) == {"running"}
    assert {h["name"]: h["running"] for h in stack.sunk_of("host")} == {"m1": True, "m2": True}
    assert machines.calls == []
    assert stack.up()[0]["update"] == 1
    assert machines.calls == ["start_host m2"]
    assert stack.hosts == before, "same disk, address and key"

    del machines.hosts[cid, "m1"]
    assert stack.preview()[0]["create"] == 1
    stack.up()
    assert stack.hosts["m1"]["machineId"] != before["m1"]["machineId"]
    assert stack.hosts["m2"] == before["m2"]


def named(event, name, op):
    metadata = event.resource_pre_event.metadata
    return metadata.urn.endswith(f"::{name}") and str(getattr(metadata.op, "value", metadata.op)) == op


def test_a_failed_create_is_told_and_leaves_nothing_pending(stack, machines):
    from pulumi.automation import CommandError

    from provisioner.errors import CapacityError
    from provisioner.model.wire import from_wire

    stack.request = accepted(2)
    machines.fail["ensure_host m2"] = CapacityError("no free address", hint="remove a cluster", host="m2")
    with pytest.raises(CommandError) as caught:
        stack.up()
    assert {(e.exit_code, e.host, e.message) for e in from_wire(str(caught.value))} == {(13, "m2", "no free address")}
    state = json.loads((stack.backend / ".pulumi/stacks/sealer-cloud/etcd.json").read_text())
    assert not state["checkpoint"]["latest"].get("pending_operations")
    machines.fail.clear()
    assert stack.up()[0]["create"] >= 1


def test_no_secret_lies_in_clear_in_the_backend(stack):
    stack.request = accepted(1)
    stack.up()
    keys = stack.sunk_of("keys")[0]
    files = [p for p in stack.folder.rglob("*") if p.is_file() and "home" not in p.parts]
    assert any(keys["loginPublic"].encode() in p.read_bytes() for p in files), "the search finds what is in clear"
    needles = [keys["hmac"], *keys["loginPrivate"].split("\n")[1:4]]
    for path in files:
        assert not any(needle.encode() in path.read_bytes() for needle in needles), path


def test_the_plugin_as_a_process(engine, tmp_path, cid):
    """The plugin is started, ends with every command, and says nothing that the engine would show."""
    stack = Stack(engine, tmp_path, cid)
    stack.request = accepted(0)
    assert stack.preview()[0] == {"create": 3}
    summary, output = up_only_intent(stack)
    assert summary == {"create": 2}
    assert "exited prematurely" not in output
    assert list(stack.run_dir.iterdir()) == []
    assert "exited prematurely" not in stack.destroy()[1]
    assert list(stack.run_dir.iterdir()) == []


def test_the_program_by_hand_declares_what_stands(stack, monkeypatch):
    main = Path(__file__).parents[2] / "stacks" / "__main__.py"
    stack.request = accepted(2, env={"A": "1"})
    stack.up()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{stack.backend}")
    result = stack.stack.preview(
        refresh=True, parallel=16, program=lambda: runpy.run_path(str(main), run_name="__main__")
    )
    assert changes(result.change_summary) == {"same": 5}


def up_only_intent(stack):
    from pulumi_sealer import Intent

    def program():
        Intent("intent", cid=stack.cid, request=stack.request.to_json(), secrets={"password": CANARY})

    result = stack.stack.up(program=program, parallel=16)
    for path in stack.backend.rglob("*.json"):
        assert CANARY not in path.read_text()
    return changes(result.summary.resource_changes), result.stdout + result.stderr


@pytest.mark.hosts
@pytest.mark.skipif(os.geteuid() != 0, reason="local hosts need root")
def test_real_machines(engine, tmp_path, cid):
    driver = LocalDriver()
    stack = Stack(engine, tmp_path, cid)
    stack.request = accepted(2)
    try:
        summary, output = stack.up()
        assert summary == {"create": 5}
        assert "exited prematurely" not in output
        assert len({h["machineId"] for h in stack.hosts.values()}) == 2
        assert stack.preview()[0] == {"same": 5}
        assert stack.destroy()[0] == {"delete": 5}
        assert driver.leftovers(cid) == ()
    finally:
        driver.sweep(cid)
    assert list(stack.run_dir.iterdir()) == []
