"""The formats know every provider; which of them are built is their drivers' matter, and no test here depends on it."""

from __future__ import annotations

import pytest

from provisioner.model import clusterv1, grammar, infra, words


@pytest.fixture(autouse=True)
def _every_provider_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (clusterv1, infra, words):
        monkeypatch.setattr(module, "BUILT_PROVIDERS", grammar.PROVIDERS)
