"""What tests of applications stand on."""

import pytest

from portal.applications import managing
from portal.database import users


@pytest.fixture(autouse=True)
def no_user_is_left(app, admin):
    yield
    home, prefix = admin["admin"], managing.user_prefix()
    for name in {*users.users_in(home, prefix), *users.roles_in(home, prefix)}:
        users.drop_user(home, name)


@pytest.fixture
def operator(server, monkeypatch):
    """An operator who may ask MongoDB's administrator."""
    monkeypatch.setenv("MONGO_ADMIN_URI", server.admin_uri)
