"""The landing page, and health checks."""

import structlog
from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from pymongo.errors import PyMongoError

from portal.database import connection
from portal.database.errors import (
    DatabaseNotPrepared,
    MigrationFailed,
    MigrationRunning,
    UnsuitableServer,
)

log = structlog.get_logger()

blueprint = Blueprint("home", __name__)

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
    """Tell whether this process can serve requests: indexes exist, and a primary is writable."""
    try:
        connection.await_prepared()
        connection.check_primary()
    except (DatabaseNotPrepared, MigrationRunning, MigrationFailed) as error:
        return f"not ready: {error}\n", 503, _NOT_READY
    except (PyMongoError, UnsuitableServer) as error:
        log.warning("portal.not_ready", error=str(error)[:300])
        return "not ready: MongoDB can't be used right now\n", 503, _NOT_READY
    return "ok\n", 200, _TEXT
