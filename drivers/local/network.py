"""A cluster's network: a switch in a namespace of its own, one link of the machine into it, one a host.

The bridge is not in the machine's own namespace because Docker's rules (FORWARD policy DROP with bridge-nf-call-iptables)
would drop the frames between hosts there.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from drivers.local import ip
from drivers.local.names import BRIDGE, GUEST_LINK, UPLINK, Place, mac_of, port_of
from drivers.local.netns import ensure_netns, links_in, remove_netns
from drivers.local.state import HostRecord, NetworkState, listed, read_network_record
from drivers.local.subnets import (
    checked_subnet,
    conflict,
    free_subnet,
    parse_routes,
    parse_subnet,
    with_prefix,
)
from provisioner.errors import PreconditionError, SealerError, UsageError
from provisioner.model.ids import ClusterId, HostName, parse_cid, short_of

NETNS_MARKER = "made-netns-folder"


def choose_subnet(place: Place, cidr: str | None) -> IPv4Network:
    """The subnet that was asked for, or the first free one. Call it holding the lock of the records folder.

    Raises UsageError for a subnet that is in use, CapacityError when none is free.
    """
    others = tuple(state.subnet for state in _other_networks(place))
    routes = parse_routes(ip.query("-4", "route", "show", "table", "all"))
    if cidr is None:
        return free_subnet(others, routes)
    return checked_subnet(parse_subnet(cidr), others, routes)


def _other_networks(place: Place) -> tuple[NetworkState, ...]:
    found: list[NetworkState] = []
    for folder in listed(place.paths.records):
        try:
            other = Place(parse_cid(folder.name), place.paths)
            state = read_network_record(other) if other.cid != place.cid else None
        except SealerError:
            continue  # a stranger's folder, or a record that only its own cluster must be able to read
        if state is None:
            continue
        if short_of(other.cid) == short_of(place.cid):
            raise UsageError(f"{place.cid} and {other.cid} would share their links", hint="make the cluster again")
        found.append(state)
    return tuple(found)


def link_exists(name: str) -> bool:
    """True when this machine has a link of that name."""
    return Path("/sys/class/net", name).exists()


def ensure_switch(place: Place, state: NetworkState) -> None:
    """Make what is missing of the cluster's switch: new, half-made, or gone since a reboot of the machine.

    Call it holding the cluster's lock. Raises PreconditionError, ProviderError.
    """
    switch = place.netns_path(place.switch)
    ensure_netns(switch, place.paths.run / NETNS_MARKER)
    present = links_in(switch)
    if link_exists(place.link) and {BRIDGE, UPLINK} <= present and _has_address(place, state):
        return
    _check_free(place, state)
    if BRIDGE not in present:
        ip.batch([f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"], place.switch)
    if not link_exists(place.link):
        ip.batch([f"link add {place.link} type veth peer name {UPLINK} netns {place.switch}"])
    ip.batch(["link set lo up", f"link set {BRIDGE} up", f"link set {UPLINK} master {BRIDGE} up"], place.switch)
    gateway = with_prefix(state.gateway, state.subnet)
    ip.batch(
        [
            f"link set {place.link} alias {place.cgroup}",  # so that a look finds the cid where the records are gone
            f"addr replace {gateway} dev {place.link}",
            f"link set {place.link} up",
        ]
    )


def _has_address(place: Place, state: NetworkState) -> bool:
    """True once the route is there, which is the last thing that the set-up makes."""
    prefix = f"{int.from_bytes(state.subnet.network_address.packed, 'little'):08X}"
    lines = Path("/proc/thread-self/net/route").read_text("ascii").splitlines()
    return any(line.split()[:2] == [place.link, prefix] for line in lines)


def _check_free(place: Place, state: NetworkState) -> None:
    """After a reboot something else may have taken the subnet."""
    routes = parse_routes(ip.query("-4", "route", "show", "table", "all"), own_link=place.link)
    other = conflict(state.subnet, (r for r in routes if r.prefixlen >= state.subnet.prefixlen))
    if other is not None:
        raise PreconditionError(
            f"the subnet {state.cidr} of {place.cid} is in use on this machine ({other})",
            hint="remove that route, or remove the cluster and make it again",
        )


def ensure_port(place: Place, state: NetworkState, host: HostRecord) -> None:
    """Make what is missing of a host's link and address. Raises PreconditionError, ProviderError."""
    netns, port = place.netns(host.name), port_of(host.slot)
    ensure_netns(place.netns_path(netns), place.paths.run / NETNS_MARKER)
    lines = [f"link set {port} master {BRIDGE} up"]
    if GUEST_LINK not in links_in(place.netns_path(netns)):
        mac = mac_of(place.cid, host.slot)
        lines.insert(0, f"link add {port} type veth peer name {GUEST_LINK} netns {netns} address {mac}")
        if port in links_in(place.netns_path(place.switch)):
            lines.insert(0, f"link del {port}")
    ip.batch(lines, place.switch)
    address = with_prefix(host.address, state.subnet)
    ip.batch(
        [
            "link set lo up",
            f"addr replace {address} dev {GUEST_LINK}",
            f"link set {GUEST_LINK} up",
            f"route replace default via {state.gateway}",
        ],
        netns,
    )


def remove_port(place: Place, name: HostName, slot: int | None) -> None:
    """Take a host's link and namespace away; idempotent. Raises ProviderError."""
    switch = place.netns_path(place.switch)
    if slot is not None and switch.exists() and port_of(slot) in links_in(switch):
        ip.batch([f"link del {port_of(slot)}"], place.switch)
    remove_netns(place.netns_path(place.netns(name)))


def remove_switch(place: Place) -> None:
    """Take the machine's link and all of the cluster's namespaces away; idempotent. Raises ProviderError."""
    if link_exists(place.link):
        ip.batch([f"link del {place.link}"])
    for path in netns_paths(place):
        remove_netns(path)


def netns_paths(place: Place) -> tuple[Path, ...]:
    """The cluster's named network namespaces, half-made ones too."""
    return tuple(p for p in listed(place.paths.netns) if p.name.startswith(place.netns_prefix))


def alias_cid(link: Path) -> ClusterId | None:
    """The cid that a link of ours (`/sys/class/net/sc-…`) carries."""
    try:
        text = (link / "ifalias").read_text("utf-8").strip()
        return parse_cid(text.removeprefix("sealer-cloud-")) if text.startswith("sealer-cloud-") else None
    except (OSError, SealerError):
        return None
