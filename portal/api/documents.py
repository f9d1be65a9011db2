"""An organization's documents for programs."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Response, g, request

from portal.api import document_schemas as schemas
from portal.api.document_requests import (
    OF_READING,
    OF_WRITING,
    batch_keys,
    body_query,
    document_access_to,
    ended_with_client,
    in_parts,
    key_for,
    takes_documents,
    takes_json,
    update_body,
    with_link,
)
from portal.api.document_responses import (
    RawJson,
    answer,
    exported,
    ids_and_addresses,
    page_answer,
    results_answer,
)
from portal.api.guard import ApiBlueprint, logged_in
from portal.api.replay import PARAMETER
from portal.data import extended_json, importing, queries, reading, writing
from portal.data.access import DocumentAccess
from portal.data.document_ids import address_of, parse_document_id
from portal.data.errors import (
    DocumentInvalid,
    DocumentNotFound,
    DuplicateDocument,
    FieldTwice,
    ImportStopped,
    InvalidDocumentId,
    PartlyDone,
    PreconditionFailed,
    ResultTooLarge,
    WriteRefused,
)
from portal.data.etags import etag_of
from portal.data.queries import Query
from portal.data.reading import Caller
from portal.documents.organizations import Organization
from portal.tenants.elements import id_of
from portal.web import bodies, hangups
from portal.web.context import IdempotencyKey
from portal.web.errors import Overloaded

documents = ApiBlueprint("documents", __name__, url_prefix="/org", description="Documents")
documents.after_request(with_link)

_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "the `ETag` that the document has to have; else 412, and nothing is changed",
    "schema": {"type": "string"},
}
_ONE = "/<name:name>/documents/<document_id>"
_MANY = "/<name:name>/documents"
_OF_ONE = (InvalidDocumentId, DocumentNotFound)
_OF_MANY = (InvalidDocumentId, PartlyDone)
_OF_CHANGES = (DuplicateDocument, DocumentInvalid, WriteRefused)
_OF_UPDATES = (*_OF_CHANGES, FieldTwice)


@documents.get(_MANY, refusals=(*OF_READING, Overloaded))
@logged_in
@documents.arguments(schemas.ListQuery, location="query")
@documents.response(200, schemas.DocumentsAnswer)
def list_documents(query: dict[str, Any], name: str) -> Response:
    """Read documents

    A page, sorted by `_id` or as asked. Send the `next` of a page as `after` of the next call:
    every document that matches throughout comes once. With `Accept: application/x-ndjson` all of
    them come as a stream, one a line; its last line is `{"$end": {"documents": …, "inexact": …}}`,
    and without it the stream broke off.
    """
    access = document_access_to(name, "documents.read")
    parsed = {
        part: queries.parse_query(query[part])
        for part in ("filter", "sort", "projection")
        if part in query
    }
    asked = Query(**parsed, limit=query["limit"], after=query.get("after"))
    return _listed(access, asked, relaxed=query["json"] == schemas.RELAXED)


@documents.post(f"{_MANY}/query", refusals=(*OF_READING, Overloaded))
@takes_json(schemas.DocumentsQueryBody)
@logged_in
@documents.arguments(schemas.FormQuery, location="query")
@documents.response(200, schemas.DocumentsAnswer)
def query_documents(query: dict[str, Any], name: str) -> Response:
    """Read documents by what is too long for a URL

    Like the list, with filter, sort and projection as Extended JSON in the body. It changes
    nothing.
    """
    access = document_access_to(name, "documents.read")
    asked = Query(**body_query(schemas.DocumentsQueryBody))
    return _listed(access, asked, relaxed=query["json"] == schemas.RELAXED)


@documents.post(f"{_MANY}/count", refusals=(*OF_READING, Overloaded))
@takes_json(schemas.CountBody)
@logged_in
@documents.response(200, schemas.CountAnswer)
def count_documents(name: str) -> Response:
    """Count documents

    Up to 100,000 of those that match; without a filter all, by the server's counter.
    """
    access = document_access_to(name, "documents.read")
    query = body_query(schemas.CountBody).get("filter", {})
    with ended_with_client() as comment:
        count = reading.count_documents(access, query, comment)
    return answer(asdict(count))


@documents.post(f"{_MANY}/aggregate", refusals=(*OF_READING, ResultTooLarge, Overloaded))
@takes_json(schemas.AggregateBody)
@logged_in
@documents.arguments(schemas.FormQuery, location="query")
@documents.response(200, schemas.ResultsAnswer)
def aggregate_documents(query: dict[str, Any], name: str) -> Response:
    """Run an aggregation

    The stages that read nothing but this organization's documents and write nothing; the result
    has 16 MB at most. It changes nothing.
    """
    access = document_access_to(name, "documents.read")
    pipeline = body_query(schemas.AggregateBody)["pipeline"]
    with ended_with_client() as comment:
        results = reading.aggregate(access, pipeline, comment)
    return results_answer(results, relaxed=query["json"] == schemas.RELAXED)


@documents.post(_MANY, refusals=(*OF_WRITING, *_OF_CHANGES, ImportStopped, 408))
@takes_documents(stream=True)
@logged_in
@documents.response(200, schemas.InsertedAnswer)
@documents.alt_response(201, schema=schemas.InsertedAnswer, description="All are inserted")
def insert_documents(name: str) -> Response:
    """Insert documents

    One, or an array of up to 1,000: all or none. Or a stream of any number as
    `application/x-ndjson`, one a line, in batches of 2,000: where it stops, the answer says at
    which line, and how many are inserted. Sent again with the same `Idempotency-Key`, batches that
    are inserted are passed over. A document without `_id` gets an ObjectId.
    """
    access = document_access_to(name, "documents.write")
    if request.mimetype == bodies.NDJSON:
        make_key = batch_keys(access.organization)
        done = in_parts(lambda: importing.import_lines(access, bodies.parts(), make_key))
        return answer(asdict(done))
    content = bodies.read()
    given = extended_json.parse_array(content)
    key = key_for(access.organization, "documents", content)
    made, repeated = writing.insert_documents(access, given, key)
    ids = made["ids"]
    headers = {"Location": f"{request.base_url}/{address_of(ids[0])}"} if len(ids) == 1 else {}
    counts = {"inserted": len(ids), "repeated": len(ids) if repeated else 0}
    return answer({**counts, **ids_and_addresses(ids)}, 201, repeated=repeated, headers=headers)


@documents.get(_ONE, refusals=(*OF_READING, *_OF_ONE))
@logged_in
@documents.arguments(schemas.DocumentQuery, location="query")
@documents.response(200, schemas.DocumentAnswer)
def get_document(query: dict[str, Any], name: str, document_id: str) -> Response:
    """Read a document

    By its id: 24 hexadecimal digits are an ObjectId; what is JSON is Extended JSON (`42`, `"42"`,
    URL-encoded); another bare word is a string; `~` and base64url is exact for every type. Its
    `ETag` is of the whole document whatever the projection.
    """
    access = document_access_to(name, "documents.read")
    projection = queries.parse_query(query["projection"]) if "projection" in query else None
    whole, shown = reading.get_document(access, parse_document_id(document_id), projection)
    relaxed = query["json"] == schemas.RELAXED
    text = extended_json.render(shown, relaxed=relaxed)
    exact = extended_json.is_exact(shown, extended_json.render(shown) if relaxed else text)
    return answer(
        {"document": RawJson(text), "address": address_of(id_of(whole)), "exact": exact},
        headers={"ETag": etag_of(access.organization.id, whole)},
    )


@documents.put(_ONE, refusals=(*OF_WRITING, *_OF_ONE, *_OF_CHANGES, PreconditionFailed))
@takes_documents(stream=False, parameters=(_IF_MATCH,))
@logged_in
@documents.response(200, schemas.WrittenAnswer)
def replace_document(name: str, document_id: str) -> Response:
    """Replace a document

    Its `_id` stays. A missing one is not created. The answer has the new `ETag`.
    """
    access = document_access_to(name, "documents.write")
    content = bodies.read()
    return _write_one(
        access.organization,
        document_id,
        content,
        lambda found, key: writing.replace_document(
            access,
            found,
            extended_json.parse(content),
            request.headers.get("If-Match"),
            key,
        ),
    )


@documents.patch(_ONE, refusals=(*OF_WRITING, *_OF_ONE, *_OF_UPDATES, PreconditionFailed))
@takes_documents(stream=False, parameters=(_IF_MATCH,))
@logged_in
@documents.response(200, schemas.WrittenAnswer)
def update_document(name: str, document_id: str) -> Response:
    """Change a document

    The body has MongoDB's update operators, such as `$set`, or stages of an update. A missing
    document is not created. The answer has the new `ETag`.
    """
    access = document_access_to(name, "documents.write")
    content = bodies.read()
    return _write_one(
        access.organization,
        document_id,
        content,
        lambda found, key: writing.update_document(
            access,
            found,
            update_body(content),
            request.headers.get("If-Match"),
            key,
        ),
    )


@documents.delete(_ONE, refusals=(*OF_WRITING, *_OF_ONE, PreconditionFailed))
@documents.doc(parameters=[PARAMETER, _IF_MATCH])
@logged_in
@documents.response(200, schemas.RemovedAnswer)
def delete_document(name: str, document_id: str) -> Response:
    """Delete a document

    With `If-Match` only the version that you read.
    """
    access = document_access_to(name, "documents.write")
    key = key_for(access.organization, f"documents/{document_id}", b"")
    made, repeated = writing.delete_document(
        access,
        parse_document_id(document_id),
        request.headers.get("If-Match"),
        key,
    )
    return answer(made, repeated=repeated)


@documents.post(f"{_MANY}/update", refusals=(*OF_WRITING, *_OF_UPDATES, *_OF_MANY))
@takes_json(schemas.UpdateManyBody, PARAMETER)
@logged_in
@documents.response(200, schemas.UpdatedAnswer)
def update_documents(name: str) -> Response:
    """Change all documents that match a filter

    Each once, in atomic batches of 500. Sent again with the same `Idempotency-Key` after an error,
    it goes on after the last batch. An empty filter is for all documents.
    """
    access = document_access_to(name, "documents.write")
    body = body_query(schemas.UpdateManyBody)
    return _write_many(
        access.organization,
        "update",
        lambda key, caller: writing.update_many(
            access, body["filter"], body["update"], key, caller
        ),
    )


@documents.post(f"{_MANY}/delete", refusals=(*OF_WRITING, *_OF_MANY))
@takes_json(schemas.DeleteManyBody, PARAMETER)
@logged_in
@documents.response(200, schemas.RemovedAnswer)
def delete_documents(name: str) -> Response:
    """Delete all documents that match a filter

    In atomic batches of 500, like a change of many. An empty filter is for all documents.
    """
    access = document_access_to(name, "documents.write")
    body = body_query(schemas.DeleteManyBody)
    return _write_many(
        access.organization,
        "delete",
        lambda key, caller: writing.delete_many(access, body["filter"], key, caller),
    )


def _listed(access: DocumentAccess, asked: Query, *, relaxed: bool) -> Response:
    if request.accept_mimetypes.best == bodies.NDJSON:
        return exported(access, asked, relaxed=relaxed)
    with ended_with_client() as comment:
        page = reading.list_documents(access, asked, comment)
    return page_answer(page, relaxed=relaxed)


def _write_one(
    organization: Organization,
    document_id: str,
    content: bytes,
    write: Callable[[bytes, IdempotencyKey | None], tuple[dict[str, Any], bool]],
) -> Response:
    found = parse_document_id(document_id)
    key = key_for(organization, f"documents/{document_id}", content)
    made, repeated = write(found, key)
    written = {"address": address_of(found), "modified": made["modified"]}
    return answer(written, repeated=repeated, headers={"ETag": made["etag"]})


def _write_many(
    organization: Organization,
    below: str,
    write: Callable[[IdempotencyKey | None, Caller], tuple[dict[str, int], bool]],
) -> Response:
    key = key_for(organization, f"documents/{below}", bodies.read())
    caller = Caller(g.request_id)
    with hangups.on_hang_up(caller.leave):
        counts, repeated = in_parts(lambda: write(key, caller))
    return answer(counts, repeated=repeated)
