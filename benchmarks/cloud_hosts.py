"""What the peers on both clouds have in common: keys, user-data, first logins; the machines are each cloud's own."""

import base64
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pulumi

import pulumi_sealer as sealer
from provisioner.model.userdata import user_data

HOSTS = ("m1", "m2", "m3")
CID = sys.argv[4]
TAGS = {"sealer-cloud:cid": CID}


@dataclass(frozen=True)
class Bought:
    """A machine, and its outputs by our names."""

    machine: pulumi.CustomResource
    private: pulumi.Output[str]
    public: pulumi.Output[str]
    running: pulumi.Output[bool]


@dataclass(frozen=True)
class Where:
    """The cloud and its region, and the Intent that all is made after."""

    provider: str
    region: str
    intent: sealer.Intent = field(
        default_factory=lambda: sealer.Intent("intent", cid=CID, request={"schemaVersion": 1}, secrets={})
    )


Buy = Callable[[str, pulumi.Output[str], bool], Bought]
"""Host, user-data in base64, whether it has a public address → its machine."""


def hosts(where: Where, buy: Buy) -> None:
    """HOSTS; the others are reached through the first."""
    jump, last = None, where.intent
    for name in HOSTS:
        after = pulumi.ResourceOptions(depends_on=[where.intent])
        key = sealer.HostKey(f"{name}-key", cid=CID, host=name, opts=after)
        values = pulumi.Output.all(key.bootstrap_private, key.bootstrap_public, where.intent.login_public)
        made = buy(name, values.apply(lambda parts, name=name: script(name, *parts)), jump is None)
        identity = known(where, name, (made, key), jump, last)
        if jump is None:
            jump = {"host": made.public, "port": 22, "user": "root", "hostKeys": [key.lasting_public]}
            last = identity


def known(where: Where, name: str, made: tuple, jump: dict | None, after: pulumi.Resource) -> sealer.HostIdentity:
    """The first login."""
    bought, key = made
    return sealer.HostIdentity(
        f"{name}-identity",
        cid=CID,
        host=name,
        roles=["master"],
        address=bought.private,
        ssh_host=bought.private if jump else bought.public,
        ssh_port=22,
        ssh_user="root",
        machine_id=bought.machine.id,
        running=bought.running,
        bootstrap_public=key.bootstrap_public,
        lasting_public=key.lasting_public,
        lasting_private=key.lasting_private,
        login_private=where.intent.login_private,
        provider=where.provider,
        region=where.region,
        jump=jump,
        wait_seconds=600,
        opts=pulumi.ResourceOptions(depends_on=[where.intent, after]),
    )


def script(name: str, private: str, public: str, login: str) -> str:
    """User-data, as clouds take it."""
    text = user_data(
        host=name,
        bootstrap_private=private,
        bootstrap_public=public,
        login_public=login,
        user="root",
        power_off_at=None,
    )
    return base64.b64encode(text.encode()).decode()
