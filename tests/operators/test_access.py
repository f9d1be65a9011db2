"""Who gets into the operators' console."""

import pytest

from portal.database.transactions import transactional
from portal.documents.accounts import OperatorRole
from portal.identity.sessions import sessions
from portal.operators.access import operator_of
from portal.operators.errors import NoOperator, OperatorForbidden, OperatorSecondFactorRequired
from tests.factories import a_context, an_account, an_operator


def principal_of(account):
    opened = transactional(sessions.open_session)(account, a_context(account), "")
    return sessions.find_principal(opened.session_id)


def test_an_operator_acts_as_one_and_not_as_a_member(app):
    account = an_operator(OperatorRole.OPERATOR)
    operator = operator_of(principal_of(account), "console.act", a_context(account))
    assert operator.context.account is None
    assert operator.context.actor.id == account.id
    assert operator.context.origin.actor_kind == "operator"


def test_nobody_else_gets_in(app):
    account = an_account()
    with pytest.raises(NoOperator):
        operator_of(principal_of(account), "console.view", a_context(account))


def test_a_password_alone_is_not_enough(app):
    account = an_account()
    account.modify(set__operator_role=OperatorRole.ADMIN)
    with pytest.raises(OperatorSecondFactorRequired):
        operator_of(principal_of(account), "console.view", a_context(account))


@pytest.mark.parametrize(
    ("role", "permission"),
    [(OperatorRole.SUPPORT, "console.act"), (OperatorRole.OPERATOR, "operators.manage")],
)
def test_a_role_allows_what_its_row_says(app, role, permission):
    principal = principal_of(an_operator(role))
    with pytest.raises(OperatorForbidden):
        operator_of(principal, permission, a_context())
