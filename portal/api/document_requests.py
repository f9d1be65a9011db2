"""Requests about documents: access, strictly read bodies, idempotency keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import marshmallow as ma
from flask import Response, g, request
from flask_login import current_user

from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, canonical, faults_of
from portal.api.refusals import Refusal
from portal.api.replay import HEADER, PARAMETER, REFUSALS
from portal.data import extended_json, reading
from portal.data.access import DocumentAccess, program_access
from portal.data.errors import (
    IndexNeeded,
    InvalidExtendedJson,
    InvalidQuery,
    NeedsOwnPlacement,
    QueryCancelled,
    QueryTooSlow,
)
from portal.data.importing import MakeKey
from portal.data.masks.errors import FieldMasked, MaskedText
from portal.data.queries import decode, parse_query
from portal.documents.organizations import Organization
from portal.organizations.access.errors import OrganizationMoving, OrganizationTrashed
from portal.organizations.access.lookup import Access
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    TenantCollectionMissing,
)
from portal.organizations.usage.errors import OperationsLimited, StorageLimited
from portal.web import bodies, hangups, rate_limits, streaming
from portal.web.context import IdempotencyKey
from portal.web.errors import InvalidInput, Overloaded, TooManyAttempts
from portal.web.idempotency import SYNTAX, program_idempotency_key
from portal.web.requests import request_context

OF_READING: tuple[Refusal, ...] = (
    *OF_ACCESS,
    OrganizationMoving,
    OrganizationTrashed,
    OperationsLimited,
    OperationInProgress,
    TenantCollectionMissing,
    CollectionNameConflict,
    TooManyAttempts,
    InvalidExtendedJson,
    InvalidQuery,
    FieldMasked,
    IndexNeeded,
    NeedsOwnPlacement,
    QueryTooSlow,
    QueryCancelled,
    408,
)
OF_WRITING: tuple[Refusal, ...] = (
    *OF_READING,
    *REFUSALS,
    MaskedText,
    Overloaded,
    StorageLimited,
)

View = TypeVar("View", bound=Callable[..., Any])
in_parts = streaming.in_parts

_OBJECT: dict[str, Any] = {"type": "object", "example": {"title": "First"}}
OCTETS = "application/octet-stream"
_FILES = (OCTETS, bodies.JSON)
_LARGEST = extended_json.LARGEST_TEXT_BYTES


def access_to_documents(name: str, permission: str, *, tells_values: bool = False) -> Access:
    """The caller's access to an organization's documents; what ``tells_values`` of them besides
    needs the permission to read them, too. Raises what ``access_by_name`` raises, TooManyAttempts.
    """
    access = access_by_name(name, permission)
    if tells_values:
        access.require("documents.read")
    below = quote(request.path.split(f"/{name}", 1)[-1])
    g.link = canonical(access, access.organization, below)
    rate_limits.count_attempt(rate_limits.DOCUMENTS, current_user.idempotency_scope)
    return access


def document_access_to(name: str, permission: str, *, tells_values: bool = False) -> DocumentAccess:
    """The program's access to an organization's documents. As ``access_to_documents``."""
    access = access_to_documents(name, permission, tells_values=tells_values)
    return program_access(access, request_context())


@contextmanager
def ended_with_client() -> Iterator[str]:
    """The comment of the queries of a request, which end in the server if the client hangs up."""
    comment: str = g.request_id
    with hangups.on_hang_up(lambda: reading.end_query(comment)):
        yield comment


def with_link(response: Response) -> Response:
    """Add the canonical URL to the answer to a request by an old slug."""
    response.headers.update(g.pop("link", {}))
    return response


def takes_json(
    schema: type[ma.Schema], *parameters: str | dict[str, Any]
) -> Callable[[View], View]:
    """Have a view take a body of this schema, whose values are Extended JSON: ``body_query`` reads
    it. ``parameters`` are all that the operation has, if there are any."""
    return _takes((bodies.JSON,), {bodies.JSON: {"schema": schema}}, parameters)


def takes_documents(
    *, stream: bool, parameters: tuple[str | dict[str, Any], ...] = ()
) -> Callable[[View], View]:
    """Have a view take a document; with ``stream`` an array of them, or a stream too."""
    if not stream:
        shown = {bodies.JSON: {"schema": _OBJECT}}
        return _takes((bodies.JSON,), shown, (PARAMETER, *parameters))
    several = {"anyOf": [_OBJECT, {"type": "array", "items": _OBJECT}]}
    shown = {
        bodies.JSON: {"schema": several},
        bodies.NDJSON: {"schema": {"type": "string", "example": '{"title": "First"}\n'}},
    }
    return _takes((bodies.JSON, bodies.NDJSON), shown, (PARAMETER,), stream=bodies.NDJSON)


def takes_file(*, stream: bool) -> Callable[[View], View]:
    """Have a view take a file, or a part of one."""
    shown = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _FILES}
    return _takes(_FILES, shown, (PARAMETER,), stream=OCTETS if stream else None)


def body_query(schema: type[ma.Schema]) -> dict[str, Any]:
    """The body, as the schema has it. Raises InvalidExtendedJson, InvalidQuery, InvalidInput."""
    content = bodies.read()
    body = decode(extended_json.parse(content)) if content else {}
    try:
        return schema().load(body)
    except ma.ValidationError as error:
        raise InvalidInput(faults_of(error.normalized_messages())) from error


def update_body(content: bytes) -> dict[str, Any] | list[dict[str, Any]]:
    """Operators, or the stages of an update. Raises InvalidExtendedJson, InvalidQuery."""
    if content.lstrip()[:1] == b"[":
        return [decode(stage) for stage in extended_json.parse_array(content)]
    return parse_query(content)


def key_for(organization: Organization, below: str, content: bytes) -> IdempotencyKey | None:
    """The request's idempotency key, if it has one. Raises InvalidInput for a malformed one."""
    typed = request.headers.get(HEADER)
    if typed is None:
        return None
    if not SYNTAX.fullmatch(typed):
        raise InvalidInput.malformed_idempotency_key(HEADER)
    condition = request.headers.get("If-Match", "").encode()
    return program_idempotency_key(
        typed,
        current_user.idempotency_scope,
        request.method,
        f"{organization.id}/{below}",
        condition + b"\n" + content,
    )


def batch_keys(organization: Organization) -> MakeKey:
    """Makes the key of each batch of a stream. Raises InvalidInput."""
    if key_for(organization, "", b"") is None:
        return lambda number, content: None
    typed, scope = request.headers[HEADER], current_user.idempotency_scope

    def make_key(number: int, content: bytes) -> IdempotencyKey:
        path = f"{organization.id}/documents/batch/{number}"
        return program_idempotency_key(typed, scope, "POST", path, content)

    return make_key


def _takes(
    media_types: tuple[str, ...],
    shown: dict[str, Any],
    parameters: tuple[str | dict[str, Any], ...],
    stream: str | None = None,
) -> Callable[[View], View]:
    document: dict[str, Any] = {"requestBody": {"required": True, "content": shown}}
    if parameters:
        document["parameters"] = list(parameters)

    def mark(view: View) -> View:
        taken = bodies.AcceptedBody(media_types, _LARGEST, stream)
        return bodies.takes_body(taken)(ApiBlueprint.doc(**document)(view))

    return mark
