"""Looking from outside: which clusters there are, and what is left of one, whatever the records say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from drivers.local import cgroups, ip
from drivers.local.defaults import default_paths
from drivers.local.hierarchies import read_hierarchies
from drivers.local.names import CGROUP_PREFIX, SWITCH, LocalPaths, Place, place_of
from drivers.local.network import alias_cid, link_exists, netns_paths
from drivers.local.processes import is_running, is_supervisor
from drivers.local.state import host_names, listed, read_host_record
from provisioner.errors import PreconditionError, SealerError
from provisioner.model.driver import FoundCluster, FoundMachine
from provisioner.model.ids import ClusterId, ClusterName, HostName, name_of, parse_cid

PROVIDER = "local"


def find_clusters(name: ClusterName | None, paths: LocalPaths | None = None) -> tuple[FoundCluster, ...]:
    """Clusters by records, run folders, cgroups and links; half-removed ones too, sorted by cid.

    Raises AccessError where the records may not be read: "nothing found" would be a lie.
    """
    paths = paths or default_paths()
    found = sorted({cid for cid in _cids(paths) if name is None or name_of(cid) == name})
    return tuple(FoundCluster(name_of(cid), cid, PROVIDER, _hosts(place_of(cid, paths))) for cid in found)


def _cids(paths: LocalPaths) -> Iterator[ClusterId]:
    folders = [p.name for parent in (paths.records, paths.run) for p in listed(parent) if p.is_dir()]
    for hierarchy in read_hierarchies():
        children = (p.name for p in _children(Path(hierarchy.mountpoint)))
        folders += [n.removeprefix(CGROUP_PREFIX) for n in children if n.startswith(CGROUP_PREFIX)]
    for text in folders:
        with suppress(SealerError):
            yield parse_cid(text)
    for link in _children(Path("/sys/class/net")):
        if link.name.startswith("sc-") and (cid := alias_cid(link)):
            yield cid


def _hosts(place: Place) -> tuple[str, ...]:
    names = {str(name) for name in host_names(place)}
    names.update(p.name for group in cgroups.groups(place.cgroup) for p in _children(group) if p.is_dir())
    names.update(p.name.removeprefix(place.netns_prefix) for p in netns_paths(place))
    return tuple(sorted(names - {SWITCH}))


def machines_of(cid: ClusterId, paths: LocalPaths) -> tuple[FoundMachine, ...]:
    """The hosts of a cluster, half-made ones too (`incomplete`). Raises AccessError where the records may not be read."""
    place = place_of(cid, paths)
    return tuple(_machine(place, HostName(name)) for name in _hosts(place))


def _machine(place: Place, name: HostName) -> FoundMachine:
    with suppress(PreconditionError):  # a broken record says as little as none
        if record := read_host_record(place, name):
            state = "running" if is_running(place, name) else "stopped"
            return FoundMachine(name, record.machine_id, state, record.address)
    return FoundMachine(name, "", "incomplete")


def leftovers(cid: ClusterId, paths: LocalPaths | None = None) -> tuple[str, ...]:
    """Everything of a cluster that is there, one line each: an outside look that trusts no record.

    Raises AccessError where our folders may not be read.
    """
    place = place_of(cid, paths or default_paths())
    return tuple(
        line for look in (_processes, _namespaces, _links, _mounts, _loops, _groups, _folders) for line in look(place)
    )


def _processes(place: Place) -> Iterator[str]:
    found = cgroups.pids(place.cgroup) | frozenset(marked(place))
    for pid in sorted(found):
        with suppress(OSError):
            yield f"process {pid} {Path(f'/proc/{pid}/comm').read_text('utf-8', 'replace').strip()}"


def marked(place: Place) -> Iterator[int]:
    """Supervisors that joined no cgroup yet: their argv carries the cid."""
    for folder in _children(Path("/proc")):
        if folder.name.isdigit() and is_supervisor(place, int(folder.name)):
            yield int(folder.name)


def unreaped(place: Place) -> tuple[int, ...]:
    """Ended processes of the cluster that this machine's init has not taken note of yet; most do so at once."""
    found: list[int] = []
    for folder in _children(Path("/proc")):
        if folder.name.isdigit():
            with suppress(OSError):
                if f"/{place.cgroup}/" in (folder / "cgroup").read_text("utf-8", "replace"):
                    found.append(int(folder.name))
    return tuple(found)


def _namespaces(place: Place) -> Iterator[str]:
    yield from (f"network namespace {path.name}" for path in netns_paths(place))


def _links(place: Place) -> Iterator[str]:
    if not link_exists(place.link):
        return
    yield f"link {place.link}"
    for route in ip.query("route", "show", "dev", place.link):
        if isinstance(route, dict):
            yield f"route {route.get('dst')} through {place.link}"


def _mounts(place: Place) -> Iterator[str]:
    for folder in (place.folder, place.run):
        yield from (f"mount {point}" for point in mounts_below(folder))


def mounts_below(folder: Path) -> tuple[str, ...]:
    """Mount points at or below a folder, in this process's mount namespace."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    points = (_unescape(line.split(" ")[4]) for line in lines)
    return tuple(p for p in points if p == str(folder) or p.startswith(f"{folder}/"))


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _loops(place: Place) -> Iterator[str]:
    for device in loop_devices(place):
        yield f"loop device {device}"


def loop_devices(place: Place) -> tuple[str, ...]:
    """Loop devices of this machine whose file lies in one of the cluster's folders."""
    found: list[str] = []
    for block in _children(Path("/sys/block")):
        with suppress(OSError):
            backing = (block / "loop/backing_file").read_text("utf-8", "surrogateescape")
            if backing.startswith((f"{place.folder}/", f"{place.run}/")):
                found.append(f"/dev/{block.name}")
    return tuple(found)


def _groups(place: Place) -> Iterator[str]:
    yield from (f"cgroup {path}" for path in cgroups.groups(place.cgroup))


def _folders(place: Place) -> Iterator[str]:
    for parent, path in ((place.paths.run, place.run), (place.paths.records, place.folder)):
        if path in listed(parent):
            yield f"folder {path}"


def _children(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(folder.iterdir()))
    except OSError:
        return ()
