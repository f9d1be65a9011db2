"""Replay of calls by their idempotency key: a repeated call is answered like the first."""

from collections.abc import Callable
from functools import cache
from typing import Any

import marshmallow as ma
import structlog
from bson import ObjectId
from flask import Response, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from mongoengine.errors import MongoEngineException
from pymongo.errors import PyMongoError

from portal.api import schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint
from portal.api.refusals import Refusal
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.organizations import Organization
from portal.errors import NotFound, PortalError
from portal.organizations.access.lookup import check_may_replay
from portal.organizations.members.managing import REMOVE
from portal.web import error_handlers, requests
from portal.web.context import IdempotencyKey
from portal.web.errors import DuplicateRequest, IdempotencyKeyReused
from portal.web.idempotency import SYNTAX, find_record, program_idempotency_key, store_response

log = structlog.get_logger()

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
PARAMETER = "IdempotencyKey"
PARAMETER_DOC = {
    "name": HEADER,
    "description": (
        "Any text of yours, new for each thing that you want done. Sent again within 24 hours by "
        "the same account or API key, or without a token from the same network, with the same "
        "content: it is done once, and answered as the first time but for secrets, with "
        f"`{REPLAYED}: true`; 409 "
        "`still_running` for as long as it runs. With other content: 422. An error is not kept."
    ),
    "schema": {"type": "string", "pattern": f"^{SYNTAX.pattern}$"},
}
REFUSALS: tuple[Refusal, ...] = (DuplicateRequest, IdempotencyKeyReused)
"""The errors of calls that take an idempotency key."""
OF_CHANGES: tuple[Refusal, ...] = (*OF_ACCESS, *REFUSALS)
"""The errors of such calls about an organization that the caller has access to."""
_KEPT_HEADERS = ("Link",)
# Not 202: whether it is finished is read from the organization.
_KEPT_STATUSES = (200, 201)

Answer = tuple[dict[str, Any], int, dict[str, str]]
# By kind of operation, the schema and the answer from the organization as it is now.
Replays = dict[str, tuple[type[ma.Schema], Callable[[Organization], Answer]]]
REPLAYS: Replays = {}
"""The installed replays of every blueprint."""

takes_key = ApiBlueprint.doc(parameters=[PARAMETER])
"""Document that a call takes an idempotency key."""


def install(blueprint: ApiBlueprint, replays: Replays) -> None:
    """Have the blueprint's calls take idempotency keys. ``replays`` answer calls whose first answer
    wasn't stored, since the process died before."""
    REPLAYS.update(replays)

    def replay_for_members(record: IdempotencyRecord) -> Response:
        # An account that has been removed since gets no more than a stranger.
        left = record.kind == REMOVE and record.operation == requests.request_context().account
        if current_user.is_authenticated and not left:
            check_may_replay(record.organization, current_user)
        return kept_answer(record) or _replay_from_organization(record)

    install_by(blueprint, replay_for_members)


def install_by(blueprint: ApiBlueprint, replay: Callable[[IdempotencyRecord], Response]) -> None:
    """Have the blueprint's calls take idempotency keys, and ``replay`` answer repeated ones from
    the record of the first, to whoever may see that answer."""

    def answer_refusal(error: PortalError) -> ResponseReturnValue:
        key = requests.idempotency_key()
        try:
            record = find_record(key)
            if key and record:
                _check_content(record, key)
                answer: PortalError | Response = replay(record)
            else:
                answer = error
        except PortalError as refused:
            answer = refused
        except (PyMongoError, MongoEngineException) as unavailable:
            return error_handlers.answer_database_error(unavailable)
        if isinstance(answer, PortalError):
            return error_handlers.answer_portal_error(answer)
        return answer

    blueprint.before_request(_take_key)
    blueprint.after_request(_store_answer)
    blueprint.register_error_handler(PortalError, answer_refusal)


def first_target() -> ObjectId:
    """The id of what the first call by this key changed, other than its organization. Raises
    NotFound where the record has just expired."""
    record = find_record(requests.idempotency_key())
    if record is None or record.operation is None:
        raise NotFound
    return record.operation


def success(organization: Organization) -> Answer:
    """The answer to a call that returns nothing."""
    return {}, 200, {}


def _take_key() -> None:
    if request.method != "GET" and HEADER in request.headers:
        requests.take_idempotency_key(request.headers[HEADER], HEADER, program_idempotency_key)


def _check_content(record: IdempotencyRecord, key: IdempotencyKey) -> None:
    if record.mac not in key.macs:
        raise IdempotencyKeyReused
    log.info("request.repeated", kind=record.kind, first=record.request)


def kept_answer(record: IdempotencyRecord) -> Response | None:
    """The first answer, if it was kept."""
    kept = record.answer
    return replayed(kept.body, kept.status, kept.headers) if kept else None


def check_finished(record: IdempotencyRecord) -> Organization | None:
    """The organization of the first call, if it was about one. Raises DuplicateRequest while that
    runs."""
    organization = Organization.objects(id=record.organization).first()
    if organization and organization.operation and organization.operation.id == record.operation:
        raise DuplicateRequest
    return organization


def _replay_from_organization(record: IdempotencyRecord) -> Response:
    organization = check_finished(record)
    if organization is None:
        raise NotFound
    schema, answer = REPLAYS[record.kind]
    body, status, headers = answer(organization)
    return replayed(schema().dump(body), status, headers)


def replayed(body: dict[str, Any], status: int, headers: dict[str, str]) -> Response:
    """The answer to a repeated call."""
    return make_response(jsonify(body), status, {**headers, REPLAYED: "true"})


def _store_answer(response: Response) -> Response:
    key = requests.idempotency_key()
    if key is None or response.status_code not in _KEPT_STATUSES or REPLAYED in response.headers:
        return response
    body = without_secrets(response.get_json())
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    try:
        store_response(key, g.request_id, response.status_code, body, headers)
    except (PyMongoError, MongoEngineException) as error:
        # The change is done, so the response stands; a replay is built from the organization.
        log.warning("answer.not_kept", error=str(error)[:300])
    return response


def without_secrets(answer: Any) -> Any:
    """The answer as it may be stored: without any field that is secret in a schema."""
    if isinstance(answer, list):
        return [without_secrets(item) for item in answer]
    if isinstance(answer, dict):
        return {k: without_secrets(value) for k, value in answer.items() if k not in _secrets()}
    return answer


@cache
def _secrets() -> frozenset[str]:
    """The names of fields that are secret in any schema, wherever it stands."""
    names, unseen = set(), [ma.Schema]
    while unseen:
        schema = unseen.pop()
        unseen += schema.__subclasses__()
        names |= {
            name
            for name, field in schema._declared_fields.items()
            if isinstance(field, schemas.Secret | schemas.ToldOnce) or field.load_only
        }
    return frozenset(names)
