"""`-f` of the commands that look without a state: the Infra document of a file says where its cloud is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.options import listed
from provisioner.cli.run import Session
from provisioner.settings import PREFIX

if TYPE_CHECKING:
    from provisioner.model.request import Clusterfile
    from provisioner.model.site import Site

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="A file whose Infra says where the cloud is (provider, region, endpoints), where no flag or variable does.",
    ),
]


def read_site(provider: str | None, region: str | None, file: Sequence[str] | None) -> Site:
    """The place that flags and files name. Raises UsageError, InvalidFileError (3): also for a file without an Infra.

    No variable names such a file: SEALER_CLOUD_FILE is set for `up`, often for a whole CI job, and there it would have
    `gc` and `down` look at one place alone and call that all.
    """
    site, documents = _read(provider, region, tuple(file or ()))
    if file and documents.infra is None:
        from provisioner.errors import UsageError

        what = f"-f {' '.join(file)}: no Infra document in it says where a cloud is"
        raise UsageError(what, hint="name the file with `kind: Infra`, or leave -f out")
    return site


def refuse_site(session: Session, provider: str | None, region: str | None, file: Sequence[str] | None) -> None:
    """Refuse words that say where to look, of a command that looks at this state folder alone. Variables say nothing here.

    Raises UsageError (3).
    """
    environ = session.settings.environ
    said = provider if provider != environ.get(f"{PREFIX}PROVIDER") else None
    if not said and not file and region in {None, environ.get(f"{PREFIX}REGION")}:
        return
    from provisioner.errors import UsageError
    from provisioner.model.site import site_words

    where = site_words(said, file or ()) if said else "--provider PROVIDER"
    raise UsageError(
        "without a NAME status lists the clusters of this state folder, wherever their machines are",
        hint=f"`sealer-cloud gc {where}` shows what stands there by tag, and deletes nothing; with a NAME one cluster "
        f"is looked for: `sealer-cloud status NAME {where}`",
    )


def read_both(
    session: Session, provider: str | None, region: str | None, file: Sequence[str] | None
) -> tuple[Site, Clusterfile]:
    """The place that flags and files (of the variable, too) name, and all that the files say. Raises as `read_site`."""
    return _read(provider, region, listed(file, "FILE", session.settings.environ))


def _read(provider: str | None, region: str | None, names: tuple[str, ...]) -> tuple[Site, Clusterfile]:
    from provisioner.cli.sources import read_sources
    from provisioner.model.clusterfile import parse_clusterfile
    from provisioner.model.site import site_of

    sources = read_sources(names)
    documents = parse_clusterfile(sources)
    return site_of(provider, region, documents.infra, sources, files=names), documents
