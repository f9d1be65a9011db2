"""Documents as those get them who may not see sensitive fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.data import nodes
from portal.data.access import DocumentAccess
from portal.data.cells import Shown, cell
from portal.data.cutting import CutDocument, list_cut
from portal.data.masks.masks import Mask
from portal.data.shown import Reader
from portal.documents.organizations import Organization
from portal.web.context import RequestContext

_DOCUMENTS, _COLUMNS = 3, 6


@dataclass(frozen=True, slots=True)
class Column:
    """A field of documents, and whether it is sensitive, or something in it."""

    name: str
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """A table of documents, each with its ``_id`` and the values of the columns."""

    columns: Sequence[Column]
    rows: Sequence[tuple[Shown, Sequence[Shown]]]


def preview_of(
    organization: Organization, context: RequestContext, reader: Reader
) -> Preview | None:
    """The newest documents as viewers get them; ``None`` where nothing is masked. Raises
    QueryTooSlow."""
    masked = organization.masked_fields
    if not masked:
        return None
    viewer = DocumentAccess(organization, Mask(frozenset(masked)), context, recorded=False)
    documents = list_cut(viewer, {}, {"_id": -1}, limit=_DOCUMENTS).documents
    sensitive = {*masked, *(path.partition(".")[0] for path in masked)}
    columns = _columns(documents, sensitive)
    return Preview(
        [Column(name, name in sensitive) for name in columns],
        [(_id(each, reader), _values(each, columns, reader)) for each in documents],
    )


def _columns(documents: Sequence[CutDocument], sensitive: set[str]) -> list[str]:
    """The first fields, sensitive ones before others, in the order of the documents."""
    members = (name for each in documents if each.node for name, _ in each.node.members)
    names = [name for name in dict.fromkeys(members) if name != "_id"]
    shown = sorted(names, key=lambda name: name not in sensitive)[:_COLUMNS]
    return [name for name in names if name in shown]


def _id(document: CutDocument, reader: Reader) -> Shown:
    return cell(nodes.node_of(document.document_id), reader)


def _values(document: CutDocument, columns: Sequence[str], reader: Reader) -> list[Shown]:
    return [cell(document.node and document.node.member(name), reader) for name in columns]
