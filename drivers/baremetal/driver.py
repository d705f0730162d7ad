"""The baremetal provider behind the seam that every provider keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from drivers.baremetal.entry import BaremetalSpec, joined, settle, usual_key
from drivers.baremetal.probe import Seen, probe_all, strangers
from drivers.baremetal.spec import parse_machines
from drivers.nocloud import NoCloud
from provisioner.errors import SealerError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Check, Dark, FoundCluster, Marks, OutputSink, Surroundings
from provisioner.model.hosts import InventoryHost
from provisioner.model.ids import ClusterId, ClusterName, HostName
from provisioner.transport.connection import Connect

PROVIDER = "baremetal"
FREE = (
    "nothing was changed; remove that cluster where its state is (`sealer-cloud down`), take it over where that is lost "
    "(`sealer-cloud adopt`), move away what you keep, or take other machines"
)


class BaremetalDriver(NoCloud):
    """Machines that exist. They are found by the request alone: without it nobody knows where to look."""

    name = PROVIDER

    def __init__(self, around: Surroundings, connect: Connect | None = None) -> None:
        self._home = around.environ.get("HOME")
        self._connect = connect

    def parse_spec(self, accepted: Accepted) -> BaremetalSpec:
        """The machines, with pins and login keys from the user's files; what is missing there is for `check` to say.

        Raises UsageError naming the key that machines which exist cannot serve.
        """
        base = f"{accepted.data_root}/{accepted.cluster}"
        return settle(parse_machines(accepted, self._home), self._home, base)

    def check(self, spec: object | None = None, *, standing: bool = False) -> tuple[Check, ...]:
        """Key files and pins; of a new cluster also whether every machine answers, as root, and is free.

        Raises what is missing, all at once: AccessError (5), HostError (7), UsageError (3) for somebody else's machine.
        """
        if not isinstance(spec, BaremetalSpec):
            key = usual_key(self._home)
            return (Check("login key", ok=True, detail=key or "none of the usual names; the Infra document names one"),)
        if spec.lacks:
            raise joined(spec.lacks)
        count = f"{len(spec.hosts)} machine{'s' if len(spec.hosts) != 1 else ''}"
        if standing:
            return (Check("machines", ok=True, detail=f"keys for {count}"),)
        _demand_free(spec, probe_all(spec.hosts, self._connect, spec.base))
        return (Check("machines", ok=True, detail=f"{count} answered"),)

    def entries(self, accepted: Accepted) -> tuple[InventoryHost, ...]:
        """How each machine is entered. Raises what is missing for that, all at once."""
        spec = self.parse_spec(accepted)
        if spec.lacks:
            raise joined(spec.lacks)
        return spec.hosts

    def held(self, accepted: Accepted) -> Mapping[HostName, tuple[str, ...]]:
        """The cids whose state each machine holds. Raises what is wrong with any, all at once."""
        found = probe_all(self.entries(accepted), self._connect)
        if errors := [e for e in found.values() if isinstance(e, SealerError)]:
            raise joined(errors)
        return {name: seen.cids for name, seen in found.items() if isinstance(seen, Seen)}

    def declare(
        self,
        spec: object,
        marks: Marks,
        intent: object,
        sink: OutputSink,
        adopt: Mapping[str, str],  # noqa: ARG002 - create takes what is there anyway
    ) -> list[object]:
        """Declare the machines inside a Pulumi program; one output per host."""
        from drivers.baremetal.resources import declare
        from pulumi_sealer import Intent

        return list(declare(cast("BaremetalSpec", spec).hosts, marks.cid, cast("Intent", intent), sink))

    def find(
        self,
        name: ClusterName | None,  # noqa: ARG002 - the seam's
        regions: tuple[str, ...] = (),  # noqa: ARG002
        dark: Dark | None = None,  # noqa: ARG002
    ) -> tuple[FoundCluster, ...]:
        """None: nobody but a state or an inventory says which machines to look at."""
        return ()

    def leftovers(self, cid: ClusterId) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """None that could be seen from here: `down` looks at each machine itself, and keeps the state until all are free."""
        return ()

    def sweep(self, cid: ClusterId) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """Nothing: what a cluster made is undone on each machine by `down`."""
        return ()


def _demand_free(spec: BaremetalSpec, found: Mapping[HostName, Seen | SealerError]) -> None:
    errors = [e for e in found.values() if isinstance(e, SealerError)]
    taken = [strangers(h, s, None, spec.base) for h in spec.hosts if isinstance(s := found[h.name], Seen)]
    if any(taken):
        errors.append(UsageError("not all machines are free: " + "; ".join(t for t in taken if t), hint=FREE))
    if errors:
        raise joined(errors)
