"""Programs at the API."""

import pytest

from tests.factories import verify
from tests.program import Program


@pytest.fixture
def program(app):
    """A program without a token."""
    return Program(app)


@pytest.fixture
def owner(app):
    """A program whose token is that of an owner of Acme Corp."""
    program = Program(app)
    assert program.sign_up("Acme Corp").status_code == 201
    verify()
    program.log_in()
    return program
