"""`sealer:local:Host`: one isolated Linux host on this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from provisioner.model.ids import ClusterId, HostName
from provisioner.plugin import problems
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.machines import Machines, local_machines
from provisioner.plugin.values import UNKNOWN, number_of, strip, text_of

if TYPE_CHECKING:
    from drivers.local.state import HostState
    from provisioner.plugin.values import Properties

MADE = ("address", "hostKey", "machineId", "running")


class HostKind:
    """A stopped host is drift that an update repairs by starting it in place; only a lost disk means a new host."""

    type_name: ClassVar[str] = "sealer:local:Host"
    stable: ClassVar[tuple[str, ...]] = ("cid", "name", "slot", "address", "hostKey", "machineId")
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "name": Field(problems.host_name, replaces=True),
        "slot": Field(problems.slot, replaces=True),
        "roles": Field(problems.roles),
        "loginPublic": Field(problems.public_key, replaces=True),  # laid at create; Intent never changes it
        "network": Field(problems.text, replaces=True),  # not known while its network is replaced: then we are, too
    }

    def __init__(self, machines: Callable[[], Machines] = local_machines) -> None:
        self._machines = machines

    def diff(self, old: Old, news: Properties) -> Change:
        """Inputs, and whether the last look found it running."""
        change = diff_fields(self.fields, old.inputs, news)
        return Change((*change.changed, "running"), change.replaces) if _stopped(old) else change

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Make it or adopt what lies there, and start it."""
        if preview:
            return "", {**news, "address": UNKNOWN, "hostKey": UNKNOWN, "machineId": UNKNOWN, "running": True}
        state = self._ensure(news)
        return f"{text_of(news, 'cid')}/{state.name}", _outputs(news, state)

    def read(self, old: Old) -> Properties | None:
        """As it is now; None only when its disk is gone."""
        state = self._machines().read_host(*_key(old))
        return None if state is None else _outputs(old.inputs, state)

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:
        """Start a stopped host; roles are only words to stage 1. Same disk, address and keys, so all stays known."""
        if preview or not _stopped(old):
            return {**news, **{key: old.outputs.get(key) for key in MADE}, "running": True}
        return _outputs(news, self._machines().start_host(*_key(old)))

    def delete(self, old: Old) -> None:
        """Remove it with its disk."""
        self._machines().delete_host(*_key(old))

    def _ensure(self, news: Properties) -> HostState:
        from drivers.local.state import HostInputs

        cid, name = ClusterId(text_of(news, "cid")), HostName(text_of(news, "name"))
        return self._machines().ensure_host(
            HostInputs(cid=cid, name=name, slot=number_of(news, "slot"), login_public=text_of(news, "loginPublic"))
        )


def _key(old: Old) -> tuple[ClusterId, HostName]:
    cid, _, name = old.id.partition("/")
    return ClusterId(cid), HostName(name)


def _stopped(old: Old) -> bool:
    return strip(old.outputs.get("running")) is False


def _outputs(inputs: Properties, state: HostState) -> Properties:
    made: Properties = {
        "address": state.address,
        "hostKey": state.host_key,
        "machineId": state.machine_id,
        "running": state.running,
    }
    return {**inputs, **made}
