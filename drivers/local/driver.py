"""The local provider behind the seam that every provider keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from drivers.local import adopting, look, sweep
from drivers.local.checks import check_machine, check_room
from drivers.local.defaults import default_paths
from drivers.local.names import LocalPaths
from drivers.local.spec import LocalSpec, parse_local
from drivers.nocloud import NoCloud
from provisioner.model.accepted import Accepted
from provisioner.model.adoption import Login
from provisioner.model.driver import Check, Dark, FoundCluster, FoundMachine, Marks, OutputSink
from provisioner.model.ids import ClusterId, ClusterName, HostName


class LocalDriver(NoCloud):
    """Hosts on this machine; `paths` is where they lie (None: the usual folders)."""

    name = look.PROVIDER

    def __init__(self, paths: LocalPaths | None = None) -> None:
        self._paths = paths or default_paths()

    def parse_spec(self, accepted: Accepted) -> LocalSpec:
        """Subnet and hosts of the request. Raises UsageError naming a key that local hosts cannot serve."""
        return parse_local(accepted)

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        """What this machine lacks; reads only. A `standing` cluster has its subnet and its disks already."""
        if standing:
            return check_machine(self._paths)
        cidr = spec.cidr if isinstance(spec, LocalSpec) else None
        return (*check_machine(self._paths), *check_room(self._paths, cidr))

    def declare(
        self,
        spec: object,
        marks: Marks,
        intent: object,
        sink: OutputSink,
        adopt: Mapping[str, str],  # noqa: ARG002 - our plugin's create adopts what lies there
    ) -> list[object]:
        """Declare network and hosts inside a Pulumi program; one output per host."""
        from drivers.local.resources import declare
        from pulumi_sealer import Intent

        return list(declare(cast("LocalSpec", spec), marks.cid, cast("Intent", intent), sink))

    def find(
        self,
        name: ClusterName | None,
        regions: tuple[str, ...] = (),  # noqa: ARG002 - the seam's
        dark: Dark | None = None,  # noqa: ARG002
    ) -> tuple[FoundCluster, ...]:
        """Clusters on this machine by records, cgroups and links."""
        return look.find_clusters(name, self._paths)

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:
        """Its hosts by records and processes."""
        return look.machines_of(cid, self._paths)

    def kept(self, cid: ClusterId) -> Mapping[HostName, bytes]:
        """What each host keeps of its cluster, read from its disk."""
        return adopting.kept_records(cid, self._paths)

    def admit(self, cid: ClusterId) -> Login:
        """A new login key on every host of the cluster."""
        return adopting.admit(cid, self._paths)

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:
        """What is there of a cluster: processes, namespaces, links, routes, mounts, loop devices, cgroups, folders."""
        return look.leftovers(cid, self._paths)

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:
        """Remove all of a cluster by its cid alone; idempotent."""
        return sweep.sweep(cid, self._paths)
