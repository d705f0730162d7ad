"""Tags on what exists already, and the listing of what carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.clouds.alicloud.sim.actions import PAGES, TAGS, action
from tests.clouds.alicloud.sim.store import KINDS, Thing, page
from tests.clouds.alicloud.sim.wire import ApiError, Params

if TYPE_CHECKING:
    from tests.clouds.alicloud.sim.account import Account


def _kind(p: Params) -> str:
    for kind, (_prefix, _code, word) in KINDS.items():
        if word.lower() == p["ResourceType"].lower():
            return kind
    raise ApiError(400, "InvalidResourceType.Unknown", "The specified ResourceType is not valid.")


def _things(account: Account, p: Params) -> list[Thing]:
    kind = _kind(p)
    if kind == "keypair":
        names = p.plain("ResourceId")
        return account.store.all("keypair", lambda t: t["KeyPairName"] in names)
    return [account.store.get(kind, own, p["RegionId"]) for own in p.plain("ResourceId")]


def _tag(account: Account, p: Params) -> None:
    for thing in _things(account, p):
        thing.tags.update(p.tags())


def _untag(account: Account, p: Params) -> None:
    for thing in _things(account, p):
        for key in list(thing.tags) if p.flag("All") else p.plain("TagKey"):
            thing.tags.pop(key, None)


def _list(account: Account, p: Params) -> dict[str, Any]:
    kind, ids = _kind(p), p.plain("ResourceId")
    shown = account.store.listed(kind, p, lambda t: not ids or t.id in ids)
    rows = [
        {"ResourceId": t.id, "ResourceType": p["ResourceType"], "TagKey": k, "TagValue": v}
        for t in shown
        for k, v in sorted(t.tags.items())
    ]
    paged = Params({**p, "MaxResults": p.get("MaxResults", "50")})
    return page(paged, rows, "TagResources", "TagResource")


for _product in ("ecs", "vpc"):
    action(_product, "TagResources", "ResourceType ResourceId.N", f"ClientToken {TAGS}")(_tag)
    action(_product, "UntagResources", "ResourceType ResourceId.N", "ClientToken TagKey.N All")(_untag)
    action(_product, "UnTagResources", "ResourceType ResourceId.N", "ClientToken TagKey.N All")(_untag)
    action(_product, "ListTagResources", "ResourceType", f"ResourceId.N {TAGS} {PAGES}")(_list)


@action("ecs", "DescribeTags", "", f"ResourceType ResourceId {TAGS} {PAGES}")
def describe_tags(account: Account, p: Params) -> dict[str, Any]:
    return page(p, [], "Tags", "Tag")
