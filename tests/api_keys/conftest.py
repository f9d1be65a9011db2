"""Programs with keys, and the person who makes them."""

import pytest

from tests.program import Program
from tests.visitor import Visitor


@pytest.fixture
def mara(app):
    """The owner of Acme Corp at a browser."""
    visitor = Visitor(app)
    assert visitor.sign_up("Acme Corp").status == 303
    return visitor


@pytest.fixture
def by_key(app):
    """A program with what it is given as a key."""
    return lambda credential: Program(app, credential)


@pytest.fixture
def owner(app):
    """A program whose token is that of an owner of Acme Corp."""
    program = Program(app)
    assert program.sign_up("Acme Corp").status_code == 201
    program.log_in()
    return program
