"""Pages of the console: a decorator that finds the operator."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal.operators.access import operator_of
from portal.web.requests import request_context

View = Callable[..., ResponseReturnValue]


def with_operator(permission: str) -> Callable[[View], View]:
    """Pass the view the ``Operator`` first. Answers 404 to everybody else, 403 to an operator
    without a second factor or the ``permission``."""

    def decorate(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(**arguments: Any) -> ResponseReturnValue:
            return view(operator_of(current_user, permission, request_context()), **arguments)

        return guarded

    return decorate
