"""Where things of a local cluster lie and what they are called: everything is found by the cid alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import UsageError
from provisioner.model.ids import ClusterId, HostName, parse_cid, parse_host_name, short_of

SWITCH = "sw"
CGROUP_PREFIX = "sealer-cloud-"
BRIDGE = "br0"
UPLINK = "up0"
GUEST_LINK = "eth0"
MAX_SLOT = 240


@dataclass(frozen=True, slots=True)
class LocalPaths:
    """The folders of the provider on this machine.

    `records` lasts over a reboot, `run` does not, `netns` is where `ip -n NAME` looks, `sshd` holds a copy of sshd
    that was unpacked and never installed (used where the machine has none).
    """

    sshd: Path
    records: Path = Path("/var/lib/sealer-cloud/local")
    run: Path = Path("/run/sealer-cloud/local")
    netns: Path = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster's folders and names."""

    cid: ClusterId
    paths: LocalPaths

    @property
    def folder(self) -> Path:
        """The record: exists as long as the cluster does."""
        return self.paths.records / self.cid

    @property
    def network_file(self) -> Path:
        """The network's record."""
        return self.folder / "network.json"

    @property
    def hosts_folder(self) -> Path:
        """One folder a host."""
        return self.folder / "hosts"

    def host_folder(self, name: HostName) -> Path:
        """The host's record, disk and console."""
        return self.hosts_folder / name

    @property
    def run(self) -> Path:
        """Mount points; gone after a reboot of the machine."""
        return self.paths.run / self.cid

    @property
    def link(self) -> str:
        """The machine's leg in the cluster's network."""
        return f"sc-{short_of(self.cid)}"

    @property
    def netns_prefix(self) -> str:
        """What all network namespaces of the cluster start with."""
        return f"{self.link}-"

    @property
    def switch(self) -> str:
        """The network namespace that holds the bridge."""
        return f"{self.netns_prefix}{SWITCH}"

    def netns(self, name: HostName) -> str:
        """A host's network namespace."""
        return f"{self.netns_prefix}{name}"

    def netns_path(self, netns: str) -> Path:
        """The file that keeps a network namespace alive."""
        return self.paths.netns / netns

    @property
    def cgroup(self) -> str:
        """The cluster's cgroup, directly below the root of every hierarchy."""
        return f"{CGROUP_PREFIX}{self.cid}"

    @property
    def mark(self) -> str:
        """A word in the argv of every supervisor."""
        return f"{CGROUP_PREFIX}{self.cid}"


def place_of(cid: ClusterId, paths: LocalPaths) -> Place:
    """The cluster's place. Raises UsageError for what is no cid: it becomes part of paths that get removed."""
    return Place(parse_cid(cid), paths)


def checked_host(name: HostName, slot: int = 0) -> HostName:
    """The name itself. Raises UsageError for a name or slot that a local host cannot have."""
    parse_host_name(name)
    if name == SWITCH:
        raise UsageError(f"a local host cannot be named {SWITCH!r}", hint="give the pool another first role")
    if not 0 <= slot <= MAX_SLOT:
        raise UsageError(f"slot {slot} of host {name} is not within 0 and {MAX_SLOT}")
    return name


def port_of(slot: int) -> str:
    """A host's port on the switch; host names may be longer than the 15 characters of an interface name."""
    return f"p{slot}"


def mac_of(cid: ClusterId, slot: int) -> str:
    """A locally administered address that a slot keeps for life."""
    value = 0
    for character in short_of(cid):
        value = (value * 32 + "abcdefghijklmnopqrstuvwxyz234567".index(character)) & 0xFFFFFF
    return ":".join(f"{byte:02x}" for byte in (0x02, 0xD5, *value.to_bytes(3, "big"), slot))
