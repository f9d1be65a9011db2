"""Documents as the rows of a table, and as JSON."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from portal.data import nodes, shown
from portal.data.bson_types import BINARY, NULL, NUMBERS, TEXT
from portal.data.cells import HIDDEN, Shown, cell
from portal.data.cutting import LONGEST_TEXT, CutDocument
from portal.data.document_ids import address_of
from portal.data.literal_fields import names_in
from portal.data.masks.masks import Mask
from portal.data.nodes import Node
from portal.data.shown import Reader, Token
from portal.data.texts import visible
from portal.data.uuid_readings import MOST_FIELDS, field_at


@dataclass(frozen=True, slots=True)
class Column:
    """A column by the path of its field, and whether it is one of numbers, and a wide one."""

    path: str
    is_number: bool
    is_wide: bool = False

    @property
    def is_literal(self) -> bool:
        """True for a field that no path leads to, by which nothing is sorted."""
        return names_in(self.path) is not None

    @property
    def words(self) -> str:
        """Its field for people."""
        names = names_in(self.path)
        return self.path if names is None else ".".join(visible(name) or '""' for name in names)


@dataclass(frozen=True, slots=True)
class Row:
    """A document in a table: its ``cells``, or the ``fault`` for which a table can't show it."""

    address: str
    id: Shown
    cells: tuple[Shown, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A document as lines of JSON; ``None`` where it can't be read."""

    address: str
    id: Shown
    lines: list[list[Token]] | None
    size_bytes: int


def table_of(
    documents: Sequence[CutDocument],
    paths: Iterable[str],
    reader: Reader,
    mask: Mask,
    wide: Container[str] = (),
) -> tuple[list[Column], list[Row]]:
    """The columns and rows of documents, of which ``wide`` columns show more of a value. A type is
    told where it isn't the usual one of its column; a masked field is so in each row, also where
    what it would be in is missing."""
    paths = [path for path in paths if path != "_id"]
    found = [[_at(document.node, path) for document in documents] for path in paths]
    usual = [_usual(column) for column in found]
    columns = [
        Column(path, kind in NUMBERS, path in wide) for path, kind in zip(paths, usual, strict=True)
    ]
    masked = {path for path in paths if _is_masked(path, mask)}
    ids = _usual([nodes.node_of(document.document_id) for document in documents])
    wider = replace(reader, longest=LONGEST_TEXT)
    readers = [(wider if path in wide else reader).at(_names_of(path)) for path in paths]
    rows = []
    for index, document in enumerate(documents):
        cells = [
            HIDDEN if path in masked else cell(column[index], own, kind)
            for path, column, kind, own in zip(paths, found, usual, readers, strict=True)
        ]
        rows.append(_row(document, tuple(cells), reader, ids))
    return columns, rows


def json_of(documents: Sequence[CutDocument], reader: Reader) -> list[JsonDocument]:
    """Documents as JSON, in the words of the shell."""
    return [
        JsonDocument(
            address_of(each.document_id),
            _id(each, reader, None),
            shown.lines(each.node, reader) if each.node else None,
            each.size_bytes,
        )
        for each in documents
    ]


def fields_of_old_uuids(documents: Iterable[CutDocument]) -> list[str]:
    """The fields that have a UUID of the old subtype, which has several readings; MOST_FIELDS of
    them."""
    found: dict[str, None] = {}
    unseen: list[tuple[tuple[str, ...], Node]] = [
        ((), node) for each in documents if (node := each.node)
    ]
    while unseen:
        path, node = unseen.pop()
        if node.kind == BINARY and not node.is_cut and node.value[6:11] == _OLD_UUID:
            found[field_at(path)] = None
        unseen += [((*path, name), inner) for name, inner in node.members]
    return sorted(found)[:MOST_FIELDS]


_OLD_UUID = b"\x10\0\0\0\x03"


def _row(document: CutDocument, cells: tuple[Shown, ...], reader: Reader, ids: int | None) -> Row:
    address, shown_id = address_of(document.document_id), _id(document, reader, ids)
    if document.node is None:
        return Row(address, shown_id, fault="Holds a text that is no UTF-8.")
    if name := nodes.twice(document.node):
        told = f"Holds the field {visible(name)} twice."
        return Row(address, shown_id, fault=f"{told} Kept as stored; a table can’t show both.")
    return Row(address, shown_id, cells)


def _id(document: CutDocument, reader: Reader, usual: int | None) -> Shown:
    node = nodes.node_of(document.document_id)
    found = cell(node, reader.at(["_id"]), usual)
    if node.kind == TEXT and found.look == "text":
        return replace(found, text=found.text if found.type else f'"{found.text}"', look="code")
    return found


def _at(document: Node | None, path: str) -> Node | None:
    """The value at a path: a field that is called so, dots included, or one inside of others."""
    if document is None:
        return None
    if names := names_in(path):
        return nodes.at(document, names)
    return document.member(path) or nodes.at(document, path.split("."))


def _names_of(path: str) -> list[str]:
    return list(names_in(path) or path.split("."))


def _is_masked(path: str, mask: Mask) -> bool:
    path = ".".join(names_in(path) or [path])
    return any(path == each or path.startswith(f"{each}.") for each in mask.paths)


def _usual(column: Iterable[Node | None]) -> int | None:
    kinds = Counter(node.kind for node in column if node and node.kind != NULL)
    return kinds.most_common(1)[0][0] if kinds else None
