"""`adopt`: its flags, its question, its answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli import flags, sites
from provisioner.cli import options as o
from provisioner.cli.run import Run, Session, execute, open_session
from provisioner.settings import PREFIX

if TYPE_CHECKING:
    from provisioner.adopting import AdoptArgs, AdoptPlan, AdoptReport
    from provisioner.cli.text import Lines
    from provisioner.model.request import Clusterfile

LoginKey = Annotated[
    str | None,
    typer.Option(
        "--identity",
        "-i",
        metavar="FILE",
        show_envvar=False,
        envvar=f"{PREFIX}IDENTITY",
        help="Clouds: the cluster's login key (its private half), as you kept it.",
    ),
]
HostKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--host-key", metavar="SHA256:…", help="Clouds: the fingerprint (or key) of a host; repeat for each host."
    ),
]
KnownHosts = Annotated[
    str | None,
    typer.Option(
        "--known-hosts",
        metavar="FILE",
        show_envvar=False,
        envvar=f"{PREFIX}KNOWN_HOSTS",
        help="Clouds: a known_hosts file that has the hosts' keys, instead of --host-key.",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="PORT",
        show_envvar=False,
        envvar=f"{PREFIX}PORT",
        min=1,
        max=65535,
        help="Clouds: the hosts' SSH port.",
    ),
]
WhichCid = Annotated[
    str | None,
    typer.Option(
        "--cluster-id",
        metavar="CID",
        show_envvar=False,
        envvar=f"{PREFIX}CLUSTER_ID",
        help="Which one, where several clusters have the name.",
    ),
]


@flags.taking(flags.Yes, flags.Answer)
def adopt(
    name: o.ClusterArg,
    *,
    provider: o.ProviderFlag = None,
    region: o.Region = None,
    file: o.Files = None,
    user: o.User = None,
    identity: LoginKey = None,
    port: Port = 22,
    host_key: HostKeys = None,
    known_hosts: KnownHosts = None,
    cluster_id: WhichCid = None,
    **given: Any,
) -> int:
    """Take over a cluster whose state is lost while its machines live. Nothing on them is made, replaced or restarted.

    Local hosts are read from their disks, machines of a cloud are found by tag (--identity and --host-key or
    --known-hosts say how they are entered), bare metal by the inventory (-f). Afterwards `status`, `up`, `ssh` and
    `down` work as before.
    """
    from provisioner.adoptways import AdoptArgs
    from provisioner.model.ids import parse_cluster_name

    session = open_session(given["output"], **flags.talk_of(given))
    environ = session.settings.environ
    site, documents = sites.read_both(session, provider, region, file)
    args = AdoptArgs(
        name=parse_cluster_name(name),
        provider=site.provider or "",
        cid=cluster_id,
        region=site.region,
        user=user,
        port=port,
        identity=Path(identity) if identity else None,
        host_keys=o.listed(host_key, "HOST_KEY", environ),
        known_hosts=Path(known_hosts) if known_hosts else None,
        files=site.files,
    )
    return run_adopt(session, args, documents, yes=given["yes"] or given["auto_approve"])


def run_adopt(session: Session, args: AdoptArgs, documents: Clusterfile, *, yes: bool) -> int:
    """`adopt`. Raises UsageError (3) where neither a flag nor a file names the provider."""
    from provisioner.adopting import adopt as take_over
    from provisioner.errors import UsageError

    if not args.provider:
        raise UsageError("adopt wants to know where the machines are", hint="give --provider")

    async def work(run: Run) -> AdoptReport:
        def confirm(plan: AdoptPlan) -> bool:
            return run.asker.confirm(adopt_lines(plan), f"Take over {plan.cluster}? [y/N] ", "--yes")

        return await take_over(run.world, args, documents, confirm)

    report = execute(session, work, yes=yes)
    if session.screen.look.output == "name":
        session.screen.print([report.cluster] if report.cid else [])
    elif session.screen.look.machine:
        session.screen.document(adopt_to_json(report))
    else:
        session.screen.print(adopt_report_lines(report))
    return 0


def adopt_lines(plan: AdoptPlan) -> Lines:
    """The lines above the question. A host wrote the request, so what it would have us read here is named."""
    from provisioner.cli.text import count, escape, few, plain

    hosts = f"{count(len(plan.hosts), 'host')} ({few(plan.hosts)}), as they stand"
    lines = [
        plain(f"Cluster   {plan.cluster}    {plan.cid}    image {escape(plan.image)}    provider {plan.provider}"),
        plain(f"Adopts    {hosts}"),
    ]
    lines += [plain(f"Reads     {escape(ref)}    at each `up`, for its hosts' env") for ref in plan.references]
    return tuple(lines)


def adopt_report_lines(report: AdoptReport) -> Lines:
    """The end of `adopt`."""
    from provisioner.cli.text import count, plain, seconds, styled

    if report.cid is None:
        return (plain(f"Nothing found in {report.provider} of {report.cluster}; nothing was changed"),)
    hosts = count(len(report.hosts), "host")
    pairs = (("look", f"sealer-cloud status {report.cluster}"), ("go on", f"sealer-cloud up -n {report.cluster}"))
    head = styled(f"{report.cluster} is adopted in {seconds(report.seconds)}: {hosts}, none of them changed", "bold")
    return (head, *(((f"  {word:<8}", "dim"), (command, "cyan")) for word, command in pairs))


def adopt_to_json(report: AdoptReport) -> dict[str, object]:
    """`adopt -o json`."""
    image = {"reference": report.image_reference, "digest": report.image_digest} if report.cid else None
    return {
        "schemaVersion": 1,
        "cluster": report.cluster,
        "cid": report.cid,
        "provider": report.provider,
        "image": image,
        "hosts": [{"name": h.name, "address": h.address, "roles": list(h.roles)} for h in report.hosts],
        "seconds": round(report.seconds, 3),
    }
