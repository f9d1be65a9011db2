"""Keeping what was typed where a form can't be taken: without a session, without MongoDB, or
without the document."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.data.errors import DocumentNotFound
from portal.database import connection
from portal.errors import Unavailable
from portal.web import stale_forms
from portal.web.errors import RETRY_AFTER_SECONDS

View = Callable[..., ResponseReturnValue]

_NOT_CARRIED = {"csrf_token", "idempotency_key"}


def keeps_text(view: View) -> View:
    """Have a view answer a form that it can't take by a page that carries all that was typed, to be
    sent again after a log-in in another tab, or once MongoDB answers; or to be read where the
    document is gone."""

    @wraps(view)
    def kept(**ids: Any) -> ResponseReturnValue:
        sent = bool(_typed()) and (request.method == "POST" or stale_forms.is_stale())
        try:
            if sent and not current_user.is_authenticated:
                return _page("logged out"), 401
            return view(**ids)
        except DocumentNotFound:
            if not sent:
                raise
            return _page("deleted"), 404
        except Unavailable:
            if not sent:
                raise
        except (PyMongoError, MongoEngineException) as error:
            if not sent or not connection.is_unavailable(error):
                raise
        return _page("away"), 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}

    return kept


def _typed() -> list[tuple[str, str]]:
    return [
        (name, value) for name, value in request.form.items(multi=True) if name not in _NOT_CARRIED
    ]


def _page(reason: str) -> str:
    return render_template(
        "editing/kept.html",
        typed=_typed(),
        reason=reason,
        action=request.full_path.rstrip("?"),
        # Nothing is read from a database that is away.
        current_user=None if reason == "away" else current_user._get_current_object(),
    )
