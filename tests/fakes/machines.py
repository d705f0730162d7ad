"""Local machines in memory: the same promises as `drivers.local.machines`, without root and without a machine."""

import threading

from drivers.local.state import HostInputs, HostState, NetworkState
from provisioner.errors import PreconditionError


class FakeMachines:
    """State is what `networks` and `hosts` hold; `calls` lists every mutating call; `fail` maps a call to an error."""

    def __init__(self):
        self.networks = {}
        self.hosts = {}
        self.calls = []
        self.fail = {}
        self.together = 0
        self.most_together = 0
        self.hold = None
        self._lock = threading.Lock()
        self._made = 0

    def __call__(self):
        return self

    def ensure_network(self, cid, cidr=None):
        self._called("ensure_network", cid)
        cidr = cidr or f"10.213.{len(self.networks)}.0/24"
        return self.networks.setdefault(cid, NetworkState(cid=cid, cidr=cidr, gateway=cidr.replace(".0/24", ".1")))

    def read_network(self, cid):
        return self.networks.get(cid)

    def delete_network(self, cid):
        self._called("delete_network", cid)
        self.networks.pop(cid, None)

    def ensure_host(self, inputs: HostInputs):
        self._called("ensure_host", inputs.name)
        with self._lock:
            if inputs.cid not in self.networks:
                raise PreconditionError(f"{inputs.cid} has no network")
            if (inputs.cid, inputs.name) not in self.hosts:
                self._made += 1
                self._put(inputs.cid, inputs.name, address=f"10.213.0.{10 + inputs.slot}", running=True)
            return self.hosts[inputs.cid, inputs.name]

    def read_host(self, cid, name):
        return self.hosts.get((cid, name))

    def start_host(self, cid, name):
        self._called("start_host", name)
        old = self.hosts.get((cid, name))
        if old is None:
            raise PreconditionError(f"{name} is gone")
        return self.set_running(cid, name, running=True)

    def delete_host(self, cid, name):
        self._called("delete_host", name)
        self.hosts.pop((cid, name), None)

    def set_running(self, cid, name, *, running):
        old = self.hosts[cid, name]
        self.hosts[cid, name] = HostState(
            name=old.name,
            address=old.address,
            host_key=old.host_key,
            machine_id=old.machine_id,
            running=running,
        )
        return self.hosts[cid, name]

    def _put(self, cid, name, *, address, running):
        self.hosts[cid, name] = HostState(
            name=name,
            address=address,
            host_key=f"ssh-ed25519 AAAAfake{name}",
            machine_id=f"machine-{self._made}",
            running=running,
        )

    def _called(self, call, what):
        with self._lock:
            self.calls.append(f"{call} {what}")
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        if self.hold is not None:
            self.hold(f"{call} {what}")
        with self._lock:
            self.together -= 1
        error = self.fail.get(f"{call} {what}")
        if error is not None:
            raise error
