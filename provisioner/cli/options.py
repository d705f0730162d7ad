"""Every flag once: its names, its variable and its help. A flag means the same in every command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

from provisioner.cli.complete import complete_cluster, complete_host, complete_image, complete_provider
from provisioner.model.grammar import BUILT_PROVIDERS
from provisioner.settings import PREFIX

Format = Literal["table", "wide", "json", "yaml", "name"]
PlanFormat = Literal["table", "wide", "json", "yaml", "name", "markdown"]

Output = Annotated[
    Format,
    typer.Option("--output", "-o", show_envvar=False, envvar=f"{PREFIX}OUTPUT", help="How data is printed on stdout."),
]
PlanOutput = Annotated[
    PlanFormat,
    typer.Option(
        "--output",
        "-o",
        show_envvar=False,
        envvar=f"{PREFIX}OUTPUT",
        help="How data is printed; markdown: a sheet to sign.",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", show_envvar=False, envvar=f"{PREFIX}QUIET", help="Only data and errors.")
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_envvar=False,
        envvar=f"{PREFIX}VERBOSE",
        help="Say more; -vv adds tracebacks.",
    ),
]
Color = Annotated[
    bool | None,
    typer.Option(
        "--color/--no-color", show_envvar=False, envvar=f"{PREFIX}COLOR", help="Colours; by default on a terminal."
    ),
]

ImageArg = Annotated[
    str | None,
    typer.Argument(metavar="IMAGE", help="Cluster image, like etcd:v1.", autocompletion=complete_image),
]
ClusterArg = Annotated[str, typer.Argument(metavar="NAME", help="The cluster.", autocompletion=complete_cluster)]
MaybeClusterArg = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The cluster.", autocompletion=complete_cluster)
]
HostArg = Annotated[str, typer.Argument(metavar="HOST", help="A host of it, like m1.", autocompletion=complete_host)]
Words = Annotated[list[str] | None, typer.Argument(metavar="-- CMD...", help="A command, after two dashes.")]

Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE", help="Clusterfile; may repeat; - is stdin; a folder is all its YAML."),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        show_envvar=False,
        envvar=f"{PREFIX}NAME",
        help="The cluster's name; by default metadata.name, else the image's last part.",
        autocompletion=complete_cluster,
    ),
]


def provider_option(text: str) -> Any:
    """`--provider` with a help of its own."""
    return typer.Option(
        "--provider",
        metavar="PROVIDER",
        show_envvar=False,
        envvar=f"{PREFIX}PROVIDER",
        help=text,
        autocompletion=complete_provider,
    )


def region_option(text: str) -> Any:
    """`--region` with a help of its own."""
    return typer.Option("--region", metavar="REGION", show_envvar=False, envvar=f"{PREFIX}REGION", help=text)


ProviderFlag = Annotated[str | None, provider_option(f"Where machines are: {', '.join(sorted(BUILT_PROVIDERS))}.")]
Region = Annotated[str | None, region_option("The cloud's region; by default that of your own settings for it.")]
Zones = Annotated[
    list[str] | None,
    typer.Option("--zone", metavar="ZONE", help="A zone, in order of preference; may repeat. Default: by stock."),
]
Ttl = Annotated[
    str | None,
    typer.Option(
        "--ttl",
        metavar="DURATION",
        show_envvar=False,
        envvar=f"{PREFIX}TTL",
        help="Machines of a new cluster end by themselves after this long.",
    ),
]
MaxPrice = Annotated[
    str | None,
    typer.Option(
        "--max-price",
        metavar="PRICE",
        show_envvar=False,
        envvar=f"{PREFIX}MAX_PRICE",
        help="Refuse a plan that is dearer than this per hour, for the whole cluster.",
    ),
]
Only = Annotated[
    Literal["machines", "cluster"] | None,
    typer.Option(
        "--only",
        show_envvar=False,
        envvar=f"{PREFIX}ONLY",
        help="machines: make them and stop there; cluster: work on machines that stand.",
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        "-u",
        metavar="USER",
        show_envvar=False,
        envvar=f"{PREFIX}USER",
        help="Log in to machines that exist as this user.",
    ),
]
Identity = Annotated[
    str | None,
    typer.Option(
        "--identity",
        "-i",
        metavar="FILE",
        show_envvar=False,
        envvar=f"{PREFIX}IDENTITY",
        help="Log in to machines that exist with this private key.",
    ),
]
Masters = Annotated[
    str | None,
    typer.Option(
        "--masters",
        metavar="N|ADDRESSES",
        show_envvar=False,
        envvar=f"{PREFIX}MASTERS",
        help="How many masters; or addresses of machines that exist.",
    ),
]
Nodes = Annotated[
    str | None,
    typer.Option(
        "--nodes",
        metavar="N|ADDRESSES",
        show_envvar=False,
        envvar=f"{PREFIX}NODES",
        help="How many nodes; or addresses of machines that exist.",
    ),
]
Env = Annotated[
    list[str] | None, typer.Option("--env", "-e", metavar="K=V", help="A variable for all hosts' scripts; may repeat.")
]
EnvSecret = Annotated[
    list[str] | None,
    typer.Option(
        "--env-secret",
        metavar="NAME|K=REF",
        help="A secret one: your variable NAME, or K=${env:X} or K=${file:PATH}; may repeat.",
    ),
]
Cmd = Annotated[
    list[str] | None, typer.Option("--cmd", metavar="CMD", help="Run this instead of the image's CMD; may repeat.")
]
DataRoot = Annotated[
    str | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        show_envvar=False,
        envvar=f"{PREFIX}DATA_ROOT",
        help="Where rootfs and data lie on hosts.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", show_envvar=False, envvar=f"{PREFIX}YES", help="Do not ask.")]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", hidden=True)]
AllowDelete = Annotated[
    bool,
    typer.Option(
        "--allow-delete",
        show_envvar=False,
        envvar=f"{PREFIX}ALLOW_DELETE",
        help="With --yes: hosts may be deleted or replaced.",
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace",
        show_envvar=False,
        envvar=f"{PREFIX}REPLACE",
        help="The name may go over to another image or provider.",
    ),
]
ExpectPlan = Annotated[
    str | None,
    typer.Option(
        "--expect-plan", metavar="HASH", show_envvar=False, envvar=f"{PREFIX}EXPECT_PLAN", help="Refuse any other plan."
    ),
]
AllAtOnce = Annotated[
    bool,
    typer.Option(
        "--all-at-once",
        show_envvar=False,
        envvar=f"{PREFIX}ALL_AT_ONCE",
        help="Restart running hosts together, not in turn.",
    ),
]
Redo = Annotated[
    list[str] | None,
    typer.Option("--redo", metavar="ID", help="Run this step again although its end is unknown; may repeat."),
]
AssumeDone = Annotated[
    list[str] | None,
    typer.Option("--assume-done", metavar="ID", help="Take this step as done although its end is unknown; may repeat."),
]
Timeout = Annotated[
    str,
    typer.Option(
        "--timeout", metavar="DURATION", show_envvar=False, envvar=f"{PREFIX}TIMEOUT", help="Give up after this long."
    ),
]
LockTimeout = Annotated[
    str,
    typer.Option(
        "--lock-timeout",
        metavar="DURATION",
        show_envvar=False,
        envvar=f"{PREFIX}LOCK_TIMEOUT",
        help="Wait this long for another run to end.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", show_envvar=False, envvar=f"{PREFIX}DRY_RUN", help="The same as `plan`.")
]
DetailedExit = Annotated[
    bool,
    typer.Option(
        "--detailed-exitcode",
        show_envvar=False,
        envvar=f"{PREFIX}DETAILED_EXITCODE",
        help="Exit with 2 if changes wait.",
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="HOST", help="Only this host; may repeat.", autocompletion=complete_host),
]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="Only hosts with this role; may repeat.")
]
Force = Annotated[
    bool, typer.Option("--force", show_envvar=False, envvar=f"{PREFIX}FORCE", help="Although a cluster runs it.")
]
DownRun = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="[REPO#]ID",
        show_envvar=False,
        envvar=f"{PREFIX}RUN",
        help="Instead of NAME: every cluster that this run (ours, or the CI's) made, by tag.",
    ),
]
DeleteData = Annotated[
    bool,
    typer.Option(
        "--delete-data",
        show_envvar=False,
        envvar=f"{PREFIX}DELETE_DATA",
        help="Where machines stay: delete the cluster's data too.",
    ),
]
GcRegions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="Look only there; may repeat. Default: every region you can see."),
]
GcCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="NAME|CID",
        show_envvar=False,
        envvar=f"{PREFIX}CLUSTER",
        help="Delete this one, whatever its deadline.",
    ),
]
GcRun = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="[REPO#]ID",
        show_envvar=False,
        envvar=f"{PREFIX}RUN",
        help="Delete what this run (ours, or the CI's) made, whatever its deadline.",
    ),
]
Delete = Annotated[
    bool,
    typer.Option(
        "--delete", show_envvar=False, envvar=f"{PREFIX}DELETE", help="Delete, after a question; else only look."
    ),
]
OutputsFormat = Annotated[
    Literal["table", "json", "yaml", "name", "env"],
    typer.Option(
        "--output",
        "-o",
        show_envvar=False,
        envvar=f"{PREFIX}OUTPUT",
        help="How data is printed; env: lines for a shell.",
    ),
]
ShowSecrets = Annotated[
    bool,
    typer.Option("--show-secrets", show_envvar=False, envvar=f"{PREFIX}SHOW_SECRETS", help="Print secret outputs too."),
]
OnFailure = Annotated[
    str,
    typer.Option(
        "--on-failure",
        metavar="destroy|keep:DURATION",
        show_envvar=False,
        envvar=f"{PREFIX}ON_FAILURE",
        help="When `up` or the command fails: remove the cluster, or keep it to look at.",
    ),
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        metavar="DIR",
        show_envvar=False,
        envvar=f"{PREFIX}ARTIFACTS",
        help="Before removing it: copy reports, ledgers and step logs there.",
    ),
]
Permissions = Annotated[
    str | None,
    typer.Option(
        "--permissions",
        metavar="PROVIDER",
        show_envvar=False,
        envvar=f"{PREFIX}PERMISSIONS",
        help="Print the least policy that this provider needs, and check nothing.",
        autocompletion=complete_provider,
    ),
]

LIST_FLAGS = {
    "zone": "ZONE",
    "region": "REGION",
    "file": "FILE",
    "env": "ENV",
    "env_secret": "ENV_SECRET",
    "cmd": "CMD",
    "redo": "REDO",
    "assume_done": "ASSUME_DONE",
    "host": "HOST",
    "role": "ROLE",
    "host_key": "HOST_KEY",
}
"""Flags that repeat: their variable holds one value a line, as values (commands above all) hold spaces."""


def listed(given: Sequence[str] | None, variable: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of a flag that repeats: from the command line, else one a line from `SEALER_CLOUD_<variable>`."""
    if given:
        return tuple(given)
    return tuple(line for line in environ.get(PREFIX + variable, "").splitlines() if line.strip())
