"""Reading an organization's documents, encoded as they are stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import pymongo

from portal.data import plans
from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded
from portal.data.errors import DocumentNotFound, QueryCancelled, ResultTooLarge, WrongPageSize
from portal.data.handles import documents_of
from portal.data.queries import (
    LARGEST_PAGE,
    Query,
    beyond,
    check_projection,
    check_sort,
    cursor_of,
    first_page,
)
from portal.data.server_errors import reading
from portal.database.clusters import client_of, is_available, known_clusters
from portal.tenants import Tenant
from portal.tenants.queries import check_pipeline

MOST_COUNTED = 100_000
MOST_RESULT_BYTES = 16 * 1024 * 1024
PAGE_BYTES = 4 * 1024 * 1024
READ_SECONDS = 4
_EXPORTED_AT_ONCE = 1000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Page:
    """Encoded documents, and the cursor of the next page if there is one."""

    documents: list[bytes]
    next: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of documents. ``more`` says that there are more than were counted, ``estimated``
    that the server's counter was asked, which may be off after a crash."""

    count: int
    more: bool = False
    estimated: bool = False


def get_document(
    access: DocumentAccess, document_id: bytes, projection: dict[str, Any] | None = None
) -> tuple[bytes, bytes]:
    """The document with this ``_id``, whole, for its version alone, and as the ``projection`` and
    the mask show it, of one moment. Raises DocumentNotFound, InvalidQuery, FieldMasked."""
    handle, by_id = documents_of(access.organization), {"_id": {"$eq": decoded(document_id)}}
    check_projection(projection, {})
    access.mask.check_projection(projection)

    def read(handle: Any) -> tuple[bytes, bytes]:
        whole = _first(handle.find(by_id, limit=1))
        if projection is None:
            return whole, access.mask.hide(whole)
        shown = _first(handle.find(by_id, projection, limit=1))
        return whole, access.mask.hide(shown, projection)

    with reading():
        return read(handle) if projection is None else handle.with_transaction(read)


def list_documents(access: DocumentAccess, query: Query, comment: str | None) -> Page:
    """A page of the documents that match, which ends behind the one by which it has PAGE_BYTES.
    Following ``next`` gives every document once that matches throughout. Raises InvalidQuery,
    FieldMasked, IndexNeeded, QueryTooSlow."""
    if not 1 <= query.limit <= LARGEST_PAGE:
        raise WrongPageSize(LARGEST_PAGE)
    sort = check_sort(query.sort)
    check_projection(query.projection, sort)
    access.mask.check_sort(sort)
    access.mask.check_projection(query.projection)
    handle = documents_of(access.organization)
    with plans.noting_slow(access.organization, query.filter, sort), reading():
        access.mask.check_filter(query.filter, lambda: text_paths(handle))
        plans.check_find(access.organization, handle, query.filter, sort)
        found = handle.find(
            beyond(query.filter, sort, query.after),
            query.projection,
            sort=list(sort.items()),
            # One more than the page, to see whether there are more.
            limit=query.limit + 1,
            comment=comment,
        )
        documents, limit = _up_to_page_bytes(found, query.limit)
        if query.after is None and len(documents) > limit:
            plans.check_sortable(access.organization, handle, query.filter, sort, comment)
    documents, following = first_page(documents, limit, lambda document: cursor_of(document, sort))
    return Page([access.mask.hide(each, query.projection) for each in documents], following)


def _up_to_page_bytes(found: Any, limit: int) -> tuple[list[bytes], int]:
    """The documents of a page and one more if there is, and how many the page has at most."""
    documents: list[bytes] = []
    size_bytes = 0
    with found:
        for document in found:
            documents.append(bytes(document.raw))
            if size_bytes >= PAGE_BYTES:
                return documents, len(documents) - 1
            size_bytes += len(documents[-1])
    return documents, limit


def count_documents(
    access: DocumentAccess,
    query: dict[str, Any],
    comment: str | None,
    *,
    whole: bool = False,
) -> Count:
    """The number of documents that match, counted up to MOST_COUNTED unless it is the ``whole``;
    that of all by the server's counter. Raises InvalidQuery, FieldMasked, IndexNeeded,
    QueryTooSlow."""
    handle = documents_of(access.organization)
    with plans.noting_slow(access.organization, query, {}), reading():
        if not query:
            return Count(handle.estimated_document_count(), estimated=True)
        access.mask.check_filter(query, lambda: text_paths(handle))
        plans.check_find(access.organization, handle, query, {"_id": 1})
        if whole:
            return Count(handle.count_documents(query, comment=comment))
        found = handle.count_documents(query, limit=MOST_COUNTED + 1, comment=comment)
    return Count(min(found, MOST_COUNTED), more=found > MOST_COUNTED)


def aggregate(
    access: DocumentAccess, pipeline: Sequence[dict[str, Any]], comment: str | None
) -> list[bytes]:
    """The result of a pipeline over what the mask shows. Raises ResultTooLarge beyond
    MOST_RESULT_BYTES, InvalidQuery, FieldMasked, IndexNeeded, QueryTooSlow."""
    handle = documents_of(access.organization)
    with reading():
        check_pipeline(pipeline)
        visible = access.mask.visible(pipeline, lambda: text_paths(handle))
        plans.check_aggregate(access.organization, handle, visible)
        results, size_bytes = [], 0
        with handle.aggregate(visible, comment=comment) as found:
            for document in found:
                results.append(bytes(document.raw))
                size_bytes += len(results[-1])
                if size_bytes > MOST_RESULT_BYTES:
                    raise ResultTooLarge
        return results


def export(access: DocumentAccess, query: Query, comment: str) -> Iterator[list[bytes]]:
    """All documents that match from the first page on, in parts, each within its own time limit.
    Raises what ``list_documents`` raises."""
    after, limit = query.after, _EXPORTED_AT_ONCE
    while True:
        part = Query(query.filter, query.sort, query.projection, limit, after)
        with pymongo.timeout(READ_SECONDS):
            page = list_documents(access, part, comment)
        yield page.documents
        if page.next is None:
            return
        after = page.next
        # So the server sends hardly more than a part has.
        size_bytes = sum(map(len, page.documents))
        limit = max(1, min(PAGE_BYTES * len(page.documents) // size_bytes, _EXPORTED_AT_ONCE))


def text_paths(handle: Tenant) -> list[str]:
    """The paths that a text search reads: those of the collection's text index."""
    return [path for index in handle.list_indexes() for path in index.get("weights", ())]


@dataclass(slots=True)
class Caller:
    """A client that waits for what is done in several commands: reads have the ``comment``, and
    writes the ``session``, since the server tells no comment of an update or delete."""

    comment: str | None = None
    session: UUID | None = None
    left: bool = False

    def leave(self) -> None:
        """Note that the client hung up, and end what runs for it."""
        self.left = True
        # What isn't known is in no filter: without a session are operations of others.
        known = {"command.comment": self.comment, "lsid.id": self.session}
        _end({"$or": [{field: value} for field, value in known.items() if value is not None]})

    def check(self) -> None:
        """Raise QueryCancelled once the client hung up."""
        if self.left:
            raise QueryCancelled


def end_query(comment: str) -> None:
    """End what runs with this ``comment``, in whichever cluster."""
    _end({"command.comment": comment})


def _end(operations: dict[str, Any]) -> None:
    own = {"$currentOp": {"allUsers": False, "idleSessions": False}}
    for known in known_clusters():
        if is_available(known.name):
            server = client_of(known.name).admin
            for running in server.aggregate([own, {"$match": operations}]):
                server.command("killOp", op=running["opid"])


def _first(found: Any) -> bytes:
    document = next(iter(found), None)
    if document is None:
        raise DocumentNotFound
    return bytes(document.raw)
