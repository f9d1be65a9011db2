"""Replay of forms that were submitted twice: whatever refused the second submission, the browser is
redirected to the result of the first.

A browser shows the response to the last click alone.
"""

import structlog
from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import OperationKind
from portal.errors import PortalError
from portal.identity.authentication import cookies, logging_in
from portal.organizations.access.lookup import slug_for_member
from portal.web import error_handlers, requests
from portal.web.forms import SIGN_UPS
from portal.web.idempotency import find_record
from portal.web.requests import request_context, user_agent

log = structlog.get_logger()


def install(blueprint: Blueprint, page: str = "organizations.overview") -> None:
    """Have errors of the blueprint's forms answered so where the form was submitted before.
    ``page`` is the organization's page to redirect to."""

    def answer(error: PortalError | CSRFError) -> ResponseReturnValue:
        try:
            record = find_record(requests.idempotency_key())
            if record is None and isinstance(error, CSRFError):
                return error_handlers.answer_csrf_error(error)
            if record is None:
                return error_handlers.answer_portal_error(error)
            if request.endpoint in SIGN_UPS and isinstance(error, PortalError):
                _repeat_log_in()
            return _redirect_to_first_result(record, page)
        except (PyMongoError, MongoEngineException) as unavailable:
            return error_handlers.answer_database_error(unavailable)

    blueprint.register_error_handler(PortalError, answer)
    # The response to a first click on “Sign up” may have changed the session before the second.
    blueprint.register_error_handler(CSRFError, answer)


def _repeat_log_in() -> None:
    """Log in with the submitted e-mail address and password, as the log-in page would: the password
    may have been changed meanwhile."""
    if current_user.is_authenticated:
        return
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        principal = logging_in.log_in(email, password, request_context(), user_agent())
    except PortalError as refused:
        log.info("repetition.not_logged_in", reason=repr(refused))
    else:
        cookies.enter(principal)


def _redirect_to_first_result(record: IdempotencyRecord, page: str) -> ResponseReturnValue:
    """Redirect to the result of the request that claimed the key."""
    log.info("request.repeated", kind=record.kind, first=record.request)
    account = current_user.account_id if current_user.is_authenticated else None
    slug = slug_for_member(record.organization, account)
    if slug:
        return redirect(url_for(page, slug=slug), 303)
    if record.kind == OperationKind.RESTORE:  # not finished yet
        return redirect(url_for("organizations.trashed", organization_id=record.organization), 303)
    trashing = record.kind in (OperationKind.TRASH, OperationKind.PURGE)
    return redirect(url_for("organizations.trash" if trashing else "organizations.list_mine"), 303)
