"""A plan as a person confirms it: which cluster, which machines, what runs where, what is lost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from provisioner.cli.text import Line, Lines, columns, count, escape, few, plain, short_digest, size
from provisioner.model.plan import HostPlan, InfraPlan, Plan, ResourceChange, is_machine
from provisioner.model.planhash import price_words
from provisioner.model.steps import Step, StepState
from provisioner.world import DownPlan

LABEL = 10

_SIGNS = (("create", "+", "green"), ("update", "~", "yellow"), ("replace", "±", "red"), ("delete", "-", "red"))
_WORDS = {
    "Host": "host",
    "Instance": "host",
    "Network": "network",
    "Vpc": "network",
    "Switch": "subnet",
    "Subnet": "subnet",
    "SecurityGroup": "security group",
    "SecurityGroupRule": "rule",
    "SecurityGroupIngressRule": "rule",
    "SecurityGroupEgressRule": "rule",
    "InternetGateway": "gateway",
    "RouteTable": "route table",
    "RouteTableAssociation": "route",
    "HostKey": "host key",
    "HostIdentity": "login check",
    "Intent": "accepted request",
}
_HIDDEN = {"pulumi:pulumi:Stack"}
_ORDER = {"host": 0, "network": 1}


def plan_lines(plan: Plan, *, wide: bool = False) -> Lines:
    """The lines above the question, and what `plan` prints as a table; `wide` adds every step."""
    lines = [_cluster_line(plan), _machines_line(plan.infra)]
    lines += _named_changes(plan.infra)
    lines += _offer_lines(plan)
    lines += _host_lines(plan)
    if plan.apply.restarts:
        lines.append(_labelled("Restarts", f"{', '.join(plan.apply.restarts)}: one at a time, health between"))
    if plan.apply.joining:
        turn = ": one after another" if len(plan.apply.joining) > 1 else ""
        lines.append(_labelled("Joining", ", ".join(plan.apply.joining) + turn))
    lines += [_labelled("Note", escape(note)) for note in plan.notes]
    if wide:
        lines += [plain(row) for row in _step_table(plan)]
    return tuple(lines)


def hash_line(plan: Plan) -> Line:
    """The last line of `plan`: what `--expect-plan` takes."""
    return _labelled("Plan", plan.plan_hash)


def plan_question(plan: Plan) -> str:
    """The question; hosts that will be lost are named in it."""
    lost = []
    if gone := _hosts_in(plan.infra.delete):
        lost.append(f"deletes {few(gone)} with {'their disks' if len(gone) > 1 else 'its disk'}")
    if new := _hosts_in(plan.infra.replace):
        lost.append(f"replaces {few(new)} by {'new machines' if len(new) > 1 else 'a new machine'}")
    return f"This {' and '.join(lost)}. Go on? [y/N] " if lost else "Go on? [y/N] "


def loses_hosts(plan: Plan) -> bool:
    """True where a yes costs a host its disk."""
    return bool(_hosts_in((*plan.infra.delete, *plan.infra.replace)))


def down_lines(plan: DownPlan) -> Lines:
    """The lines above `down`'s question."""
    image = f"image {escape(plan.image)}    " if plan.image else ""
    lines = [_labelled("Cluster", f"{plan.cluster}    {image}provider {plan.provider}")]
    hosts = f"{count(len(plan.hosts), 'host')} ({few(plan.hosts)})" if plan.hosts else "what is left of it"
    if plan.stays:
        lines += _staying_lines(plan, hosts)
    else:
        lines.append((("Removes   ", "bold"), (f"- {hosts}, with disks and data", "red")))
    for stranger in plan.strangers:
        lines.append(
            (("Stays     ", "bold"), (f"{escape(stranger)}: it stands in its network and is not of it", "yellow"))
        )
    if plan.strangers:
        lines.append(_labelled("Note", "so the network is left; remove what stays there, then run `down` again"))
    if plan.without_state:
        found = f"found by looking ({plan.cid})" if plan.cid else "found by looking"
        lines.append(_labelled("Note", f"{found}: this state folder does not know the cluster"))
    return tuple(lines)


def _staying_lines(plan: DownPlan, hosts: str) -> Lines:
    """Machines that are not ours stay; only what the cluster made on them goes, and its data by leave."""
    lines: list[Line] = [(("Undoes    ", "bold"), (f"what it made on {hosts}; the machines stay", "red"))]
    for kept in plan.data:
        verb, style = ("Deletes", "red") if plan.delete_data and not kept.linked else ("Keeps", "")
        known = size(kept.size) if kept.size is not None else "size unknown"
        known += ", which the data is a link to" if kept.linked else ""
        lines.append(((f"{verb:<{LABEL}}", "bold"), (f"{escape(kept.path)} on {escape(kept.host)}, {known}", style)))
    if plan.data and not plan.delete_data:
        lines.append(_labelled("Note", "--delete-data deletes the data too"))
    return tuple(lines)


def down_question(plan: DownPlan) -> str:
    """The question of `down`."""
    return f"Remove {plan.cluster} for good? [y/N] "


def _cluster_line(plan: Plan) -> Line:
    image = f"{escape(plan.image_reference)} {short_digest(plan.image_digest)} {size(plan.image_size)}"
    return _labelled("Cluster", f"{plan.cluster}    image {image}    provider {plan.provider}")


def _machines_line(infra: InfraPlan) -> Line:
    segments = [(f"{'Machines':<{LABEL}}", "bold")]
    for attribute, sign, style in _SIGNS:
        for words in _count_words(getattr(infra, attribute)):
            comma = ", " if len(segments) > 1 else ""
            segments.append((f"{comma}{sign} {words}", style))
    if len(segments) == 1:
        same = _count_words(infra.same)
        return _labelled("Machines", "nothing to change" + (f" ({', '.join(same)})" if same else ""))
    touched = {
        "change": _count_words((*infra.update, *infra.replace)),
        "delete": _count_words((*infra.delete, *infra.replace)),
    }
    nothing = [f"nothing to {word}" for word, changes in touched.items() if not changes]
    return (*segments, (f"    ({', '.join(nothing)})", "dim")) if nothing else tuple(segments)


def _count_words(changes: Iterable[ResourceChange]) -> list[str]:
    """`3 hosts`, `1 network`: hosts first; the request is no machine and not counted."""
    kinds = Counter(_WORDS.get(_kind(c), c.type) for c in _visible(changes) if _kind(c) != "Intent")
    return [count(n, word) for word, n in sorted(kinds.items(), key=lambda item: (_ORDER.get(item[0], 2), item[0]))]


def _kind(change: ResourceChange) -> str:
    return change.type.rpartition(":")[2]


def _visible(changes: Iterable[ResourceChange]) -> list[ResourceChange]:
    return [c for c in changes if c.type not in _HIDDEN]


def _named_changes(infra: InfraPlan) -> Lines:
    """Updates, replacements and deletions by name: a count alone would hide which disk goes."""
    rows = []
    for attribute, sign, style in _SIGNS[1:]:
        for change in _visible(getattr(infra, attribute)):
            detail = f": {escape(change.detail)}" if change.detail else ""
            rows.append(((" " * LABEL, ""), (f"{sign} {_noun(change)}{detail}", style)))
    return tuple(rows)


def _offer_lines(plan: Plan) -> list[Line]:
    """What is bought where, alike machines together; then what it costs."""
    groups: dict[str, list[str]] = {}
    for offer in plan.offers:
        spot = " spot" if offer.spot else ""
        price = "" if offer.price is None else f"   {offer.price:.4g} {escape(offer.currency)} per hour each"
        groups.setdefault(f"{escape(offer.machine_type)}{spot} in {escape(offer.zone)}{price}", []).append(offer.host)
    lines = [f"{few(names, ' ')}   {what}" for what, names in groups.items()]
    lines += [price_words(plan.price)] if plan.price else []
    return [_labelled("Bought" if i == 0 else "", text) for i, text in enumerate(lines)]


def _noun(change: ResourceChange) -> str:
    kind = _kind(change)
    word = _WORDS.get(kind, change.type)
    return word if kind in {"Intent", "Network"} else f"{word} {escape(change.name)}"


def _host_lines(plan: Plan) -> list[Line]:
    groups: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for host in plan.apply.hosts:
        if titles := _own_titles(host):
            groups.setdefault((host.bytes_to_send, titles), []).append(host.name)
    idle = [h.name for h in plan.apply.hosts if not any(not s.quiet for s in h.steps)]
    lines = [_group_text(names, sent, titles) for (sent, titles), names in groups.items()]
    lines += [f"{h.name}   once for the cluster: {', '.join(t)}" for h in plan.apply.hosts if (t := _shared_titles(h))]
    if idle:
        lines.append(f"{few(idle, ' ')}   nothing to do")
    if any(s.state is StepState.MAYBE for s in plan.apply.steps):
        lines.append("steps marked ? may turn out to be done already: that is known once every machine answers")
    return [_labelled("Hosts" if i == 0 else "", text) for i, text in enumerate(lines)]


def _group_text(names: list[str], sent: int, titles: tuple[str, ...]) -> str:
    send = f"   send {size(sent)}{' each' if len(names) > 1 else ''}" if sent else ""
    return f"{few(names, ' ')}{send}   {count(len(titles), 'step')}: {', '.join(titles)}"


def _own_titles(host: HostPlan) -> tuple[str, ...]:
    return tuple(_title(s) for s in host.steps if not s.quiet and not s.id.startswith("cluster/"))


def _shared_titles(host: HostPlan) -> tuple[str, ...]:
    return tuple(_title(s) for s in host.steps if not s.quiet and s.id.startswith("cluster/"))


def _title(step: Step) -> str:
    marks = {StepState.MAYBE: "?", StepState.UNKNOWN: " (its last end is unknown)"}
    return escape(step.title) + marks.get(step.state, "")


def _step_table(plan: Plan) -> tuple[str, ...]:
    rows = [(h.name, s.id, s.kind.value, s.state.value) for h in plan.apply.hosts for s in h.steps if not s.quiet]
    return ("", *columns([("HOST", "STEP", "KIND", "STATE"), *rows])) if rows else ()


def _hosts_in(changes: Iterable[ResourceChange]) -> list[str]:
    return [escape(c.name) for c in changes if is_machine(c.type)]


def _labelled(label: str, text: str) -> Line:
    return ((f"{label:<{LABEL}}", "bold"), (text, ""))
