"""Real hosts for simulated clouds: made by the machinery of local hosts, with user-data run as root at their boot.

One network a simulated one; its addresses are the ones that really answer, which need not lie within the block that
the program asked for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from drivers.local import cgroups, machines
from drivers.local.defaults import default_paths
from drivers.local.names import place_of
from drivers.local.processes import console_tail, first_process
from drivers.local.subnets import address_of
from provisioner.errors import SealerError
from provisioner.model.ids import ClusterId, HostName

BOOT_SECONDS = 60
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass
class RealHost:
    """One host. `failure` says why its boot or its user-data went wrong."""

    cid: ClusterId
    name: HostName
    slot: int
    address: str
    failure: str = ""
    user_data: bytes = b""
    thread: threading.Thread | None = None


class RealHosts:
    """The hosts of one simulated account. `close` takes all of them away.

    `spoil` says what runs in place of a host's user-data (by its name), where a test breaks it; hosts that are `mute` take
    connections and never say a word.
    """

    def __init__(self, folder: Path) -> None:
        key = Ed25519PrivateKey.generate()
        self._login = folder / "simulator-login"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        descriptor = os.open(self._login, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private)
        self._login_public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        self._lock = threading.Lock()
        self._networks: dict[str, ClusterId] = {}
        self.hosts: dict[str, RealHost] = {}
        self.spoil: Callable[[str, bytes], bytes] = lambda _name, data: data
        self.mute: set[str] = set()

    def place(self, own: str, network: str, name: str) -> str:
        """Give instance `own` a place in a network; returns the address it will have."""
        with self._lock:
            cid = self._networks.get(network) or self._new_network(network)
            taken = {h.slot for h in self.hosts.values() if h.cid == cid}
            names = {h.name for h in self.hosts.values() if h.cid == cid}
            slot = next(n for n in range(240) if n not in taken)
            state = machines.read_network(cid)
            assert state is not None
            used = HostName(name if name and name not in names else f"h{slot}-{secrets.token_hex(2)}")
            self.hosts[own] = RealHost(cid, used, slot, address_of(IPv4Network(state.cidr), slot))
            return self.hosts[own].address

    def boot(self, own: str, user_data: bytes, done: Callable[[], None]) -> None:
        """Begin to make the host; `done` is called in another thread when its user-data has run."""
        host = self.hosts[own]
        host.user_data = user_data
        host.thread = threading.Thread(target=self._boot, args=(own, user_data, done), daemon=True)
        host.thread.start()

    def boot_again(self, own: str) -> None:
        """Run a host's user-data once more, whole, as its next boot would."""
        host = self.hosts[own]
        state = machines.read_host(host.cid, host.name)
        assert state is not None
        host.failure = self._run(host, state.host_key, host.user_data)
        assert not host.failure

    def speak(self, own: str, *, mute: bool = False) -> None:
        """Have a host's sshd answer again, or no more."""
        host = self.hosts[own]
        place = place_of(host.cid, default_paths())
        first = first_process(place, host.name)
        for pid in cgroups.seen_pids(f"{place.cgroup}/{host.name}"):
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(words[1]) == first and Path(f"/proc/{pid}/comm").read_text().strip() == "sshd":
                os.kill(pid, signal.SIGSTOP if mute else signal.SIGCONT)

    def is_off(self, own: str) -> bool:
        """True for a host that ran and turned itself off."""
        host = self.hosts[own]
        if host.thread:
            host.thread.join(BOOT_SECONDS)
        state = machines.read_host(host.cid, host.name)
        return state is not None and not state.running

    def end(self, own: str) -> None:
        """Take a host away with its disk."""
        host = self.hosts.get(own)
        if host is None:
            return
        if host.thread:
            host.thread.join(BOOT_SECONDS)
        machines.delete_host(host.cid, host.name)
        with self._lock:
            self.hosts.pop(own, None)

    def console(self, own: str) -> str:
        """What the host said at its boot."""
        host = self.hosts[own]
        return f"{console_tail(place_of(host.cid, default_paths()), host.name)}\n{host.failure}"

    def close(self) -> None:
        """Take everything away, whatever state it is in."""
        for own in list(self.hosts):
            self.end(own)
        for cid in self._networks.values():
            with contextlib.suppress(SealerError):
                machines.delete_network(cid)

    def _new_network(self, network: str) -> ClusterId:
        cid = ClusterId("sim-" + "".join(secrets.choice(_ALPHABET) for _ in range(6)))
        machines.ensure_network(cid)
        self._networks[network] = cid
        return cid

    def _boot(self, own: str, user_data: bytes, done: Callable[[], None]) -> None:
        host = self.hosts[own]
        try:
            inputs = machines.HostInputs(host.cid, host.name, host.slot, self._login_public)
            state = machines.ensure_host(inputs)
            if user_data:
                host.failure = self._run(host, state.host_key, self.spoil(host.name, user_data))
            if host.name in self.mute:
                self.speak(own, mute=True)
        except (SealerError, OSError, subprocess.SubprocessError) as error:
            host.failure = str(error)
        finally:
            done()

    def _run(self, host: RealHost, host_key: str, user_data: bytes) -> str:
        known = self._login.with_name(f"known-{host.cid}-{host.name}")
        known.write_text(f"{host.address} {host_key}\n")
        options = ("-i", str(self._login), "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-F", "none")
        target = (f"root@{host.address}", "cat >/run/user-data && chmod 700 /run/user-data && exec /run/user-data")
        ran = subprocess.run(
            ["ssh", *options, "-o", "IdentitiesOnly=yes", *target],
            input=user_data, capture_output=True, timeout=BOOT_SECONDS, check=False,
        )  # fmt: skip
        return "" if ran.returncode == 0 else f"user-data ended with {ran.returncode}: {ran.stderr.decode()[-800:]}"
