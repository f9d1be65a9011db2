"""The JSON about documents that programs send and get; values are Extended JSON."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import Body, Response, Success
from portal.data.indexes import listing as indexes
from portal.data.queries import LARGEST_PAGE, USUAL_PAGE
from portal.data.reading import MOST_COUNTED
from portal.data.writing import MOST_INSERTED

_DOCUMENT: dict[str, Any] = {"_id": {"$oid": "692588d0a7c4f2b91e03d65a"}, "title": "First"}
_FILTER: dict[str, Any] = {"title": {"$regex": "^F"}}
_SORT: dict[str, Any] = {"title": 1, "_id": 1}
_PROJECTION: dict[str, Any] = {"title": 1}
_UPDATE: dict[str, Any] = {"$set": {"title": "Second"}}
_ADDRESS = {"example": "~FgAAAAcAaSWI0KfE8rkeA9ZaAA"}
_CURSOR = {"example": "FwAAAAcwAGkliNCnxPK5HgPWWgA"}
_ID = {"description": "of any type, as Extended JSON", "example": _DOCUMENT["_id"]}
_CHANGED = {"example": 1}
_MOMENT = "2026-11-29T14:07:12+00:00"
JSON = "json"
RELAXED, CANONICAL = "relaxed", "canonical"


def _as_json(description: str, example: str) -> dict[str, Any]:
    return {"description": f"{description}, as Extended JSON", "example": example}


class AnyValue(fields.Raw):
    """A value of any type."""


class FormQuery(Body):
    json = fields.String(
        load_default=CANONICAL,
        validate=ma.validate.OneOf([CANONICAL, RELAXED]),
        metadata={
            "description": "canonical: every value keeps its type; relaxed: easier to read, but an "
            "int64 reads back as an int32"
        },
    )


class DocumentQuery(FormQuery):
    projection = fields.String(metadata=_as_json("which fields", '{"title": 1}'))


class ListQuery(DocumentQuery):
    filter = fields.String(metadata=_as_json("which documents", '{"title": "First"}'))
    sort = fields.String(
        metadata=_as_json("the order; ends with _id, by itself if it isn’t there", '{"title": 1}')
    )
    limit = fields.Integer(
        load_default=USUAL_PAGE,
        validate=ma.validate.Range(1, LARGEST_PAGE),
        metadata={"description": "how many documents at most; an export has all"},
    )
    after = fields.String(metadata={"description": "the `next` of the page before", **_CURSOR})


class DocumentsQueryBody(Body):
    """A query that is too long for a URL."""

    filter = fields.Dict(metadata={"example": _FILTER})
    sort = fields.Dict(metadata={"example": _SORT})
    projection = fields.Dict(metadata={"example": _PROJECTION})
    limit = fields.Integer(
        validate=ma.validate.Range(1, LARGEST_PAGE), metadata={"example": USUAL_PAGE}
    )
    after = fields.String(metadata=_CURSOR)


class CountBody(Body):
    filter = fields.Dict(metadata={"example": _FILTER})


class AggregateBody(Body):
    pipeline = fields.List(
        fields.Dict(), required=True, metadata={"example": [{"$match": _FILTER}, {"$count": "n"}]}
    )


class UpdateManyBody(Body):
    filter = fields.Dict(required=True, metadata={"example": _FILTER})
    update = AnyValue(
        required=True,
        metadata={"description": "the store’s operators, or stages", "example": _UPDATE},
    )


class DeleteManyBody(Body):
    filter = fields.Dict(required=True, metadata={"example": _FILTER})


class FieldChangesBody(Body):
    filter = fields.Dict(required=True, metadata={"example": _FILTER})
    set = fields.Dict(
        metadata={"description": "values by field", "example": {"status": "expired"}},
    )
    unset = fields.List(fields.String(metadata={"example": "reminder"}))
    rename = fields.Dict(
        values=fields.String(metadata={"example": "site"}),
        metadata={"description": "new names by field", "example": {"site_name": "site"}},
    )


class ChangeManyBody(FieldChangesBody):
    expected = fields.Integer(
        required=True,
        validate=ma.validate.Range(0, 2**53),
        metadata={"description": "the number that may match at most", "example": 5},
    )
    reason = fields.String(
        validate=ma.validate.Length(max=200), metadata={"example": "wrong cut-off date"}
    )


class NewIndexBody(Body):
    keys = fields.Dict(
        required=True,
        metadata={"description": "1, -1, text, 2dsphere or hashed by field", "example": _SORT},
    )
    name = fields.String(metadata={"example": "by_title"})
    unique = fields.Boolean(truthy={True}, falsy={False}, metadata={"example": False})
    sparse = fields.Boolean(truthy={True}, falsy={False}, metadata={"example": False})
    partial_filter = fields.Dict(metadata={"example": {"title": {"$exists": True}}})
    expire_after_seconds = fields.Integer(
        validate=ma.validate.Range(0, 2**31 - 1), metadata={"example": 86400}
    )
    default_language = fields.String(
        metadata={"description": "of an index of texts", "enum": indexes.LANGUAGES}
    )
    deletes = fields.Boolean(
        truthy={True},
        falsy={False},
        metadata={
            "description": "true to build one that deletes documents as soon as it is there",
            "example": False,
        },
    )


class ChangedIndexBody(Body):
    hidden = fields.Boolean(required=True, truthy={True}, falsy={False}, metadata={"example": True})


class DocumentAnswer(Success):
    document = fields.Dict(required=True, metadata={"example": _DOCUMENT})
    address = fields.String(
        required=True, metadata={"description": "its exact id in a URL", **_ADDRESS}
    )
    exact = fields.Boolean(
        required=True,
        metadata={
            "description": "false where the text reads back as something else: a key is there "
            "twice, or a part looks like a type of Extended JSON",
            "example": True,
        },
    )


class DocumentsAnswer(Success):
    documents = fields.List(fields.Dict(), required=True, metadata={"example": [_DOCUMENT]})
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "what to send as after", **_CURSOR}
    )
    inexact = fields.List(
        fields.String(metadata=_ADDRESS),
        required=True,
        metadata={"description": "addresses of documents whose text reads back as something else"},
    )


class ResultsAnswer(Success):
    results = fields.List(fields.Dict(), required=True, metadata={"example": [{"n": 3}]})


_VIEW_QUERY = {
    "description": "the parameters of the URL of the page of documents",
    "example": "c=[%22title%22,%22begins_with%22,%22text%22,%22F%22]&sort=-title",
}


class ChangedViewBody(Body):
    name = fields.String(required=True, metadata={"example": "First ones"})
    query = fields.String(required=True, metadata=_VIEW_QUERY)
    version = fields.Integer(
        required=True, metadata={"description": "of the view as it was read", "example": 1}
    )


class NewViewBody(Body):
    name = fields.String(required=True, metadata={"example": "First ones"})
    query = fields.String(required=True, metadata=_VIEW_QUERY)
    shared = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "for everybody who reads documents", "example": False},
    )


class View(Response):
    id = fields.String(required=True, metadata={"example": "692588d0a7c4f2b91e03d65a"})
    name = fields.String(required=True, metadata={"example": "First ones"})
    query = fields.String(required=True, metadata=_VIEW_QUERY)
    shared = fields.Boolean(required=True, metadata={"example": False})
    version = fields.Integer(required=True, metadata={"example": 1})
    filter = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "null where it can't be read any more", "example": _FILTER},
    )
    sort = fields.Dict(required=True, metadata={"example": {"title": -1}})
    columns = fields.List(fields.String(), required=True, metadata={"example": ["title"]})


class ViewAnswer(Success):
    view = fields.Nested(View, required=True)


class ViewsAnswer(Success):
    views = fields.List(fields.Nested(View), required=True)


class MaskBody(Body):
    path = fields.String(
        required=True,
        metadata={
            "description": "the names to the field with dots between them, positions in lists left "
            "out",
            "example": "contact.email",
        },
    )


class Mask(Response):
    path = fields.String(required=True, metadata={"example": "contact.email"})
    since = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        allow_none=True,
        metadata={"example": "2026-11-25T08:00:00+00:00"},
    )


class MasksAnswer(Success):
    masks = fields.List(fields.Nested(Mask), required=True)


class CountAnswer(Success):
    count = fields.Integer(required=True, metadata={"example": 3})
    more = fields.Boolean(
        required=True,
        metadata={
            "description": f"there are more than the {MOST_COUNTED} that were counted",
            "example": False,
        },
    )
    estimated = fields.Boolean(
        required=True,
        metadata={"description": "the server’s counter of all documents", "example": False},
    )


class InsertedAnswer(Success):
    """After an ndjson stream there are numbers in place of ids."""

    inserted = fields.Integer(required=True, metadata={"example": 1})
    repeated = fields.Integer(
        required=True,
        metadata={"description": "how many an earlier call had inserted", "example": 0},
    )
    ids = fields.List(
        AnyValue(metadata=_ID),
        metadata={"maxItems": MOST_INSERTED},
    )
    addresses = fields.List(fields.String(metadata=_ADDRESS))


class WrittenAnswer(Success):
    address = fields.String(required=True, metadata=_ADDRESS)
    modified = fields.Integer(
        required=True,
        metadata={"description": "0 where it is as it was", **_CHANGED},
    )


class UpdatedAnswer(Success):
    matched = fields.Integer(required=True, metadata=_CHANGED)
    modified = fields.Integer(required=True, metadata=_CHANGED)


class RemovedAnswer(Success):
    deleted = fields.Integer(required=True, metadata=_CHANGED)


class Index(Response):
    name = fields.String(required=True, metadata={"example": "title_1__id_1"})
    keys = fields.Dict(required=True, metadata={"example": _SORT})
    state = fields.String(
        required=True, metadata={"enum": [indexes.READY, indexes.BUILDING, indexes.FAILED]}
    )
    unique = fields.Boolean(required=True, metadata={"example": False})
    sparse = fields.Boolean(required=True, metadata={"example": False})
    partial_filter = fields.Dict(
        required=True, allow_none=True, metadata={"example": {"title": {"$exists": True}}}
    )
    expire_after_seconds = fields.Integer(
        required=True, allow_none=True, metadata={"example": 86400}
    )
    default_language = fields.String(
        required=True, allow_none=True, metadata={"description": "of texts", "example": None}
    )
    hidden = fields.Boolean(
        required=True,
        metadata={"description": "kept current, and used for no query", "example": False},
    )
    size_bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 20480})
    operations = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "that used it since used_since", "example": 31022},
    )
    used_since = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        allow_none=True,
        metadata={
            "description": "when the server started, or the index was made",
            "example": "2026-11-25T09:30:00+00:00",
        },
    )
    percent = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "of its step that a build has done", "example": None},
    )
    step = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "the step that a build is at, and how long that will take still",
            "example": None,
        },
    )
    cause = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "why a build failed",
            "example": "It took longer than 10 minutes.",
        },
    )
    conflicts = fields.List(
        fields.String(metadata=_ADDRESS),
        required=True,
        metadata={"description": "addresses of documents that stood in its way"},
    )


class ConflictingDocuments(Response):
    values = fields.String(
        required=True, metadata={"description": "their key", "example": "“a@acme.example”"}
    )
    documents = fields.Integer(required=True, metadata={"example": 2})
    addresses = fields.List(
        fields.String(metadata=_ADDRESS),
        required=True,
        metadata={"description": "of two of them"},
    )
    missing = fields.Boolean(
        required=True, metadata={"description": "they have none of the fields", "example": False}
    )


class IndexCheckAnswer(Success):
    """Null where it could not be told within 1.5 seconds."""

    conflicting = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "documents that a unique index can’t have", "example": 2},
    )
    conflicts = fields.List(fields.Nested(ConflictingDocuments), required=True)
    deleted_at_once = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": f"documents that would expire within a minute, up to {MOST_COUNTED}",
            "example": None,
        },
    )
    without_date = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "documents that would never expire", "example": None},
    )


class IndexesAnswer(Success):
    indexes = fields.List(fields.Nested(Index), required=True)


class IndexAnswer(Success):
    index = fields.Nested(Index, required=True)


class IndexHiddenAnswer(Success):
    pass


class IndexDroppedAnswer(Success):
    pass


class HistoryQuery(Body):
    document = fields.String(
        metadata={"description": "the address of one document, for its edits alone", **_ADDRESS}
    )
    after = fields.String(
        validate=ma.validate.Regexp(r"^[0-9a-f]{24}$"),
        metadata={
            "description": "the `next` of the page before",
            "example": "692588d0a7c4f2b91e03d65a",
        },
    )


class LeftAloneQuery(Body):
    after = fields.Integer(
        validate=ma.validate.Range(0, 2**53),
        metadata={"description": "the `next` of the page before", "example": 49},
    )


class UndoBody(Body):
    reason = fields.String(
        validate=ma.validate.Length(max=200),
        metadata={"description": "kept with the undo", "example": "wrong cut-off date"},
    )


class Edit(Response):
    id = fields.String(required=True, metadata={"example": "68f0c1d2a3b4c5d6e7f80912"})
    kind = fields.String(required=True, metadata={"example": "change"})
    at = fields.AwareDateTime(
        required=True, format="iso", default_timezone=UTC, metadata={"example": _MOMENT}
    )
    by = fields.String(required=True, metadata={"example": "mara@acme.example"})
    reason = fields.String(required=True, allow_none=True, metadata={"example": "customer called"})
    title = fields.String(required=True, metadata={"example": "Changed status, due"})
    fields_ = fields.List(
        fields.String(metadata={"example": "status"}),
        required=True,
        data_key="fields",
        attribute="fields",
    )
    address = fields.String(
        required=True,
        allow_none=True,
        metadata={**_ADDRESS, "description": "of its document, if it is of one"},
    )
    documents = fields.Integer(
        required=True, metadata={"description": "that it changed", "example": 1}
    )
    left_alone = fields.Integer(
        required=True, metadata={"description": "documents that it left", "example": 0}
    )
    running = fields.Boolean(required=True, metadata={"example": False})
    undone = fields.Boolean(required=True, metadata={"example": False})
    can_be_undone = fields.Boolean(required=True, metadata={"example": False})
    undo_until = fields.AwareDateTime(
        required=True, format="iso", default_timezone=UTC, metadata={"example": _MOMENT}
    )
    undo_of = fields.String(required=True, allow_none=True, metadata={"example": None})
    undo = fields.String(required=True, allow_none=True, metadata={"example": None})


class HistoryAnswer(Success):
    edits = fields.List(fields.Nested(Edit), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"example": None})


class SkippedDocument(Response):
    address = fields.String(required=True, metadata=_ADDRESS)
    code = fields.String(required=True, metadata={"example": "changed later"})
    reason = fields.String(required=True, metadata={"example": "Kept: it was changed later"})


class EditAnswer(Success):
    edit = fields.Nested(Edit, required=True)
    left_alone = fields.List(fields.Nested(SkippedDocument), required=True)
    next = fields.Integer(required=True, allow_none=True, metadata={"example": None})


class HistorySettingsBody(Body):
    records_programs = fields.Boolean(
        required=True,
        metadata={"description": "keep what programs write by the data API", "example": True},
    )


class HistorySettings(Success):
    records_programs = fields.Boolean(required=True, metadata={"example": True})


class FieldDifference(Response):
    field = fields.String(required=True, metadata={"example": "status"})
    before = fields.String(required=True, allow_none=True, metadata={"example": '"waiting"'})
    after = fields.String(required=True, allow_none=True, metadata={"example": '"expired"'})


class ChangedExample(Response):
    address = fields.String(required=True, metadata=_ADDRESS)
    left_alone = fields.String(required=True, allow_none=True, metadata={"example": None})
    differences = fields.List(fields.Nested(FieldDifference), required=True)


class ChangePreview(Success):
    count = fields.Integer(required=True, metadata={"example": 5})
    examples = fields.List(fields.Nested(ChangedExample), required=True)
    breaking = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "how many of `tried` would break a rule", "example": 0},
    )
    tried = fields.Integer(required=True, allow_none=True, metadata={"example": 5})


class ChangeStarted(Success):
    edit = fields.String(required=True, metadata={"example": "68f0c1d2a3b4c5d6e7f80912"})


class UndoAnswer(Success):
    edit = fields.Nested(Edit, required=True)
