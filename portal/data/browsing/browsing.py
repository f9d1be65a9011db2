"""A page of documents as somebody selected them, or why that can't be."""

import time
from dataclasses import dataclass, replace

from portal.data import plans, reading
from portal.data.access import DocumentAccess
from portal.data.cutting import CutDocument, CutPage, list_cut, with_first_bytes
from portal.data.errors import (
    IndexNeeded,
    InvalidQuery,
    NeedsOwnPlacement,
    QueryTooSlow,
)
from portal.data.masks.errors import FieldMasked
from portal.data.reading import Count
from portal.data.selections import NEWEST_FIRST, Selection
from portal.documents.organizations import Strategy
from portal.errors import PortalError

SAMPLED = 100
_FEWER = 5
_REFUSALS = (FieldMasked, IndexNeeded, InvalidQuery, NeedsOwnPlacement, QueryTooSlow)


@dataclass(frozen=True, slots=True)
class Browsed:
    """A page, the sort and ``index`` that it was read by, and in how many milliseconds.

    Without a ``page`` the filter was ``refused``; ``sort_refused`` says why it isn't sorted as
    asked. Where that is for want of an index, ``total`` are the documents that would be read.
    """

    page: CutPage | None
    sort: dict[str, int]
    index: str | None = None
    milliseconds: int = 0
    refused: PortalError | None = None
    sort_refused: PortalError | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest documents, SAMPLED at most, and in how many milliseconds they were read; without a
    ``page`` some of them, or none, since all took too long."""

    documents: list[CutDocument]
    page: CutPage | None = None
    milliseconds: int = 0


def read_newest(access: DocumentAccess) -> Newest:
    """The newest documents: each page tells of their fields, and most first pages show them."""
    began = time.monotonic()
    try:
        page = list_cut(access, {}, NEWEST_FIRST, limit=SAMPLED)
        return Newest(page.documents, page, _milliseconds_since(began))
    except QueryTooSlow:
        pass
    try:
        return Newest(list_cut(access, {}, NEWEST_FIRST, limit=_FEWER).documents)
    except QueryTooSlow:
        return Newest([])


def browse(
    access: DocumentAccess,
    selection: Selection,
    *,
    after: str | None,
    before: str | None,
    limit: int,
    comment: str,
    newest: Newest,
) -> Browsed:
    """The page behind or before a cursor, of the ``newest`` where it is the first of all. A sort
    that needs an index is left out, and told. Raises InvalidQuery for a cursor that isn't one."""
    found = _asked_or_newest(access, selection, after, before, limit, comment, newest)
    if found.page is None:
        return found
    return replace(found, page=with_first_bytes(access, found.page, comment))


def _asked_or_newest(
    access: DocumentAccess,
    selection: Selection,
    after: str | None,
    before: str | None,
    limit: int,
    comment: str,
    newest: Newest,
) -> Browsed:
    query = selection.filter
    asked = selection.order
    if newest.page and not query and asked == NEWEST_FIRST and not (after or before):
        return Browsed(newest.page.first(limit), asked, milliseconds=newest.milliseconds)
    try:
        return _browse(access, query, asked, after, before, limit, comment)
    except _REFUSALS as error:
        if list(asked) == ["_id"]:
            return Browsed(None, asked, refused=error, total=_total(access, error))
        sort_refused = error
    try:
        found = _browse(access, query, NEWEST_FIRST, None, None, limit, comment)
    except _REFUSALS as error:
        return Browsed(None, NEWEST_FIRST, refused=error, total=_total(access, error))
    total = _total(access, sort_refused)
    return replace(found, sort_refused=sort_refused, total=total)


def count(access: DocumentAccess, selection: Selection, comment: str, *, whole: bool) -> Count:
    """The number of documents that match, bounded unless it is the ``whole``. Raises what
    ``reading.count_documents`` raises."""
    return reading.count_documents(access, selection.filter, comment, whole=whole)


def known_count(access: DocumentAccess, selection: Selection) -> Count | None:
    """The number of all documents where the server has it at hand."""
    if selection.filter or access.organization.placement.strategy == Strategy.SHARED:
        return None
    return reading.count_documents(access, {}, None)


def _total(access: DocumentAccess, error: PortalError) -> int | None:
    if not isinstance(error, IndexNeeded | NeedsOwnPlacement):
        return None
    return reading.count_documents(access, {}, None).count


def _browse(
    access: DocumentAccess,
    query: dict[str, object],
    sort: dict[str, int],
    after: str | None,
    before: str | None,
    limit: int,
    comment: str,
) -> Browsed:
    began = time.monotonic()
    page = list_cut(access, query, sort, after=after, before=before, limit=limit, comment=comment)
    took = _milliseconds_since(began)
    index = page.index
    if index is None and (query or list(sort) != ["_id"]):
        index = plans.index_of(access.organization, query, sort)
    return Browsed(page, sort, index, took)


def _milliseconds_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
