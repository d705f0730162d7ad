"""`sealer:baremetal:Host`: a machine that exists. It is looked at over SSH, with its keys pinned, and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from provisioner.errors import SealerError, UsageError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget
from provisioner.model.ids import HostName
from provisioner.plugin import problems
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.values import UNKNOWN, number_of, same, strip, text_of

if TYPE_CHECKING:
    from drivers.baremetal.probe import Probe, Seen
    from provisioner.plugin.values import Properties, Property

MACHINE = ("address", "ssh", "hostKeys", "jump")
"""Inputs that may lead to another machine; a change of the others needs no look."""


def probe_by_ssh(host: InventoryHost) -> Seen:
    """The real one, imported at its first use: asyncssh takes longer to load than most operations take."""
    from drivers.baremetal.probe import probe

    return probe(host)


class BaremetalKind:
    """A machine that does not answer is not gone; one with another machine id in its place is another machine."""

    type_name: ClassVar[str] = "sealer:baremetal:Host"
    stable: ClassVar[tuple[str, ...]] = ("cid", "name", "machineId")
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "name": Field(problems.any_host, replaces=True),
        "roles": Field(problems.roles),
        "address": Field(problems.filled),
        "ssh": Field(problems.ssh_target),
        "hostKeys": Field(problems.pins),
        "identity": Field(problems.filled, required=False),
        "jump": Field(problems.jump, required=False),
    }

    def __init__(self, probe: Probe = probe_by_ssh) -> None:
        self._probe = probe

    def diff(self, old: Old, news: Properties) -> Change:
        """Only another name or cluster replaces it: nothing is made on the machine, so the rest is written down."""
        return diff_fields(self.fields, old.inputs, news)

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Look at it. Raises UsageError (3) for a machine that holds another cluster, HostError (7), AccessError (5)."""
        if preview:
            return "", {**news, "machineId": UNKNOWN}
        return f"{text_of(news, 'cid')}/{text_of(news, 'name')}", self._looked_at(news)

    def read(self, old: Old) -> Properties | None:
        """As it is now; None only where another machine answers in its place."""
        try:
            seen = self._probe(host_of(old.outputs))
        except SealerError:
            return old.outputs
        return old.outputs if seen.machine_id == strip(old.outputs.get("machineId")) else None

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:
        """Write down the rest; look again where the machine may be another one."""
        moved = any(not same(old.inputs.get(key), news.get(key)) for key in MACHINE)
        if moved and not preview:
            return self._looked_at(news)
        keys = news.get("hostKeys") if moved else old.outputs.get("hostKeys")
        return {**news, "hostKeys": keys, "machineId": old.outputs.get("machineId")}

    def delete(self, old: Old) -> None:
        """The machine stays. What the cluster made on it was undone before, or `down` would not have come here."""

    def _looked_at(self, news: Properties) -> Properties:
        seen = self._probe(host_of(news))
        name, cid = text_of(news, "name"), text_of(news, "cid")
        if others := [other for other in seen.cids if other != cid]:
            raise UsageError(
                f"{name} holds {', '.join(others)}",
                hint="remove that cluster where its state is (`sealer-cloud down`), or take another machine",
            )
        keys: Property = list(seen.host_keys)
        return {**news, "hostKeys": keys, "machineId": seen.machine_id}


def host_of(properties: Properties) -> InventoryHost:
    """The machine as connecting takes it. Raises UsageError for an input that is not known."""
    raw = strip(properties.get("jump"))
    identity = strip(properties.get("identity"))
    return InventoryHost(
        name=HostName(text_of(properties, "name")),
        roles=(),
        address=text_of(properties, "address"),
        ssh=_target(strip(properties.get("ssh"))),
        host_keys=_keys(strip(properties.get("hostKeys"))),
        machine_id="",
        jump=_jump(raw) if isinstance(raw, dict) else None,
        identity=identity if isinstance(identity, str) else None,
    )


def _jump(raw: Properties) -> Jump:
    identity = raw.get("identity")
    return Jump(_target(raw), _keys(raw.get("hostKeys")), identity if isinstance(identity, str) else None)


def _target(raw: Property) -> SshTarget:
    if not isinstance(raw, dict):
        raise UsageError("ssh must be a known object")
    return SshTarget(text_of(raw, "host"), number_of(raw, "port"), text_of(raw, "user"))


def _keys(raw: Property) -> tuple[str, ...]:
    return tuple(str(key) for key in raw) if isinstance(raw, list) else ()
