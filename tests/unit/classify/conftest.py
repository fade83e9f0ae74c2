"""What the tests of classifiers share."""

import pytest

from tests.support.feature_case import Case, digits, parts


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    x, label = digits()
    return Case(tmp_path_factory.mktemp("digits"), x, label, parts(len(x)))
