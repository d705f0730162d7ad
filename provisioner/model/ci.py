"""Under which CI we run, as tags of what is made tell it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

Ci = tuple[str | None, str | None]
"""The CI's own id of its run, and the repository; None for what is not known."""
TAG_LIMIT = 128
"""Characters of a tag's value that every cloud takes."""

_CI = (
    # the run's own id, the repository: GitHub Actions, GitLab CI, Jenkins
    ("GITHUB_RUN_ID", "GITHUB_REPOSITORY"),
    ("CI_PIPELINE_ID", "CI_PROJECT_PATH"),
    ("BUILD_TAG", "GIT_URL"),
)
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9 _.:/=+@-]")
_USERINFO = re.compile(r"//[^/@]*@")


def ci_of(environ: Mapping[str, str]) -> Ci:
    """The CI's run and repository, as tags take them; None where we run under none."""
    found = ((environ.get(run_id), environ.get(repo)) for run_id, repo in _CI)
    ci_run, repo = next((pair for pair in found if pair[0]), (None, None))
    return as_tag(ci_run), as_tag(repo)


def as_tag(text: str | None) -> str | None:
    """As a tag's value: what clouds do not take becomes a dash, and a URL's user and password are left out."""
    return _NOT_IN_TAGS.sub("-", _USERINFO.sub("//", text))[:TAG_LIMIT] if text else None
