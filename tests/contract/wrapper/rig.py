"""What the tests of the host side share: calling verbs, laying a rootfs, reading what lies on the host."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from provisioner.apply.facts import Reading, read_facts
from provisioner.apply.wire import host_argv, ledger_fields, parse_reply, render_env, step_key
from provisioner.model.facts import HostFacts
from provisioner.model.ids import StepId
from provisioner.model.ledger import Ledger, parse_ledger
from provisioner.model.steps import StepKind
from provisioner.transport.connection import CommandResult
from tests.fakes.connection import FakeConnection, FakeHost
from tests.fakes.hosts import PATHS, author

RUN = "20261124T140000Z-aaaaaa"
DIGEST = "ab" * 32
FIELDS = ledger_fields(author(), StepId("m1/init/init.sh"), StepKind.INIT, "11" * 32)


@dataclass
class Rig:
    host: FakeHost
    folder: Path
    links: dict[str, str] = field(default_factory=dict)
    """Symlinks that the next rootfs should have."""

    def connection(self) -> FakeConnection:
        return FakeConnection(self.host)

    async def call(self, verb: str, *args: str | int, stdin: bytes = b"", timeout: float = 60) -> CommandResult:
        return await self.connection().run(host_argv(PATHS, verb, *args), stdin=stdin, timeout=timeout)

    async def facts(self, env: Mapping[str, str] | None = None, seconds: int = 10) -> HostFacts:
        envs = {} if env is None else {self.host.name: tuple(env.items())}
        return await read_facts(self.connection(), Reading(PATHS, envs, health_seconds=seconds))

    async def lay(
        self, files: Mapping[str, bytes], digest: str = DIGEST, run: str = RUN, **change: object
    ) -> CommandResult:
        data = tar_of(files, self.links)
        manifest = manifest_of(files)
        codec = "plain"
        if self.host.path.endswith("/bin"):
            codec, data = "zstd", zstandard.compress(data)
        data = change.get("data", data)
        source = self.folder / "archive"
        source.write_bytes(data)
        count = change.get("files", len(files))
        links = "".join(f"{path}\n{target}\n" for path, target in self.links.items()).encode()
        fields = ledger_fields(author(), StepId("m1/rootfs/image"), StepKind.ROOTFS, "22" * 32)
        argv = host_argv(PATHS, "lay", digest, run, codec, len(manifest), len(links), count, len(self.links), fields)
        return await self.connection().send(argv, source, prefix=manifest + links, idle=60, progress=lambda _n: None)

    def run_argv(
        self, step: str, *words: str, run: str = RUN, timeout: int = 60, mode: str = "script", env: bytes = b""
    ) -> tuple[str, ...]:
        fields = ledger_fields(author(run), StepId(step), StepKind(step.split("/")[1]), "11" * 32)
        return host_argv(PATHS, "run", run, step_key(StepId(step)), step, timeout, fields, len(env), mode, *words)

    async def script(
        self, body: str, *args: str, env: Mapping[str, str] | None = None, timeout: int = 60, run: str = RUN
    ) -> Mapping[str, bytes]:
        """Lay a rootfs with this init.sh (if it is not there) and run it."""
        self.write_script("init.sh", body)
        text = render_env((env or {}).items())
        argv = self.run_argv("m1/init/init.sh", "./scripts/init.sh", *args, run=run, timeout=timeout, env=text)
        result = await self.connection().run(argv, stdin=text, timeout=120)
        assert result.ok, result
        return parse_reply(result.stdout, "m1")

    def write_script(self, name: str, body: str, mode: int = 0o755) -> Path:
        """Put a script into the laid rootfs, or into one that is made for it."""
        rootfs = self.host.at(PATHS.rootfs)
        if not rootfs.exists():
            (rootfs.parent / "rootfs.d" / DIGEST).mkdir(parents=True)
            rootfs.symlink_to(f"rootfs.d/{DIGEST}")
        path = rootfs / "scripts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(body if body.startswith("#!") else f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        return path

    @property
    def rootfs(self) -> Path:
        return self.host.at(PATHS.rootfs)

    def ledger(self) -> Ledger:
        return parse_ledger((self.host.state(PATHS, "ledger.jsonl")).read_text(), "m1")

    def run_folder(self, step: str, run: str = RUN) -> Path:
        return self.host.state(PATHS, f"runs/{run}/{step_key(StepId(step))}")


def tar_of(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for parent in sorted({str(p) for f in files for p in Path(f).parents if str(p) != "."}):
            info = tarfile.TarInfo(parent)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(body), 0o755 if body.startswith(b"#!") else 0o644
            tar.addfile(info, io.BytesIO(body))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    return b"".join(f"{hashlib.sha256(b).hexdigest()}  {n}\n".encode() for n, b in sorted(files.items()))
