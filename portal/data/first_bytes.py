"""The first bytes of binaries that were cut.

No expression of MongoDB takes a part of a binary before 8.0, so those of up to LARGEST_BYTES are
read whole, READ_BYTES of a page in all; of others only the size is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from portal.data.access import DocumentAccess
from portal.data.bson_types import BINARY, OBJECT
from portal.data.document_ids import decoded, is_readable
from portal.data.nodes import Node, node_of
from portal.tenants.elements import field_of, framed, id_of

LARGEST_BYTES = 64 * 1024
READ_BYTES = 1024 * 1024
FIRST_BYTES = 16
_MOST_PATHS = 50

_Path = tuple[str, ...]


def read(
    access: DocumentAccess, handle: Any, nodes: dict[bytes, Node], comment: str | None
) -> dict[bytes, Node]:
    """The nodes of documents, by the BSON of ``{"": _id}``, with the first bytes of binaries that
    were cut."""
    wanted = _wanted(nodes)
    paths = list(dict.fromkeys(path for each in wanted.values() for path in each))[:_MOST_PATHS]
    if not paths:
        return nodes
    cut = {str(number): _of_size(path) for number, path in enumerate(paths)}
    stages = access.mask.visible(
        [
            {"$match": {"_id": {"$in": [decoded(each) for each in wanted]}}},
            {"$replaceWith": {"_id": "$_id", **cut}},
        ]
    )
    found = dict(nodes)
    for row in handle.aggregate(stages, comment=comment):
        content = bytes(row.raw)
        document_id = id_of(content)
        for number, path in enumerate(paths):
            value = field_of(content, str(number))
            if value is not None and document_id in found:
                found[document_id] = _filled(found[document_id], path, value)
    return found


def _wanted(nodes: dict[bytes, Node]) -> dict[bytes, list[_Path]]:
    """The paths of binaries that are read, by their documents: together they are READ_BYTES."""
    wanted, left = dict[bytes, list[_Path]](), READ_BYTES
    for document_id, node in nodes.items():
        found = list(_cut_ones(node, ()))
        size_bytes = sum(size for _, size in found)
        if found and size_bytes <= left and is_readable(document_id):
            wanted[document_id] = [path for path, _ in found]
            left -= size_bytes
    return wanted


def _cut_ones(node: Node, above: _Path) -> Iterator[tuple[_Path, int]]:
    """The paths of binaries that were cut, and their sizes; not those in lists."""
    for name, inner in node.members:
        path = (*above, name)
        if inner.kind == OBJECT:
            yield from _cut_ones(inner, path)
        elif (
            inner.kind == BINARY
            and 0 < (inner.size_bytes or 0) <= LARGEST_BYTES
            and "".join(path).isprintable()
        ):
            yield path, inner.size_bytes or 0


def _of_size(path: Sequence[str]) -> dict[str, Any]:
    """The expression of the binary at a path, unless it is larger."""
    value: Any = "$$ROOT"
    for name in path:
        value = {"$getField": {"field": {"$literal": name}, "input": value}}
    is_binary = {"$eq": [{"$type": value}, "binData"]}
    is_small = {"$lte": [{"$binarySize": value}, LARGEST_BYTES]}
    return {"$cond": [{"$cond": [is_binary, is_small, False]}, value, "$$REMOVE"]}


def _filled(node: Node, path: _Path, value: bytes) -> Node:
    """The node with the first bytes of a binary in it, if that was cut."""
    if not path:
        if node.kind != BINARY or node.size_bytes is None or value[4] != BINARY:
            return node
        content = value[11:-1][:FIRST_BYTES]
        size = len(content).to_bytes(4, "little")
        begin = framed(bytes((BINARY, 0)) + size + value[10:11] + content)
        return replace(node_of(begin), size_bytes=node.size_bytes)
    members = tuple(
        (name, _filled(inner, path[1:], value) if name == path[0] else inner)
        for name, inner in node.members
    )
    return replace(node, members=members)
