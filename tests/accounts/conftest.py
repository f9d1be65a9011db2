import pytest

from tests.accounts.letters import Letters


@pytest.fixture
def letters(app, office):
    """The mails that people got."""
    return Letters(app, office)
