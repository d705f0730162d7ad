"""Each field's precedence in one place: flags over files over what is stored over defaults. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from provisioner.errors import UsageError
from provisioner.model.accepted import (
    Accepted,
    AcceptedMachine,
    AcceptedOsImage,
    AcceptedPool,
    AcceptedSpot,
    AcceptedSsh,
)
from provisioner.model.cluster import matches
from provisioner.model.deadline import CI_TTL, check_expired, is_expired, is_too_near, parse_ttl, show_duration
from provisioner.model.endpoints import check_endpoint_of
from provisioner.model.grammar import BOUGHT, DEFAULT_PROVIDER, check_data_root, check_text
from provisioner.model.hosts import is_master
from provisioner.model.imageref import parse_reference
from provisioner.model.images import ImageRef
from provisioner.model.infraformat import check_user, check_word
from provisioner.model.machines import named_by_address, to_accepted_ssh, to_doc, wanted_machines
from provisioner.model.paths import DEFAULT_DATA_ROOT
from provisioner.model.request import ClusterDoc, InfraDoc, Pool, Spot, SshDoc, UpArgs
from provisioner.model.words import merge_env, parse_count, parse_env_words, parse_provider, parse_secret_words

BARE_METAL = "baremetal"
_DEFAULT_POOL = Pool("master", ("master",), 1)


@dataclass(frozen=True, slots=True)
class Words:
    """The sources of every field, in one place; each method is one field's precedence."""

    args: UpArgs
    cluster: ClusterDoc
    infra: InfraDoc
    stored: Accepted | None

    def image(self) -> ImageRef:
        """The image, as asked for."""
        text = self.args.image or self.cluster.image or (self.stored.image.reference if self.stored else None)
        if not text:
            raise UsageError("no image is given", hint="write `sealer-cloud up IMAGE`, or spec.image in a Clusterfile")
        return parse_reference(text)

    def provider(self) -> tuple[str, bool]:
        """The provider, and whether anybody named it: addresses name bare metal."""
        text = self.args.provider or self.infra.provider
        if not text and named_by_address(self.args, self.cluster, self.infra):
            text = BARE_METAL
        text = text or (self.stored.provider if self.stored else None)
        return (parse_provider(text), True) if text else (DEFAULT_PROVIDER, False)

    def hosts(self, provider: str) -> tuple[tuple[Pool, ...], tuple[AcceptedMachine, ...]]:
        """Pools of machines to make; or machines that exist, each with its pool."""
        if provider != BARE_METAL:
            return self.pools(provider), ()
        pools, machines = wanted_machines(self.args, self.cluster, self.infra, self.stored, self.login())
        return _with_flags(_with_role_env(pools, self.cluster), self.flag_env()), machines

    def region(self, provider: str) -> str | None:
        """Where machines are made; None: what the driver's own settings say. It cannot change."""
        said = self.args.region or self.infra.region
        if said and (complaint := check_word(said)):
            raise UsageError(f"region {said!r} {complaint}")
        if said and provider not in BOUGHT:
            raise UsageError(f"provider {provider} has no regions", hint="leave --region out, or name a cloud")
        before = self.stored.region if self.stored else None
        if said and before and said != before and self.stored:
            what = f"cluster {self.stored.cluster} is in region {before}, not {said}"
            raise UsageError(what, hint="machines do not move; choose another --name")
        return said or before

    def endpoints(self, provider: str) -> Mapping[str, str]:
        """Where the cloud's services are. Raises UsageError for a word that this provider does not have."""
        said = self.infra.endpoints if "endpoints" in self.infra.said or not self.stored else self.stored.endpoints
        for word, text in said.items():
            if complaint := check_endpoint_of(provider, word, text):
                raise UsageError(f"endpoints.{word}: {complaint}", hint="see docs/clusterfile.md for spec.endpoints")
        return said

    def zones(self) -> tuple[str, ...]:
        """Zones in order of preference."""
        if wrong := [zone for zone in self.args.zones if check_word(zone)]:
            raise UsageError(f"zone {wrong[0]!r} {check_word(wrong[0])}")
        if self.args.zones or "zones" in self.infra.said:
            return self.args.zones or self.infra.zones
        return self.stored.zones if self.stored else ()

    def os_image(self) -> AcceptedOsImage | None:
        """The operating system of machines that are made."""
        said = self.infra.os_image
        if said is not None:
            return AcceptedOsImage(name=said.name, arch=said.arch, id=said.id)
        return self.stored.os_image if self.stored else None

    def ssh(self, provider: str) -> AcceptedSsh | None:
        """The login of machines that are made, or what machines that exist have where they say nothing themselves."""
        if self.args.identity and provider != BARE_METAL:
            what = f"-i {self.args.identity}: machines of provider {provider} get a key of their own cluster"
            raise UsageError(what, hint="a key of yours is for machines that exist (--masters ADDRESS)")
        login = self.login()
        return to_accepted_ssh(login) if login != SshDoc() else None

    def login(self) -> SshDoc:
        """How to log in, as far as it is said of all machines. Raises UsageError for a bad login name."""
        if self.args.user and (complaint := check_user(self.args.user)):
            raise UsageError(f"-u: {complaint}")
        said = self.infra.ssh.over(self.cluster.ssh)
        base = said if said != SshDoc() else to_doc(self.stored.ssh if self.stored else None)
        return SshDoc(user=self.args.user, private_key_file=self.args.identity).over(base)

    def check_served(self, provider: str, pools: tuple[Pool, ...]) -> None:
        """Refuse what only clouds can serve, by name. Raises UsageError (3)."""
        if provider in BOUGHT:
            return
        said: dict[str, object] = {"zones": self.zones(), "osImage": self.os_image()}
        said["instanceType"] = any(pool.instance_types for pool in pools)
        said["spot"] = any(pool.spot for pool in pools)
        if provider == BARE_METAL:
            said |= {"network": self.network(), "ttl": self.args.ttl or self.infra.ttl}
        else:
            login = self.login()
            said["ssh"] = (login.user or "root", login.port or 22) != ("root", 22) or login.jump
        if wrong := [key for key, value in said.items() if value]:
            why = "its machines are there, and stay" if provider == BARE_METAL else "its hosts are on this machine"
            what = f"provider {provider} cannot serve {', '.join(wrong)}: {why}"
            raise UsageError(what, hint="leave it out, or choose another provider")

    def data_root(self) -> str:
        """Where hosts keep rootfs and data."""
        said = self.args.data_root or self.cluster.data_root
        text = said or (self.stored.data_root if self.stored else DEFAULT_DATA_ROOT)
        if complaint := check_data_root(text):
            raise UsageError(f"data root {text!r} {complaint}", hint=f"leave it out for {DEFAULT_DATA_ROOT}")
        return text.rstrip("/")

    def env(self) -> dict[str, str]:
        """The cluster's env."""
        stored = self.stored.env if self.stored and "env" not in self.cluster.said else {}
        return merge_env(stored, self.cluster.env, self.flag_env())

    def flag_env(self) -> dict[str, str]:
        """What the command line alone says of env."""
        return merge_env(parse_env_words(self.args.env), parse_secret_words(self.args.env_secret))

    def cmd(self) -> tuple[str, ...] | None:
        """Commands in place of the image's."""
        if self.args.cmd:
            if any(check_text(word) for word in self.args.cmd):
                raise UsageError("--cmd is not UTF-8 text")
            return self.args.cmd
        return self.cluster.cmd if "cmd" in self.cluster.said else (self.stored.cmd if self.stored else None)

    def network(self) -> Mapping[str, object]:
        """The network's words, for the driver to read."""
        return self.infra.network if "network" in self.infra.said or not self.stored else self.stored.network

    def tags(self) -> Mapping[str, str]:
        """The user's tags."""
        return self.infra.tags if "tags" in self.infra.said or not self.stored else self.stored.tags

    def protect(self) -> bool:
        """Whether `down` and replacements are refused."""
        return self.infra.protect if "protect" in self.infra.said or not self.stored else self.stored.protect

    def annotations(self) -> Mapping[str, str]:
        """Our annotations."""
        said = "annotations" in self.cluster.said or not self.stored
        return self.cluster.annotations if said or not self.stored else self.stored.annotations

    def ttl(self, provider: str, now: datetime | None, *, ci: bool) -> tuple[int | None, tuple[str, ...]]:
        """Seconds, and what to say of them. A cluster that stands keeps its deadline: only `ttl` moves it."""
        said = parse_ttl(self.args.ttl) if self.args.ttl is not None else self.infra.ttl
        if self.stored is None:
            if said is None and ci and provider in BOUGHT:
                return CI_TTL, (f"CI is set and no --ttl: this cluster ends {show_duration(CI_TTL)} after its create",)
            return said, ()
        if now is not None and self.new_life(now):
            check_expired(self.stored, self.args, now)
            return said, ()
        if said is not None and said != self.stored.ttl:
            what = f"the ttl of cluster {self.stored.cluster} is fixed since its create"
            raise UsageError(what, hint=f"sealer-cloud ttl extend {self.stored.cluster} {show_duration(said)}")
        return self.stored.ttl, ()

    def new_life(self, now: datetime | None) -> bool:
        """True where a cluster's time counts anew: it is over, or a `--ttl` is given and no machine could be made any more."""
        if self.stored is None or now is None:
            return False
        return is_expired(self.stored, now) or (self.args.ttl is not None and is_too_near(self.stored, now))

    def pools(self, provider: str) -> tuple[Pool, ...]:
        """Machines to make."""
        if self.infra.machines or self.cluster.machines:
            what = f"provider {provider} makes its machines, and the files name addresses of some that exist"
            raise UsageError(what, hint="use --provider baremetal, or leave the addresses out")
        pools = self.infra.pools
        if "pools" not in self.infra.said and self.stored:
            pools = tuple(to_pool(pool) for pool in self.stored.pools)
        for flag, role, text in (("masters", "master", self.args.masters), ("nodes", "node", self.args.nodes)):
            if text is not None:
                pools = _with_count(pools, flag, role, parse_count(flag, text))
        if not pools or (self.args.masters is None and not any(is_master(p.roles) for p in pools)):
            pools = (_DEFAULT_POOL, *pools)
        if not any(pool.count for pool in pools if is_master(pool.roles)):
            raise UsageError("a cluster needs at least one master", hint="give --masters 1 or more")
        return _with_flags(_with_role_env(pools, self.cluster), self.flag_env())


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


def to_accepted_pool(pool: Pool) -> AcceptedPool:
    """A pool as it is stored."""
    return AcceptedPool(
        name=pool.name,
        roles=pool.roles,
        count=pool.count,
        cpu=pool.cpu,
        memory=pool.memory,
        system_disk=pool.system_disk,
        data_disks=pool.data_disks,
        env=dict(pool.env),
        instance_types=pool.instance_types,
        spot=AcceptedSpot(**asdict(pool.spot)) if pool.spot else None,
        labels=dict(pool.labels),
        taints=pool.taints,
    )


def to_pool(pool: AcceptedPool) -> Pool:
    """A stored pool as it is asked for again."""
    return Pool(
        name=pool.name,
        roles=pool.roles,
        count=pool.count,
        cpu=pool.cpu,
        memory=pool.memory,
        system_disk=pool.system_disk,
        data_disks=pool.data_disks,
        env=pool.env,
        instance_types=pool.instance_types,
        spot=Spot(pool.spot.max_price, pool.spot.currency, pool.spot.fallback) if pool.spot else None,
        labels=pool.labels,
        taints=pool.taints,
    )
