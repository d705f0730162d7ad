"""`network`: long-lived networks that many clusters share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provisioner.cli import flags, sites
from provisioner.cli import options as o
from provisioner.cli.run import open_session
from provisioner.settings import PREFIX

NameArg = Annotated[str, typer.Argument(metavar="NAME", help="The network.")]
Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="ZONE", help="A zone that gets a subnet; may repeat. Default: all of the region."),
]
Cidr = Annotated[
    str | None,
    typer.Option(
        "--cidr",
        metavar="CIDR",
        show_envvar=False,
        envvar=f"{PREFIX}CIDR",
        help="The range of a new network, /16 to /28; by default 10.0.0.0/16.",
    ),
]


@flags.taking(flags.Yes, flags.Answer)
def network_create(
    name: NameArg,
    *,
    provider: o.ProviderFlag = None,
    region: o.Region = None,
    infra_file: sites.Files = None,
    zone: Zones = None,
    cidr: Cidr = None,
    **given: Any,
) -> int:
    """Make a network that many clusters share, or what it lacks: a VPC with a subnet in each zone.

    A cluster lives in it by `network: {shared: NAME}` in its Infra document; no `down` or `gc` removes it. The same
    command goes on where one was cut, and does nothing where nothing is missing.
    """
    from provisioner.cli.network import run_create
    from provisioner.model.networks import NetworkWish

    session = open_session(given["output"], **flags.talk_of(given))
    site = sites.read_site(provider, region, infra_file)
    wish = NetworkWish(name, site.region or "", o.listed(zone, "ZONE", session.settings.environ), cidr)
    return run_create(session, site, wish, yes=given["yes"] or given["auto_approve"])


@flags.taking(flags.Answer)
def network_list(
    *, provider: o.ProviderFlag = None, region: o.GcRegions = None, infra_file: sites.Files = None, **given: Any
) -> int:
    """List the shared networks of your cloud accounts, with the clusters in them."""
    from provisioner.cli.network import run_networks

    session = open_session(given["output"], **flags.talk_of(given))
    site = sites.read_site(provider, None, infra_file)
    return run_networks(session, site, o.listed(region, "REGION", session.settings.environ) or site.regions)


@flags.taking(flags.Yes, flags.Answer)
def network_delete(
    name: NameArg,
    *,
    provider: o.ProviderFlag = None,
    region: o.Region = None,
    infra_file: sites.Files = None,
    **given: Any,
) -> int:
    """Delete a shared network that nothing stands in any more.

    Refused while a cluster, a machine or anything else is in it, whosever it is. Ends with 6 if something is left.
    """
    from provisioner.cli.network import run_delete

    session = open_session(given["output"], **flags.talk_of(given))
    site = sites.read_site(provider, region, infra_file)
    return run_delete(session, site, name, yes=given["yes"] or given["auto_approve"])
