"""From words to the accepted request: flags over files over what is stored over defaults, then hosts by name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedImage, AcceptedPool
from provisioner.model.cluster import matches
from provisioner.model.deadline import CI_TTL, check_expired, deadline_in, is_expired, parse_ttl, show_duration
from provisioner.model.grammar import BOUGHT, DEFAULT_PROVIDER, check_data_root, check_text
from provisioner.model.hosts import is_master
from provisioner.model.ids import ClusterName, parse_cluster_name
from provisioner.model.imageref import parse_reference
from provisioner.model.images import ImageRef, PinnedImage
from provisioner.model.naming import name_hosts
from provisioner.model.paths import DEFAULT_DATA_ROOT
from provisioner.model.request import ClusterDoc, Clusterfile, InfraDoc, Pool, UpArgs, UpRequest
from provisioner.model.words import merge_env, parse_count, parse_env_words, parse_provider, parse_secret_words

_DEFAULT_POOL = Pool("master", ("master",), 1)


def resolve_name(args: UpArgs, files: Clusterfile) -> ClusterName:
    """`--name`, else `metadata.name`, else the last part of the image. Raises UsageError where none gives a name."""
    named = args.name or (files.cluster.name if files.cluster else None)
    if named:
        return parse_cluster_name(named)
    image = args.image or (files.cluster.image if files.cluster else None)
    if not image:
        raise UsageError("no image and no name are given", hint="write `sealer-cloud up IMAGE`, or -f Clusterfile")
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
    words = _Words(args, files.cluster or ClusterDoc(None, None), files.infra or InfraDoc(None), stored)
    image = words.image()
    provider, named = words.provider()
    data_root = words.data_root()
    if stored is not None and not args.replace:
        _check_binding(stored, image, provider, data_root)
    if stored is not None and args.replace and not _same_binding(stored, image, provider, data_root):
        words = replace(words, stored=None)  # another cluster under this name: nothing of the old one is meant
    pools = words.pools()
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
        ttl=ttl,
        notes=(*_notes(pools), *ttl_notes),
    )


def accept_request(
    request: UpRequest, image: PinnedImage, stored: Accepted | None, *, now: datetime | None = None
) -> Accepted:
    """The new accepted request: the image pinned, every host named, hosts that stay keeping name and slot.

    The deadline counts from `now` at the first create, or where the old one is past; else it is what is stored.
    """
    hosts = name_hosts(request.pools, stored)
    names = {host.name for host in hosts}
    return Accepted(
        cluster=request.cluster,
        provider=request.provider,
        image=AcceptedImage(reference=request.image, repository=image.repository, digest=image.digest),
        pools=tuple(_to_accepted(pool) for pool in request.pools),
        hosts=hosts,
        env=dict(request.env),
        cmd=request.cmd,
        data_root=request.data_root,
        network=dict(request.network),
        tags=dict(request.tags),
        annotations=dict(request.annotations),
        protect=request.protect,
        ttl=request.ttl,
        expires_at=_deadline(request, stored, now),
        excluded=tuple(name for name in stored.excluded if name in names) if stored else (),
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


def stored_name(stored: Accepted | None) -> ClusterName:
    """The name of a stored cluster. Raises UsageError where nothing is stored, as then nobody named one."""
    if stored is None:
        raise UsageError("no image and no name are given", hint="write `sealer-cloud up IMAGE`, or -f Clusterfile")
    return ClusterName(stored.cluster)


def _names(args: UpArgs, files: Clusterfile) -> bool:
    doc = files.cluster
    return bool(args.name or args.image or (doc and (doc.name or doc.image)))


@dataclass(frozen=True, slots=True)
class _Words:
    """The sources of every field, in one place; each method is one field's precedence."""

    args: UpArgs
    cluster: ClusterDoc
    infra: InfraDoc
    stored: Accepted | None

    def image(self) -> ImageRef:
        text = self.args.image or self.cluster.image or (self.stored.image.reference if self.stored else None)
        if not text:
            raise UsageError("no image is given", hint="write `sealer-cloud up IMAGE`, or spec.image in a Clusterfile")
        return parse_reference(text)

    def provider(self) -> tuple[str, bool]:
        text = self.args.provider or self.infra.provider or (self.stored.provider if self.stored else None)
        return (parse_provider(text), True) if text else (DEFAULT_PROVIDER, False)

    def data_root(self) -> str:
        said = self.args.data_root or self.cluster.data_root
        text = said or (self.stored.data_root if self.stored else DEFAULT_DATA_ROOT)
        if complaint := check_data_root(text):
            raise UsageError(f"data root {text!r} {complaint}", hint=f"leave it out for {DEFAULT_DATA_ROOT}")
        return text.rstrip("/")

    def env(self) -> dict[str, str]:
        stored = self.stored.env if self.stored and "env" not in self.cluster.said else {}
        return merge_env(stored, self.cluster.env, self.flag_env())

    def flag_env(self) -> dict[str, str]:
        return merge_env(parse_env_words(self.args.env), parse_secret_words(self.args.env_secret))

    def cmd(self) -> tuple[str, ...] | None:
        if self.args.cmd:
            if any(check_text(word) for word in self.args.cmd):
                raise UsageError("--cmd is not UTF-8 text")
            return self.args.cmd
        return self.cluster.cmd if "cmd" in self.cluster.said else (self.stored.cmd if self.stored else None)

    def network(self) -> Mapping[str, object]:
        return self.infra.network if "network" in self.infra.said or not self.stored else self.stored.network

    def tags(self) -> Mapping[str, str]:
        return self.infra.tags if "tags" in self.infra.said or not self.stored else self.stored.tags

    def protect(self) -> bool:
        return self.infra.protect if "protect" in self.infra.said or not self.stored else self.stored.protect

    def annotations(self) -> Mapping[str, str]:
        said = "annotations" in self.cluster.said or not self.stored
        return self.cluster.annotations if said or not self.stored else self.stored.annotations

    def ttl(self, provider: str, now: datetime | None, *, ci: bool) -> tuple[int | None, tuple[str, ...]]:
        """Seconds, and what to say of them. A cluster that stands keeps its deadline: only `ttl` moves it."""
        said = parse_ttl(self.args.ttl) if self.args.ttl is not None else self.infra.ttl
        if self.stored is None:
            if said is None and ci and provider in BOUGHT:
                return CI_TTL, (f"CI is set and no --ttl: this cluster ends {show_duration(CI_TTL)} after its create",)
            return said, ()
        if now is not None and is_expired(self.stored, now):
            check_expired(self.stored, self.args, now)
            return said, ()
        if said is not None and said != self.stored.ttl:
            what = f"the ttl of cluster {self.stored.cluster} is fixed since its create"
            raise UsageError(what, hint=f"sealer-cloud ttl extend {self.stored.cluster} {show_duration(said)}")
        return self.stored.ttl, ()

    def pools(self) -> tuple[Pool, ...]:
        pools = self.infra.pools
        if "pools" not in self.infra.said and self.stored:
            pools = tuple(_to_pool(pool) for pool in self.stored.pools)
        for flag, role, text in (("masters", "master", self.args.masters), ("nodes", "node", self.args.nodes)):
            if text is not None:
                pools = _with_count(pools, flag, role, parse_count(flag, text))
        if not pools or (self.args.masters is None and not any(is_master(p.roles) for p in pools)):
            pools = (_DEFAULT_POOL, *pools)
        if not any(pool.count for pool in pools if is_master(pool.roles)):
            raise UsageError("a cluster needs at least one master", hint="give --masters 1 or more")
        return _with_flags(_with_role_env(pools, self.cluster), self.flag_env())


def _deadline(request: UpRequest, stored: Accepted | None, now: datetime | None) -> str | None:
    if stored is not None and (now is None or not is_expired(stored, now)):
        return stored.expires_at
    if request.ttl is None:
        return None
    if now is None:
        raise ValueError("a ttl counts from a time")
    return deadline_in(request.ttl, now)


def _with_count(pools: tuple[Pool, ...], flag: str, role: str, count: int) -> tuple[Pool, ...]:
    ours = [pool for pool in pools if pool.roles[0] == role]
    if len(ours) > 1:
        names = ", ".join(pool.name for pool in ours)
        raise UsageError(f"--{flag} could mean the pools {names}", hint="set their counts in the Clusterfile")
    if not ours:
        return (*pools, Pool(role, (role,), count)) if role != "master" else (Pool(role, (role,), count), *pools)
    return tuple(replace(pool, count=count) if pool is ours[0] else pool for pool in pools)


def _with_role_env(pools: tuple[Pool, ...], doc: ClusterDoc) -> tuple[Pool, ...]:
    for roles, _ in doc.role_env:
        if not any(matches(roles, pool.roles) for pool in pools):
            raise UsageError(f"spec.hosts gives env to roles {', '.join(roles)}, which no pool of machines has")
    return tuple(
        replace(pool, env=merge_env(pool.env, *(env for roles, env in doc.role_env if matches(roles, pool.roles))))
        for pool in pools
    )


def _with_flags(pools: tuple[Pool, ...], flags: Mapping[str, str]) -> tuple[Pool, ...]:
    """Flags win over files: a pool that sets the same key would hide the flag on its hosts."""
    return tuple(replace(p, env={k: flags.get(k, v) for k, v in p.env.items()}) for p in pools)


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


def _to_accepted(pool: Pool) -> AcceptedPool:
    return AcceptedPool(
        name=pool.name,
        roles=pool.roles,
        count=pool.count,
        cpu=pool.cpu,
        memory=pool.memory,
        system_disk=pool.system_disk,
        data_disks=pool.data_disks,
        env=dict(pool.env),
    )


def _to_pool(pool: AcceptedPool) -> Pool:
    return Pool(
        name=pool.name,
        roles=pool.roles,
        count=pool.count,
        cpu=pool.cpu,
        memory=pool.memory,
        system_disk=pool.system_disk,
        data_disks=pool.data_disks,
        env=pool.env,
    )
