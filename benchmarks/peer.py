"""The peer: what somebody would write by hand with the Automation API for the same machines, and nothing else.

python benchmarks/peer.py up|again|down WORKDIR ENGINE_ROOT CID
"""

import sys
from pathlib import Path

import pulumi
from pulumi import automation as auto

import pulumi_sealer as sealer

verb, work, engine, cid = sys.argv[1:5]


def program() -> None:
    intent = sealer.Intent("intent", cid=cid, request={"schemaVersion": 1}, secrets={})
    after = pulumi.ResourceOptions(depends_on=[intent])
    network = sealer.local.Network("network", cid=cid, opts=after)
    for slot, name in enumerate(("m1", "m2", "m3")):
        sealer.local.Host(
            name,
            cid=cid,
            name=name,
            slot=slot,
            roles=["master"],
            login_public=intent.login_public,
            network=network.cid,
            opts=after,
        )


env = {
    "PULUMI_BACKEND_URL": f"file://{work}/backend",
    "PULUMI_HOME": f"{work}/home",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    "PULUMI_CONFIG_PASSPHRASE": "bench",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
}
Path(work, "backend").mkdir(parents=True, exist_ok=True)
command = auto.PulumiCommand(root=engine)
stack = auto.create_or_select_stack(
    "bench",
    project_name="sealer-cloud",
    program=program,
    opts=auto.LocalWorkspaceOptions(work_dir=f"{work}/project", env_vars=env, pulumi_command=command),
)
if verb == "down":
    stack.destroy()
else:
    stack.preview(refresh=True)
if verb == "up":
    stack.up(refresh=True)
