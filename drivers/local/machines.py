"""Networks and hosts on this machine: made, read, started, removed. What the plugin calls.

Every function may be called again after any interruption and by several processes and threads at once.
All raise errors of our tree: UsageError for a bad cid, name, slot, key or subnet; PreconditionError where this machine
lacks something or the right; CapacityError without a free subnet; LockedError when another process holds the same host
or cluster for two minutes; ProviderError, with the host's console as evidence, when something fails.
"""

from __future__ import annotations

import os

from drivers.local import processes
from drivers.local.cgroups import kill, remove_groups
from drivers.local.checks import check_space
from drivers.local.defaults import default_paths
from drivers.local.disk import checked_login, make_disk
from drivers.local.etchosts import update_hosts
from drivers.local.locks import folder_lock
from drivers.local.look import find_clusters, leftovers
from drivers.local.names import LocalPaths, Place, checked_host, place_of
from drivers.local.network import choose_subnet, ensure_port, ensure_switch, remove_switch
from drivers.local.remove import remove_host, remove_parents, remove_tree, wait_until_reaped
from drivers.local.sshd import find_sshd
from drivers.local.state import (
    HostInputs,
    HostRecord,
    HostState,
    NetworkState,
    host_names,
    host_records,
    read_host_record,
    read_network_record,
    write_network_record,
)
from drivers.local.subnets import address_of, gateway_of, slot_conflict
from drivers.local.sweep import sweep
from provisioner.errors import PreconditionError, ProviderError, UsageError
from provisioner.files import private_folder
from provisioner.model.ids import ClusterId, HostName

__all__ = [
    "HostInputs",
    "HostState",
    "NetworkState",
    "delete_host",
    "delete_network",
    "ensure_host",
    "ensure_network",
    "find_clusters",
    "leftovers",
    "read_host",
    "read_network",
    "start_host",
    "sweep",
]


def ensure_network(cid: ClusterId, cidr: str | None = None, paths: LocalPaths | None = None) -> NetworkState:
    """Make a cluster's network, take the one that lies there, or build it again after a reboot of the machine."""
    place = _place(cid, paths)
    _require_root()
    with folder_lock(place.paths.records, make=True), folder_lock(place.folder, make=True):
        state = read_network_record(place)
        if state is None:
            subnet = choose_subnet(place, cidr)
            state = NetworkState(cid, str(subnet), gateway_of(subnet))
            write_network_record(place, state)
        elif cidr is not None and cidr != state.cidr:
            raise UsageError(
                f"the network of {cid} is {state.cidr}, not {cidr}", hint="remove the cluster to change it"
            )
        _ensure_switch(place, state)
        return state


def read_network(cid: ClusterId, paths: LocalPaths | None = None) -> NetworkState | None:
    """A cluster's network; None only when its record is gone."""
    return read_network_record(_place(cid, paths))


def delete_network(cid: ClusterId, paths: LocalPaths | None = None) -> None:
    """Remove a cluster's network, and our folders if it was the last; idempotent. Its hosts must be gone."""
    place = _place(cid, paths)
    with folder_lock(place.paths.records) as any_cluster:
        if not any_cluster:
            return
        with folder_lock(place.folder):
            if left := host_names(place):
                raise ProviderError(f"{cid} still has hosts: {', '.join(left)}", hint="remove them first")
            remove_switch(place)
            remove_groups(place.cgroup)
            remove_tree(place.run)
            remove_tree(place.folder)
        remove_parents(place.paths)
    wait_until_reaped(place)


def ensure_host(inputs: HostInputs, paths: LocalPaths | None = None) -> HostState:
    """Make a host or take the one that lies there, start it if it does not run, wait until its sshd answers."""
    place = _place(inputs.cid, paths)
    _require_root()
    checked_host(inputs.name, inputs.slot)
    checked_login(inputs.login_public)
    network = _reserve(place, inputs)
    with folder_lock(place.host_folder(inputs.name)) as there:
        if not there:
            raise ProviderError(f"{inputs.name} was removed while it was made", host=inputs.name)
        record = _adopt(place, inputs) or _make(place, network, inputs)
        _start(place, network, record)
    _tell_names(place)
    return record.state(running=True)


def _reserve(place: Place, inputs: HostInputs) -> NetworkState:
    """Make the host's folder while the network stands: once that is removed, no host can begin."""
    with folder_lock(place.folder) as there:
        network = read_network_record(place) if there else None
        if network is None:
            raise PreconditionError(f"{place.cid} has no network", hint="make the network first")
        slots = {record.name: record.slot for record in host_records(place)}
        if other := slot_conflict(slots, inputs.name, inputs.slot):
            raise UsageError(f"slot {inputs.slot} of {inputs.name} belongs to {other}")
        _ensure_switch(place, network)
        private_folder(place.hosts_folder)
        private_folder(place.host_folder(inputs.name))
        return network


def _adopt(place: Place, inputs: HostInputs) -> HostRecord | None:
    record = read_host_record(place, inputs.name)
    if record is None:
        return None
    if record.slot != inputs.slot or record.login_public != checked_login(inputs.login_public):
        raise UsageError(
            f"{inputs.name} of {inputs.cid} lies there with another slot or login key",
            hint=f"remove it: sealer-cloud down {inputs.cid[:-7]}",
        )
    return record


def _make(place: Place, network: NetworkState, inputs: HostInputs) -> HostRecord:
    server = find_sshd(place.paths.sshd)
    space = check_space(place.paths)
    if not space.ok:
        raise PreconditionError(f"no room for the disk of {inputs.name}: {space.detail}", hint=space.hint)
    kill(f"{place.cgroup}/{inputs.name}")  # a host whose disk was taken away under it
    wanted = HostInputs(inputs.cid, inputs.name, inputs.slot, checked_login(inputs.login_public))
    return make_disk(place, wanted, address_of(network.subnet, inputs.slot), os.urandom(16).hex(), server)


def read_host(cid: ClusterId, name: HostName, paths: LocalPaths | None = None) -> HostState | None:
    """A host as it is; None only when its disk is gone, `running` False when its processes are."""
    place = _place(cid, paths)
    record = read_host_record(place, checked_host(name))
    return None if record is None else record.state(running=processes.is_running(place, name))


def start_host(cid: ClusterId, name: HostName, paths: LocalPaths | None = None) -> HostState:
    """Start a host in place: same disk, address and host key, new boot id. One that runs is left alone."""
    place = _place(cid, paths)
    _require_root()
    checked_host(name)
    with folder_lock(place.folder) as there:
        network = read_network_record(place) if there else None
        if network is None:
            raise PreconditionError(f"{cid} has no network", hint="make the network first")
        _ensure_switch(place, network)
    with folder_lock(place.host_folder(name)):
        record = read_host_record(place, name)
        if record is None:
            raise PreconditionError(f"{name} of {cid} has no disk", hint="make the host first")
        _start(place, network, record)
    _tell_names(place)
    return record.state(running=True)


def _start(place: Place, network: NetworkState, record: HostRecord) -> None:
    if not processes.is_running(place, record.name):
        kill(f"{place.cgroup}/{record.name}")
        ensure_port(place, network, record)
        processes.start(place, record)
    processes.wait_for_ssh(place, record)


def _tell_names(place: Place) -> None:
    """Never while a host's lock is held: the order is records, cluster, host."""
    with folder_lock(place.folder) as there:
        if there:
            update_hosts(place)


def delete_host(cid: ClusterId, name: HostName, paths: LocalPaths | None = None) -> None:
    """Remove a host with its disk; idempotent. The others forget its name."""
    place = _place(cid, paths)
    with folder_lock(place.host_folder(checked_host(name))):
        remove_host(place, name)
    _tell_names(place)


def _place(cid: ClusterId, paths: LocalPaths | None) -> Place:
    return place_of(cid, paths or default_paths())


def _ensure_switch(place: Place, network: NetworkState) -> None:
    private_folder(place.run)
    ensure_switch(place, network)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PreconditionError("local hosts need root", hint="run the same command with sudo, or as root")
