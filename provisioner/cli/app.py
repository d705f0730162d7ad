"""The command tree: names, groups, examples. Importing this imports no command's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from provisioner.cli import (
    account_cmds,
    adopt_cmds,
    cluster_cmds,
    engine_cmds,
    file_cmds,
    image_cmds,
    lease_cmds,
    look_cmds,
    network_cmds,
    plugin_cmds,
)
from provisioner.cli.quick import QuickCommand, QuickGroup

CLUSTERS = "Clusters"
HOSTS = "Hosts"
IMAGES = "Images and files"
MACHINE = "This machine"
GROUPS = (CLUSTERS, HOSTS, IMAGES, MACHINE)

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

FOOT = "Every flag has a variable: --lock-timeout is SEALER_CLOUD_LOCK_TIMEOUT. All of it: docs/cli.md"


class GroupedHelp(QuickGroup):
    """Commands under headings instead of one long list, as kubectl has it."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section per group; hidden commands (aliases) are left out."""
        shown = [(name, c) for name in self.list_commands(ctx) if (c := self.get_command(ctx, name)) and not c.hidden]
        width = max(len(name) for name, _ in shown)
        for group in dict.fromkeys(_group_of(c) for _, c in shown):
            with formatter.section(group):
                rows = [(f"{name:<{width}}", c.get_short_help_str(90)) for name, c in shown if _group_of(c) == group]
                formatter.write_dl(rows)


def _group_of(command: Any) -> str:
    return getattr(command, "rich_help_panel", None) or "Commands"


def _example(*commands: str) -> str:
    """An `Example:` block; the backspace line keeps the parser from filling it into one paragraph."""
    return "\b\nExample:\n" + "\n".join(f"  {c}" for c in commands)


def _add(
    app: typer.Typer,
    name: str,
    call: Callable[..., int],
    group: str,
    *examples: str,
    alias: str = "",
    kind: type[QuickCommand] = QuickCommand,
) -> None:
    for word, hidden in ((name, False), (alias, True)):
        if word:
            add = app.command(
                word,
                cls=kind,
                epilog=_example(*examples),
                rich_help_panel=group,
                hidden=hidden,
                context_settings=SETTINGS,
            )
            add(call)


def _make(help_text: str, *, epilog: str | None = None) -> typer.Typer:
    return typer.Typer(
        cls=GroupedHelp,
        help=help_text,
        epilog=epilog,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=SETTINGS,
    )


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, help="Print the version.", callback=lambda asked: _version(asked=asked)),
]


def _version(*, asked: bool) -> None:
    if asked:
        file_cmds.version()
        raise typer.Exit


def _root(*, version: Version = False) -> None:
    """Flags that stand before any command."""


def make_app() -> typer.Typer:
    """The whole program."""
    what = "Cluster images on real hosts: machines by Pulumi, rootfs and steps over SSH."
    app = _make(what, epilog=FOOT)
    app.callback(cls=GroupedHelp, help=what, epilog=FOOT, no_args_is_help=True, context_settings=SETTINGS)(_root)
    _add_clusters(app)
    _add_looks(app)
    _add_accounts(app)
    _add_networks(app)
    _add_hosts(app)
    _add_images(app)
    _add_machine(app)
    return app


def _add_clusters(app: typer.Typer) -> None:
    _add(
        app,
        "up",
        cluster_cmds.up,
        CLUSTERS,
        "sealer-cloud up etcd:v1 --provider local --masters 3",
        "sealer-cloud up -f Clusterfile --yes --provider local",
        "sealer-cloud up -n etcd -e ETCD_HEARTBEAT=200     # change one value of a running cluster",
    )
    _add(
        app,
        "plan",
        cluster_cmds.plan,
        CLUSTERS,
        "sealer-cloud plan etcd:v1 --masters 3",
        "sealer-cloud plan -n etcd -o markdown             # a sheet to sign",
        "sealer-cloud plan -n etcd --detailed-exitcode -q  # 0 nothing to do, 2 changes wait",
        alias="preview",
    )
    _add(
        app,
        "down",
        cluster_cmds.down,
        CLUSTERS,
        "sealer-cloud down etcd",
        "sealer-cloud down etcd --provider local --yes     # works without the state folder too",
        "sealer-cloud down etcd -f infra.yaml              # its state is lost: in the cloud that the file describes",
        'sealer-cloud down --run "$GITHUB_RUN_ID" --yes    # what this CI run made in your accounts',
        alias="destroy",
    )
    _add(
        app,
        "adopt",
        adopt_cmds.adopt,
        CLUSTERS,
        "sealer-cloud adopt etcd --provider local          # its state folder is lost, its hosts live",
        "sealer-cloud adopt etcd --provider baremetal -f Infra.yaml",
        "sealer-cloud adopt etcd --provider alicloud --identity key --known-hosts known_hosts",
    )


def _add_looks(app: typer.Typer) -> None:
    _add(
        app,
        "status",
        look_cmds.status,
        CLUSTERS,
        "sealer-cloud status etcd",
        "sealer-cloud status etcd -o json",
        "sealer-cloud status etcd --provider aws           # its state is lost: what stands of it",
    )
    _add(app, "list", look_cmds.list_clusters, CLUSTERS, "sealer-cloud list", "sealer-cloud list -o name", alias="ls")


def _add_accounts(app: typer.Typer) -> None:
    _add(
        app,
        "with",
        lease_cmds.with_,
        CLUSTERS,
        "sealer-cloud with app:v1 --provider local --masters 3 --yes -- pytest",
        "sealer-cloud with -f Clusterfile --yes --ttl 2h --on-failure keep:30m --artifacts out -- make check",
        kind=lease_cmds.WithCommand,
    )
    _add(
        app,
        "outputs",
        account_cmds.outputs,
        CLUSTERS,
        "sealer-cloud outputs etcd -o json",
        'set -a; eval "$(sealer-cloud outputs etcd -o env)"; set +a',
    )
    ttl = _make("How long a cluster may stand.")
    _add(ttl, "show", account_cmds.ttl_show, "Commands", "sealer-cloud ttl show etcd")
    _add(ttl, "extend", account_cmds.ttl_extend, "Commands", "sealer-cloud ttl extend etcd 2h")
    _add(ttl, "cancel", account_cmds.ttl_cancel, "Commands", "sealer-cloud ttl cancel etcd")
    app.add_typer(ttl, name="ttl", rich_help_panel=CLUSTERS)
    _add(
        app,
        "gc",
        account_cmds.gc,
        CLUSTERS,
        "sealer-cloud gc                                   # looks only",
        "sealer-cloud gc --yes                             # deletes what is past its deadline",
        "sealer-cloud gc --cluster etcd-a2b3c4 --delete",
    )


def _add_networks(app: typer.Typer) -> None:
    network = _make("Networks that many clusters share.")
    _add(
        network,
        "create",
        network_cmds.network_create,
        "Commands",
        "sealer-cloud network create ci --provider aws --region eu-central-1",
        "sealer-cloud network create ci --provider alicloud --zone cn-hangzhou-h --zone cn-hangzhou-i --cidr 10.8.0.0/16",
    )
    _add(network, "list", network_cmds.network_list, "Commands", "sealer-cloud network list -o json", alias="ls")
    _add(
        network,
        "delete",
        network_cmds.network_delete,
        "Commands",
        "sealer-cloud network delete ci --provider aws --region eu-central-1",
    )
    app.add_typer(network, name="network", rich_help_panel=CLUSTERS)


def _add_hosts(app: typer.Typer) -> None:
    _add(
        app, "ssh", look_cmds.ssh, HOSTS, "sealer-cloud ssh etcd m1", "sealer-cloud ssh etcd m1 -- 'ps aux | grep etcd'"
    )
    _add(
        app,
        "exec",
        look_cmds.exec_on,
        HOSTS,
        "sealer-cloud exec etcd -- uptime",
        "sealer-cloud exec etcd --host m1 --host m2 -- cat /etc/hostname",
        "sealer-cloud exec etcd --role master -o json -- df -k",
    )


def _add_images(app: typer.Typer) -> None:
    images = _make("Build and keep cluster images.")
    _add(
        images,
        "build",
        image_cmds.build,
        "Commands",
        "sealer-cloud image build -t etcd:v1 examples/etcd/context -f examples/etcd/Kubefile",
    )
    _add(images, "ls", image_cmds.list_images, "Commands", "sealer-cloud image ls", alias="list")
    _add(images, "inspect", image_cmds.inspect, "Commands", "sealer-cloud image inspect etcd:v1 -o json")
    _add(images, "rm", image_cmds.remove, "Commands", "sealer-cloud image rm etcd:v1")
    app.add_typer(images, name="image", rich_help_panel=IMAGES)
    _add(
        app,
        "validate",
        file_cmds.validate,
        IMAGES,
        "sealer-cloud validate Clusterfile",
        "sealer-cloud validate clusters/ -o json",
    )


def _add_machine(app: typer.Typer) -> None:
    engine = _make("The Pulumi engine that makes machines.")
    _add(engine, "install", engine_cmds.engine_install, "Commands", "sealer-cloud engine install")
    _add(engine, "status", engine_cmds.engine_status, "Commands", "sealer-cloud engine status -o json")
    _add(
        app,
        "doctor",
        engine_cmds.doctor,
        MACHINE,
        "sealer-cloud doctor",
        "sealer-cloud doctor --permissions aws > policy.json",
    )
    app.add_typer(engine, name="engine", rich_help_panel=MACHINE)
    plugin = _make("Plugins of the engine that have to be built.")
    _add(plugin, "install", plugin_cmds.plugin_install, "Commands", "sealer-cloud plugin install alicloud")
    app.add_typer(plugin, name="plugin", rich_help_panel=MACHINE)
    _add(app, "completion", file_cmds.completion, MACHINE, "source <(sealer-cloud completion bash)")
    _add(app, "version", file_cmds.version, MACHINE, "sealer-cloud version")
