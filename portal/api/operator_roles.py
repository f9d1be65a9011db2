"""The operators themselves, for programs."""

from typing import Any

from portal.api.guard import ApiBlueprint
from portal.api.operator_role_schemas import OperatorsAnswer
from portal.api.operators import OF_OPERATORS, operator_by_request
from portal.operators import roles

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
