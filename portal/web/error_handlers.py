"""Turns errors into responses: a page, or JSON for programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from flask import Flask, current_app, g, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from portal.database import clusters, connection, diagnosis
from portal.database.errors import DatabaseUnavailable, RightMissing, UnsuitableServer
from portal.errors import Action, NotFound, PortalError, SeveralErrors
from portal.web import stale_forms
from portal.web.acting_operator import ActingOperator, acting_operator
from portal.web.error_messages import API_MESSAGES, ERROR_MESSAGES, FORM_EXPIRED, NOT_IN_CONSOLE
from portal.web.errors import RETRY_AFTER_SECONDS, InvalidInput, NoCookie
from portal.web.requests import (
    is_api,
    page_above,
    path_for_log,
    path_without_slashes_too_many,
    same_site_path,
)

log = structlog.get_logger()

Observer = Callable[[PortalError], None]

_OBSERVERS, _API_FIELDS = "portal.error_observers", "portal.api_fields"
_START = Action("To the start", "home.landing")
_LOG_IN = Action("Log in", "authentication.log_in")
_ORGANIZATIONS = Action("Your organizations", "organizations.list_mine")
_TRASH = Action("Look in the trash", "organizations.trash")
_CONSOLE = Action("To the console", "operator_overview.show")


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The response to an error, before it is rendered as a page or JSON."""

    status: int
    code: str
    title: str
    words: str
    fields: dict[str, str] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


def init_app(
    app: Flask,
    *,
    observers: tuple[Observer, ...] = (),
    api_fields: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Handle every error. ``observers`` are called with each error of a service; ``api_fields``
    maps, by endpoint, the form's names of fields to the API's where they differ."""
    app.extensions.update({_OBSERVERS: observers, _API_FIELDS: api_fields or {}})
    app.register_error_handler(PortalError, answer_portal_error)
    for kind in (PyMongoError, MongoEngineException, UnsuitableServer):
        app.register_error_handler(kind, answer_database_error)
    app.register_error_handler(CSRFError, answer_csrf_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_bug)


def describe(error: PortalError) -> ErrorResponse:
    """The response to ``error``, worded for a person or a program."""
    if isinstance(error, SeveralErrors):
        return describe(InvalidInput(_fields_of(error.errors)))
    return ErrorResponse(
        error.status,
        error.code,
        error.title,
        _words_of(error),
        fields=error.fields if isinstance(error, InvalidInput) else _fields_of([error]),
        actions=error.actions,
        headers=error.headers,
        details=error.details,
    )


def _words_of(error: PortalError) -> str:
    return error.api_words if is_api() else error.words


def _fields_of(errors: list[PortalError]) -> dict[str, str]:
    return {error.field: _words_of(error) for error in errors if error.field}


def answer_portal_error(
    error: PortalError, actions: tuple[Action, ...] = ()
) -> ResponseReturnValue:
    """Respond to the error of a service, on a page with these ``actions`` rather than its own."""
    response = describe(error)
    if actions:
        response = replace(response, actions=actions)
    log.info("request.refused", code=response.code)
    for observe in current_app.extensions[_OBSERVERS]:
        observe(error)
    return _answer(response)


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Respond that MongoDB is unavailable, or that this is a bug."""
    if not connection.is_unavailable(error):
        return _answer_bug(error)
    log.warning("database.unavailable", error=connection.explain(error))
    command = diagnosis.refused_command(error)
    if command:
        # Names of databases and collections are no stranger's business.
        rights = clusters.missing_rights_in_request() if _is_logged_in() else []
        return answer_portal_error(RightMissing(command, tuple(map(str, rights))))
    return answer_portal_error(clusters.unavailable_in_request() or DatabaseUnavailable())


def _is_logged_in() -> bool:
    """Tell whether somebody was found to be, without a look into the database, which refused."""
    return "_login_user" in g and current_user.is_authenticated  # Flask-Login keeps them there


def answer_csrf_error(error: CSRFError) -> ResponseReturnValue:
    """Respond to a form of another session: show it again where that is safe."""
    try:
        shown = stale_forms.show_again()
    except Exception as raised:
        return current_app.handle_user_exception(raised)
    if shown is not None:
        return shown
    if not stale_forms.cookie_came():
        return answer_portal_error(NoCookie())
    return _answer(ErrorResponse(400, *FORM_EXPIRED))


def _answer_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    meant = path_without_slashes_too_many() if error is request.routing_exception else None
    if meant:
        return redirect(meant, 307)
    code, title, words = ERROR_MESSAGES.get(status, ERROR_MESSAGES[400])
    headers: dict[str, str] = {}
    actions: tuple[Action, ...] = ()
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        # Where a form is sent to, opened again from the browser's history.
        above = page_above() if request.method == "GET" else None
        actions = (Action("Open its page", *above),) if above else ()
    if is_api():
        words = API_MESSAGES.get(status, words)
    return _answer(ErrorResponse(status, code, title, words, headers=headers, actions=actions))


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
    except (PyMongoError, MongoEngineException) as error:  # while loading the viewer
        return answer_database_error(error)


def _json(response: ErrorResponse) -> dict[str, Any]:
    api_names = current_app.extensions[_API_FIELDS].get(request.endpoint or "", {})
    fields = {api_names.get(name, name): words for name, words in response.fields.items()}
    error = {"code": response.code, "message": response.words, "fields": fields}
    if response.details:
        error["details"] = dict(response.details)
    return {"status": "error", "error": error}


def _page(response: ErrorResponse) -> str:
    """The page of an error; that of a server error reads nothing from the database."""
    server_error = response.status >= 500
    viewer = None if server_error else current_user._get_current_object()
    retry_path = stale_forms.page_of_form() or "/"
    in_console = _is_in_console(viewer)
    if in_console and response.words in (ERROR_MESSAGES[404][2], NotFound.message):
        response = replace(response, words=NOT_IN_CONSOLE)
    return render_template(
        "errors/error.html",
        layout="operators/base.html" if in_console else "base.html",
        error=response,
        again=same_site_path(retry_path, "/") if server_error or response.status == 429 else None,
        actions=response.actions or _default_actions(response, viewer, in_console),
        request_id=g.get("request_id"),
        current_user=viewer,
    )


def _is_in_console(viewer: Any) -> bool:
    """Tell whether an operator asked for a page of the console: by what was found out before the
    error, or by the viewer's role, so that nobody else sees that there is one."""
    if not request.path.startswith("/operator"):
        return False
    return acting_operator() == ActingOperator() or bool(getattr(viewer, "operator_role", ""))


def _default_actions(response: ErrorResponse, viewer: Any, in_console: bool) -> tuple[Action, ...]:
    if in_console:
        return (_CONSOLE,)
    if not getattr(viewer, "is_authenticated", False):
        return _LOG_IN, _START
    return (_ORGANIZATIONS, _TRASH) if response.status == 404 else (_ORGANIZATIONS,)
