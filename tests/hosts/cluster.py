"""A local cluster for a test: made by the driver, entered by SSH with pinned keys, always swept at the end."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import asyncssh

from drivers.local import machines
from drivers.local.machines import HostInputs, HostState
from provisioner.model.ids import ClusterId, ClusterName, HostName, new_cid


class Cluster:
    """Its cid and login key, and what tests do with its hosts."""

    def __init__(self, name: str = "t") -> None:
        self.cid: ClusterId = new_cid(ClusterName(name), secrets.token_bytes)
        self.key = asyncssh.generate_private_key("ssh-ed25519")

    @property
    def login_public(self) -> str:
        return self.key.export_public_key().decode().strip()

    def inputs(self, slot: int) -> HostInputs:
        return HostInputs(self.cid, HostName(f"m{slot + 1}"), slot, self.login_public)

    def up(self, count: int = 1) -> tuple[HostState, ...]:
        machines.ensure_network(self.cid)
        with ThreadPoolExecutor(count) as pool:
            return tuple(pool.map(lambda slot: machines.ensure_host(self.inputs(slot)), range(count)))

    def down(self, count: int = 1) -> None:
        for slot in range(count):
            machines.delete_host(self.cid, HostName(f"m{slot + 1}"))
        machines.delete_network(self.cid)

    async def run(self, host: HostState, command: str) -> str:
        """Log in with the login key, host key pinned; the output of a command that must succeed."""
        pinned = asyncssh.import_known_hosts(f"{host.address} {host.host_key}\n")
        options = {"username": "root", "client_keys": [self.key], "known_hosts": pinned, "config": None}
        async with asyncssh.connect(host.address, **options) as connection:
            done = await connection.run(command, check=True, timeout=60)
            return str(done.stdout).strip()
