"""Fixtures: a simulated account of its own for each test, with records alone or with real hosts."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "clouds/aws" in str(item.path):
            item.add_marker(pytest.mark.clouds)


@pytest.fixture(scope="session")
def moto_url():
    from tests.clouds.aws import cloud

    with cloud.server() as url:
        yield url


@pytest.fixture
def cloud(moto_url, tmp_path):
    """A fresh account whose instances are records."""
    from tests.clouds.aws import cloud as simulated

    simulated.reset(moto_url)
    with simulated.hooked(simulated.Cloud(moto_url, tmp_path)) as made:
        yield made


@pytest.fixture
def real_cloud(moto_url, tmp_path):
    """A fresh account whose instances are real hosts; they are gone afterwards."""
    from tests.clouds.aws import cloud as simulated
    from tests.clouds.realhosts import RealHosts

    simulated.reset(moto_url)
    hosts = RealHosts(tmp_path)
    try:
        with simulated.hooked(simulated.Cloud(moto_url, tmp_path, hosts)) as made:
            yield made
    finally:
        hosts.close()
