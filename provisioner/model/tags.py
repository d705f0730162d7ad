"""The tags that every resource in a cloud carries from its create call on, and how they are read back. Pure.

Keys hold only what Alibaba Cloud (128 characters, not `acs:` or `aliyun` in front) and AWS (128, not `aws:`) both take.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.model.driver import Marks
from provisioner.model.ids import ClusterId, name_of

CLUSTER = "sealer-cloud:cluster"
CID = "sealer-cloud:cid"
RUN = "sealer-cloud:run"
HOST = "sealer-cloud:host"
POOL = "sealer-cloud:pool"
EXPIRES_AT = "sealer-cloud:expires-at"
CI_RUN = "sealer-cloud:ci-run"
REPO = "sealer-cloud:repo"
SHARED = "sealer-cloud:network"
"""On a network of `network create`: its name. Such a network belongs to no cluster."""

MADE_BY = (RUN, CI_RUN, REPO)
"""Who made a thing. Written once: a later run, from a laptop or another CI run, is no drift and takes none of it away."""


def tags_of(marks: Marks, user: Mapping[str, str], **more: str) -> dict[str, str]:
    """All tags of one resource: the user's, then ours, which win. `more` are whole keys of this module."""
    ours = {CLUSTER: name_of(marks.cid), CID: str(marks.cid), RUN: str(marks.run)}
    optional = {EXPIRES_AT: marks.expires_at, CI_RUN: marks.ci_run, REPO: marks.repo}
    return {**user, **ours, **{k: v for k, v in optional.items() if v}, **more}


def network_tags(name: str, run: str, ci_run: str | None, repo: str | None) -> dict[str, str]:
    """All tags of a network that clusters share: its name and who made it; no cluster, so no cluster's `down` finds it."""
    optional = {CI_RUN: ci_run, REPO: repo}
    return {SHARED: name, RUN: run, **{k: v for k, v in optional.items() if v}}


def cid_in(tags: Mapping[str, str]) -> ClusterId | None:
    """The cluster that a resource says it belongs to."""
    return ClusterId(tags[CID]) if tags.get(CID) else None
