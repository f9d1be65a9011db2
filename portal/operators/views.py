"""Pages of the operators themselves."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from portal.operators.access import Operator
from portal.operators.guards import render_operator_page, with_operator
from portal.operators.roles import list_operators

blueprint = Blueprint("operators", __name__, url_prefix="/operator")


@blueprint.get("/operators")
@with_operator("console.view")
def show_all(operator: Operator) -> ResponseReturnValue:
    return render_operator_page("operators/operators.html", operator, operators=list_operators())
