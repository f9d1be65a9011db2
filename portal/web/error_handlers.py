"""What becomes of an error: a page of the portal, or JSON where a program asks."""

from dataclasses import dataclass, field
from typing import Any

import structlog
from flask import Flask, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from portal import errors
from portal.database import connection
from portal.database.connection import UnsuitableServer
from portal.errors import PortalError, StoppedMidway
from portal.organizations.activity.refusals import note_refusal
from portal.web.error_messages import ANSWERS, API_FIELDS, API_WORDS, PAGES
from portal.web.requests import SAFE, is_api, origin, path_for_log, same_site_path

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 5


# Errors that know the organization to go back to, or to leave.
_OF_AN_ORGANIZATION = (
    errors.AddressChanged,
    errors.OperationInProgress,
    errors.NotInTrash,
    errors.AlreadyBelongs,
    errors.LastOwner,
    errors.OfferEnded,
    errors.SecondFactorRequired,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an error, before it is a page or JSON. ``back`` is name and slug of the
    organization to return to, or to leave."""

    status: int
    code: str
    title: str
    words: str
    fields: dict[str, str] = field(default_factory=dict)
    back: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def init_app(app: Flask) -> None:
    """Turn every error into a page of the portal, or into JSON where a program asks."""
    app.register_error_handler(PortalError, answer_portal_error)
    app.register_error_handler(PyMongoError, answer_database_error)
    app.register_error_handler(MongoEngineException, answer_database_error)
    app.register_error_handler(UnsuitableServer, answer_database_error)
    app.register_error_handler(StoppedMidway, answer_database_error)
    app.register_error_handler(CSRFError, answer_csrf_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_bug)


def told(error: PortalError) -> Told:
    """What ``error`` says to whoever reads it."""
    if isinstance(error, errors.SeveralErrors):
        return told(errors.InvalidInput(_fields_of(error.errors)))
    answer = ANSWERS[type(error)]
    headers = {}
    if isinstance(error, errors.Repeated):
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if isinstance(error, errors.TooManyTries):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    return Told(
        answer.status,
        answer.code,
        answer.title,
        answer.words(error),
        fields=error.fields if isinstance(error, errors.InvalidInput) else _fields_of([error]),
        back=_way_back(error),
        headers=headers,
    )


def _way_back(error: PortalError) -> tuple[str, str] | None:
    if isinstance(error, _OF_AN_ORGANIZATION) and error.slug:
        return error.name, error.slug
    return None


def _fields_of(several: list[PortalError]) -> dict[str, str]:
    answers = [(ANSWERS[type(error)], error) for error in several]
    return {answer.field: answer.words(error) for answer, error in answers if answer.field}


def answer_portal_error(error: PortalError) -> ResponseReturnValue:
    """Tell what a service refused; the audit trail too where it was a change to a member."""
    known = told(error)
    log.info("request.refused", code=known.code)
    if isinstance(error, errors.Forbidden) and error.organization and request.method not in SAFE:
        note_refusal(error, origin())
    return _answer(known)


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Tell that MongoDB is away, or that this is a bug."""
    if not connection.unavailable(error):
        return _answer_bug(error)
    log.warning("database.unavailable", error=str(error)[:300])
    return answer_portal_error(errors.DatabaseUnavailable())


def answer_csrf_error(error: CSRFError) -> ResponseReturnValue:
    """Tell that a form was made in another session."""
    return _answer(
        Told(
            400,
            "form_expired",
            "This form is no longer valid",
            "It was opened before you logged in or out, or in another browser. "
            "Go back, load the page anew, and send it again. Nothing was changed.",
        )
    )


def _answer_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code, title, words = PAGES.get(status, PAGES[400])
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    if is_api():
        words = API_WORDS.get(status, words)
    return _answer(Told(status, code, title, words, headers=headers))


def _answer_bug(error: Exception) -> ResponseReturnValue:
    log.error("request.failed", path=path_for_log(), exc_info=error)
    return _answer(Told(500, *PAGES[500]))


def _answer(known: Told) -> ResponseReturnValue:
    headers = dict(known.headers)
    if known.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if known.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="portal"'
    if is_api():
        return _json(known), known.status, headers
    try:
        return _page(known), known.status, headers
    except (PyMongoError, MongoEngineException) as error:  # who asks could not be looked up
        return answer_database_error(error)


def _json(known: Told) -> dict[str, Any]:
    sent_as = API_FIELDS.get(request.endpoint or "", {})
    fields = {sent_as.get(name, name): words for name, words in known.fields.items()}
    return {
        "status": "error",
        "error": {"code": known.code, "message": known.words, "fields": fields},
    }


def _page(known: Told) -> str:
    """The page that tells an error. Where our side failed it asks nothing of the database."""
    viewer = current_user._get_current_object() if known.status < 500 else None
    asked = request.path if request.method == "GET" else "/"
    return render_template(
        "errors/error.html",
        told=known,
        again=same_site_path(asked, "/"),
        request_id=g.get("request_id"),
        current_user=viewer,
    )
