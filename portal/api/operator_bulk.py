"""Actions on many organizations, for operators' programs."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api import schemas
from portal.api.guard import ApiBlueprint
from portal.api.operators import (
    OF_OPERATOR_CHANGES,
    OF_OPERATORS,
    by_operator,
    install_replays,
)
from portal.api.replay import Answer, takes_key
from portal.documents.bulk_actions import BulkAction, BulkOutcome
from portal.documents.idempotency import IdempotencyRecord
from portal.jobs.errors import JobEnded, JobNotPaused
from portal.operators.access import Operator
from portal.operators.bulk import managing
from portal.operators.bulk.errors import (
    BulkNotEnded,
    BulkNotFound,
    BulkNotPlanned,
    BulkNotStarted,
    CountNotConfirmed,
    IdsOrFilter,
    InvalidBulkArgument,
    InvalidSelection,
)
from portal.operators.bulk.kinds import KINDS
from portal.operators.bulk.reading import latest_bulks, results_of, shown_bulk
from portal.operators.listing.errors import InvalidFilter
from portal.web.bodies import JSON, AcceptedBody, takes_whole_body

admin_bulk = ApiBlueprint(
    "admin_bulk", __name__, url_prefix="/admin", description="Actions on many organizations"
)

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_NUMBER = {"example": 1203}
_MOST_LISTED = 100
_ARGUMENTS = "of the action: " + ", ".join(
    f"`{kind.name}` takes {' '.join(f'`{name}`' for name in kind.arguments)}"
    for kind in KINDS.values()
    if kind.arguments
)


def _time(**options: Any) -> fields.AwareDateTime:
    metadata = {"example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


class BulkBody(schemas.Body):
    """Either ``ids``, of 1,000 organizations at most, or a ``filter``, by which `{}` are all."""

    action = schemas.Choice("BulkKind", required=True)
    arguments = fields.Dict(
        fields.String(),
        fields.String(),
        load_default=dict,
        metadata={"description": _ARGUMENTS, "example": {"plan": "large"}},
    )
    ids = fields.List(fields.String(metadata=_ID))
    filter = fields.Dict(
        fields.String(),
        fields.String(),
        metadata={"description": "as the list’s address has it", "example": {"state": "active"}},
    )
    per_minute = fields.Integer(
        strict=True,
        load_default=managing.PER_MINUTE,
        metadata={"minimum": 1, "maximum": managing.MOST_PER_MINUTE},
    )


class BulkStartBody(schemas.Body):
    count = fields.Integer(
        required=True,
        strict=True,
        metadata={"description": "the ``total`` that was told", **_NUMBER},
    )


class Bulk(schemas.Response):
    """An action on many organizations. They are frozen while it is ``counting``; ``fitting`` is the
    number of those that it can begin on now. ``outcomes`` are numbers of organizations."""

    id = fields.String(required=True, metadata=_ID)
    action = schemas.Choice("BulkKind", required=True)
    arguments = fields.Dict(fields.String(), fields.String(), required=True)
    words = fields.String(required=True, metadata={"example": "all that match: state active"})
    retries = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "the action of which these were left over", "example": None},
    )
    state = schemas.Choice("BulkState", required=True)
    job_state = fields.String(required=True, allow_none=True, metadata={"example": "running"})
    per_minute = fields.Integer(required=True, metadata={"example": 120})
    total = fields.Integer(required=True, metadata=_NUMBER)
    fitting = fields.Integer(required=True, metadata=_NUMBER)
    measured = fields.Integer(
        required=True, metadata={"description": "the number whose figures are known", **_NUMBER}
    )
    documents = fields.Integer(required=True, metadata=_NUMBER)
    bytes = fields.Integer(required=True, metadata=_NUMBER)
    members = fields.Integer(required=True, metadata=_NUMBER)
    mails = fields.Integer(required=True, metadata=_NUMBER)
    outcomes = fields.Dict(
        fields.String(),
        fields.Integer(),
        required=True,
        metadata={"example": {"waiting": 3, "done": 1200, "failed": 0}},
    )
    created_at = _time(required=True)


class BulkAnswer(schemas.Success):
    bulk = fields.Nested(Bulk, required=True)


class BulksAnswer(schemas.Success):
    bulks = fields.List(fields.Nested(Bulk), required=True)


class BulkResultsQuery(schemas.Body):
    after = fields.Integer(
        validate=ma.validate.Range(0, 2**31),
        metadata={"description": "the number of the last one known", "example": 49},
    )
    outcome = schemas.Choice("BulkOutcome", validate=ma.validate.OneOf(list(BulkOutcome)))


class BulkResult(schemas.Response):
    """The result of an organization."""

    number = fields.Integer(required=True, metadata={"example": 7})
    organization = fields.String(required=True, metadata=_ID)
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    outcome = schemas.Choice("BulkOutcome", required=True)
    reason = fields.String(required=True, allow_none=True, metadata={"example": None})


class BulkResultsAnswer(schemas.Success):
    results = fields.List(fields.Nested(BulkResult), required=True)
    after = fields.Integer(
        required=True, allow_none=True, metadata={"description": "for the next page", "example": 49}
    )


_OF_RUNNING = (*OF_OPERATOR_CHANGES, BulkNotFound, BulkNotStarted, JobEnded)


@admin_bulk.post(
    "/bulk", refusals=(*OF_OPERATOR_CHANGES, InvalidSelection, InvalidFilter, InvalidBulkArgument)
)
@by_operator("console.act")
@takes_whole_body(AcceptedBody((JSON,), managing.MOST_BYTES))
@takes_key
@admin_bulk.arguments(BulkBody)
@admin_bulk.response(201, BulkAnswer)
def plan_bulk(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    """Plan an action on many organizations

    They are frozen and counted exactly, and nothing else happens: read its ``total``, and start it
    then. By a filter that takes a while, in which it is `counting`.
    """
    given = (body["action"], body["arguments"])
    if ("ids" in body) == ("filter" in body):
        raise IdsOrFilter
    if "ids" in body:
        bulk = managing.plan_these(*given, body["ids"], operator.context, body["per_minute"])
    else:
        bulk = managing.plan_all(*given, body["filter"], operator.context, body["per_minute"])
    return _told(bulk)


@admin_bulk.get("/bulk", refusals=OF_OPERATORS)
@by_operator("console.view")
@admin_bulk.response(200, BulksAnswer)
def list_bulks(operator: Operator) -> dict[str, Any]:
    """List the latest actions on many organizations

    100 at most, newest first. They are kept for 90 days.
    """
    return {"bulks": [shown_bulk(bulk).as_told() for bulk in latest_bulks(_MOST_LISTED)]}


@admin_bulk.get("/bulk/<bulk_id>", refusals=(*OF_OPERATORS, BulkNotFound))
@by_operator("console.view")
@admin_bulk.response(200, BulkAnswer)
def get_bulk(operator: Operator, bulk_id: str) -> dict[str, Any]:
    """See how far an action on many organizations is

    Its plan before it is started, its outcomes afterwards.
    """
    return _told(managing.find_bulk(bulk_id))


@admin_bulk.get("/bulk/<bulk_id>/results", refusals=(*OF_OPERATORS, BulkNotFound))
@by_operator("console.view")
@admin_bulk.arguments(BulkResultsQuery, location="query")
@admin_bulk.response(200, BulkResultsAnswer)
def list_bulk_results(operator: Operator, query: dict[str, Any], bulk_id: str) -> dict[str, Any]:
    """List what became of each organization

    50 at a time, in the order in which they were frozen.
    """
    bulk = managing.find_bulk(bulk_id)
    page = results_of(bulk.id, outcome=query.get("outcome"), after=query.get("after"))
    rows = [{**row, "reason": row.get("reason")} for row in page.rows]
    return {"results": rows, "after": page.after}


@admin_bulk.post(
    "/bulk/<bulk_id>/start",
    refusals=(
        *OF_OPERATOR_CHANGES,
        BulkNotFound,
        BulkNotPlanned,
        CountNotConfirmed,
        InvalidSelection,
    ),
)
@by_operator("console.act")
@takes_key
@admin_bulk.arguments(BulkStartBody)
@admin_bulk.response(200, BulkAnswer)
def start_bulk(operator: Operator, body: dict[str, int], bulk_id: str) -> dict[str, Any]:
    """Start an action on many organizations, as it was planned

    With the number that was told. Where an equal one runs already, that is answered.
    """
    return _told(managing.start_bulk(bulk_id, body["count"], operator.context))


@admin_bulk.post("/bulk/<bulk_id>/pause", refusals=_OF_RUNNING)
@by_operator("console.act")
@takes_key
@admin_bulk.response(200, BulkAnswer)
def pause_bulk(operator: Operator, bulk_id: str) -> dict[str, Any]:
    """Pause an action on many organizations

    Behind the one in hand.
    """
    managing.pause_bulk(bulk_id, operator.context)
    return _told(managing.find_bulk(bulk_id))


@admin_bulk.post("/bulk/<bulk_id>/resume", refusals=(*_OF_RUNNING, JobNotPaused))
@by_operator("console.act")
@takes_key
@admin_bulk.response(200, BulkAnswer)
def resume_bulk(operator: Operator, bulk_id: str) -> dict[str, Any]:
    """Have a paused action on many organizations go on

    With the next one.
    """
    managing.resume_bulk(bulk_id, operator.context)
    return _told(managing.find_bulk(bulk_id))


@admin_bulk.post("/bulk/<bulk_id>/cancel", refusals=_OF_RUNNING)
@by_operator("console.act")
@takes_key
@admin_bulk.response(200, BulkAnswer)
def cancel_bulk(operator: Operator, bulk_id: str) -> dict[str, Any]:
    """Cancel an action on many organizations

    For good. What was done stays done.
    """
    managing.cancel_bulk(bulk_id, operator.context)
    return _told(managing.find_bulk(bulk_id))


@admin_bulk.post(
    "/bulk/<bulk_id>/retry",
    refusals=(
        *OF_OPERATOR_CHANGES,
        BulkNotFound,
        BulkNotEnded,
        InvalidSelection,
        InvalidBulkArgument,
    ),
)
@by_operator("console.act")
@takes_key
@admin_bulk.response(201, BulkAnswer)
def retry_bulk(operator: Operator, bulk_id: str) -> dict[str, Any]:
    """Plan an action again on those that it left over

    Those alone that were refused, or not reached before its end, as they are now; by a job, in
    which it is `counting`. Nothing else happens: read its ``total``, and start it then.
    """
    return _told(managing.plan_again(bulk_id, operator.context))


def _told(bulk: BulkAction) -> dict[str, Any]:
    return {"bulk": shown_bulk(bulk).as_told()}


def _replay(status: int) -> Any:
    def answer(record: IdempotencyRecord) -> Answer:
        return _told(managing.find_bulk(record.organization)), status, {}

    return answer


install_replays(
    admin_bulk,
    {
        **{name: (BulkAnswer, _replay(201)) for name in ("plan_bulk", "retry_bulk")},
        **{
            name: (BulkAnswer, _replay(200))
            for name in ("start_bulk", "pause_bulk", "resume_bulk", "cancel_bulk")
        },
    },
)
