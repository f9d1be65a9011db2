"""Who reads the trail in tests."""

import pytest

from portal.accounts.documents import Account
from tests.program import Program


@pytest.fixture
def owner(app, visitor):
    """Logged in as the owner of Acme Corp, as a browser: ``visitor``; and as this program."""
    visitor.sign_up("Acme Corp")
    program = Program(app)
    program.log_in(Account.objects.get().email)
    return program
