"""The program of a cluster that stands, for the plain `pulumi` CLI in this repository's folder.

It declares what the stack's stored Intent asks for, so a `pulumi preview --refresh` shows drift and nothing else. New
requests come in by `sealer-cloud up` alone. The CLI needs to know where the state lies and how it is opened:

    export PULUMI_BACKEND_URL=file://$HOME/.local/state/sealer-cloud/backend
    export PULUMI_CONFIG_PASSPHRASE_FILE=$HOME/.local/state/sealer-cloud/passphrase
    pulumi stack select NAME && pulumi preview --refresh
"""

from __future__ import annotations

from datetime import UTC, datetime

import pulumi

from drivers.base import load_driver
from provisioner.errors import UsageError
from provisioner.infra.backend import FileStore, backend_of
from provisioner.infra.statefile import to_state
from provisioner.model.driver import Marks, Surroundings
from provisioner.model.endpoints import with_endpoints
from provisioner.model.engine import StackState
from provisioner.model.ids import RunId, parse_cluster_name
from provisioner.settings import Settings, load_settings
from stacks.program import build_program

RUN = RunId("by-hand")


def stored_state(name: str, settings: Settings) -> StackState:
    """The stack's state as its file says. Raises UsageError for a stack without an Intent, or on another backend."""
    folder = backend_of(settings).folder
    if folder is None:
        raise UsageError("this works on a file backend only", hint="use sealer-cloud plan")
    cluster = parse_cluster_name(name)
    deployment = FileStore(folder).read(cluster)
    if deployment is None:
        raise UsageError(f"{folder} has no stack {name}", hint="sealer-cloud list")
    return to_state(cluster, deployment)


def main() -> None:
    """Declare the cluster of the selected stack. Raises UsageError if it was never accepted."""
    settings = load_settings()
    state = stored_state(pulumi.get_stack(), settings)
    if state.accepted is None or state.cid is None:
        raise UsageError(
            f"{state.cluster} has no accepted request yet", hint=f"sealer-cloud up IMAGE -n {state.cluster}"
        )
    accepted = state.accepted
    environ = with_endpoints(settings.environ, accepted.provider, accepted.endpoints)
    around = Surroundings(environ, settings.cache_dir, lambda: datetime.now(UTC))
    driver = load_driver(accepted.provider, around)
    program = build_program(driver, driver.parse_spec(accepted), accepted, Marks(state.cid, RUN, accepted.expires_at))
    program(lambda _kind, _value: None)


if __name__ == "__main__":
    main()
