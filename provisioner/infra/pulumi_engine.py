"""The Engine on the real Pulumi CLI. Importing this module imports no Pulumi: reading a stack's state needs none."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from provisioner.errors import DeadlineError, InterruptedRunError, PreconditionError, SealerError
from provisioner.events import Events, ignore
from provisioner.files import private_folder, require_space
from provisioner.infra.backend import (
    backend_of,
    by_service,
    file_backend,
    new_passphrase,
    passphrase_environment,
    secrets_words,
)
from provisioner.infra.bucketstore import store_of
from provisioner.infra.changes import looked_at, lost_of, refuse_mass_loss, to_destroyed, to_plan
from provisioner.infra.engine import NOTHING, Still, unasked
from provisioner.infra.install import require_engine
from provisioner.infra.keycache import read_keys, write_keys
from provisioner.infra.locks import LOCK, cluster_folder
from provisioner.infra.outputs import OutputCollector, keys_from, plain_value
from provisioner.infra.processes import Child
from provisioner.infra.recovery import (
    clear_dead_locks,
    drop_begun,
    end_orphans,
    read_begun,
    read_unread,
    write_begun,
    write_unread,
)
from provisioner.infra.runner import forward, only_looking, run_bounded, tidied
from provisioner.infra.statefile import (
    INTENT,
    Deployment,
    bares_user_data,
    parse_deployment,
    to_state,
    with_hidden_user_data,
    with_unread,
    without_pending_creates,
)
from provisioner.infra.store import Store
from provisioner.infra.workdir import (
    WorkDir,
    engine_environment,
    plugin_command,
    sweep_half_written,
    sweep_throwaways,
    throwaway,
)
from provisioner.model.driver import EngineNeeds, Program
from provisioner.model.engine import Destroyed, Previewed, StackState
from provisioner.model.hosts import ClusterKeys, StackOutputs
from provisioner.model.ids import ClusterId, ClusterName
from provisioner.settings import Settings
from provisioner.stop import Stop

if TYPE_CHECKING:
    from provisioner.infra.automation import Run

_T = TypeVar("_T")
PARALLEL = 128
"""Machines mostly wait for each other, so a cluster of a hundred hosts is made in one wave, not in several."""
SMALL_LIMIT = 120.0
PREVIEW_LIMIT = 600.0
RUN_LIMIT = 3 * 3600.0
ROOM = 32 << 20
"""Bytes that must be free for the state: Pulumi leaves an empty checkpoint on a disk that fills while it writes."""


class PulumiEngine:
    """One stack per cluster in the backend of `settings`; `stop` is obeyed softly, cancellation hard.

    `parallel` resources are worked on at once. `plugin` starts the provider plugin, ours by default.
    """

    def __init__(
        self, settings: Settings, stop: Stop, *, parallel: int = PARALLEL, plugin: Sequence[str] | None = None
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._parallel = parallel
        self._plugin = tuple(plugin or plugin_command())
        self._backend = backend_of(settings)
        self._store = store_of(self._backend, settings)

    def names(self) -> tuple[ClusterName, ...]:
        """All clusters of the backend."""
        return self._files().names()

    def stored(self, cluster: ClusterName) -> StackState | None:
        """The stack's state, read from its file: no process, no key derivation."""
        deployment = self._files().read(cluster)
        return to_state(cluster, deployment) if deployment else None

    async def keys(self, cluster: ClusterName) -> ClusterKeys | None:
        """The cluster's keys from the cache, else decrypted by the engine from the state and cached again."""
        state = self.stored(cluster)
        if state is None or state.cid is None:
            return None
        folder = cluster_folder(self._settings, cluster)
        cached = read_keys(folder, state.cid)
        if cached:
            return cached
        with throwaway(
            self._settings
        ) as work:  # a run may be under way in the cluster's own: its processes are not ours
            exported = await self._plain_in(work, cluster, "stack", "export", "--show-secrets")
        intent = next((r for r in parse_deployment(exported, cluster).resources if r["type"] == INTENT), None)
        if intent is None:
            return None
        outputs = {k: plain_value(v) for k, v in (intent.get("outputs") or {}).items()}
        keys = keys_from(outputs)
        write_keys(folder, state.cid, keys)
        return keys

    async def repair(self, cluster: ClusterName, *, state: bool = True) -> tuple[str, ...]:
        """End what a killed run left. Call it with the cluster's RunLock held. Raises LockedError (10)."""
        folder = cluster_folder(self._settings, cluster)
        notes = [*await asyncio.to_thread(end_orphans, folder / "run")]
        notes += await asyncio.to_thread(sweep_throwaways, self._settings)
        notes += sweep_half_written(self._settings, folder)
        notes += clear_dead_locks(self._files(), cluster)
        notes += self._files().mend(cluster)
        deployment = self._files().read(cluster) if state else None
        if deployment and any(str(p["type"]) == "creating" for p in deployment.pending):
            write_begun(folder, deployment)
            notes += await self._clear_pending_creates(cluster)
        if deployment and bares_user_data(deployment):
            await self._hide_user_data(cluster, read_unread(folder))
            notes.append("encrypted the start scripts of machines that an interrupted run took over")
        return tuple(notes)

    def begun(self, cluster: ClusterName) -> tuple[frozenset[str], float]:
        """As `repair` noted it."""
        return read_begun(cluster_folder(self._settings, cluster))

    def demand(self) -> None:
        """By the same search as every call."""
        require_engine(self._settings)

    async def preview(
        self, cluster: ClusterName, cid: ClusterId, program: Program, events: Events, needs: EngineNeeds = NOTHING
    ) -> Previewed:
        """Refresh and preview in a folder of its own that is gone afterwards; a new cluster gets its own backend there."""
        from provisioner.infra import automation

        deployment = self._files().read(cluster)
        with only_looking(), throwaway(self._settings) as work:
            run = self._run(cluster, work, deployment, events, throwaway_backend=deployment is None, needs=needs)
            sink = OutputCollector()

            def call() -> None:
                if deployment is None:
                    run.plain(("stack", "init", cluster, "--no-select"))
                automation.preview(run, cluster, program, sink)

            await self._call(cluster, run, call, PREVIEW_LIMIT)
        refuse_mass_loss(run.seen.steps)
        return Previewed(to_plan(run.seen.steps), sink.outputs(cid))

    async def up(
        self,
        cluster: ClusterName,
        cid: ClusterId,
        program: Program,
        events: Events,
        needs: EngineNeeds = NOTHING,
        *,
        still: Still = unasked,
    ) -> StackOutputs:
        """Make it so; a failure leaves what was made in the state."""
        from provisioner.infra import automation

        deployment = self._files().read(cluster)
        with self._work(cluster) as work:
            run = self._run(cluster, work, deployment, events, needs=needs)
            sink = OutputCollector(lambda unread: write_unread(work.path, unread))

            def call() -> None:
                if deployment is None:
                    run.plain(("stack", "init", cluster, "--no-select", *secrets_words(self._settings, self._backend)))
                automation.up(run, cluster, program, sink, lambda: _demand_truth(run, deployment, still))

            try:
                await self._call(cluster, run, call, RUN_LIMIT)
            except Exception as error:
                if not isinstance(error, InterruptedRunError | DeadlineError):
                    await self._settle_imported(cluster, run, sink.unread)
                raise
            await self._settle_imported(cluster, run, sink.unread)
            outputs = sink.outputs(cid)
            if outputs.keys:
                write_keys(work.path, cid, outputs.keys)
            drop_begun(work.path)
        return outputs

    async def destroy(self, cluster: ClusterName, events: Events, needs: EngineNeeds = NOTHING) -> Destroyed:
        """Delete all resources, past failed ones; half-made stacks too. Raises only if nothing could be begun."""
        from provisioner.infra import automation

        deployment = self._files().read(cluster)
        if deployment is None:
            return Destroyed((), ())
        with self._work(cluster) as work:
            run = self._run(cluster, work, deployment, events, needs=needs)
            try:
                await self._call(cluster, run, lambda: automation.destroy(run, cluster), RUN_LIMIT)
            except SealerError as error:
                result = to_destroyed(run.seen.steps)
                if not result.failed or isinstance(error, (InterruptedRunError, DeadlineError)):
                    raise
                return result
        return to_destroyed(run.seen.steps)

    async def forget(self, cluster: ClusterName, *, aside: bool = False) -> None:
        """Remove the empty stack with its history and backups, and our folder but for the lock that the run holds."""
        if aside:
            self._files().put_aside(cluster)
        elif self._files().exists(cluster):
            await self._plain(cluster, "stack", "rm", "--yes", "--remove-backups")
        self._files().drop_empty_folders(cluster)
        folder = cluster_folder(self._settings, cluster)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name != LOCK:
                await asyncio.to_thread(_remove, path)

    def _files(self) -> Store:
        if self._store is None:
            raise PreconditionError(
                "PULUMI_BACKEND_URL names a backend that this version cannot use",
                hint="unset it, or set it to file:///an/absolute/path or s3://BUCKET/FOLDER?region=…",
            )
        return self._store

    async def _clear_pending_creates(self, cluster: ClusterName) -> tuple[str, ...]:
        exported = await self._plain(cluster, "stack", "export")
        cleared, dropped = without_pending_creates(exported, cluster)
        if not dropped:
            return ()
        await self._put_back(cluster, cleared)
        return tuple(
            f"forgot the begun step `{line}`: it will be done again, adopting what lies there" for line in dropped
        )

    async def _settle_imported(
        self, cluster: ClusterName, run: Run, unread: Mapping[str, Mapping[str, object]]
    ) -> None:
        """After a run that imported machines: their start scripts, with a key in them, stand in clear until this.

        And what the plugin did not read back of them is written down, or the next run would make them anew.
        """
        if any(step.op.startswith("import") for step in run.seen.steps):
            await self._hide_user_data(cluster, unread)

    async def _hide_user_data(
        self, cluster: ClusterName, unread: Mapping[str, Mapping[str, object]] | None = None
    ) -> None:
        deployment = self._files().read(cluster)
        if deployment and bares_user_data(deployment):
            exported = with_unread(await self._plain(cluster, "stack", "export"), cluster, unread or {})
            await self._put_back(cluster, with_hidden_user_data(exported, cluster))
        for copy in self._files().copies(cluster):
            with contextlib.suppress(PreconditionError):  # no state at all: a note of who ran what
                if bares_user_data(parse_deployment(copy.data, copy.where)):
                    copy.remove()

    async def _put_back(self, cluster: ClusterName, state: bytes) -> None:
        with throwaway(self._settings) as scratch:
            file = scratch.path / "state.json"
            await asyncio.to_thread(file.write_bytes, state)  # the folder is private and soon gone
            await self._plain(cluster, "stack", "import", "--file", str(file))

    async def _plain(self, cluster: ClusterName, *args: str) -> bytes:
        """One CLI command on an existing stack, in the cluster's own folder: for who holds its lock."""
        with self._work(cluster) as work:
            return await self._plain_in(work, cluster, *args)

    async def _plain_in(self, work: WorkDir, cluster: ClusterName, *args: str) -> bytes:
        run = self._run(cluster, work, self._files().read(cluster), ignore)
        said = await self._call(cluster, run, lambda: run.plain((*args, "--stack", cluster)), SMALL_LIMIT)
        return said.encode()

    @contextlib.contextmanager
    def _work(self, cluster: ClusterName) -> Iterator[WorkDir]:
        work = WorkDir(cluster_folder(self._settings, cluster))
        try:
            yield work
        finally:
            work.tidy()

    def _run(
        self,
        cluster: ClusterName,
        work: WorkDir,
        deployment: Deployment | None,
        events: Events,
        *,
        throwaway_backend: bool = False,
        needs: EngineNeeds = NOTHING,
    ) -> Run:
        """Everything that a call of the engine needs, checked before a process is started."""
        from provisioner.infra.automation import Run, Seen

        self._stop.check("machines")
        require_space(self._settings.state_dir, ROOM)
        engine = require_engine(self._settings, at_least=deployment.engine_version if deployment else "")
        opened_by = (deployment.opened_by or by_service(self._settings, self._backend)) if deployment else {}
        extra = self._environment(work, opened_by, throwaway_backend=throwaway_backend)
        work.prepare(cluster, self._plugin, opened_by, needs.plugins)
        return Run(
            cli=engine.path,
            version=engine.version,
            work_dir=work.path,
            run_dir=work.run,
            environ=engine_environment(self._settings.environ),
            extra={**needs.environ, **extra},
            child=Child(),
            seen=Seen(forward(events)),
            parallel=self._parallel,
            foreign=bool(needs.plugins),
        )

    def _environment(self, work: WorkDir, opened_by: Mapping[str, str], *, throwaway_backend: bool) -> dict[str, str]:
        if not throwaway_backend:
            if self._backend.own and self._backend.folder:
                private_folder(self._backend.folder)
            opens = passphrase_environment(self._settings, self._backend, opened_by)
            return {**work.environment(self._backend), **opens}
        if not self._backend.own:
            passphrase_environment(self._settings, self._backend)  # refuse now what `up` would refuse after the yes
        folder = private_folder(work.path / "backend")
        passphrase = new_passphrase(work.path / "passphrase")
        extra = work.environment(file_backend(folder))
        return {**extra, "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase)}

    async def _call(self, cluster: ClusterName, run: Run, work: Callable[[], _T], limit: float) -> _T:
        try:
            return await run_bounded(work, run.child, self._stop, run.run_dir, limit)
        except BaseException as error:
            # Elsewhere a call locks nothing, and does not hold the lock of the run: what lies there is not its own.
            if run.work_dir == cluster_folder(self._settings, cluster):
                hurried = not isinstance(error, Exception)  # a second Ctrl-C
                await tidied(lambda: self._drop_own_lock(cluster), hurried=hurried)
            raise

    def _drop_own_lock(self, cluster: ClusterName) -> None:
        """Remove the lock of an engine that was killed: in a bucket no other machine could know that it is dead."""
        with contextlib.suppress(SealerError, OSError):  # another's lock, or no answer: what ended the run is told
            clear_dead_locks(self._files(), cluster)


def _demand_truth(run: Run, before: Deployment | None, still: Still) -> None:
    """Between refresh and program: what is gone is gone by the word of an account that can be looked into.

    A key may be deleted after the preview, and what a refresh calls gone would be forgotten, and made again.
    """
    told = run.seen.await_refresh(looked_at(before.resources if before else ()))
    if not told or lost_of(run.seen.steps):
        still()
    refuse_mass_loss(run.seen.steps)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
