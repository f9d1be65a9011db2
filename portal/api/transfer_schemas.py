"""The JSON about imports and exports that programs send and get."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import Body, Response, Success
from portal.data.formats.options import ColumnType, Empty, Format
from portal.data.indexes.listing import MOST_INDEXES, READY
from portal.data.selections import MOST_COLUMNS
from portal.data.transfer.errors import (
    DelimiterNotChosen,
    EncodingNotChosen,
    HeadingNotChosen,
    MemberNotChosen,
)
from portal.data.transfer.files import LARGEST_BYTES
from portal.data.transfer.mapping import Earlier, proposed
from portal.data.transfer.plans import STOPS_PER_MILLE, USUAL_STOP, Existing
from portal.data.transfer.stages import Import, Stage
from portal.documents.jobs import JobState

BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_COUNT = {"example": 48_211}


class UploadBody(Body):
    file_name = fields.String(required=True, metadata={"example": "work-orders.csv"})
    size = fields.Integer(
        load_default=0,
        validate=ma.validate.Range(0, LARGEST_BYTES),
        metadata={"description": "bytes; needed where it is sent in parts", "example": 21_400_000},
    )
    zone = fields.String(
        metadata={"description": "proposed for dates without one", "example": "Europe/Berlin"}
    )


class ReadingBody(Body):
    encoding = fields.String(metadata={"example": "windows-1252"})
    delimiter = fields.String(metadata={"example": ";"})
    heading = fields.String(
        metadata={"description": "number of a line, yes for the first row, or no", "example": "4"}
    )
    member = fields.String(metadata={"example": "shop/orders.bson"})


class ColumnBody(Body):
    index = fields.Integer(
        required=True,
        validate=ma.validate.Range(0, 9999),
        metadata={"description": "of the column, from 0", "example": 2},
    )
    field = fields.String(metadata={"description": "dots are levels", "example": "due"})
    type = fields.String(
        validate=ma.validate.OneOf([kind.value for kind in ColumnType]),
        metadata={"description": "instead of the proposed one", "example": "string"},
    )
    empty = fields.String(validate=ma.validate.OneOf([kind.value for kind in Empty]))
    answers = fields.List(
        fields.Integer(validate=ma.validate.Range(0, 99)),
        metadata={"description": "the number of a choice for each question", "example": [0]},
    )


class CheckBody(Body):
    existing = fields.String(
        load_default=Existing.INSERT.value,
        validate=ma.validate.OneOf([kind.value for kind in Existing]),
        metadata={"description": "what becomes of a record whose document is there"},
    )
    key = fields.String(
        load_default="_id", metadata={"description": "by which it is", "example": "number"}
    )
    may_fail_per_mille = fields.Integer(
        load_default=USUAL_STOP, validate=ma.validate.OneOf(list(STOPS_PER_MILLE))
    )
    columns = fields.List(fields.Nested(ColumnBody), load_default=[])
    earlier = fields.String(
        load_default="",
        metadata={"description": "an import of the same columns, as which they are decided", **_ID},
    )


class DumpIndexesBody(Body):
    names = fields.List(
        fields.String(validate=ma.validate.Length(max=200)),
        required=True,
        validate=ma.validate.Length(1, MOST_INDEXES),
        metadata={"example": ["number_1"]},
    )


class ExportBody(Body):
    format = fields.String(
        load_default=Format.JSON_LINES.value,
        validate=ma.validate.OneOf([kind.value for kind in Format]),
    )
    gzip = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    typed = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "CSV with types in its heading, as an import reads it"},
    )
    guarded = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "CSV cells that would be formulas begin with '"},
    )
    spreadsheet = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "CSV with `;` between cells, and a byte order mark"},
    )
    fields_ = fields.List(
        fields.String(validate=ma.validate.Length(1, 500)),
        load_default=[],
        data_key="fields",
        attribute="fields",
        validate=ma.validate.Length(max=MOST_COLUMNS),
        metadata={"description": "columns of CSV without types, not all", "example": ["due"]},
    )
    filter = fields.Dict(metadata={"example": {"title": "First"}})
    sort = fields.Dict(metadata={"example": {"_id": -1}})


class UploadAnswer(Success):
    id = fields.String(required=True, metadata=_ID)
    part_bytes = fields.Integer(required=True, metadata={"example": 1_048_576})


class PartAnswer(Success):
    next = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "the first part that is missing", "example": 1},
    )


class ImportInfo(Response):
    id = fields.String(required=True, metadata=_ID)
    file_name = fields.String(required=True, metadata={"example": "work-orders.csv"})
    size = fields.Integer(required=True, metadata={"example": 21_400_000})
    stage = fields.String(
        required=True, metadata={"enum": [stage.value for stage in Stage], "example": "ready"}
    )
    running = fields.Boolean(required=True, metadata={"example": False})
    reason = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "why the last job failed",
            "example": "It stopped, as more than 1 in 100 records are faulty.",
        },
    )
    questions = fields.List(
        fields.String(), required=True, metadata={"example": ["Say what “n/a” in Paid becomes"]}
    )
    records = fields.Integer(required=True, metadata=_COUNT)
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "inserted, replaced, existing, errors and blank, by the check or, once "
            "it is begun, the write; by the check also those tried on rules and unique indexes",
            "example": {"inserted": 48_102, "errors": 109},
        },
    )
    edit = fields.String(
        required=True, allow_none=True, metadata={"description": "in the history", **_ID}
    )


class ImportAnswer(Success):
    import_ = fields.Nested(ImportInfo, required=True, data_key="import", attribute="import")


class ImportsAnswer(Success):
    imports = fields.List(fields.Nested(ImportInfo), required=True)


class DumpIndex(Response):
    name = fields.String(required=True, metadata={"example": "number_1"})
    keys = fields.Dict(required=True, metadata={"example": {"number": 1}})
    state = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "of the one of its name here", "example": READY},
    )
    refusal = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "why it can’t be built here",
            "example": "Its option collation is none of those that are built here.",
        },
    )
    note = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "what it does otherwise here", "example": None},
    )


class DumpIndexesAnswer(Success):
    indexes = fields.List(fields.Nested(DumpIndex), required=True)


class ExportInfo(Response):
    id = fields.String(required=True, metadata=_ID)
    state = fields.String(
        required=True, metadata={"enum": [state.value for state in JobState], "example": "done"}
    )
    reason = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "why it failed", "example": "Some documents are sensitive now."},
    )
    documents = fields.Integer(required=True, metadata=_COUNT)
    left_out = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "the documents whose field isn't in a CSV file without types, by field",
            "example": {"note": 12},
        },
    )
    size = fields.Integer(required=True, metadata={"example": 21_400_000})
    until = fields.AwareDateTime(required=True, metadata={"example": "2026-12-06T14:10:02+00:00"})


class ExportAnswer(Success):
    export = fields.Nested(ExportInfo, required=True)


class FileDeletedAnswer(Success):
    """An answer without more."""


def as_form(found: Import, body: dict[str, Any], earlier: Earlier | None) -> dict[str, str]:
    """The body of a check as the fields of the page's form."""
    form = {
        "existing": body["existing"],
        "key": body["key"],
        "stop": str(body["may_fail_per_mille"]),
    }
    for row in proposed(found, earlier).rows:
        form |= {f"f{row.index}": row.field, f"e{row.index}": row.empty}
        if earlier:
            form[f"t{row.index}"] = row.chosen
    for column in body["columns"]:
        index = column["index"]
        if "type" in column:
            form[f"t{index}"] = column["type"]
        form |= {f"{name[0]}{index}": column[name] for name in ("field", "empty") if name in column}
        for number, answer in enumerate(column.get("answers", ())):
            form[f"q{index}-{number}"] = str(answer)
    return form


def questions_of(found: Import) -> list[str]:
    """The questions to answer before the import can go on."""
    if found.stage == Stage.READING:
        detected = found.detected
        asked = {
            EncodingNotChosen.reason: detected.candidates,
            DelimiterNotChosen.reason: detected.dialects,
            HeadingNotChosen.reason: detected.is_heading_doubtful,
            MemberNotChosen.reason: found.members,
        }
        return [words for words, is_asked in asked.items() if is_asked]
    if found.stage == Stage.DECIDE:
        return [words for _, words in proposed(found).faults]
    return []
