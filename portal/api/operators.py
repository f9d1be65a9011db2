"""The operators' console for programs: who an operator is, and the operators themselves."""

from typing import Any

from flask_login import current_user

from portal.api.guard import ApiBlueprint
from portal.api.operator_schemas import OperatorsAnswer
from portal.api.refusals import Refusal
from portal.errors import NotFound
from portal.identity.sessions.errors import NotAuthenticated
from portal.operators import roles
from portal.operators.access import Operator, operator_of
from portal.operators.errors import OperatorForbidden, OperatorSecondFactorRequired
from portal.web.requests import request_context

OF_OPERATORS: tuple[Refusal, ...] = (NotFound, OperatorForbidden, OperatorSecondFactorRequired)
"""The errors of ``operator_by_request``."""


def operator_by_request(permission: str) -> Operator:
    """The operator that the request's bearer token or operators' key stands for, with the
    ``permission``. Raises NotAuthenticated, and the errors in OF_OPERATORS: NotFound for everybody
    who is no operator."""
    if not current_user.is_authenticated:
        raise NotAuthenticated
    return operator_of(current_user, permission, request_context())


admin_operators = ApiBlueprint(
    "admin_operators", __name__, url_prefix="/admin", description="Operators"
)


@admin_operators.get("/operators", refusals=OF_OPERATORS)
@admin_operators.response(200, OperatorsAnswer)
def list_operators() -> dict[str, Any]:
    """List the operators

    Everybody with a role in the console, by address.
    """
    operator_by_request("console.view")
    return {"operators": roles.list_operators()}
