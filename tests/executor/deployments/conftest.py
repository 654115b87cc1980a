"""One laboratory for all tests of deployments; who changes a bundle copies it."""

from collections.abc import Iterator

import pytest

from tests.executor.deployments.case import Lab, at_home, make_lab


@pytest.fixture(scope="session")
def whole_lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(whole_lab: Lab) -> Iterator[Lab]:
    with at_home(whole_lab.folder):
        yield whole_lab
