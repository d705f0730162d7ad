"""What `network create|list|delete` do."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.cli import networkviews as views
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.text import count
from provisioner.errors import ProviderError, UsageError
from provisioner.model.grammar import check_cidr
from provisioner.model.ids import parse_network_name
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork
from provisioner.model.site import Site
from provisioner.sharednet import Created, Deleted, create_network, delete_network, list_networks


def run_create(session: Session, site: Site, wish: NetworkWish, *, yes: bool) -> int:
    """`network create`."""
    if wish.cidr and (wrong := check_cidr(wish.cidr)):
        raise UsageError(f"--cidr {wish.cidr} {wrong}", hint="write one like 10.0.0.0/16")
    parse_network_name(wish.name)
    provider = site.demand()

    async def work(run: Run) -> Created:
        def confirm(plan: NetworkPlan) -> bool:
            question = f"Make {count(len(plan.parts), 'thing')}? [y/N] "
            return run.asker.confirm(views.plan_lines(plan, provider), question, "--yes")

        return await create_network(run.world, site, wish, confirm)

    report = execute(session, work, yes=yes)
    screen = session.screen
    if screen.look.output == "name":
        screen.print([report.network.name])
    elif screen.look.machine:
        screen.document(views.created_to_json(report))
    else:
        screen.print(views.created_lines(report))
    return 0


def run_delete(session: Session, site: Site, name: str, *, yes: bool) -> int:
    """`network delete`. Returns 6 where something is left."""
    parse_network_name(name)
    site.demand()

    async def work(run: Run) -> Deleted:
        def confirm(found: Sequence[SharedNetwork]) -> bool:
            return run.asker.confirm(views.delete_lines(found), f"Delete network {name} for good? [y/N] ", "--yes")

        return await delete_network(run.world, site, name, confirm)

    report = execute(session, work, yes=yes)
    screen = session.screen
    if screen.look.output == "name":
        screen.print(report.left)
    elif screen.look.machine:
        screen.document(views.deleted_to_json(report))
    else:
        screen.print(views.deleted_lines(report))
    return ProviderError.exit_code if report.left else 0


def run_networks(session: Session, site: Site, regions: tuple[str, ...]) -> int:
    """`network list`."""

    async def work(run: Run) -> Networks:
        return await list_networks(run.world, site, regions)

    networks = execute(session, work)
    screen = session.screen
    if screen.look.output == "name":
        screen.print(n.name for n in networks.found)
    elif screen.look.machine:
        screen.document(views.networks_to_json(networks))
    else:
        screen.print(views.networks_lines(networks))
        if not networks.found:
            screen.say("No shared networks found; `sealer-cloud network create NAME` makes one")
    return 0
