"""Forbidden changes, recorded in the organization's audit trail."""

from datetime import timedelta

import structlog
from flask import request
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal import clock
from portal.audit.trail import REFUSED, record
from portal.database.transactions import transaction, within_transaction
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from portal.errors import PortalError
from portal.organizations.access.errors import Forbidden
from portal.web.context import RequestContext
from portal.web.requests import SAFE, request_context

RECORDED_AGAIN_AFTER = timedelta(minutes=1)

log = structlog.get_logger()


def observe(error: PortalError) -> None:
    """Record a change that was refused for lack of a permission; an observer of all errors."""
    if isinstance(error, Forbidden) and error.organization and request.method not in SAFE:
        record_refusal(error, request_context())


def record_refusal(refused: Forbidden, context: RequestContext) -> None:
    """Record a refusal in the organization's audit chain, once a minute per actor and permission:
    nobody can flood the trail. Where MongoDB is unavailable it is only logged."""
    try:
        # So a flood costs one read per request; the transaction decides.
        if not _is_recorded(refused, context):
            transaction(lambda: _append_event(refused, context))
    except (PyMongoError, MongoEngineException) as error:
        log.warning("audit.refusal_not_noted", error=str(error)[:300])


@within_transaction
def _append_event(refused: Forbidden, context: RequestContext) -> None:
    # Two at once write one head, so the second is retried and reads the first.
    organization = Organization.objects.get(id=refused.organization)
    if not _is_recorded(refused, context):
        record(
            organization, REFUSED, context.origin, permission=refused.permission, role=refused.role
        )


def _is_recorded(refused: Forbidden, context: RequestContext) -> bool:
    since = clock.now() - RECORDED_AGAIN_AFTER
    recorded = AuditEvent.objects(
        chain=refused.organization,
        at__gt=since,
        action=REFUSED,
        actor=context.actor.id or context.account,
        details__permission=refused.permission,
    )
    return recorded.only("id").first() is not None
