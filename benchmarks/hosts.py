"""Print the seconds from nothing to three verified SSH logins on local hosts, made in parallel; nothing is left."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import asyncssh

from drivers.local import machines
from provisioner.model.ids import ClusterId, ClusterName, HostName, new_cid

KEY = asyncssh.generate_private_key("ssh-ed25519")


async def login(host: machines.HostState) -> None:
    """Log in with the pinned key and run one command."""
    known = asyncssh.import_known_hosts(f"{host.address} {host.host_key}\n")
    async with asyncssh.connect(
        host.address, username="root", client_keys=[KEY], known_hosts=known, config=None, agent_path=None
    ) as connection:
        done = await connection.run("hostname", check=True)
        if str(done.stdout).strip() != host.name:
            sys.exit(f"{host.name} answered {done.stdout!r}")


async def main() -> None:
    """Make, log in, tell, remove."""
    cid: ClusterId = new_cid(ClusterName("bench"), os.urandom)
    public = KEY.export_public_key().decode().strip()
    begun = time.monotonic()
    try:
        machines.ensure_network(cid)
        inputs = [machines.HostInputs(cid, HostName(f"m{slot + 1}"), slot, public) for slot in range(3)]
        with ThreadPoolExecutor(3) as pool:
            hosts = list(pool.map(machines.ensure_host, inputs))
        await asyncio.gather(*(login(host) for host in hosts))
        print(f"{time.monotonic() - begun:.3f}")
    finally:
        machines.sweep(cid)


if __name__ == "__main__":
    asyncio.run(main())
