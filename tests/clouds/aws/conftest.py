"""Fixtures: a simulated account of its own for each test, with records alone or with real hosts."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "clouds/aws" in str(item.path):
            item.add_marker(pytest.mark.clouds)


@pytest.fixture(scope="session")
def moto():
    from tests.clouds.aws import cloud

    with cloud.server() as running:
        yield running


@pytest.fixture
def cloud(moto, tmp_path):
    """A fresh account whose instances are records."""
    from tests.clouds.aws import cloud as simulated

    simulated.reset(moto)
    with simulated.hooked(simulated.Cloud(moto, tmp_path)) as made:
        yield made


@pytest.fixture
def real_cloud(moto, tmp_path):
    """A fresh account whose instances are real hosts; they are gone afterwards."""
    from tests.clouds.aws import cloud as simulated
    from tests.clouds.realhosts import RealHosts

    simulated.reset(moto)
    hosts = RealHosts(tmp_path)
    try:
        with simulated.hooked(simulated.Cloud(moto, tmp_path, hosts)) as made:
            yield made
    finally:
        hosts.close()


@pytest.fixture(scope="session")
def app_image(tmp_path_factory):
    """A data folder that holds app:v1."""
    from tests.e2e import tiny
    from tests.e2e.product import Product

    user = Product(tmp_path_factory.mktemp("image"))
    tiny.build(user, "app:v1", tiny.BASIC, 'CMD echo "done=yes" >>"$SEALER_OUTPUT"')
    return user.home / "data"
