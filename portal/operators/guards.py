"""Pages of the console: a decorator that finds the operator."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required

from portal import clock
from portal.identity.sessions.reauthentication import require_reauthentication
from portal.operators.access import Operator, operator_of
from portal.web.acting_operator import ActingOperator, note_operator
from portal.web.forms import Form
from portal.web.requests import request_context

SHIFT = timedelta(hours=12)
"""The time for which the console is open after an authentication by the second factor. A browser
that is trusted without it opens the portal, not the console."""

View = Callable[..., ResponseReturnValue]


def with_operator(permission: str) -> Callable[[View], View]:
    """Pass the view the ``Operator`` first. Answers 404 to everybody else, 403 to an operator
    without a second factor or the ``permission``, and asks for the second factor where that is
    longer ago than ``SHIFT``. The request reads no organization's documents.

    A page that destroys something is ``@reauthenticated`` as well, below this decorator, which
    asks for a second factor that is 15 minutes old at most.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(**arguments: Any) -> ResponseReturnValue:
            operator = operator_of(current_user, permission, request_context())
            note_operator(ActingOperator())
            last = current_user.authenticated_at
            if last is None or last < clock.now() - SHIFT:
                return require_reauthentication(request.full_path.rstrip("?"))
            return view(operator, **arguments)

        return guarded

    return decorate


def render_operator_page(
    template: str, operator: Operator, form: Form | None = None, **values: object
) -> ResponseReturnValue:
    """Render a page of the console, with the status of its ``form``, if it has one."""
    page = render_template(template, operator=operator, form=form, **values)
    return page, form.status if form else 200
