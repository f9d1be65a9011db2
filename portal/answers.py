"""What becomes of an error: status, code, field, words. One table, for pages and JSON both."""

from collections.abc import Callable
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

from portal import database, errors, settings
from portal.database import UnsuitableServer
from portal.errors import PortalError, StoppedMidway
from portal.requests import is_api, same_site_path

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """How a typed error is told, to people and programs alike: HTTP status, code, the field it
    belongs to, and the words."""

    status: int
    code: str
    field: str | None
    words: Callable[..., str]
    title: str = ""


ANSWERS: dict[type[PortalError], Answer] = {
    errors.InvalidName: Answer(422, "invalid_name", "organization_name", lambda e: e.reason),
    errors.NameUnchanged: Answer(
        422,
        "name_unchanged",
        "organization_name",
        lambda e: f"Choose another name: “{e.name}” is its name already",
    ),
    errors.NameNotConfirmed: Answer(
        422,
        "name_not_confirmed",
        "confirm_name",
        lambda e: f"Type “{e.name}” to confirm, as it is shown",
    ),
    errors.InvalidEmail: Answer(
        422, "invalid_email", "email", lambda e: "Enter an e-mail address, like mara@acme.example"
    ),
    errors.WeakPassword: Answer(422, "weak_password", "password", lambda e: e.reason),
    errors.WrongCredentials: Answer(
        401,
        "wrong_credentials",
        "email",
        lambda e: "No account has this e-mail address and password: check both",
    ),
    errors.SlugTaken: Answer(
        409,
        "name_taken",
        "organization_name",
        lambda e: f"The address {e.slug} is taken. Choose a name that differs in letters or digits",
    ),
    errors.EmailTaken: Answer(
        409,
        "email_taken",
        "email",
        lambda e: f"{e.email} has an account: log in, and create the organization there",
    ),
    errors.WrongPassword: Answer(
        422, "wrong_password", "current_password", lambda e: "This is not your password: check it"
    ),
    errors.CodeRequired: Answer(
        401,
        "second_factor_required",
        "code",
        lambda e: "Send a code of the authenticator app, or a recovery code, as code.",
        "A second factor is needed",
    ),
    errors.WrongCode: Answer(
        401,
        "wrong_code",
        "code",
        lambda e: "This code is not valid: enter the newest one. Each code works once",
    ),
    errors.PasskeyRefused: Answer(
        401,
        "passkey_refused",
        "credential",
        lambda e: "The passkey was not accepted: try again, or use another way",
    ),
    errors.PasskeyGone: Answer(
        404,
        "not_found",
        None,
        lambda e: "It was removed, or it is not one of yours.",
        "This passkey is not there",
    ),
    errors.TooManyPasskeys: Answer(
        409,
        "too_many_passkeys",
        "credential",
        lambda e: "You have as many passkeys as there may be: remove one first",
    ),
    errors.InvalidPasskeyName: Answer(
        422, "invalid_passkey_name", "passkey_name", lambda e: e.reason
    ),
    errors.LogInExpired: Answer(
        401,
        "log_in_expired",
        None,
        lambda e: (
            "A log-in waits 10 minutes for the second factor, and for a few tries. Begin again with your password."
        ),
        "This log-in is over",
    ),
    errors.NoSecondFactor: Answer(
        409,
        "no_second_factor",
        None,
        lambda e: "Set up an authenticator app or a passkey first. Nothing was changed.",
        "You have no second factor",
    ),
    errors.FactorNeeded: Answer(
        409,
        "factor_needed",
        None,
        lambda e: (
            f"{e.name} requires a second factor of its members, and this is the last one you have. Add another one first. Nothing was changed."
        ),
        "This is your last second factor",
    ),
    errors.SecondFactorRequired: Answer(
        403,
        "second_factor_required",
        None,
        lambda e: (
            f"{e.name} requires a second factor of its members. You are a member still: set one up, and it opens."
        ),
        "Set up a second factor",
    ),
    errors.InvalidStart: Answer(
        422,
        "invalid_start",
        "starts_on",
        lambda e: f"Choose a day from {e.first:%-d %B %Y} to {e.last:%-d %B %Y}",
    ),
    errors.LinkInvalid: Answer(
        410,
        "link_invalid",
        None,
        lambda e: (
            "Each link in a mail works once and for a while, and a newer one ends the one before. Ask for another where you asked for this one."
        ),
        "This link no longer works",
    ),
    errors.NotFound: Answer(
        404,
        "not_found",
        None,
        lambda e: (
            "The organization may have another name now, may be in the trash, or you may not be a member of it."
        ),
        "Nothing is at this address",
    ),
    errors.Forbidden: Answer(
        403,
        "forbidden",
        None,
        lambda e: (
            "Your role in this organization does not allow it. One of its owners can do it, or change your role."
        ),
        "You may not do this",
    ),
    errors.AddressChanged: Answer(
        409,
        "organization_renamed",
        None,
        lambda e: (
            f"It is {e.name} now, at {e.slug}. What you sent did not start. Nothing was changed."
        ),
        "This organization was renamed",
    ),
    errors.OperationInProgress: Answer(
        409,
        "operation_in_progress",
        None,
        lambda e: (
            f"{e.name} is {e.doing} since {e.started_at:%H:%M:%S} UTC. One change runs at a time, so what you sent did not start. Nothing was changed. Send it again in a moment."
        ),
        "Another change is running",
    ),
    errors.NotInTrash: Answer(
        409,
        "not_in_trash",
        None,
        lambda e: f"{e.name} is at {e.slug}. Nothing was changed.",
        "It is not in the trash",
    ),
    errors.OrganizationPurged: Answer(
        409,
        "organization_purged",
        None,
        lambda e: (
            f"{e.name} was purged on {e.purged_at:%-d %B %Y}, with all of its documents. Nothing can bring it back from here."
        ),
        "This organization is no more",
    ),
    errors.CollectionLost: Answer(
        409,
        "collection_missing",
        None,
        lambda e: (
            f"The collection of {e.name} is not in the database any more: somebody dropped it there. Nothing was changed. Ask whoever runs the database to bring it back."
        ),
        "The collection is missing",
    ),
    errors.CollectionInTheWay: Answer(
        409,
        "collection_in_the_way",
        None,
        lambda e: (
            f"The database has a collection {e.collection} that the portal did not make, so {e.name} stays where it is. Nothing was changed. Ask whoever runs the database."
        ),
        "Something is in the way",
    ),
    errors.Repeated: Answer(
        409,
        "still_running",
        None,
        lambda e: (
            "What you sent before is still being done. Nothing was done twice. Ask again in a moment."
        ),
        "It is being done already",
    ),
    errors.KeyReused: Answer(
        422,
        "idempotency_key_reused",
        None,
        lambda e: (
            "You sent this Idempotency-Key before with other content. Use a new one for each thing you want done. Nothing was changed."
        ),
        "This key was used before",
    ),
    errors.Overloaded: Answer(
        503,
        "overloaded",
        None,
        lambda e: "Many people log in right now. Try again in a few seconds.",
        "The portal is busy",
    ),
    errors.DatabaseUnavailable: Answer(
        503,
        "database_unavailable",
        None,
        lambda e: (
            "The database does not answer. Nothing is known to be lost. Try again in a few seconds."
        ),
        "The portal can’t reach its database",
    ),
    errors.OrganizationTrashed: Answer(
        409,
        "organization_trashed",
        None,
        lambda e: f"{e.name} was deleted meanwhile. An owner can restore it from the trash.",
        "The organization is in the trash",
    ),
    errors.DocumentExists: Answer(
        409,
        "document_exists",
        None,
        lambda e: f"Another document has the same {', '.join(e.key) or 'key'}.",
        "Such a document exists",
    ),
    errors.QueryRefused: Answer(
        422,
        "query_refused",
        None,
        lambda e: f"This can’t be asked: {e.reason}. Nothing was changed.",
        "This can’t be asked",
    ),
    errors.MigrationRunning: Answer(
        503,
        "migration_running",
        None,
        lambda e: (
            "A new version of the portal is starting. Nothing was changed. Try again in a few seconds."
        ),
        "The portal is being updated",
    ),
    errors.MigrationFailed: Answer(
        503,
        "migration_failed",
        None,
        lambda e: (
            "A new version of the portal could not start yet, and tries again. Nothing was changed. If it stays, tell whoever runs the portal."
        ),
        "The portal is being updated",
    ),
    errors.WrongHost: Answer(
        400,
        "wrong_host",
        None,
        lambda e: (
            f"The portal is at {settings.current().public_url} and answers under no other host."
        ),
        "This is not the portal’s address",
    ),
    errors.NotAuthenticated: Answer(
        401,
        "not_authenticated",
        None,
        lambda e: "Send a bearer token that is valid: POST /admin/login gives one.",
        "Log in first",
    ),
    errors.MalformedJson: Answer(
        400,
        "malformed_json",
        None,
        lambda e: f"Send one JSON object: {e.reason}. Nothing was changed.",
        "The body can’t be read",
    ),
    errors.InvalidInput: Answer(
        422,
        "invalid_input",
        None,
        lambda e: f"Correct these fields: {', '.join(sorted(e.fields))}. Nothing was changed.",
        "What was sent is not what is asked for",
    ),
    errors.TooManyTries: Answer(
        429,
        "too_many_tries",
        None,
        lambda e: f"Wait {e.retry_after_seconds} seconds, then try again. Nothing was changed.",
        "Too many tries",
    ),
}

# Errors that know the organization to go back to.
_OF_AN_ORGANIZATION = (errors.AddressChanged, errors.OperationInProgress, errors.NotInTrash)

# Code, title and the way on, for answers that HTTP itself gives.
PAGES = {
    400: ("bad_request", "The request can’t be understood", "Go back, load the page anew, and try again. Nothing was changed."),
    403: ("forbidden", "You may not do this", "Your account has no right to it. Nothing was changed."),
    404: ("not_found", "Nothing is at this address", "Check how it is written, or start from your organizations."),
    405: ("method_not_allowed", "This address can’t be used like that", "Go back and use the buttons of the page. Nothing was changed."),
    409: ("conflict", "Something else was faster", "Load the page anew to see how it is now. Nothing was changed."),
    411: ("length_required", "The request has no length", "Send it with a Content-Length header. Nothing was changed."),
    413: ("too_large", "That is too much", "What you sent is larger than anything the portal needs. Shorten it and send it again."),
    415: ("unsupported_media_type", "This kind of content can’t be read", "Send it as a form does: application/x-www-form-urlencoded. Nothing was changed."),
    429: ("too_many_tries", "Too many tries", "Wait a minute, then try again. Nothing was changed."),
    500: ("internal_error", "Something broke on our side", "It has been noted under the request’s number. Try again; if it stays, tell whoever runs the portal the number."),
    503: ("unavailable", "The portal can’t work right now", "Try again in a few seconds."),
}  # fmt: skip

# What programs call a field that a service knows by another name.
_NEW_NAME = {"organization_name": "new_organization_name"}
API_FIELDS = {"org.update": _NEW_NAME, "org.update_by_body": _NEW_NAME}

# What a program reads instead.
API_WORDS = {
    400: "The request can’t be understood. Nothing was changed.",
    404: "Nothing is at this address: /docs lists what there is.",
    405: "This method is not for this address: the Allow header lists those that are. Nothing was changed.",
    415: "Send it as application/json, not encoded. Nothing was changed.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an error, before it is a page or JSON. ``back`` is name and slug of the
    organization to return to."""

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
    """Tell what a service refused."""
    known = told(error)
    log.info("request.refused", code=known.code)
    return _answer(known)


def answer_database_error(error: Exception) -> ResponseReturnValue:
    """Tell that MongoDB is away, or that this is a bug."""
    if not database.unavailable(error):
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
    log.error("request.failed", path=request.path, exc_info=error)
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
