"""What becomes of an error: status, form field, words. One table, for every page."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from flask import Flask, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from portal import database, errors
from portal.database import UnsuitableServer
from portal.errors import PortalError

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """How a typed error is told: HTTP status, the form field it belongs to, and the words."""

    status: int
    field: str | None
    words: Callable[..., str]
    title: str = ""


DOING = {"create": "being created", "rename": "being renamed", "trash": "being deleted"}

ANSWERS: dict[type[PortalError], Answer] = {
    errors.InvalidName: Answer(422, "organization_name", lambda e: e.reason),
    errors.NameUnchanged: Answer(
        422, "organization_name", lambda e: f"Choose another name: “{e.name}” is its name already"
    ),
    errors.NameNotConfirmed: Answer(
        422, "confirm_name", lambda e: f"Type “{e.name}” to confirm, as it is shown"
    ),
    errors.InvalidEmail: Answer(
        422, "email", lambda e: "Enter an e-mail address, like mara@acme.example"
    ),
    errors.WeakPassword: Answer(422, "password", lambda e: e.reason),
    errors.WrongCredentials: Answer(
        422, "email", lambda e: "No account has this e-mail address and password: check both"
    ),
    errors.SlugTaken: Answer(
        409,
        "organization_name",
        lambda e: f"The address {e.slug} is taken. Choose a name that differs in letters or digits",
    ),
    errors.EmailTaken: Answer(
        409,
        "email",
        lambda e: f"{e.email} has an account: log in, and create the organization there",
    ),
    errors.NotFound: Answer(
        404,
        None,
        lambda e: (
            "The organization may have another name now, may be in the trash, or you may not be a member of it."
        ),
        "Nothing is at this address",
    ),
    errors.Forbidden: Answer(
        403,
        None,
        lambda e: (
            "Your role in this organization does not allow it. One of its owners can do it, or change your role."
        ),
        "You may not do this",
    ),
    errors.AddressChanged: Answer(
        409,
        None,
        lambda e: (
            f"It is {e.name} now, at {e.slug}. What you sent did not start. Nothing was changed."
        ),
        "This organization was renamed",
    ),
    errors.OperationInProgress: Answer(
        409,
        None,
        lambda e: (
            f"{e.name} is {DOING[e.kind]} since {e.started_at:%H:%M:%S} UTC. One change runs at a time, so what you sent did not start. Nothing was changed. Send it again in a moment."
        ),
        "Another change is running",
    ),
    errors.CollectionLost: Answer(
        409,
        None,
        lambda e: (
            f"The collection of {e.name} is not in the database any more: somebody dropped it there. Nothing was changed. Ask whoever runs the database to bring it back."
        ),
        "The collection is missing",
    ),
    errors.CollectionInTheWay: Answer(
        409,
        None,
        lambda e: (
            f"The database has a collection {e.collection} that the portal did not make, so {e.name} stays where it is. Nothing was changed. Ask whoever runs the database."
        ),
        "Something is in the way",
    ),
    errors.Overloaded: Answer(
        503,
        None,
        lambda e: "Many people log in right now. Try again in a few seconds.",
        "The portal is busy",
    ),
    errors.DatabaseUnavailable: Answer(
        503,
        None,
        lambda e: (
            "The database does not answer. Nothing is known to be lost. Try again in a few seconds."
        ),
        "The portal can’t reach its database",
    ),
}

# Errors that know the organization to go back to.
_OF_AN_ORGANIZATION = (errors.AddressChanged, errors.OperationInProgress)

# What happened, and the way on, for answers that HTTP itself gives.
PAGES = {
    400: ("The request can’t be understood", "Go back, load the page anew, and try again. Nothing was changed."),
    403: ("You may not do this", "Your account has no right to it. Nothing was changed."),
    404: ("Nothing is at this address", "Check how it is written, or start from your organizations."),
    405: ("This address can’t be used like that", "Go back and use the buttons of the page. Nothing was changed."),
    409: ("Something else was faster", "Load the page anew to see how it is now. Nothing was changed."),
    411: ("The request has no length", "Send it with a Content-Length header. Nothing was changed."),
    413: ("That is too much", "What you sent is larger than any form here needs. Shorten it and send it again."),
    415: ("This kind of content can’t be read", "Send it as a form does: application/x-www-form-urlencoded. Nothing was changed."),
    429: ("Too many tries", "Wait a minute, then try again. Nothing was changed."),
    500: ("Something broke on our side", "It has been noted under the number below. Try again; if it stays, tell whoever runs the portal the number."),
    503: ("The portal can’t work right now", "Try again in a few seconds."),
}  # fmt: skip


def init_app(app: Flask) -> None:
    """Turn every error into a page of the portal."""
    app.register_error_handler(PortalError, _answer_portal_error)
    app.register_error_handler(PyMongoError, _answer_database_error)
    app.register_error_handler(MongoEngineException, _answer_database_error)
    app.register_error_handler(UnsuitableServer, _answer_database_error)
    app.register_error_handler(CSRFError, _answer_csrf_error)
    app.register_error_handler(HTTPException, _answer_http_error)
    app.register_error_handler(Exception, _answer_bug)


def _answer_portal_error(error: PortalError) -> ResponseReturnValue:
    answer = ANSWERS[type(error)]
    log.info("request.refused", reason=repr(error), status=answer.status)
    back = (error.name, error.slug) if isinstance(error, _OF_AN_ORGANIZATION) else None
    return error_page(answer.status, answer.title, answer.words(error), back=back)


def _answer_database_error(error: Exception) -> ResponseReturnValue:
    if not database.unavailable(error):
        return _answer_bug(error)
    log.warning("database.unavailable", error=str(error)[:300])
    return _answer_portal_error(errors.DatabaseUnavailable())


def _answer_csrf_error(error: CSRFError) -> ResponseReturnValue:
    return error_page(
        400,
        "This form is no longer valid",
        "It was opened before you logged in or out, or in another browser. "
        "Go back, load the page anew, and send it again. Nothing was changed.",
    )


def _answer_http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    response = make_response(error_page(status, *PAGES.get(status, PAGES[400])))
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response


def _answer_bug(error: Exception) -> ResponseReturnValue:
    log.error("request.failed", path=request.path, exc_info=error)
    return error_page(500, *PAGES[500])


def error_page(
    status: int, title: str, words: str, *, back: tuple[str, str] | None = None
) -> ResponseReturnValue:
    """The page that tells an error; ``back`` is name and slug of the organization to return to.

    Where our side failed it asks nothing of the database.
    """
    viewer = {"current_user": None}
    if status < 500:
        try:
            viewer = {"current_user": current_user._get_current_object()}
        except (PyMongoError, MongoEngineException) as error:
            return _answer_database_error(error)
    page = render_template(
        "errors/error.html",
        status=status,
        title=title,
        words=words,
        back=back,
        request_id=g.get("request_id"),
        **viewer,
    )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    return page, status, headers
