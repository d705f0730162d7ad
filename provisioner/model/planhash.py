"""A plan in the forms that leave us: its hash, its JSON, the sheet to sign; and whether two plans differ. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Offer
from provisioner.model.ledger import canonical
from provisioner.model.paths import STATE_ROOT, TMPFS_ROOT
from provisioner.model.plan import ApplyPlan, HostPlan, InfraPlan, Plan, Price, ResourceChange
from provisioner.model.steps import Step, StepKind, StepState

PLAN_VERSION = 1
_CHANGES = ("create", "update", "replace", "delete")
_RUNS_AS_ROOT = (StepKind.INIT, StepKind.START, StepKind.RECONFIGURE, StepKind.MEMBER, StepKind.HEALTH)
_NOT_IN_HASH = ("expiresAt",)
"""Times. Of a ttl the deadline alone is in the request, and it is another one for each run of a new cluster."""
_FILES = re.compile(r"privateKeyFile|knownHostsFile")
_NOT_INSIDE = {"placement": re.compile(r".*price.*|address", re.IGNORECASE), "ssh": _FILES, "machines": _FILES}
"""Inside some parts: prices, which change while a person reads, the operator's address, paths of files on his machine."""


def plan_hash(plan: Plan, accepted: Accepted) -> str:
    """`sha256:<hex>`: the same for the same plan on any day and machine; what `--expect-plan` compares.

    Without cid, run, times, addresses and secret values (references to them stand in as text), and without quiet records.
    """
    said = {key: value for key, value in accepted.to_json().items() if key not in _NOT_IN_HASH}
    request = {key: _without(_NOT_INSIDE[key], part) if key in _NOT_INSIDE else part for key, part in said.items()}
    content = {
        "v": PLAN_VERSION,
        "provider": plan.provider,
        "image": plan.image_digest,
        "infra": {op: _resources(getattr(plan.infra, op)) for op in _CHANGES},
        "hosts": [{**_host(host), "roles": host.roles} for host in plan.apply.hosts],
        "restarts": plan.apply.restarts,
        "joining": plan.apply.joining,
        "request": request,
    }
    return f"sha256:{hashlib.sha256(canonical(content)).hexdigest()}"


def plan_to_json(plan: Plan) -> dict[str, object]:
    """What `plan -o json` prints (docs/schema/plan.schema.json)."""
    return {
        "schemaVersion": PLAN_VERSION,
        "cluster": plan.cluster,
        "cid": plan.cid,
        "image": {"reference": plan.image_reference, "digest": plan.image_digest},
        "planHash": plan.plan_hash,
        "infra": {op: [_told(change) for change in getattr(plan.infra, op)] for op in (*_CHANGES, "same")},
        "hosts": [_host(host) for host in plan.apply.hosts],
        "restarts": list(plan.apply.restarts),
        "offers": [_offer(offer) for offer in plan.offers],
        "price": _price(plan.price),
        "notes": list(plan.notes),
        "summary": summary_of(plan),
    }


def _offer(offer: Offer) -> dict[str, object]:
    return {
        "host": offer.host,
        "zone": offer.zone,
        "type": offer.machine_type,
        "spot": offer.spot,
        "pricePerHour": offer.price,
        "currency": offer.currency,
    }


def _price(price: Price | None) -> dict[str, object] | None:
    if price is None:
        return None
    return {"perHour": price.per_hour, "currency": price.currency, "untilDeadline": price.until_deadline}


def summary_of(plan: Plan) -> str:
    """One sentence: what changes in stage 1, what runs in stage 2."""
    machines = [f"{len(found)} to {op}" for op in _CHANGES if (found := getattr(plan.infra, op))]
    hosts = [host for host in plan.apply.hosts if _shown(host)]
    size = sum(host.bytes_to_send for host in plan.apply.hosts)
    work = f"{_count(len(plan.apply.steps), 'step')} on {_count(len(hosts), 'host')}, {size} bytes to send"
    parts = (["resources: " + ", ".join(machines)] if machines else []) + ([work] if hosts or size else [])
    return "; ".join(parts) or "nothing to do"


def steps_differ(provisional: ApplyPlan, final: ApplyPlan) -> list[str]:
    """What the final plan has that was not shown, one line each; empty: it may run.

    Final step ids must have been shown, and no host gets more bytes; where all hosts were read no step may be missing
    either. Waits for health are left out: they only read, and a host may become healthy while a person reads the plan.
    """
    shown, wanted = _ids(provisional), _ids(final)
    lines = [f"{step} was not shown" for step in wanted if step not in shown]
    if not provisional.provisional:
        lines += [f"{step} was shown and is not due any more" for step in shown if step not in wanted]
    before = {host.name: host.bytes_to_send for host in provisional.hosts}
    for host in final.hosts:
        if host.bytes_to_send > before.get(host.name, 0):
            lines.append(f"{host.name} would get {host.bytes_to_send} bytes, not {before.get(host.name, 0)}")
    return lines


def plan_to_markdown(plan: Plan) -> str:
    """A sheet to sign: machines, what runs as root on each host, paths outside the data root, ports."""
    lines = [
        f"# Plan for {plan.cluster}",
        "",
        f"- image: {_code(plan.image_reference)} {_code(plan.image_digest)}",
        f"- provider: {plan.provider}",
        f"- plan: {_code(plan.plan_hash)}",
        f"- {summary_of(plan)}",
        *_infra_lines(plan.infra),
        *_section("Bought", _offer_items(plan)),
        *(line for host in plan.apply.hosts for line in _host_lines(plan, host)),
        *_turn_lines(plan.apply),
        *_path_lines(plan),
        *_section("Ports", [str(port) for port in plan.ports]),
        *_section("Notes", [_plain(note) for note in plan.notes]),
    ]
    return "\n".join(lines) + "\n"


def _without(keys: re.Pattern[str], value: object) -> object:
    if isinstance(value, dict):
        return {key: _without(keys, part) for key, part in value.items() if not keys.fullmatch(key)}
    return [_without(keys, part) for part in value] if isinstance(value, (list, tuple)) else value


def _resources(changes: Iterable[ResourceChange]) -> list[dict[str, str]]:
    return [{"type": change.type, "name": change.name} for change in changes]


def _told(change: ResourceChange) -> dict[str, str | None]:
    return {"type": change.type, "name": change.name, "detail": change.detail or None}


def _shown(host: HostPlan) -> tuple[Step, ...]:
    return tuple(step for step in host.steps if not step.quiet)


def _host(host: HostPlan) -> dict[str, object]:
    steps = [{"id": s.id, "kind": s.kind.value, "title": s.title, "state": s.state.value} for s in _shown(host)]
    return {"name": host.name, "bytesToSend": host.bytes_to_send, "steps": steps}


def _ids(plan: ApplyPlan) -> list[str]:
    return [step.id for step in plan.steps if step.kind is not StepKind.HEALTH]


def _infra_lines(infra: InfraPlan) -> Iterator[str]:
    found = [(op, change) for op in _CHANGES for change in getattr(infra, op)]
    yield from _section("Machines", [_change(op, change) for op, change in found])


def _change(op: str, change: ResourceChange) -> str:
    detail = f": {_plain(change.detail)}" if change.detail else ""
    return f"{op} {_code(change.name)} ({change.type}){detail}"


def _offer_items(plan: Plan) -> list[str]:
    items = []
    for offer in plan.offers:
        price = "price not known" if offer.price is None else f"{offer.price:.4g} {offer.currency} per hour"
        spot = ", spot" if offer.spot else ""
        items.append(f"{_code(offer.host)}: {_code(offer.machine_type)}{spot} in {_code(offer.zone)}, {_plain(price)}")
    return items + ([price_words(plan.price)] if plan.price else [])


def price_words(price: Price) -> str:
    """`in all 0.75 USD per hour, 1.5 USD until the deadline; disks and traffic come on top`."""
    until = f", {price.until_deadline:.4g} {price.currency} until the deadline" if price.until_deadline else ""
    return f"in all {price.per_hour:.4g} {price.currency} per hour{until}; disks and traffic come on top"


def _host_lines(plan: Plan, host: HostPlan) -> Iterator[str]:
    steps = _shown(host)
    if not steps and not host.bytes_to_send:
        return
    yield from ("", f"## Host {host.name} ({', '.join(host.roles)})", "")
    yield f"- files of the image to send: {host.bytes_to_send} bytes"
    for step in steps:
        if step.kind is StepKind.FILE:
            yield f"- writes {_code(step.title)} below the rootfs{_maybe(step)}"
    for step in steps:
        command = _command(plan, step)
        if command:
            yield f"- runs as root: {_code(command)}{_maybe(step)}"


def _maybe(step: Step) -> str:
    return ", if the host turns out to need it" if step.state is StepState.MAYBE else ""


def _command(plan: Plan, step: Step) -> str:
    if step.kind is StepKind.CMD:
        number = int(step.id.rsplit("/", 1)[-1])
        return plan.commands[number - 1] if number <= len(plan.commands) else step.title
    if step.kind is StepKind.MEMBER:
        return f"scripts/member.sh {step.title.removeprefix('member ')}"
    return f"scripts/{step.id.rsplit('/', 1)[-1]}" if step.kind in _RUNS_AS_ROOT else ""


def _turn_lines(apply: ApplyPlan) -> Iterator[str]:
    yield from _section("Restarts, one after another, health between", list(apply.restarts))
    yield from _section("Joins, one after another", list(apply.joining))


def _path_lines(plan: Plan) -> Iterator[str]:
    cid = plan.cid or "<cid>"
    paths = [f"{STATE_ROOT}/lock", f"{STATE_ROOT}/{cid}/", f"{TMPFS_ROOT}/{cid}/ (memory only)"]
    root = f"{plan.data_root}/{plan.cluster}/" if plan.data_root else "the data root"
    yield from _section("Paths that sealer-cloud writes outside " + root, paths)
    yield from ("", "The scripts of the image may write wherever root may; read them in the image.")


def _section(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield from ("", f"## {title}", "", *(f"- {item}" for item in items))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """One line of text in which Markdown and HTML mean nothing."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text as code on one line, whatever is in it: the fence is longer than any row of backticks inside."""
    line = " ⏎ ".join(
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in x) for x in text.split("\n")
    )
    fence = "`" * (1 + max((len(row) for row in re.findall(r"`+", line)), default=0))
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"
