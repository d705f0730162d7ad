"""Machines that exist, from words to what is accepted: flags over files over what is stored, each named once. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedJump, AcceptedMachine, AcceptedSsh
from provisioner.model.cluster import to_machine
from provisioner.model.hosts import is_master
from provisioner.model.naming import free_name, free_slot, short_role
from provisioner.model.request import ClusterDoc, InfraDoc, JumpDoc, Machine, Pool, SshDoc, UpArgs
from provisioner.model.words import is_addresses, is_count, parse_addresses

KNOWN_HOSTS = "~/.ssh/known_hosts"
"""Where the keys of machines stand that flags and upstream's files name: those have no place for keys."""
_FLAGS = {"masters": "master", "nodes": "node"}


def named_by_address(args: UpArgs, cluster: ClusterDoc, infra: InfraDoc) -> bool:
    """True where words or files name machines by their address: that is bare metal."""
    flags = (getattr(args, flag) for flag in _FLAGS)
    return bool(infra.machines or cluster.machines or any(text and is_addresses(text) for text in flags))


def wanted_machines(
    args: UpArgs, cluster: ClusterDoc, infra: InfraDoc, stored: Accepted | None, base: SshDoc
) -> tuple[tuple[Pool, ...], tuple[AcceptedMachine, ...]]:
    """All machines, each with a pool of its own name; `base` is the login of those that say nothing themselves.

    Raises UsageError (3) naming what is missing or said twice.
    """
    found = _listed(cluster, infra, stored)
    for role, machines in _flagged(args).items():
        found = _with_flag(found, role, machines)
    if not found:
        raise UsageError(
            "provider baremetal works on machines that exist, and none is named",
            hint="give -f FILE with an Infra whose hosts have an address; `up` and `plan` take --masters 10.1.2.3,10.1.2.4 too",
        )
    if not any(is_master(machine.roles) for machine in found):
        raise UsageError("a cluster needs at least one master", hint="give --masters ADDRESS")
    _check_addresses(found)
    flags = SshDoc(user=args.user, private_key_file=args.identity)
    named = [replace(m, ssh=flags.over(m.ssh.over(base))) for m in _named(found, stored)]
    return tuple(_to_pool(m) for m in named), tuple(_to_accepted(m) for m in named)


def name_machines(pools: Iterable[Pool], stored: Accepted | None) -> tuple[AcceptedHost, ...]:
    """Hosts of machines that exist: named as their pools, keeping their slot; a new one takes a slot that nobody had."""
    before = {host.name: host.slot for host in stored.hosts} if stored else {}
    taken = set(before.values())
    hosts: list[AcceptedHost] = []
    for pool in pools:
        slot = before[pool.name] if pool.name in before else free_slot(taken)
        taken.add(slot)
        hosts.append(AcceptedHost(name=pool.name, pool=pool.name, roles=pool.roles, slot=slot))
    return tuple(sorted(hosts, key=lambda host: (not is_master(host.roles), host.slot)))


def _listed(cluster: ClusterDoc, infra: InfraDoc, stored: Accepted | None) -> list[Machine]:
    if infra.machines and cluster.machines:
        what = "machines stand in Infra's hosts and in Cluster's hosts"
        raise UsageError(what, hint="keep the addresses in one of them")
    if infra.machines or cluster.machines:
        return list(infra.machines or cluster.machines)
    return [] if "pools" in infra.said or "machines" in cluster.said else _stored(stored)


def _stored(stored: Accepted | None) -> list[Machine]:
    pools = {pool.name: pool for pool in stored.pools} if stored else {}
    return [
        Machine(
            address=machine.address,
            roles=pools[machine.name].roles,
            name=machine.name,
            env=pools[machine.name].env,
            ssh=to_doc(machine.ssh, machine.known_hosts_file),
            host_keys=machine.host_keys,
            labels=pools[machine.name].labels,
            taints=pools[machine.name].taints,
        )
        for machine in (stored.machines if stored else ())
        if machine.name in pools
    ]


def _flagged(args: UpArgs) -> dict[str, tuple[Machine, ...]]:
    """The machines that flags name, by role; an empty row for a role that a flag says there is none of."""
    found: dict[str, tuple[Machine, ...]] = {}
    for flag, role in _FLAGS.items():
        text = getattr(args, flag)
        if text is None:
            continue
        if is_count(text) and int(text):
            hint = f"name them: --{flag} 10.1.2.3,10.1.2.4"
            raise UsageError(f"--{flag} {text}: provider baremetal makes no machines", hint=hint)
        words = () if is_count(text) else parse_addresses(flag, text)
        found[role] = tuple(to_machine(word, (role,), {}, SshDoc()) for word in words)
    _check_addresses([machine for machines in found.values() for machine in machines])
    return found


def _with_flag(found: list[Machine], role: str, wanted: tuple[Machine, ...]) -> list[Machine]:
    """The flag's addresses in place of the role's machines; what is known of an address is kept."""
    known = {machine.address: machine for machine in found}
    ours = [_keep(known[m.address], m) if m.address in known else m for m in wanted]
    taken = {machine.address for machine in ours}
    others = [m for m in found if m.roles[0] != role and m.address not in taken]
    return ours + others if role == "master" else others + ours


def _keep(known: Machine, said: Machine) -> Machine:
    roles = known.roles if known.roles[0] == said.roles[0] else said.roles
    return replace(known, roles=roles, ssh=said.ssh.over(known.ssh))


def _check_addresses(found: list[Machine]) -> None:
    seen: set[str] = set()
    for machine in found:
        if machine.address in seen:
            raise UsageError(f"{machine.address} is named twice", hint="a machine is one host, with all its roles")
        seen.add(machine.address)
    if len({ipaddress.ip_address(address).version for address in seen}) > 1:
        raise UsageError(
            "all machines of a cluster have IPv4 addresses, or all have IPv6 ones",
            hint="name each machine by an address of the same kind",
        )


def _named(found: list[Machine], stored: Accepted | None) -> list[Machine]:
    """Names for those that have none: the one that the address had, else the role's next free one."""
    before = {machine.address: machine.name for machine in stored.machines} if stored else {}
    own = {machine.name for machine in found if machine.name}
    taken = own | ({host.name for host in stored.hosts} if stored else set())
    named: list[Machine] = []
    for machine in found:
        name = machine.name or before.get(machine.address)
        if name is None or (not machine.name and name in own):
            name = free_name(short_role(machine.roles[0]), taken)
        taken.add(name)
        named.append(replace(machine, name=name))
    return named


def _to_pool(machine: Machine) -> Pool:
    return Pool(machine.name or "", machine.roles, 1, env=machine.env, labels=machine.labels, taints=machine.taints)


def _to_accepted(machine: Machine) -> AcceptedMachine:
    ssh = machine.ssh
    return AcceptedMachine(
        name=machine.name or "",
        address=machine.address,
        ssh=to_accepted_ssh(ssh),
        host_keys=machine.host_keys,
        known_hosts_file=ssh.known_hosts_file or (None if machine.host_keys else KNOWN_HOSTS),
    )


def to_accepted_ssh(ssh: SshDoc) -> AcceptedSsh:
    """The login with its defaults: port 22, user root."""
    return AcceptedSsh(
        host=ssh.host,
        port=ssh.port or 22,
        user=ssh.user or "root",
        private_key_file=ssh.private_key_file,
        jump=_to_accepted_jump(ssh.jump) if ssh.jump else None,
    )


def _to_accepted_jump(jump: JumpDoc) -> AcceptedJump:
    return AcceptedJump(
        host=jump.host,
        port=jump.port,
        user=jump.user,
        private_key_file=jump.private_key_file,
        host_keys=jump.host_keys,
    )


def to_doc(ssh: AcceptedSsh | None, known_hosts_file: str | None = None) -> SshDoc:
    """A stored login as it is asked for again."""
    if ssh is None:
        return SshDoc(known_hosts_file=known_hosts_file)
    jump = ssh.jump
    doc = JumpDoc(jump.host, jump.port, jump.user, jump.private_key_file, jump.host_keys) if jump else None
    return SshDoc(ssh.host, ssh.port, ssh.user, ssh.private_key_file, known_hosts_file, doc)
