"""Databases of either engine with the tables of the program."""

import pytest
from servers import with_tables


@pytest.fixture
def sessions(database_url):
    """Sessions of an empty database."""
    made = with_tables(database_url)
    yield made
    made.kw["bind"].dispose()


@pytest.fixture
def session(sessions):
    """An open session of an empty database."""
    with sessions.begin() as opened:
        yield opened
