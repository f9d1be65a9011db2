"""Fields of an organization's newest documents: for columns, and for what a filter offers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from portal.data.bson_types import ALIASES, LIST, OBJECT
from portal.data.cutting import CutDocument
from portal.data.literal_fields import field_of, is_plain
from portal.data.nodes import EMPTY_TEXT, Node
from portal.data.texts import type_words

MOST_COLUMNS = 10
_MOST_FIELDS = 400
_LEVELS = 3
_KINDS = {
    "string": "text", "double": "number", "int": "number", "long": "number", "decimal": "number",
    "date": "date", "bool": "boolean", "objectId": "objectid", "binData": "uuid",
}  # fmt: skip


@dataclass(slots=True)
class SampledField:
    """A field of the sample: in how many documents it is, how many have which type (in words, the
    commonest first), and how many are empty texts and lists."""

    path: str
    is_top: bool
    documents: int = 0
    types: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    nulls: int = 0
    empty_texts: int = 0
    empty_lists: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The fields of the newest ``documents``."""

    documents: int
    fields: dict[str, SampledField]

    @property
    def columns(self) -> tuple[str, ...]:
        """The commonest fields, in the order of the documents."""
        top = [path for path, found in self.fields.items() if found.documents and found.is_top]
        common = sorted(top, key=lambda path: -self.fields[path].documents)[:MOST_COLUMNS]
        return tuple(path for path in top if path in common)


def sample_fields(newest: Sequence[CutDocument]) -> Sample:
    """The fields of the newest documents."""
    found: dict[str, SampledField] = {}
    for document in newest:
        if document.node is not None:
            _count(found, document.node)
    return Sample(len(newest), found)


def _count(found: dict[str, SampledField], document: Node) -> None:
    seen: set[str] = set()
    for names, node in _paths(document, (), _LEVELS):
        path = field_of(names)
        if path not in found:
            if len(found) >= _MOST_FIELDS:
                continue
            found[path] = SampledField(path, len(names) == 1)
        entry = found[path]
        if path not in seen:
            seen.add(path)
            entry.documents += 1
        _count_value(entry, node)


def _count_value(entry: SampledField, node: Node) -> None:
    if node.is_masked:
        return
    kind = ALIASES[node.kind]
    entry.types[type_words(node)] += 1
    if kind == "null":
        entry.nulls += 1
    elif kind != "array":
        entry.kinds[_KINDS.get(kind, "json")] += 1
    if not node.members and not node.is_cut:
        entry.empty_lists += node.kind == LIST
        entry.empty_texts += node.value == EMPTY_TEXT


def _paths(
    node: Node, before: tuple[str, ...], levels: int
) -> Iterator[tuple[tuple[str, ...], Node]]:
    """The fields of a document, and those of documents in it and in its lists, which a path leads
    into, and no list of names."""
    for name, inner in node.members:
        path = (*before, name)
        yield path, inner
        if levels > 1:
            literal = not all(map(is_plain, path))
            several = [each for _, each in inner.members] if inner.kind == LIST else [inner]
            for each in several if not (literal and inner.kind == LIST) else ():
                if each.kind == OBJECT:
                    yield from _paths(each, path, levels - 1)
