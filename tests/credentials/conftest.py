"""Organizations with MongoDB users, and the person who makes them."""

from contextlib import contextmanager

import pytest
from pymongo import MongoClient

from portal.documents.organizations import OperationKind, Organization
from portal.organizations.lifecycle import engine
from tests.factories import a_context, intend
from tests.program import Program
from tests.visitor import Visitor


@pytest.fixture
def mara(app):
    """The owner of Acme Corp at a browser."""
    visitor = Visitor(app)
    assert visitor.sign_up("Acme Corp").status == 303
    return visitor


@pytest.fixture
def owner(app):
    """A program whose token is that of an owner of Acme Corp."""
    program = Program(app)
    assert program.sign_up("Acme Corp").status_code == 201
    program.log_in()
    return program


@pytest.fixture
def connect():
    """Connects by a string as a customer does; closed after the test."""
    clients = []

    def connected(uri, **options):
        clients.append(MongoClient(uri, timeoutMS=5000, **options))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()


@pytest.fixture
def fail_command(bare_client):
    """Has MongoDB answer the portal's commands of a kind as where its primary steps down."""
    admin = bare_client.admin

    @contextmanager
    def failing(command, code=11602):
        data = {"failCommands": [command], "errorCode": code, "appName": "portal"}
        admin.command({"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data})
        try:
            yield
        finally:
            admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return failing


@pytest.fixture
def running_rename():
    """A rename of Acme Corp, given before, that nobody carries out."""
    operation = engine.new_operation(
        OperationKind.RENAME, "org_other", a_context(), name="Other", slug="other"
    )
    intend(Organization.objects.get(), operation)
