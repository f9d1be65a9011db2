"""Values of documents as a tree to be shown, of what the server sent whole and of what it cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from portal.data.bson_types import ALIASES, BINARY, LIST, OBJECT, TEXT
from portal.data.masks.masks import MASKED
from portal.data.patching import elements
from portal.tenants.elements import field_of, framed

_KINDS = {alias: kind for kind, alias in ALIASES.items()}
EMPTY_TEXT = framed(bytes((TEXT, 0)) + b"\x01\0\0\0\0")


@dataclass(frozen=True, slots=True)
class Node:
    """A value: its ``kind`` in BSON, and its ``value``, the BSON of ``{"": value}``.

    One that was cut has the ``size_bytes`` of the whole, or its ``count`` of fields or elements;
    its ``value`` is the beginning of a text, without bytes of a binary, and may lack what is
    inside. ``members`` are those of a document or list, by their names.
    """

    kind: int
    value: bytes
    members: tuple[tuple[str, "Node"], ...] = ()
    size_bytes: int | None = None
    count: int | None = None

    @property
    def is_cut(self) -> bool:
        return self.size_bytes is not None or self.count is not None

    @property
    def more(self) -> int:
        """The number of fields or elements that were cut off."""
        return 0 if self.count is None else self.count - len(self.members)

    @property
    def is_masked(self) -> bool:
        return self.kind == TEXT and self.value[10:-2] == MASKED.encode()

    def member(self, name: str) -> "Node | None":
        """The first member of this name."""
        return next((node for own, node in self.members if own == name), None)


def node_of(value: bytes) -> Node:
    """The tree of a whole value, given as the BSON of ``{"": value}``."""
    kind = value[4]
    if kind not in (OBJECT, LIST):
        return Node(kind, value)
    inner = elements(value[6:-1])
    return Node(kind, value, tuple((each.name, node_of(each.value)) for each in inner))


def document_node(document: bytes) -> Node:
    """The tree of a whole document."""
    return node_of(framed(bytes((OBJECT, 0)) + document))


def node_of_row(row: bytes) -> Node:
    """The tree of what the server cut by ``cutting.entry``."""
    kind = _KINDS[_text(_required(row, "t"))]
    value = field_of(row, "v")
    if kind in (OBJECT, LIST) and value is None:
        return _container(kind, row)
    size = _number(row, "s")
    if value is not None:
        return replace(node_of(value), size_bytes=size)
    return Node(kind, _nothing_of(kind), size_bytes=size)


def of_members(kind: int, members: Sequence[tuple[str, Node]]) -> bytes:
    """The BSON of ``{"": value}`` of a document or list of these members."""
    inner = b"".join(
        node.value[4:5] + name.encode(errors="surrogateescape") + b"\0" + node.value[6:-1]
        for name, node in members
    )
    return framed(bytes((kind, 0)) + framed(inner))


def hidden(node: Node, masked: bytes) -> Node:
    """The node of which ``masked`` is the value without what somebody may not see. What was cut is
    told only where nothing is masked inside."""
    if node.value == masked:
        return node
    found = node_of(masked)
    if found.kind != node.kind or found.kind not in (OBJECT, LIST):
        return found
    members = []
    former = list(node.members)
    for name, inner in found.members:
        index = next((i for i, (own, _) in enumerate(former) if own == name), None)
        if index is None:
            members.append((name, inner))
        else:
            members.append((name, hidden(former.pop(index)[1], inner.value)))
    return Node(found.kind, masked, tuple(members), count=node.count and len(members) + node.more)


def at(node: Node, path: Sequence[str]) -> Node | None:
    """The node at a path of names."""
    found: Node | None = node
    for name in path:
        found = found and found.member(name)
    return found


def twice(document: Node) -> str | None:
    """The first name that a document has twice."""
    seen: set[str] = set()
    for name, _ in document.members:
        if name in seen:
            return name
        seen.add(name)
    return None


def _container(kind: int, row: bytes) -> Node:
    children = field_of(row, "f")
    members: list[tuple[str, Node]] = []
    for index, each in enumerate(_rows(children) if children else ()):
        name = field_of(each, "k")
        members.append((str(index) if name is None else _text(name), node_of_row(each)))
    size, count = _number(row, "s"), _number(row, "n")
    return Node(kind, of_members(kind, members), tuple(members), size, count)


def _rows(array: bytes) -> Iterator[bytes]:
    for each in elements(array[6:-1]):
        inner = each.inner
        if inner is not None:
            yield inner


def _nothing_of(kind: int) -> bytes:
    """A value that stands for one that was too long to be sent: an empty one of its type."""
    if kind == BINARY:
        return framed(bytes((BINARY, 0)) + bytes(5))
    return EMPTY_TEXT


def _required(row: bytes, name: str) -> bytes:
    found = field_of(row, name)
    if found is None:
        raise ValueError(f"a row has {name}")
    return found


def _text(value: bytes) -> str:
    return value[10:-2].decode(errors="surrogateescape")


def _number(row: bytes, name: str) -> int | None:
    found = field_of(row, name)
    if found is None:
        return None
    return int.from_bytes(found[6:-1], "little", signed=True)
