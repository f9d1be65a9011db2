"""What tests of applications stand on."""

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.applications import managing
from portal.database import directory, users

AUTHENTICATION_FAILED = 18


def works(uri):
    """The URI is enough for an application to find an organization, and to write."""
    with MongoClient(uri, timeoutMS=5000) as client:
        try:
            client.get_default_database()[directory.ORGANIZATIONS].find_one()
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            return False
    return True


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


@pytest.fixture
def as_operator(server):
    """The client of an administrator, apart from the test's own."""
    with MongoClient(server.admin_uri, appname="operator") as client:
        yield client
