"""How all peers run: the Automation API as its documentation shows it, on a file backend of their own."""

from collections.abc import Callable
from pathlib import Path

from pulumi import automation as auto


def run(program: Callable[[], None], verb: str, work: str, engine: str) -> None:
    """`up`: preview with refresh, then up with refresh; `again`: the preview alone; `down`: destroy."""
    env = {
        "PULUMI_BACKEND_URL": f"file://{work}/backend",
        "PULUMI_HOME": f"{work}/home",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    Path(work, "backend").mkdir(parents=True, exist_ok=True)
    stack = auto.create_or_select_stack(
        "bench",
        project_name="sealer-cloud",
        program=program,
        opts=auto.LocalWorkspaceOptions(
            work_dir=f"{work}/project", env_vars=env, pulumi_command=auto.PulumiCommand(root=engine)
        ),
    )
    if verb == "down":
        stack.destroy()
    else:
        stack.preview(refresh=True)
    if verb == "up":
        stack.up(refresh=True)
