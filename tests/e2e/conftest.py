"""Fixtures of the end-to-end tests: a user with the example image, and a look from outside before and after."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tiny
from tests.e2e.product import ROOT, Product
from tests.hosts.outside import look

pytestmark = [pytest.mark.hosts, pytest.mark.engine]


@pytest.fixture(scope="session")
def etcd_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """etcd and etcdctl from Debian's packages, unpacked once for all tests."""
    context = tmp_path_factory.mktemp("etcd") / "context"
    subprocess.run([str(ROOT / "examples/etcd/fetch.sh"), str(context)], check=True)
    return context


@pytest.fixture(scope="session")
def image_home(tmp_path_factory: pytest.TempPathFactory, etcd_context: Path) -> Path:
    """A data folder that holds etcd:v1; users of the tests share it, as it is only read."""
    home = tmp_path_factory.mktemp("image")
    Product(home).ok("image", "build", "-t", "etcd:v1", "-f", str(ROOT / "examples/etcd/Kubefile"), str(etcd_context))
    return home


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with images of a few lines: app:v1, app:v2, another repository, one that asks for too much."""
    home = tmp_path_factory.mktemp("tiny")
    user = Product(home)
    cmd = 'CMD echo "colour=$COLOUR" >>"$SEALER_OUTPUT"'
    tiny.build(user, "app:v1", {**tiny.BASIC, "etc/only-v1": "1\n", "etc/both": "1\n"}, "ENV COLOUR=red", cmd)
    tiny.build(user, "app:v2", {**tiny.BASIC, "etc/only-v2": "2\n", "etc/both": "2\n"}, "ENV COLOUR=red", cmd)
    tiny.build(user, "other:v1", tiny.BASIC)
    tiny.build(user, "greedy:v1", tiny.BASIC, f'LABEL sealer-cloud.requires="{tiny.GREED}"')
    return home


@pytest.fixture
def product(tmp_path: Path, image_home: Path) -> Iterator[Product]:
    """A user who has the image; whatever the test leaves is removed, and the machine must look as before."""
    before = look("nobody-aaaaaa")
    # A name of its own: another cluster called etcd may stand on this machine, a user's or another test's.
    user = Product(tmp_path, {"XDG_DATA_HOME": str(image_home / "data")}, cluster=f"etcd-{secrets.token_hex(3)}")
    yield user
    user.remember()
    user.run(*user.down_words)
    assert look(user.cid) == before
