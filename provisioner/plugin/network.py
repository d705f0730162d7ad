"""`sealer:local:Network`: one cluster's network on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from provisioner.model.ids import ClusterId
from provisioner.plugin import problems
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.machines import Machines, local_machines
from provisioner.plugin.values import UNKNOWN, same, strip, text_of

if TYPE_CHECKING:
    from drivers.local.state import NetworkState
    from provisioner.plugin.values import Properties


class NetworkKind:
    """The first free subnet is taken where none is asked for, and kept for life."""

    type_name: ClassVar[str] = "sealer:local:Network"
    stable: ClassVar[tuple[str, ...]] = ("cid", "cidr", "gateway")
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "cidr": Field(problems.cidr, required=False, replaces=True, compared=False),  # see diff
    }

    def __init__(self, machines: Callable[[], Machines] = local_machines) -> None:
        self._machines = machines

    def diff(self, old: Old, news: Properties) -> Change:
        """A subnet that is asked for is compared with the one in use; asking for none changes nothing."""
        change = diff_fields(self.fields, old.inputs, news)
        wanted = news.get("cidr")
        if strip(wanted) is None or same(wanted, old.outputs.get("cidr")):
            return change
        return Change((*change.changed, "cidr"), (*change.replaces, "cidr"))

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make or adopt it."""
        if preview:
            cidr = UNKNOWN if news.get("cidr") is None else news["cidr"]
            return "", {**news, "cidr": cidr, "gateway": UNKNOWN}
        cid = text_of(news, "cid")
        cidr_wanted = None if strip(news.get("cidr")) is None else text_of(news, "cidr")
        return cid, _outputs(news, self._machines().ensure_network(ClusterId(cid), cidr_wanted))

    def read(self, old: Old) -> Properties | None:
        """As its record says; links that a reboot took are rebuilt by the next start, so they are no drift."""
        state = self._machines().read_network(ClusterId(old.id))
        return None if state is None else _outputs(old.inputs, state)

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:  # noqa: ARG002 - no field updates
        """Nothing of a network changes in place."""
        return {**old.outputs, **{k: v for k, v in news.items() if k != "cidr"}}

    def delete(self, old: Old) -> None:
        """Remove it."""
        self._machines().delete_network(ClusterId(old.id))


def _outputs(inputs: Properties, state: NetworkState) -> Properties:
    return {**inputs, "cidr": state.cidr, "gateway": state.gateway}
