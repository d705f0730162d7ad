"""Where commands that have no state to ask look for things: provider, region, endpoints; by flags, else by files. Pure.

Variables of the SDKs stand between the two for endpoints (`model/endpoints.py`); a flag's own variable is as the flag.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from provisioner.errors import InvalidFileError, Problem, UsageError
from provisioner.model.clusterfile import Source
from provisioner.model.endpoints import check_endpoint_of
from provisioner.model.fields import Path, to_key
from provisioner.model.grammar import BOUGHT
from provisioner.model.infraformat import check_word
from provisioner.model.request import InfraDoc
from provisioner.model.words import parse_provider
from provisioner.model.yamlnodes import Map, Node, Scalar, find, find_key, parse_documents

_PROVIDER: Path = ("spec", "provider")
_REGION: Path = ("spec", "region")


@dataclass(frozen=True, slots=True)
class Site:
    """A provider by our name for it, its region and where its services are; None and empty: not said.

    `files` are the files that said it, as the user named them; none where they say nothing of machines.
    """

    provider: str | None = None
    region: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def regions(self) -> tuple[str, ...]:
        """Its region, as looks take them."""
        return (self.region,) if self.region else ()

    def demand(self) -> str:
        """The provider, where it must be a cloud's. Raises UsageError (3) where nobody names one."""
        if self.provider is None:
            raise UsageError("no provider is named", hint=f"use --provider {' or '.join(BOUGHT)}")
        return self.provider

    def words(self, provider: str) -> str:
        """The flags that lead another command there."""
        return site_words(provider, self.files)


def site_words(provider: str, files: Iterable[str]) -> str:
    """The flags that lead a command to a provider whose cloud these files describe."""
    return f"--provider {provider}" + "".join(f" -f {shlex.quote(file)}" for file in files)


def removal_words(name: str, provider: str, files: Iterable[str], cids: Sequence[str]) -> str:
    """The command that removes the first of clusters of one name which no state here knows: `down` takes a name alone.

    Of several it goes by its cid on a cloud, else by the state that `adopt` makes of it.
    """
    where = site_words(provider, files)
    if len(cids) > 1 and provider in BOUGHT:
        return f"sealer-cloud gc {where} --cluster {cids[0]} --delete"
    if len(cids) > 1:
        return f"sealer-cloud adopt {name} {where} --cluster-id {cids[0]} && sealer-cloud down {name}"
    return f"sealer-cloud down {name} {where}"


def site_of(
    provider: str | None,
    region: str | None,
    infra: InfraDoc | None,
    sources: Sequence[Source] = (),
    *,
    files: Sequence[str] = (),
) -> Site:
    """Flags over what the files' Infra says. `sources` are the files, to show where a word stands that is wrong.

    Raises UsageError (3) for a provider that is none and a region of one that has none; InvalidFileError (3) for a file
    of another provider than the flag's, or with words that the provider does not have.
    """
    named = parse_provider(provider) if provider else None
    said = infra or InfraDoc(None)
    if named and said.provider and said.provider != named:
        what = f"the file is for provider {said.provider}, and --provider says {named}"
        raise _wrong(sources, _PROVIDER, what, "leave one of them out")
    chosen = named or said.provider
    _check_region(chosen, region, said.region, sources)
    for word, text in said.endpoints.items():
        complaint = check_endpoint_of(chosen, word, text) if chosen else "nothing says whose endpoint this is"
        if complaint:
            raise _wrong(sources, ("spec", "endpoints", word), complaint, "" if chosen else "write spec.provider")
    return Site(chosen, region or said.region, dict(said.endpoints), tuple(files) if infra else ())


def _check_region(provider: str | None, flag: str | None, said: str | None, sources: Sequence[Source]) -> None:
    if flag and (complaint := check_word(flag)):
        raise UsageError(f"region {flag!r} {complaint}", hint="write it as the cloud does, like eu-central-1")
    if provider is None or provider in BOUGHT:
        return
    what = f"provider {provider} has no regions"
    if flag:
        raise UsageError(what, hint="leave --region out, or name a cloud")
    if said:
        raise _wrong(sources, _REGION, what, "leave it out, or name a cloud")


def _wrong(sources: Sequence[Source], path: Path, message: str, hint: str) -> InvalidFileError:
    """One problem, at the place where the file that counts (the last) says it."""
    file, node = next(_places(sources, path), (sources[-1][0] if sources else "", None))
    line, column = (node.line, node.column) if node else (1, 1)
    return InvalidFileError([Problem(file, line, column, to_key(path), message, hint)])


def _places(sources: Sequence[Source], path: Path) -> Iterator[tuple[str, Node]]:
    """Where the documents about machines say something under a key; those that win come first."""
    for kind in ("Infra", "Cluster"):  # a v1 Cluster names its provider too, and an Infra goes over it
        for file, raw in reversed(sources):
            for document in reversed(parse_documents(file, raw)[0]):
                root = document.root
                if isinstance(root, Map) and _is(root, kind) and isinstance(find(root, path), Scalar):
                    yield file, find_key(root, path)


def _is(root: Map, kind: str) -> bool:
    node = root.get("kind")
    return isinstance(node, Scalar) and node.text == kind


ANYWHERE = Site()
"""Nothing said: wherever a look can go."""
