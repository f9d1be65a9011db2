"""The landing page, and health checks."""

import re

import structlog
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.database import connection
from portal.database.errors import (
    DatabaseNotPrepared,
    MigrationFailed,
    MigrationRunning,
    UnsuitableServer,
)
from portal.mail import outbox

log = structlog.get_logger()

blueprint = Blueprint("home", __name__)

_ADDRESS = re.compile(r"\S*@\S*")
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_NOT_READY = {**_TEXT, "Retry-After": "5"}


@blueprint.get("/")
def landing() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect(url_for("organizations.list_mine"), 303)
    return render_template("landing.html")


@blueprint.get("/healthz")
def alive() -> ResponseReturnValue:
    """Tell whether this process responds."""
    return "ok\n", 200, _TEXT


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    """Tell whether this process can serve requests: indexes exist, and a primary is writable.
    With ``?verbose`` also whether mails leave, which makes it no less ready."""
    try:
        connection.await_prepared()
        connection.check_primary()
    except (DatabaseNotPrepared, MigrationRunning, MigrationFailed) as error:
        return f"not ready: {error}\n", 503, _NOT_READY
    except (PyMongoError, MongoEngineException, UnsuitableServer) as error:
        reason = connection.explain(error)
        log.warning("portal.not_ready", error=reason)
        return f"not ready: {reason}\n", 503, _NOT_READY
    return "ok\n" + (_mails() if "verbose" in request.args else ""), 200, _TEXT


def _mails() -> str:
    # Anybody may ask: the mail server's words may name whom a mail is for.
    return f"mails: {_ADDRESS.sub('…', str(outbox.backlog() or 'none waits'))}\n"
