"""Resume tokens of change streams, and pipelines that keep what the library goes by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import Timestamp

from .errors import QueryRefused

CLUSTER, COLLECTION = "cluster", "collection"
"""The fields that the library adds to a token: where its stream was."""

_KIND = "operationType"


def time_of(token: Mapping[str, Any]) -> Timestamp:
    """The cluster's time in a resume token, which is a key of an index in hexadecimal: behind a
    byte for its type there are the seconds and the increment."""
    data = str(token["_data"])
    return Timestamp(int(data[2:10], 16), int(data[10:18], 16))


def servers(token: Mapping[str, Any]) -> dict[str, Any]:
    """The token as the server gave it."""
    return {name: each for name, each in token.items() if name not in (CLUSTER, COLLECTION)}


def keeping(pipeline: Sequence[Mapping[str, Any]], kinds: Iterable[str]) -> list[Mapping[str, Any]]:
    """A pipeline of a change stream that passes on changes of these ``kinds``, and each change's
    kind. Raises QueryRefused for one that changes that."""
    kept = {_KIND: {"$in": list(kinds)}}
    return [stage for each in pipeline for stage in _keeping(each, kept)]


def _keeping(stage: Mapping[str, Any], kept: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    [(name, body)] = stage.items()
    own = {_KIND: f"${_KIND}"}
    match name:
        case "$match":
            body = {"$or": [kept, body]}
        case "$set" | "$addFields" if _KIND in body:
            raise QueryRefused(f"a change keeps its {_KIND}")
        case "$project" if _includes(body):
            body = {**body, _KIND: 1}
        case "$project":
            body = {field: value for field, value in body.items() if field != _KIND}
        case "$unset":
            body = [
                field for field in ([body] if isinstance(body, str) else body) if field != _KIND
            ]
        case "$replaceRoot":
            body = {**body, "newRoot": {"$mergeObjects": [body["newRoot"], own]}}
        case "$replaceWith":
            body = {"$mergeObjects": [body, own]}
        case "$redact":
            body = {"$cond": [{"$in": [own[_KIND], kept[_KIND]["$in"]]}, "$$KEEP", body]}
    return [{name: body}] if body else []


def _includes(projection: Mapping[str, Any]) -> bool:
    """Tell whether a projection names the fields that stay."""
    return any(value for field, value in projection.items() if field != "_id")
