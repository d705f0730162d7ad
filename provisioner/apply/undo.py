"""Undoing on hosts that stay: what still runs is waited for, clean.sh undoes what the image made, then ours goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.apply.env import EnvItems
from provisioner.apply.facts import parse_open_run
from provisioner.apply.perform import Performer
from provisioner.apply.settle import wait_for_run
from provisioner.apply.wire import parse_reply
from provisioner.errors import HostError, ProviderError, SealerError
from provisioner.events import Warned
from provisioner.model.facts import OpenRun
from provisioner.model.ids import HostName, step_id
from provisioner.model.steps import RunScript, Step, StepKind, StepState

CLEAN = "scripts/clean.sh"
CLEAN_SECONDS = 300.0
ERASE_SECONDS = 600.0
"""Removing a large rootfs, or data, on a slow disk."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of the cluster on one host. `ours` False: nothing of it, whatever lies there is somebody else's.

    `clean` and `starts`: the laid image has clean.sh, start.sh. `data`: bytes, 0 for none, None where nobody could tell;
    `link`: where the data is a link, the folder behind it, which nothing of ours ever removes.
    """

    ours: bool
    clean: bool
    starts: bool
    data: int | None
    runs: tuple[OpenRun, ...]
    link: str = ""


async def look_remains(performer: Performer, host: HostName) -> Remains:
    """What is left on one host; reads only. Raises HostError (7)."""
    result = await performer.call(host, "remains")
    reply = parse_reply(result.stdout, host)
    try:
        return _to_remains({name: body.decode("utf-8", "backslashreplace") for name, body in reply.items()})
    except (KeyError, ValueError) as error:
        raise HostError(f"the reply of {host} makes no sense: {type(error).__name__}", host=host) from error


def _to_remains(text: Mapping[str, str]) -> Remains:
    size = text["data"]
    data = None if size == "unknown" else int(size or 0) * 1024
    runs = tuple(parse_open_run(line) for line in text["open_runs"].splitlines())
    return Remains(text["ours"] == "yes", text["clean"] == "yes", text["starts"] == "yes", data, runs, text["link"])


async def undo_host(performer: Performer, host: HostName, env: EnvItems, *, delete_data: bool) -> Remains:
    """Undo on one host, and look afterwards; returns what there was. May be repeated after any stop.

    Raises HostError (7), StepError (8) of clean.sh, DeadlineError (11) a step that does not end, ProviderError (6).
    """
    found = await look_remains(performer, host)
    if not found.ours:
        return found
    for run in found.runs:
        if run.alive or run.rc is not None:
            await wait_for_run(performer, host, run)
    if found.clean:
        await _clean(performer, host, env)
    elif found.starts:
        text = f"the image has no {CLEAN}: what its start.sh started on {host} may still run"
        performer.context.events(Warned(text))
    await performer.call(host, "erase", "yes" if delete_data else "no", more=ERASE_SECONDS)
    if (await look_remains(performer, host)).ours:
        raise ProviderError(f"{host} still holds {performer.context.paths.state}", host=host)
    return found


async def _clean(performer: Performer, host: HostName, env: EnvItems) -> None:
    action = RunScript(CLEAN, (), env, CLEAN_SECONDS)
    try:
        await performer.perform(
            Step(step_id(host, StepKind.CLEAN, "clean.sh"), host, StepKind.CLEAN, "clean.sh", StepState.NEW, "", action)
        )
    except SealerError as error:
        script = f"{performer.context.paths.rootfs}/{CLEAN}"
        more = f"put it right and run the same command again; or remove {script} there, and what it should have undone"
        error.hint = f"{error.hint}; {more}" if error.hint else more
        raise
