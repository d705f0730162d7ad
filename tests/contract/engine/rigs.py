"""One set of handles for the fake and for the real engine, so that one suite holds both to the same promises."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

from provisioner.events import ignore
from provisioner.infra.install import find_engine
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.accepted import Accepted
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.settings import load_settings
from provisioner.stop import Stop
from tests.fakes.engine import FakeEngine, FakeProgram

CLUSTER = ClusterName("demo")
CID = ClusterId("demo-abc234")
TINY = Path(__file__).with_name("tiny_provider.py")
PINNED_ENGINE = find_engine(load_settings())


def accepted(*hosts, cluster=CLUSTER):
    """An accepted request; a host is `name`, `name:slot` or `name:slot:role`."""
    found = []
    for number, text in enumerate(hosts):
        name, _, rest = text.partition(":")
        slot, _, role = rest.partition(":")
        found.append({"name": name, "pool": "p", "roles": [role or "master"], "slot": int(slot or number)})
    return Accepted.model_validate(
        {
            "cluster": cluster,
            "provider": "local",
            "image": {"reference": "etcd:v1", "repository": "etcd", "digest": "sha256:" + "0" * 64},
            "pools": [{"name": "p", "roles": ["master"], "count": len(hosts)}],
            "hosts": found,
            "dataRoot": "/var/lib/sealer/data",
        }
    )


class TinyProgram:
    """Intent, network and hosts on the tiny provider, in plain Pulumi: a stand-in for `stacks`."""

    def __init__(self, wish, cid=CID):
        self.accepted = wish
        self.cid = cid

    def __call__(self, sink):
        import pulumi

        def resource(kind, name, inputs, outputs, **options):
            class Resource(pulumi.CustomResource):
                pass

            made = dict.fromkeys(outputs)
            opts = pulumi.ResourceOptions(**options)
            resource = Resource(f"sealer:{kind}", name, {**inputs, **made}, opts)
            return resource, {o: getattr(resource, o) for o in outputs}

        inputs = {"cid": self.cid, "request": self.accepted.to_json()}
        intent, keys = resource("index:Intent", "intent", inputs, ["loginPublic", "loginPrivate", "hmac"])
        pulumi.Output.all(**keys).apply(lambda k: sink("keys", k))
        network, _ = resource("local:Network", "network", {"cid": self.cid}, [], depends_on=[intent])
        hosts = []
        for host in self.accepted.hosts:
            inputs = {"cid": self.cid, "name": host.name, "slot": host.slot, "roles": list(host.roles)}
            outputs = ["address", "hostKey", "machineId", "running"]
            _, made = resource("local:Host", host.name, inputs, outputs, depends_on=[intent, network])
            known = {"name": host.name, "roles": list(host.roles)}
            exported = pulumi.Output.all(**made).apply(lambda m, known=known: exported_host(known, m))
            exported.apply(lambda h: sink("host", h))
            hosts.append(exported)
        pulumi.export("cid", self.cid)
        pulumi.export("hosts", hosts)


def exported_host(known, made):
    return {
        **known,
        "address": made["address"],
        "ssh": {"host": made["address"], "port": 22, "user": "root"},
        "hostKeys": [made["hostKey"]],
        "machineId": made["machineId"],
        "running": made["running"],
    }


class FakeRig:
    """The fake engine, its machines reached directly."""

    real = False

    def __init__(self, _root):
        self.stop = Stop()
        self.engine = FakeEngine(stop=self.stop)

    def program(self, *hosts):
        return FakeProgram(accepted(*hosts))

    def machines(self):
        return {name: m.machine_id for (_cid, name), m in self.engine.machines.items()}

    def halt(self, name):
        from dataclasses import replace

        self.engine.machines[CID, name] = replace(self.engine.machines[CID, name], running=False)

    def lose(self, name):
        del self.engine.machines[CID, name]

    def fail(self, verb, name, text):
        self.engine.fail[f"{verb} {name}"] = text

    def heal(self):
        self.engine.fail.clear()

    def mutations(self):
        return list(self.engine.mutations)


class RealRig:
    """The real engine on the tiny provider. Every engine process notes its argv, by a wrapper that execs it."""

    real = True

    def __init__(self, root, **environ):
        self.root = root
        self.tiny = root / "tiny"
        self.tiny.mkdir()
        self.argv_log = root / "argv"
        wrapper = root / "pulumi"
        script = ["#!/bin/sh", f'echo "$@" >>"{self.argv_log}"', f'exec "{PINNED_ENGINE.path}" "$@"', ""]
        wrapper.write_text("\n".join(script))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PULUMI_", "SEALER_"))}
        self.environ = {
            **clean,
            "XDG_STATE_HOME": str(root / "state"),
            "XDG_DATA_HOME": str(root / "data"),
            "XDG_CACHE_HOME": str(root / "cache"),
            "SEALER_CLOUD_ENGINE": str(wrapper),
            "TINY_ROOT": str(self.tiny),
            **environ,
        }
        self.settings = load_settings(self.environ)
        self.restart()

    def restart(self):
        """What a new process of ours would hold."""
        self.stop = Stop()
        self.engine = PulumiEngine(self.settings, self.stop, plugin=(sys.executable, "-P", str(TINY)))

    @property
    def folder(self):
        return self.settings.state_dir / "clusters" / CLUSTER

    @property
    def checkpoint(self):
        return self.settings.state_dir / f"backend/.pulumi/stacks/sealer-cloud/{CLUSTER}.json"

    def locks(self):
        """Pulumi's own locks, which would stop the next run."""
        return [*(self.settings.state_dir / "backend/.pulumi/locks").rglob("*.json")]

    def program(self, *hosts):
        return TinyProgram(accepted(*hosts))

    def machines(self):
        return {p.stem: json.loads(p.read_text())["machineId"] for p in self.tiny.glob("*.json")}

    def halt(self, name):
        path = self.tiny / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"running": False}))

    def lose(self, name):
        (self.tiny / f"{name}.json").unlink()

    def fail(self, verb, name, text):
        (self.tiny / f"fail-{verb}-{name}").write_text(text)

    def hold(self, verb, name):
        """Make that call wait until the returned function is called."""
        path = self.tiny / f"hold-{verb}-{name}"
        path.touch()
        return lambda: path.unlink(missing_ok=True)

    def heal(self):
        for path in self.tiny.glob("fail-*"):
            path.unlink()

    def calls(self):
        path = self.tiny / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def mutations(self):
        return [c for c in self.calls() if not c.startswith("read")]

    def engine_runs(self):
        """The argv of every engine process so far, and forget them; asking for the version is no run."""
        lines = self.argv_log.read_text().splitlines() if self.argv_log.exists() else []
        self.argv_log.unlink(missing_ok=True)
        return lines

    async def until_called(self, line):
        """Wait until the provider has been called so."""
        for _ in range(600):
            if line in self.calls():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{line!r} never came: {self.calls()}")

    async def until_run(self, word):
        """Wait until an engine was started with that word."""
        for _ in range(3000):
            if self.argv_log.exists() and word in self.argv_log.read_text().split():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"no engine ran with {word!r}")

    def running(self):
        """Pids of living processes that belong to this rig: their environment names its folder."""
        mark = f"TINY_ROOT={self.tiny}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


async def up(rig, *hosts):
    return await rig.engine.up(CLUSTER, CID, rig.program(*hosts), ignore)


async def preview(rig, *hosts):
    return await rig.engine.preview(CLUSTER, CID, rig.program(*hosts), ignore)


def tree(folder):
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size)
        for p in sorted(folder.rglob("*"))
        if not p.is_dir()
    }
