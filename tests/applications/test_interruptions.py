"""A command that is interrupted anywhere is called again, and nothing is left over."""

from contextlib import contextmanager

import pytest
from pymongo.errors import PyMongoError

from portal.applications import managing
from portal.applications.errors import ApplicationNotFound
from portal.database import users
from portal.documents.applications import Application
from portal.web.context import RequestContext
from tests.applications.conftest import works

EXCEEDED_TIME_LIMIT = 262


@pytest.fixture
def fails_once(admin):
    """The server fails the administrator's next command of a kind."""

    @contextmanager
    def failing(command):
        data = {"failCommands": [command], "errorCode": EXCEEDED_TIME_LIMIT, "appName": "operator"}
        point = {"configureFailPoint": "failCommand", "data": data}
        admin.admin.command({**point, "mode": {"times": 1}})
        try:
            yield
        finally:
            admin.admin.command({"configureFailPoint": "failCommand", "mode": "off"})

    return failing


def call(administrator, service, **options):
    return service("shop", {"main": administrator}, RequestContext(), **options)


@pytest.mark.parametrize("command", ["createRole", "createUser"])
@pytest.mark.parametrize("service", [managing.add_application, managing.rotate_application])
def test_a_user_is_made_once_however_often_that_is_tried(
    app, admin, as_operator, fails_once, command, service
):
    if service is managing.rotate_application:
        former = call(as_operator, managing.add_application)
    with fails_once(command), pytest.raises(PyMongoError):
        call(as_operator, service)
    made = call(as_operator, service)
    application = Application.objects.get()
    home, prefix = admin["admin"], managing.user_prefix()
    assert users.users_in(home, prefix) == set(application.users)
    assert set(users.roles_in(home, prefix)) == set(application.users)
    assert works(made.uri)
    if service is managing.rotate_application:
        assert works(former.uri)


@pytest.mark.parametrize(
    "command", ["revokePrivilegesFromRole", "killAllSessions", "dropUser", "dropRole"]
)
def test_a_removal_is_finished_by_another(app, admin, as_operator, fails_once, command):
    made = call(as_operator, managing.add_application)
    with fails_once(command), pytest.raises(PyMongoError):
        call(as_operator, managing.remove_application)
    assert Application.objects
    assert call(as_operator, managing.remove_application).left == ()
    assert not works(made.uri)
    home, prefix = admin["admin"], managing.user_prefix()
    assert not users.users_in(home, prefix) | set(users.roles_in(home, prefix))
    with pytest.raises(ApplicationNotFound):
        call(as_operator, managing.remove_application)
