"""Whose name it is: a cluster that stands and keeps its machines, or another one that takes the name over (--replace)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.errors import UsageError
from provisioner.model.driver import STAYING
from provisioner.model.plan import InfraPlan, is_machine

if TYPE_CHECKING:
    from provisioner.draft import Wish


def is_standing(wish: Wish) -> bool:
    """True for a cluster that has its cid and keeps it."""
    return wish.stored is not None and wish.stored.cid is not None and not is_another(wish)


def is_another(wish: Wish) -> bool:
    """True where --replace gave the name to another image repository, provider or data root: its machines are new ones."""
    before = wish.stored.accepted if wish.stored else None
    if before is None or not wish.request.replace:
        return False
    after = wish.accepted
    return (before.image.repository, before.provider, before.data_root) != (
        after.image.repository,
        after.provider,
        after.data_root,
    )


def demand_other_machines(wish: Wish) -> None:
    """A machine that stays holds one cluster, which nobody undoes for the one that takes its name. Raises UsageError (3)."""
    before, inventory = (wish.stored.accepted, wish.stored.inventory) if wish.stored else (None, None)
    if not is_another(wish) or before is None or inventory is None:
        return
    if not {before.provider, wish.accepted.provider} <= STAYING:
        return
    both = [h.name for h in inventory.hosts if h.name in {w.name for w in wish.accepted.wanted}]
    if both:
        name = wish.accepted.cluster
        raise UsageError(
            f"--replace makes new machines, and {', '.join(both)} would stay: they hold {name} as it is",
            hint=f"give them back first: `sealer-cloud down {name}` (the data on them stays; move it away, or add "
            "--delete-data), then run the same command again",
        )


def demand_new_machines(wish: Wish, infra: InfraPlan) -> None:
    """Where the name goes over, the preview must make every machine anew. Raises UsageError (3).

    One that the engine would keep has the old cluster's disk, and shows a host key that the new one's state has not.
    """
    kept = [c.name for c in (*infra.same, *infra.update) if is_machine(c.type)] if is_another(wish) else []
    if kept:
        name = wish.accepted.cluster
        raise UsageError(
            f"--replace makes new machines, and the engine would keep {', '.join(kept)} with what lies on the disk",
            hint=f"remove the old cluster first: `sealer-cloud down {name}`, then run the same command again",
        )
