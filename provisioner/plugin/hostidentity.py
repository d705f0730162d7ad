"""`sealer:index:HostIdentity`: a machine that a cloud made answers by SSH and shows its lasting host key alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from provisioner.errors import HostError, SealerError
from provisioner.model.hosts import InventoryHost, Jump, SshTarget
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from provisioner.plugin import problems
from provisioner.plugin.kinds import Change, Field, Fields, Old, diff_fields
from provisioner.plugin.newcomers import Diagnose, Establish
from provisioner.plugin.values import UNKNOWN, SecretValue, number_of, strip, text_of
from provisioner.transport.identity import Newcomer

if TYPE_CHECKING:
    from provisioner.plugin.values import Properties, Property

PRIVATE = ("lastingPrivate", "loginPrivate")
CAUSE_LIMIT = 1500
"""Characters of what the provider says about a machine that does not answer."""
CONSOLE = "console: "


class HostIdentityKind:
    """Only another machine (or another lasting key) needs another first login; the rest is only written down."""

    type_name: ClassVar[str] = "sealer:index:HostIdentity"
    stable: ClassVar[tuple[str, ...]] = ("cid", "host", "machineId", "hostKeys", *PRIVATE)
    fields: ClassVar[Fields] = {
        "cid": Field(problems.cid, replaces=True),
        "host": Field(problems.any_host, replaces=True),
        "roles": Field(problems.roles),
        "address": Field(problems.filled),
        "sshHost": Field(problems.filled),
        "sshPort": Field(problems.port),
        "sshUser": Field(problems.filled),
        "machineId": Field(problems.filled, replaces=True),
        "running": Field(problems.boolean),
        "bootstrapPublic": Field(problems.public_key, compared=False),
        "lastingPublic": Field(problems.public_key, replaces=True),
        "lastingPrivate": Field(problems.filled, compared=False),
        "loginPrivate": Field(problems.filled, compared=False),
        "provider": Field(problems.text, compared=False),
        "region": Field(problems.text, compared=False),
        "waitSeconds": Field(problems.seconds, compared=False),
        "jump": Field(problems.jump, required=False),
        "presented": Field(problems.any_public_key, required=False, compared=False),
    }

    def __init__(self, establish: Establish, diagnose: Diagnose) -> None:
        self._establish = establish
        self._diagnose = diagnose

    def diff(self, old: Old, news: Properties) -> Change:
        """See the class."""
        return diff_fields(self.fields, old.inputs, news)

    def create(self, news: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Wait for the machine and give it its lasting key; one that shows it already is taken as it is."""
        if preview:
            return "", {**_outputs(news), "hostKeys": UNKNOWN, "ssh": UNKNOWN}
        try:
            self._establish(newcomer_of(news), number_of(news, "waitSeconds"))
        except HostError as error:
            raise self._with_cause(error, news) from error
        return f"{text_of(news, 'cid')}/{text_of(news, 'host')}", _outputs(news)

    def read(self, old: Old) -> Properties | None:
        """The state is all there is: whether the machine runs is its own resource's to say."""
        return _outputs({**old.outputs, "running": old.inputs.get("running")})

    def update(self, old: Old, news: Properties, *, preview: bool) -> Properties:  # noqa: ARG002 - equal in both
        """Same machine, same key: write down the rest."""
        return _outputs(news)

    def delete(self, old: Old) -> None:
        """The key goes with the machine."""

    def _with_cause(self, error: HostError, news: Properties) -> SealerError:
        told = self._diagnose(text_of(news, "provider"), text_of(news, "region"), text_of(news, "machineId"))
        cause = shortened([" ".join(line.split()) for line in told])
        message = f"{error.message}; {cause}" if cause else error.message
        return type(error)(message, hint=error.hint, host=error.host)


def shortened(lines: list[str]) -> str:
    """The lines as one, within CAUSE_LIMIT: of the console, which comes last, the newest lines say why."""
    kept = list(lines)
    while len("; ".join(kept)) > CAUSE_LIMIT and len(kept) > 1:
        del kept[next((n for n, line in enumerate(kept) if line.startswith(CONSOLE)), -1)]
    return "; ".join(kept)[:CAUSE_LIMIT]


def newcomer_of(news: Properties) -> Newcomer:
    """The machine and its keys. Raises UsageError for an input that is not known."""
    target = SshTarget(text_of(news, "sshHost"), number_of(news, "sshPort"), text_of(news, "sshUser"))
    machine = InventoryHost(
        name=HostName(text_of(news, "host")),
        roles=(),
        address=text_of(news, "address"),
        ssh=target,
        host_keys=(),
        machine_id=text_of(news, "machineId"),
        jump=_jump(news),
    )
    return Newcomer(
        machine,
        text_of(news, "bootstrapPublic"),
        text_of(news, "lastingPublic"),
        Secret(text_of(news, "lastingPrivate")),
        Secret(text_of(news, "loginPrivate")),
        text_of(news, "presented") if news.get("presented") is not None else "",
    )


def _jump(news: Properties) -> Jump | None:
    raw = strip(news.get("jump"))
    if not isinstance(raw, dict):
        return None
    keys = raw.get("hostKeys")
    target = SshTarget(text_of(raw, "host"), number_of(raw, "port"), text_of(raw, "user"))
    return Jump(target, tuple(str(key) for key in keys) if isinstance(keys, list) else ())


def _outputs(news: Properties) -> Properties:
    ssh: Property = {"host": news.get("sshHost"), "port": news.get("sshPort"), "user": news.get("sshUser")}
    private: Properties = {key: SecretValue(strip(news.get(key))) for key in PRIVATE}
    kept = {key: value for key, value in news.items() if key != "presented"}
    return {**kept, **private, "jump": news.get("jump"), "hostKeys": [news.get("lastingPublic")], "ssh": ssh}
