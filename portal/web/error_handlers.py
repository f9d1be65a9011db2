"""From an error to an answer: a page of the portal, or JSON for programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from portal.database import connection
from portal.database.errors import DatabaseUnavailable, UnsuitableServer
from portal.errors import PortalError, SeveralErrors, WayOn
from portal.web.error_messages import API_MESSAGES, ERROR_MESSAGES, FORM_EXPIRED
from portal.web.errors import RETRY_AFTER_SECONDS, InvalidInput
from portal.web.requests import is_api, path_for_log, same_site_path

log = structlog.get_logger()

Observer = Callable[[PortalError], None]

_EXTENSION = "portal.errors"
_START = WayOn("To the start", "home.landing")
_LOG_IN = WayOn("Log in", "authentication.log_in")
_ORGANIZATIONS = WayOn("Your organizations", "organizations.list_mine")
_TRASH = WayOn("Look in the trash", "organizations.trash")


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """What is answered to an error, before it is a page or JSON."""

    status: int
    code: str
    title: str
    words: str
    fields: dict[str, str] = field(default_factory=dict)
    ways_on: tuple[WayOn, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wiring:
    observers: tuple[Observer, ...]
    api_fields: Mapping[str, Mapping[str, str]]


def init_app(
    app: Flask,
    *,
    observers: tuple[Observer, ...] = (),
    api_fields: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Answer every error. ``observers`` see each that a service raised; ``api_fields`` are, by
    endpoint, the names that programs know fields by where those differ from the form's."""
    app.extensions[_EXTENSION] = _Wiring(observers, api_fields or {})
    app.register_error_handler(PortalError, answer_portal_error)
    for away in (PyMongoError, MongoEngineException, UnsuitableServer):
        app.register_error_handler(away, answer_database_error)
    app.register_error_handler(CSRFError, answer_csrf_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_bug)


def describe(error: PortalError) -> ErrorResponse:
    """What ``error`` says to whoever reads it: a person, or a program."""
    if isinstance(error, SeveralErrors):
        return describe(InvalidInput(_fields_of(error.errors)))
    return ErrorResponse(
        error.status,
        error.code,
        error.title,
        _words_of(error),
        fields=error.fields if isinstance(error, InvalidInput) else _fields_of([error]),
        ways_on=error.ways_on,
        headers=error.headers,
    )


def _words_of(error: PortalError) -> str:
    return error.api_words if is_api() else error.words


def _fields_of(errors: list[PortalError]) -> dict[str, str]:
    return {error.field: _words_of(error) for error in errors if error.field}


def answer_portal_error(error: PortalError) -> ResponseReturnValue:
    """Answer what a service refused."""
    response = describe(error)
    log.info("request.refused", code=response.code)
    for observe in _wiring().observers:
        observe(error)
    return _answer(response)


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Answer that MongoDB is unavailable, or that this is a bug."""
    if not connection.is_unavailable(error):
        return _answer_bug(error)
    log.warning("database.unavailable", error=str(error)[:300])
    return answer_portal_error(DatabaseUnavailable())


def answer_csrf_error(error: CSRFError) -> ResponseReturnValue:
    """Answer that a form was made in another session."""
    return _answer(ErrorResponse(400, *FORM_EXPIRED))


def _answer_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code, title, words = ERROR_MESSAGES.get(status, ERROR_MESSAGES[400])
    headers = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    if is_api():
        words = API_MESSAGES.get(status, words)
    return _answer(ErrorResponse(status, code, title, words, headers=headers))


def _answer_bug(error: Exception) -> ResponseReturnValue:
    if connection.is_unavailable(error):
        return answer_database_error(error)
    log.error("request.failed", path=path_for_log(), exc_info=error)
    return _answer(ErrorResponse(500, *ERROR_MESSAGES[500]))


def _answer(response: ErrorResponse) -> ResponseReturnValue:
    headers = dict(response.headers)
    if response.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if response.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="portal"'
    if is_api():
        return _json(response), response.status, headers
    try:
        return _page(response), response.status, headers
    except (PyMongoError, MongoEngineException) as error:  # the viewer could not be looked up
        return answer_database_error(error)


def _json(response: ErrorResponse) -> dict[str, Any]:
    sent_as = _wiring().api_fields.get(request.endpoint or "", {})
    fields = {sent_as.get(name, name): words for name, words in response.fields.items()}
    return {
        "status": "error",
        "error": {"code": response.code, "message": response.words, "fields": fields},
    }


def _page(response: ErrorResponse) -> str:
    """The page of an error. Where our side failed it asks nothing of the database."""
    ours = response.status >= 500
    viewer = None if ours else current_user._get_current_object()
    asked = request.path if request.method == "GET" else "/"
    return render_template(
        "errors/error.html",
        error=response,
        again=same_site_path(asked, "/") if ours else None,
        ways_on=response.ways_on or _usual_ways_on(response, viewer),
        request_id=g.get("request_id"),
        current_user=viewer,
    )


def _usual_ways_on(response: ErrorResponse, viewer: Any) -> tuple[WayOn, ...]:
    if not getattr(viewer, "is_authenticated", False):
        return _LOG_IN, _START
    return (_ORGANIZATIONS, _TRASH) if response.status == 404 else (_ORGANIZATIONS,)


def _wiring() -> _Wiring:
    return current_app.extensions[_EXTENSION]
