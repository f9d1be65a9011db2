"""Logging in by a form that was submitted twice: the browser may have dropped the first response,
and with it the cookie."""

import structlog
from flask import request
from flask_login import current_user

from portal.errors import PortalError
from portal.identity.authentication import cookies, logging_in
from portal.web.requests import request_context, user_agent

log = structlog.get_logger()


def repeat_log_in(email: str) -> None:
    """Log in with the ``email`` address and the submitted password, as the log-in page would: the
    password may have been changed meanwhile. Nothing where it is refused, or for a browser that is
    logged in."""
    if current_user.is_authenticated:
        return
    password = request.form.get("password", "")
    try:
        principal = logging_in.log_in(email, password, request_context(), user_agent())
    except PortalError as refused:
        log.info("repetition.not_logged_in", reason=repr(refused))
    else:
        cookies.enter(principal)
