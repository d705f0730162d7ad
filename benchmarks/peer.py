"""The peer: what somebody would write by hand with the Automation API for the same machines, and nothing else.

python benchmarks/peer.py up|again|down WORKDIR ENGINE_ROOT CID
"""

import sys

import pulumi

import pulumi_sealer as sealer
from benchmarks.automation import run

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


run(program, verb, work, engine)
