"""Operators at their desks."""

import pytest

from portal.database.transactions import transactional
from portal.documents.accounts import Account, OperatorRole
from portal.documents.sessions import Factor, SessionKind
from portal.identity.authentication.authenticate import issue_bearer_token
from portal.identity.sessions.sessions import open_session
from tests.factories import a_context, an_account
from tests.program import Program
from tests.visitor import Visitor


def a_session_of(account, kind):
    """Who is logged in with both factors."""
    factors = (Factor.PASSWORD, Factor.APP)
    return transactional(open_session)(account, a_context(account), "", kind, factors)


@pytest.fixture
def desk_of(app):
    """Makes the desk of an operator: a browser in which one with this role is logged in."""

    def enter(role=OperatorRole.OPERATOR, email="ops@portal.example"):
        account = an_account(email)
        account.modify(set__operator_role=role, set__has_second_factor=True)
        desk = Visitor(app)
        desk.enter(a_session_of(account, SessionKind.BROWSER))
        return desk

    return enter


@pytest.fixture
def desk(desk_of):
    return desk_of()


@pytest.fixture
def program_of(app):
    """Makes a program that acts with the token of an operator with this role."""

    def enter(role=OperatorRole.OPERATOR, email="program@portal.example"):
        account = an_account(email)
        account.modify(set__operator_role=role, set__has_second_factor=True)
        return Program(app, issue_bearer_token(a_session_of(account, SessionKind.PROGRAM)))

    return enter


@pytest.fixture
def owner_of(app):
    """Makes a program that acts with the token of an owner of an organization."""

    def enter(organization):
        program = Program(app)
        program.log_in(Account.objects.get(id=organization.created_by).email)
        return program

    return enter
