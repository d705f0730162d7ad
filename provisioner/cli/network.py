"""What `network create|list|delete` do."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.cli import networkviews as views
from provisioner.cli.run import Run, Session, execute
from provisioner.cli.text import count
from provisioner.errors import ProviderError, UsageError
from provisioner.model.grammar import BOUGHT, check_cidr
from provisioner.model.ids import parse_network_name
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork
from provisioner.sharednet import Created, Deleted, Place, create_network, delete_network, list_networks


def run_create(session: Session, place: Place, wish: NetworkWish, *, yes: bool) -> int:
    """`network create`."""
    if wish.cidr and (wrong := check_cidr(wish.cidr)):
        raise UsageError(f"--cidr {wish.cidr} {wrong}", hint="write one like 10.0.0.0/16")
    parse_network_name(wish.name)

    async def work(run: Run) -> Created:
        def confirm(plan: NetworkPlan) -> bool:
            question = f"Make {count(len(plan.parts), 'thing')}? [y/N] "
            return run.asker.confirm(views.plan_lines(plan, place.provider), question, "--yes")

        return await create_network(run.world, place, wish, confirm)

    report = execute(session, work, yes=yes)
    screen = session.screen
    if screen.look.output == "name":
        screen.print([report.network.name])
    elif screen.look.machine:
        screen.document(views.created_to_json(report))
    else:
        screen.print(views.created_lines(report))
    return 0


def run_delete(session: Session, place: Place, name: str, *, yes: bool) -> int:
    """`network delete`. Returns 6 where something is left."""
    parse_network_name(name)

    async def work(run: Run) -> Deleted:
        def confirm(found: Sequence[SharedNetwork]) -> bool:
            return run.asker.confirm(views.delete_lines(found), f"Delete network {name} for good? [y/N] ", "--yes")

        return await delete_network(run.world, place, name, confirm)

    report = execute(session, work, yes=yes)
    screen = session.screen
    if screen.look.output == "name":
        screen.print(report.left)
    elif screen.look.machine:
        screen.document(views.deleted_to_json(report))
    else:
        screen.print(views.deleted_lines(report))
    return ProviderError.exit_code if report.left else 0


def run_networks(session: Session, provider: str | None, regions: tuple[str, ...]) -> int:
    """`network list`."""

    async def work(run: Run) -> Networks:
        return await list_networks(run.world, provider, regions)

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


def place_of(provider: str | None, region: str | None) -> Place:
    """Where a network is, as the flags say. Raises UsageError where no provider is named."""
    if provider is None:
        raise UsageError("no provider is named", hint=f"use --provider {' or '.join(BOUGHT)}")
    return Place(provider, region)
