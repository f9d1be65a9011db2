"""Replay of forms that were submitted twice: whatever refused the second submission, the browser is
redirected to the result of the first.

A browser shows the response to the last click alone.
"""

from collections.abc import Callable

import structlog
from flask import Blueprint
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.documents.idempotency import IdempotencyRecord
from portal.errors import Action, PortalError
from portal.web import error_handlers, requests
from portal.web.idempotency import find_record

log = structlog.get_logger()


def install(
    blueprint: Blueprint,
    redirect_to_result: Callable[[IdempotencyRecord, PortalError | CSRFError], ResponseReturnValue],
    actions: Callable[[], tuple[Action, ...]] = tuple,
) -> None:
    """Have errors of the blueprint's forms answered by ``redirect_to_result`` where the same form,
    with the same content, was carried out within 24 hours; it gets the record of that and what
    refused this one. Other errors have these ``actions`` rather than their own, if there are any.
    """

    def answer(error: PortalError | CSRFError) -> ResponseReturnValue:
        try:
            record = find_record(requests.idempotency_key())
            if record:
                log.info("request.repeated", kind=record.kind, first=record.request)
                return redirect_to_result(record, error)
        except (PyMongoError, MongoEngineException) as unavailable:
            return error_handlers.answer_database_error(unavailable)
        if isinstance(error, CSRFError):
            return error_handlers.answer_csrf_error(error)
        return error_handlers.answer_portal_error(error, actions())

    blueprint.register_error_handler(PortalError, answer)
    # The response to a first click may have changed the session before the second.
    blueprint.register_error_handler(CSRFError, answer)


def install_for(
    blueprint: Blueprint,
    refusals: tuple[type[PortalError], ...],
    render_result: Callable[[IdempotencyRecord], ResponseReturnValue],
) -> None:
    """Have these errors of the blueprint's forms answered by ``render_result``, which gets the
    record of the same form's first submission, if there is one."""

    def answer(error: PortalError) -> ResponseReturnValue:
        try:
            record = find_record(requests.idempotency_key())
            return render_result(record) if record else error_handlers.answer_portal_error(error)
        except PortalError as refused:
            return error_handlers.answer_portal_error(refused)
        except (PyMongoError, MongoEngineException) as unavailable:
            return error_handlers.answer_database_error(unavailable)

    for refusal in refusals:
        blueprint.register_error_handler(refusal, answer)
