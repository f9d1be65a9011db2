"""A form that was sent twice: whatever refused the second, it leads to where the first leads.

A browser shows the answer to the last click alone, and forgets the others.
"""

import structlog
from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import answers, requests
from portal.accounts import cookie, login
from portal.errors import PortalError
from portal.forms import SIGN_UP
from portal.idempotency import KeyRecord, find_record
from portal.organizations.access import slug_for_member
from portal.organizations.documents import PURGE, RESTORE, TRASH
from portal.requests import origin, user_agent

log = structlog.get_logger()


def watch(blueprint: Blueprint) -> None:
    """Have what the blueprint's forms are refused answered so, if they were sent before."""
    blueprint.register_error_handler(PortalError, _answer_refusal)
    blueprint.register_error_handler(CSRFError, _answer_stale_form)


def _answer_refusal(error: PortalError) -> ResponseReturnValue:
    try:
        record = find_record(requests.key())
        if record is None:
            return answers.answer_portal_error(error)
        if request.endpoint == SIGN_UP:
            _log_in_again()
        return _lead_on(record)
    except (PyMongoError, MongoEngineException) as away:
        return answers.answer_database_error(away)


def _answer_stale_form(error: CSRFError) -> ResponseReturnValue:
    """The answer to a first click on “Sign up” may have changed the session before the second."""
    try:
        record = find_record(requests.key())
        return _lead_on(record) if record else answers.answer_csrf_error(error)
    except (PyMongoError, MongoEngineException) as away:
        return answers.answer_database_error(away)


def _log_in_again() -> None:
    """Do what the log-in page would do with the e-mail and password that were sent: no more than
    that, since the password may have been changed in the meantime."""
    if current_user.is_authenticated:
        return
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        entered = login.log_in(email, password, origin(), user_agent())
    except PortalError as refused:
        log.info("repetition.not_logged_in", reason=repr(refused))
    else:
        cookie.enter(entered)


def _lead_on(record: KeyRecord) -> ResponseReturnValue:
    log.info("request.repeated", kind=record.kind, first=record.request)
    account = current_user.account_id if current_user.is_authenticated else None
    slug = slug_for_member(record.organization, account)
    if slug:
        return redirect(url_for(".overview", slug=slug), 303)
    if record.kind == RESTORE:  # still on its way
        return redirect(url_for(".trashed", organization_id=record.organization), 303)
    return redirect(url_for(".trash" if record.kind in (TRASH, PURGE) else ".list_mine"), 303)
