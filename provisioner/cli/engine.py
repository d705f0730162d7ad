"""What `engine install|status` do."""

from __future__ import annotations

from provisioner.cli.jsonout import engine_to_json
from provisioner.cli.live import View
from provisioner.cli.run import Session
from provisioner.cli.text import Lines, escape, plain
from provisioner.errors import PreconditionError
from provisioner.infra.install import COMMAND, EngineStatus, engine_status, install_engine

_ORIGINS = {"choice": "named by SEALER_CLOUD_ENGINE", "path": "on PATH", "cache": "installed by us"}


def run_install(session: Session) -> int:
    """`engine install`. Raises as `install_engine` does."""
    with View(session.screen) as view:
        info = install_engine(session.settings, view.take)
    session.screen.print([f"{info.version} {info.path}"])
    return 0


def run_status(session: Session) -> int:
    """`engine status`. Returns 12 where there is no engine."""
    status = engine_status(session.settings)
    screen = session.screen
    if screen.look.machine:
        screen.document(engine_to_json(status))
    elif screen.look.output == "name":
        screen.print([status.found.version] if status.found else [])
    else:
        screen.print(engine_lines(status))
    return 0 if status.found else PreconditionError.exit_code


def engine_lines(status: EngineStatus) -> Lines:
    """The engine that would be used, and why others would not."""
    found = status.found
    if found:
        lines = [plain(f"engine    {found.version} at {escape(str(found.path))}, {_ORIGINS[found.origin]}")]
    else:
        lines = [plain("engine    none"), plain(f"install   {COMMAND}")]
    lines += [plain(f"refused   {escape(reason)}") for reason in status.rejected]
    return (*lines, plain(f"pinned    {status.pinned}"))
