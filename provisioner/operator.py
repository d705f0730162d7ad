"""The operator before he connects: the firewall of a cluster lets him in from where he is now, and only then it is tried."""

from __future__ import annotations

import asyncio
import re

from provisioner.errors import AccessError, CapacityError, PreconditionError, ProviderError, UsageError
from provisioner.events import Warned
from provisioner.files import atomic_write, private_folder
from provisioner.model.accepted import Accepted, AcceptedImage
from provisioner.model.driver import Driver, Visit
from provisioner.model.engine import StackState
from provisioner.model.ids import ClusterId, name_of
from provisioner.model.ingress import OPERATOR, operator_openings
from provisioner.world import World

_NAME = re.compile(r"[0-9a-f]{8}")
_BYTES = 4


async def let_in(world: World, stored: StackState | None, driver: Driver | None = None, *, acting: bool = True) -> None:
    """Before connecting: a cluster whose rules are the operator's lets this machine in. Others are not even looked at.

    `acting` False: look and say, change nothing. A refusal of the cloud is a warning: we may be let in all the same, and
    where we are not the connection says so. Raises PreconditionError (12) where the operator's address cannot be had.
    """
    if _concerned(stored):
        _tell(world, await asyncio.to_thread(_line, world, stored, driver, acting=acting))


def let_in_now(world: World, stored: StackState | None) -> None:
    """As `let_in`, where there is no event loop."""
    if _concerned(stored):
        _tell(world, _line(world, stored, None, acting=True))


async def let_in_blind(world: World, driver: Driver, cid: ClusterId, region: str, port: int) -> bool:
    """For a cluster that does not answer and whose request nobody knows yet: its SSH may be the operator's alone.

    Returns True where a rule was added, so that it may be tried again. What cannot be looked up or is refused is a warning.
    """
    rules = {"ingress": [{"port": port, "from": OPERATOR}]}
    image = AcceptedImage(reference="", repository="", digest="")
    request = Accepted(
        cluster=name_of(cid), provider=driver.name, image=image, pools=(), hosts=(), data_root="", network=rules
    ).model_copy(update={"region": region})
    try:
        line = await asyncio.to_thread(driver.let_in, request, cid, Visit(machine_name(world)))
    except (AccessError, ProviderError, CapacityError, PreconditionError, UsageError) as error:
        world.events(Warned(f"it is not known whether {cid} lets this machine in: {error.message}", error.hint))
        return False
    _tell(world, line)
    return bool(line)


def _concerned(stored: StackState | None) -> bool:
    return bool(stored and stored.cid and stored.accepted and operator_openings(stored.accepted))


def _line(world: World, stored: StackState | None, driver: Driver | None, *, acting: bool) -> str:
    if stored is None or stored.accepted is None or stored.cid is None:
        return ""
    return _asked(world, stored.accepted, stored.cid, Visit(machine_name(world), stored.resource_ids, acting), driver)


def _asked(world: World, accepted: Accepted, cid: ClusterId, visit: Visit, driver: Driver | None) -> str:
    try:
        return (driver or world.driver(accepted.provider, accepted.endpoints)).let_in(accepted, cid, visit)
    except (AccessError, ProviderError, CapacityError) as error:
        return f"it is not known whether {accepted.cluster} lets this machine in: {error.message}"


def _tell(world: World, line: str) -> None:
    if line:
        world.events(Warned(line))


def machine_name(world: World) -> str:
    """The name of this machine and user in rules: 8 hex digits, drawn once for a state folder, that say nothing else.

    Not made from the machine's own id: containers of one image share it, and would take each other's rules away.
    """
    path = private_folder(world.settings.state_dir) / "operator"
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not _NAME.fullmatch(text):
        text = world.random(_BYTES).hex()
        atomic_write(path, f"{text}\n".encode())
    return text
