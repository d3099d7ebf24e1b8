"""A database of each kind, in process and over HTTP, for the tests of this folder that need nothing in it."""

from collections.abc import Iterator

import pytest

from tests.support.databases import KINDS, Database, opened


@pytest.fixture(scope="module", params=KINDS)
def db(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Each database in turn, shared by all tests here: each writes about subjects and keys of its own.

    It signs with KEY_A, an operator.
    """
    with opened(request.param, tmp_path_factory.mktemp(request.param)) as database:
        yield database
