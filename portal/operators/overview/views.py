"""The console's first page."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from portal.operators.access import Operator
from portal.operators.guards import with_operator
from portal.operators.overview import sources

blueprint = Blueprint("operator_overview", __name__, url_prefix="/operator")


@blueprint.get("")
@with_operator("console.view")
def show(operator: Operator) -> ResponseReturnValue:
    return render_template(
        "operators/overview/overview.html", operator=operator, needs=sources.look()
    )
