"""Documents as those get them who may not see sensitive fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.data import extended_json, reading
from portal.data.access import DocumentAccess
from portal.data.masks import MASKED, Mask
from portal.data.queries import Query
from portal.documents.organizations import Organization
from portal.tenants.elements import elements_of, field_of
from portal.web.context import OPERATOR, RequestContext

_DOCUMENTS, _COLUMNS = 3, 7
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A field of documents, and whether it is sensitive, or something in it."""

    name: str
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """A table of documents; a text is empty where a document has no such field."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def preview_of(organization: Organization) -> Preview | None:
    """The newest documents as viewers get them; ``None`` where nothing is masked."""
    masked = organization.masked_fields
    if not masked:
        return None
    context = RequestContext(OPERATOR)
    viewer = DocumentAccess(organization, Mask(frozenset(masked)), context, recorded=False)
    newest = Query(sort={"_id": -1}, limit=_DOCUMENTS)
    documents = reading.list_documents(viewer, newest, None).documents
    names = list(
        dict.fromkeys(name.decode() for each in documents for _, name, _, _ in elements_of(each))
    )
    tops = [path.partition(".")[0] for path in masked]
    shown = [name for name in names if name in (*tops, *masked)][: _COLUMNS - 1]
    shown += [name for name in names if name not in (*shown, "_id")][: _COLUMNS - 1 - len(shown)]
    columns = ["_id", *(name for name in names if name in shown)]
    return Preview(
        [Column(name, name in (*tops, *masked)) for name in columns],
        [[_text(field_of(document, name)) for name in columns] for document in documents],
    )


def _text(value: bytes | None) -> str:
    if value is None:
        return ""
    text = extended_json.render_value(value, relaxed=True)
    if text == f'"{MASKED}"':
        return MASKED
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
