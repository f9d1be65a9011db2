"""Operators at their desks."""

import pytest

from portal.database.transactions import transactional
from portal.documents.accounts import Account, OperatorRole
from portal.documents.sessions import Factor, SessionKind
from portal.identity.authentication.authenticate import issue_bearer_token
from portal.identity.sessions.sessions import open_session
from tests.factories import a_context, an_account, an_app, an_operator
from tests.program import Program
from tests.visitor import Visitor


@pytest.fixture
def desk_of(app):
    """Makes the desk of an operator: a browser in which one with this role is logged in."""

    def enter(role=OperatorRole.OPERATOR, email="ops@portal.example"):
        account = an_account(email)
        _, codes = an_app(account)
        account.modify(set__operator_role=role)
        desk = Visitor(app)
        desk.log_in(email)
        assert desk.post("/login/second", {"code": codes[0]}).status == 303
        return desk

    return enter


@pytest.fixture
def desk(desk_of):
    return desk_of()


@pytest.fixture
def program_of(app):
    """Makes a program that acts with the token of an operator with this role."""

    def enter(role=OperatorRole.OPERATOR, email="program@portal.example"):
        account = an_operator(role, email)
        principal = transactional(open_session)(
            account, a_context(account), "", SessionKind.PROGRAM, (Factor.PASSWORD, Factor.APP)
        )
        return Program(app, issue_bearer_token(principal))

    return enter


@pytest.fixture
def owner_of(app):
    """Makes a program that acts with the token of an owner of an organization."""

    def enter(organization):
        program = Program(app)
        program.log_in(Account.objects.get(id=organization.created_by).email)
        return program

    return enter
