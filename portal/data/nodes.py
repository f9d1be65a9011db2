"""Values of documents as a tree to be shown, of what the server sent whole and of what it cut."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from portal.data.bson_types import ALIASES, BINARY, LIST, OBJECT, TEXT
from portal.data.masks.masks import MASKED
from portal.tenants.elements import elements_of, framed

_KINDS = {alias.encode(): kind for kind, alias in ALIASES.items()}
_Part = tuple[int, int, int]  # its type, and where it begins and ends
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
    members = (
        (_text(name), node_of(framed(bytes((inner, 0)) + value[start:end])))
        for inner, name, start, end in elements_of(value, 6)
    )
    return Node(kind, value, tuple(members))


def node_of_row(row: bytes) -> Node:
    """The tree of what the server cut by ``cutting.entry``."""
    return _node_of(row, _parts_of(row))


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


def _node_of(row: bytes, parts: Mapping[bytes, _Part]) -> Node:
    _, start, end = parts[b"t"]
    kind = _KINDS[row[start + 4 : end - 1]]
    size = _number(row, parts.get(b"s"))
    whole = parts.get(b"v")
    if whole is not None:
        stored, start, end = whole
        node = node_of(framed(bytes((stored, 0)) + row[start:end]))
        return node if size is None else replace(node, size_bytes=size)
    if kind not in (OBJECT, LIST):
        return Node(kind, _nothing_of(kind), size_bytes=size)
    members = tuple(_members_of(row, parts.get(b"f")))
    return Node(kind, of_members(kind, members), members, size, _number(row, parts.get(b"n")))


def _parts_of(row: bytes) -> dict[bytes, _Part]:
    return {name: (kind, start, end) for kind, name, start, end in elements_of(row)}


def _members_of(row: bytes, part: _Part | None) -> Iterator[tuple[str, Node]]:
    """The members in an array of rows, of which those of a document have their names."""
    if part is None or part[0] != LIST:
        return
    _, first, _ = part
    for kind, index, start, end in elements_of(row, first):
        if kind == OBJECT:
            inner = row[start:end]
            parts = _parts_of(inner)
            named = parts.get(b"k")
            name = index if named is None else inner[named[1] + 4 : named[2] - 1]
            yield _text(name), _node_of(inner, parts)


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _nothing_of(kind: int) -> bytes:
    """A value that stands for one that was too long to be sent: an empty one of its type."""
    if kind == BINARY:
        return framed(bytes((BINARY, 0)) + bytes(5))
    return EMPTY_TEXT


def _number(row: bytes, part: _Part | None) -> int | None:
    if part is None:
        return None
    _, start, end = part
    return int.from_bytes(row[start:end], "little", signed=True)
