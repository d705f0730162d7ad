"""The shell turns libraries' logging off for its whole process; here that process is the tests'."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    before = logging.root.manager.disable
    yield
    logging.disable(before)
