"""The vendor's own installer, by the Automation API, in a process that can be given up."""

from __future__ import annotations

from pathlib import Path

from provisioner.errors import DeadlineError, PreconditionError
from provisioner.events import Events, Phase, Progress
from provisioner.infra.jobs import Job, run_job
from provisioner.settings import Settings, python_executable

_CODE = "import sys; from provisioner.infra.automation import download; download(sys.argv[1], sys.argv[2])"
NETWORK_LIMIT = 10.0
"""Seconds until the installer itself has been fetched: without a network nothing more is waited for."""
DOWNLOAD_LIMIT = 900.0
_ELSEWHERE = "check the network and the proxy settings, or install Pulumi's CLI from elsewhere: it is found on PATH"


def fetch_engine(settings: Settings, events: Events, root: Path, version: str) -> None:
    """Put the vendor's build below `root`. Raises PreconditionError if it cannot be had, soon if there is no network."""
    events(Progress(Phase.ENGINE, "asking the vendor's installer"))
    argv = (python_executable(), "-P", "-c", _CODE, str(root), version)
    job = Job(argv, root, settings.environ, DOWNLOAD_LIMIT, quiet_limit=NETWORK_LIMIT)

    def on_line(line: str) -> None:
        if line == "fetched":
            events(Progress(Phase.ENGINE, f"downloading the engine {version}"))

    try:
        code, _tail = run_job(job, on_line)
    except DeadlineError as error:
        raise PreconditionError(
            "the vendor's installer does not answer",
            phase="engine",
            hint=_ELSEWHERE,
        ) from error
    if code != 0:
        raise PreconditionError(
            "the vendor's installer cannot be reached",
            phase="engine",
            hint=_ELSEWHERE,
        )
