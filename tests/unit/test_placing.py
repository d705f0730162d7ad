"""What stands was chosen once: who asks for other machines is told that these stay."""

from __future__ import annotations

import pytest

from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedPool, AcceptedSpot
from provisioner.placing import stay_notes

STANDING = frozenset({"m1", "n1", "n2"})
HOSTS = tuple(
    AcceptedHost(name=n, pool=p, roles=(p,), slot=0) for n, p in (("m1", "master"), ("n1", "node"), ("n2", "node"))
)


def wish(**node: object) -> Accepted:
    return Accepted(
        cluster="web",
        provider="alicloud",
        image=AcceptedImage(reference="app:v1", repository="app", digest=f"sha256:{'0' * 64}"),
        pools=(
            AcceptedPool(name="master", roles=("master",), count=1),
            AcceptedPool.model_validate({"name": "node", "roles": ("node",), "count": 2, **node}),
        ),
        hosts=HOSTS,
        data_root="/var/lib/sealer/data",
    )


@pytest.mark.parametrize(
    "other", [{"cpu": 4}, {"memory": 8}, {"instance_types": ("ecs.g7.large",)}, {"spot": AcceptedSpot()}]
)
def test_another_kind_of_machine_holds_for_new_ones(other: dict[str, object]) -> None:
    (note,) = stay_notes(wish(), wish(**other), STANDING)
    assert note.startswith("n1, n2 of pool node stay as they were bought")
    assert not stay_notes(wish(), wish(**other), frozenset({"m1"})), "none of that pool stands"


@pytest.mark.parametrize("other", [{}, {"count": 5}, {"data_disks": (20,)}, {"env": {"A": "b"}}])
def test_what_changes_machines_or_none_is_no_matter_of_the_choice(other: dict[str, object]) -> None:
    assert stay_notes(wish(), wish(**other), STANDING) == ()


def test_a_pool_that_is_new_has_nothing_to_stay() -> None:
    before = wish().model_copy(update={"pools": wish().pools[:1]})
    assert stay_notes(before, wish(cpu=4), STANDING) == ()
