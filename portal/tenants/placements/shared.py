"""A collection that many organizations share.

The ``_id`` of a stored document is ``{o: organization, i: _id}``, so one organization's documents
are a range of the index, in the order of an own collection's. Each command is bound to that range
here, and what comes back is unwrapped: a caller neither sees the wrapping nor can forge it.

What an own collection refuses is refused by the server as there. What needs one, such as indexes,
is NeedsOwnPlacement. Where a unique index that somebody added to the collection refuses something,
that is no DuplicateKeyError, by which a caller would take the document for its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import bson
from bson import Binary, ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from ..elements import with_unwrapped_id, with_wrapped_id
from ..errors import NeedsOwnPlacement
from ..queries import COUNTING
from .filters import Filters, asks_meta, check_meta
from .updates import UNWRAP, changing

_OF_INDEXES = ("createIndexes", "dropIndexes")
_FILTERING = ("$match", "$sort", "$skip", "$limit")
_DUPLICATE_KEY, _OPERATION_FAILED = 11000, 96
_OF_DUPLICATES = ("keyPattern", "keyValue")
_STORED_META = ("indexKey", "recordId")
# Before the reason the server tells the whole query, as it was sent.
_PLANNED = re.compile(r"error processing query: .* planner returned error :: caused by :: ", re.S)
_COLLIDED = re.compile(r"(Path collision at _id\.\S+ remaining portion )i\.")


class Shared:
    """The placement of one organization among others."""

    __slots__ = ("filters", "organization")

    def __init__(self, organization_id: ObjectId) -> None:
        self.organization = organization_id
        self.filters = Filters(organization_id)

    def command(
        self, verb: str, fields: Mapping[str, Any], codec_options: CodecOptions
    ) -> Mapping[str, Any]:
        """The fields of a command on the organization's documents alone. Raises
        NeedsOwnPlacement."""
        bind = BINDING.get(verb)
        if bind is None:
            raise NeedsOwnPlacement("an index" if verb in _OF_INDEXES else verb)
        sent = {**fields, **self._chosen(fields)}
        bind(self, sent, codec_options)
        return sent

    def reply(self, verb: str, reply: Any, codec_options: CodecOptions) -> Any:
        """The reply to a command, without the wrapping."""
        unwrapped = partial(_unwrapped, codec_options)
        match verb:
            case "find":
                cursor = reply["cursor"]
                found = [unwrapped(each) for each in cursor["firstBatch"]]
                return {"cursor": {"id": cursor["id"], "firstBatch": found}}
            case "listIndexes":
                own = [each for each in reply["cursor"]["firstBatch"] if each["name"] == "_id_"]
                return {"cursor": {"id": 0, "firstBatch": own}}
            case "findAndModify":
                value = reply["value"]
                return {"value": None if value is None else unwrapped(value)}
            case "insert" | "update" | "delete":
                return self._written(reply)
        return reply

    def error(self, error: OperationFailure) -> OperationFailure:
        """The server's error, without the wrapping."""
        told = self._told(error.details or {})
        if told is error.details:
            return error
        kind = OperationFailure if "addedIndex" in told else type(error)
        code = told.get("code", error.code)
        return kind(told.get("errmsg", ""), code, told, error._max_wire_version)

    def unwrapping(self, verb: str, codec_options: CodecOptions) -> Callable[[Any], Any] | None:
        """The function that unwraps a document of the command's cursor: pipelines do it
        themselves."""
        return partial(_unwrapped, codec_options) if verb == "find" else None

    # Commands. Each takes the fields as they were given, and binds them to the organization.

    def _find(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        sent["filter"] = self.filters.within(sent["filter"])
        self._project(sent, "projection")

    def _aggregate(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        """Bind the stages that find documents: the index serves only those before documents are
        unwrapped."""
        stages = sent["pipeline"]
        check_meta(stages, *_STORED_META, "sortKey")
        first: list[Mapping[str, Any]] = []
        rest = list(stages)
        while rest and next(iter(rest[0])) in _FILTERING:
            [(name, body)] = rest[0].items()
            if name == "$match" and isinstance(body, Mapping) and "$jsonSchema" not in body:
                body = self.filters.within(body)
            elif name == "$sort" and isinstance(body, Mapping) and "$natural" not in body:
                body = self.filters.sort(body)
            elif name not in ("$skip", "$limit"):
                break
            first.append({name: body})
            del rest[0]
        if not first or "$match" not in first[0]:
            first.insert(0, {"$match": {"_id": self.filters.range}})
        counts = rest and ("$count" in rest[0] or rest[0] == COUNTING)
        sent["pipeline"] = [*first, *rest] if counts else [*first, UNWRAP, *rest]

    def _count(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        sent["query"] = {"_id": self.filters.range}

    def _insert(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        sent["documents"] = [
            self._inserted(each, codec_options) for each in _statements(sent["documents"])
        ]

    def _inserted(self, document: Any, codec_options: CodecOptions) -> RawBSONDocument:
        encoded = (
            bytes(document.raw)
            if isinstance(document, RawBSONDocument)
            else bson.encode(document, codec_options=codec_options)
        )
        wrapped = with_wrapped_id(encoded, self.organization)
        if wrapped is None:
            raise ValueError("a document to insert has an _id")
        return RawBSONDocument(wrapped)

    def _update(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        sent["updates"] = [
            self._updated(each, codec_options) for each in _statements(sent["updates"])
        ]

    def _updated(self, parts: Mapping[str, Any], codec_options: CodecOptions) -> dict[str, Any]:
        upsert = bool(parts.get("upsert"))
        query, update = changing(self.filters, parts["q"], parts["u"], upsert, codec_options)
        return {**parts, **self._chosen(parts), "q": query, "u": update}

    def _delete(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        sent["deletes"] = [
            {**parts, **self._chosen(parts), "q": self.filters.within(parts["q"])}
            for parts in _statements(sent["deletes"])
        ]

    def _find_and_modify(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        if "update" in sent:
            upsert = bool(sent.get("upsert"))
            sent["query"], sent["update"] = changing(
                self.filters, sent["query"], sent["update"], upsert, codec_options
            )
        else:
            sent["query"] = self.filters.within(sent["query"])
        self._project(sent, "fields")

    def _list_indexes(self, sent: dict[str, Any], codec_options: CodecOptions) -> None:
        """Nothing: the reply has the one index that each collection has."""

    def _project(self, sent: dict[str, Any], name: str) -> None:
        if sent.get(name) is not None:
            check_meta(sent[name], *_STORED_META)
            sent[name] = self.filters.projection(sent[name])

    def _chosen(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """A command's fields about how to find documents. Raises NeedsOwnPlacement for a collation:
        an organization's documents are found by the index's own alone."""
        collation = parts.get("collation")
        if isinstance(collation, Mapping) and collation.get("locale") != "simple":
            raise NeedsOwnPlacement("a collation")
        chosen: dict[str, Any] = {}
        if isinstance(hint := parts.get("hint"), Mapping) and "$natural" in hint:
            chosen["hint"] = "_id_"
        if sort := parts.get("sort"):
            visible = asks_meta([parts.get("projection"), parts.get("fields")], "sortKey")
            chosen["sort"] = self.filters.sort(sort, visible=visible)
        return chosen

    # Replies

    def _written(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        told = dict(reply)
        if "upserted" in reply:
            told["upserted"] = [{**each, "_id": each["_id"]["i"]} for each in reply["upserted"]]
        if "writeErrors" in reply:
            told["writeErrors"] = [self._told(each) for each in reply["writeErrors"]]
        return told

    def _told(self, details: Mapping[str, Any]) -> Mapping[str, Any]:
        """An error's text without the wrapping, or the same where it tells nothing of that."""
        if details.get("code") == _DUPLICATE_KEY and {*details.get("keyPattern", ())} - {"_id"}:
            return _refused_by_addition(details)
        message = details.get("errmsg", "")
        told = self._told_message(message)
        key = details.get("keyValue")
        wrapped = isinstance(key, Mapping) and isinstance(key.get("_id"), Mapping)
        if told == message and not wrapped:
            return details
        changed = {**details, "errmsg": told}
        if isinstance(key, Mapping) and isinstance(key.get("_id"), Mapping):
            changed["keyValue"] = {**key, "_id": key["_id"].get("i")}
        return changed

    def _told_message(self, message: str) -> str:
        begin = f"{{ o: ObjectId('{self.organization}'), i: "
        while (start := message.find(begin)) >= 0:
            inner = message[start + len(begin) :]
            end = _closing(inner)
            message = message[:start] + inner[:end].rstrip() + inner[end + 1 :]
        told = message.replace("_id.i", "_id").replace("in element {i: ", "in element {_id: ")
        return _COLLIDED.sub(r"\1", _PLANNED.sub("", told))


BINDING: Mapping[str, Callable[[Shared, dict[str, Any], CodecOptions], None]] = {
    "find": Shared._find,
    "aggregate": Shared._aggregate,
    "count": Shared._count,
    "insert": Shared._insert,
    "update": Shared._update,
    "delete": Shared._delete,
    "findAndModify": Shared._find_and_modify,
    "listIndexes": Shared._list_indexes,
}
"""All commands that there are in a shared collection, and how each is bound to an organization."""


def changes_of(organizations: Mapping[Binary, list[ObjectId]]) -> list[dict[str, Any]]:
    """Filters for the changes of these organizations, by the UUIDs of the collections that they
    share."""
    return [
        {"collectionUUID": uuid, "documentKey._id.o": {"$in": sharing}}
        for uuid, sharing in organizations.items()
    ]


def unwrapping_changes(uuids: Sequence[Binary]) -> list[dict[str, Any]]:
    """The stages after which changes in these collections tell of documents as they were given, and
    in place of the UUID the organization."""
    if not uuids:
        return []
    shared = {"$in": ["$collectionUUID", list(uuids)]}
    changed: dict[str, Any] = {
        "collectionUUID": {"$cond": [shared, "$documentKey._id.o", "$collectionUUID"]}
    }
    for name in ("documentKey", "fullDocument", "fullDocumentBeforeChange"):
        is_document = {"$eq": [{"$type": f"${name}"}, "object"]}
        unwrapped = {"$mergeObjects": [f"${name}", {"_id": f"${name}._id.i"}]}
        changed[name] = {"$cond": [{"$and": [shared, is_document]}, unwrapped, f"${name}"]}
    return [{"$set": changed}]


def _refused_by_addition(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details of an added index's refusal."""
    keys = [*details["keyPattern"]]
    told = {name: value for name, value in details.items() if name not in _OF_DUPLICATES}
    words = (
        f"somebody added a unique index on {', '.join(keys)} to the collection that this "
        "organization shares, and it refuses this: whoever runs the portal drops it"
    )
    refused = {"code": _OPERATION_FAILED, "codeName": "OperationFailed", "errmsg": words}
    return {**told, **refused, "addedIndex": keys}


def _statements(content: Any) -> Any:
    """The statements as they were given, before they were encoded."""
    return getattr(content, "given", content)


def _unwrapped(codec_options: CodecOptions, document: Any) -> Any:
    if isinstance(document, RawBSONDocument):
        return RawBSONDocument(with_unwrapped_id(bytes(document.raw)), codec_options)
    if "_id" in document:
        stored = document["_id"]
        if "i" in stored:
            document["_id"] = stored["i"]
        else:  # nothing of it is left by a projection
            del document["_id"]
    return document


def _closing(text: str) -> int:
    """The index of the bracket that closes one opened before."""
    depth, quote = 1, ""
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += {"{": 1, "}": -1}.get(character, 0)
            if not depth:
                return index
    return len(text)
