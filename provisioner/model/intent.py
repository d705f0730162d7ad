"""From words to the accepted request: flags over files over what is stored over defaults, then hosts by name. Pure."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedImage
from provisioner.model.deadline import deadline_in
from provisioner.model.hosts import is_master
from provisioner.model.ids import ClusterName, parse_cluster_name
from provisioner.model.imageref import parse_reference
from provisioner.model.images import ImageRef, PinnedImage
from provisioner.model.machines import name_machines
from provisioner.model.naming import name_hosts
from provisioner.model.precedence import Words, to_accepted_pool
from provisioner.model.request import ClusterDoc, Clusterfile, InfraDoc, Pool, UpArgs, UpRequest


def resolve_name(args: UpArgs, files: Clusterfile) -> ClusterName:
    """`--name`, else `metadata.name`, else the last part of the image. Raises UsageError where none gives a name."""
    named = args.name or (files.cluster.name if files.cluster else None)
    if named:
        return parse_cluster_name(named)
    image = args.image or (files.cluster.image if files.cluster else None)
    if not image:
        raise _nothing_named()
    short = parse_reference(image).short_name
    try:
        return parse_cluster_name(short)
    except UsageError as error:
        raise UsageError(f"{short!r}, from the image, is no cluster name", hint="give one with --name") from error


def resolve_request(
    args: UpArgs, files: Clusterfile, stored: Accepted | None, *, now: datetime | None = None, ci: bool = False
) -> UpRequest:
    """Everything that is asked for, complete but for the image's digest (and the region that the driver knows).

    `now` is the time that deadlines are held against; `ci`: nobody waits for this run, so what is bought gets a deadline.

    Raises UsageError (3): a bad word, no image, a provider that is not built, or a name that is bound to another image
    repository, provider or data root (unless `replace`).
    """
    words = Words(args, files.cluster or ClusterDoc(None, None), files.infra or InfraDoc(None), stored)
    image, (provider, named) = words.image(), words.provider()
    words = _bound(words, image, provider, data_root := words.data_root())
    pools, machines = words.hosts(provider)
    words.check_served(provider, pools)
    ttl, ttl_notes = words.ttl(provider, now, ci=ci)
    return UpRequest(
        cluster=stored_name(stored) if not _names(args, files) else resolve_name(args, files),
        image=str(image),
        provider=provider,
        provider_named=named,
        pools=pools,
        env=words.env(),
        cmd=words.cmd(),
        data_root=data_root,
        network=words.network(),
        tags=words.tags(),
        protect=words.protect(),
        replace=args.replace,
        annotations=words.annotations(),
        region=words.region(provider),
        zones=words.zones(),
        os_image=words.os_image(),
        ssh=words.ssh(provider),
        ttl=ttl,
        new_life=words.new_life(now),
        machines=machines,
        endpoints=words.endpoints(provider),
        notes=(*_notes(pools), *ttl_notes),
    )


def accept_request(
    request: UpRequest, image: PinnedImage, stored: Accepted | None, *, now: datetime | None = None
) -> Accepted:
    """The new accepted request: the image pinned, every host named, hosts that stay keeping name and slot.

    The deadline counts from `now` at the first create, or for a new life; else it is what is stored.
    """
    hosts = name_machines(request.pools, stored) if request.machines else name_hosts(request.pools, stored)
    names = {host.name for host in hosts}
    return Accepted(
        cluster=request.cluster,
        provider=request.provider,
        image=AcceptedImage(reference=request.image, repository=image.repository, digest=image.digest),
        pools=tuple(to_accepted_pool(pool) for pool in request.pools),
        hosts=hosts,
        env=dict(request.env),
        cmd=request.cmd,
        data_root=request.data_root,
        network=dict(request.network),
        tags=dict(request.tags),
        annotations=dict(request.annotations),
        protect=request.protect,
        expires_at=_deadline(request, stored, now),
        excluded=tuple(name for name in stored.excluded if name in names) if stored else (),
        region=request.region,
        zones=request.zones,
        os_image=request.os_image,
        ssh=request.ssh,
        ttl=request.ttl,
        machines=request.machines,
        placement=stored.placement if stored else {},
        endpoints=dict(request.endpoints),
    )


def same_request(one: Accepted, other: Accepted) -> bool:
    """True if both mean the same, so that storing the other would change nothing."""
    return one.to_json() == other.to_json()


def changed_parts(one: Accepted, other: Accepted) -> tuple[str, ...]:
    """What differs, in words for a plan line: `env ETCD_HEARTBEAT`, `image`, `hosts`, never a value."""
    before, after = one.to_json(), other.to_json()
    parts: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and key != "image":
            parts += [f"{key} {name}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        else:
            parts.append(key)
    return tuple(parts)


def _nothing_named() -> UsageError:
    return UsageError(
        "no image and no name are given", hint="name an image, a cluster that stands (-n NAME), or -f Clusterfile"
    )


def stored_name(stored: Accepted | None) -> ClusterName:
    """The name of a stored cluster. Raises UsageError where nothing is stored, as then nobody named one."""
    if stored is None:
        raise _nothing_named()
    return ClusterName(stored.cluster)


def _names(args: UpArgs, files: Clusterfile) -> bool:
    doc = files.cluster
    return bool(args.name or args.image or (doc and (doc.name or doc.image)))


def _deadline(request: UpRequest, stored: Accepted | None, now: datetime | None) -> str | None:
    if stored is not None and not request.new_life:
        return stored.expires_at
    if request.ttl is None:
        return None
    if now is None:
        raise ValueError("a ttl counts from a time")
    return deadline_in(request.ttl, now)


def _bound(words: Words, image: ImageRef, provider: str, data_root: str) -> Words:
    """The words, without what is stored where --replace gives the name to another cluster: nothing of the old is meant."""
    stored = words.stored
    if stored is None:
        return words
    if not words.args.replace:
        _check_binding(stored, image, provider, data_root)
        return words
    return words if _same_binding(stored, image, provider, data_root) else dataclasses.replace(words, stored=None)


def _same_binding(stored: Accepted, image: ImageRef, provider: str, data_root: str) -> bool:
    bound = (stored.image.repository, stored.provider, stored.data_root)
    return bound == (image.repository, provider, data_root)


def _check_binding(stored: Accepted, image: ImageRef, provider: str, data_root: str) -> None:
    hint = "choose another --name, or --replace to make this cluster anew"
    name = stored.cluster
    if stored.image.repository != image.repository:
        what = f"cluster {name} runs {stored.image.repository}, not {image.repository}"
        raise UsageError(what, hint=hint)
    if stored.provider != provider:
        raise UsageError(f"cluster {name} is on provider {stored.provider}, not {provider}", hint=hint)
    if stored.data_root != data_root:
        raise UsageError(f"cluster {name} has its data in {stored.data_root}; that cannot change", hint=hint)


def _notes(pools: tuple[Pool, ...]) -> tuple[str, ...]:
    masters = sum(pool.count for pool in pools if is_master(pool.roles))
    if masters % 2:
        return ()
    return (f"{masters} masters bear no more failures than {masters - 1}; use an odd number",)
