"""The JSON about shape and rules that programs send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.document_schemas import AnyValue
from portal.api.schemas import Body, Response, Success
from portal.data.rules.rules import MODERATE, MOST_BREAKING, REFUSE, STRICT, WARN

_SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": ["title"],
    "properties": {"title": {"bsonType": "string", "minLength": 1}},
}
_ADDRESS = {"example": "~FgAAAAcAaSWI0KfE8rkeA9ZaAA"}
_MOMENT = {"example": "2026-11-25T09:30:00+00:00"}
_FILTER = {"example": {"title": {"$type": "int"}}, "description": "matches exactly these"}


class TypeShare(Response):
    words = fields.String(required=True, metadata={"example": "text"})
    share = fields.Float(required=True, metadata={"example": 0.97})


class Outlier(Response):
    words = fields.String(required=True, metadata={"example": "2: int32"})
    documents = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "null where they were not counted", "example": 2},
    )
    filter = AnyValue(required=True, metadata=_FILTER)


class FieldShape(Response):
    path = fields.List(
        fields.String(metadata={"example": "title"}),
        required=True,
        metadata={"description": "literal names; ‹…› for keys that are folded, or a list’s items"},
    )
    name = fields.String(required=True, metadata={"example": "title"})
    parts = fields.List(fields.Nested(TypeShare), required=True)
    types = fields.String(required=True, metadata={"example": "text 97 %, int32 3 %"})
    share = fields.Float(
        required=True, metadata={"description": "of documents that have it", "example": 1.0}
    )
    values = fields.String(required=True, metadata={"example": "5 to 40 characters"})
    examples = fields.List(fields.String(metadata={"example": "First"}), required=True)
    outliers = fields.List(fields.Nested(Outlier), required=True)
    keys = fields.List(
        fields.String(metadata={"example": "692588d0a7c4f2b91e03d65a"}),
        required=True,
        metadata={"description": "some of those that are folded into one"},
    )
    different_keys = fields.Integer(required=True, metadata={"example": 0})
    sensitive = fields.Boolean(
        required=True, metadata={"description": "values are not told", "example": False}
    )


class ShapeAnswer(Success):
    field_shapes = fields.List(fields.Nested(FieldShape), required=True, data_key="fields")
    read = fields.Integer(required=True, metadata={"example": 1000})
    total = fields.Integer(required=True, metadata={"example": 248113})
    complete = fields.Boolean(
        required=True, metadata={"description": "all documents were read", "example": False}
    )
    more_fields = fields.Boolean(
        required=True, metadata={"description": "there are more fields", "example": False}
    )
    at = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        metadata=_MOMENT,
    )
    seconds = fields.Float(required=True, metadata={"example": 0.3})


class TriedRulesBody(Body):
    schema = fields.Dict(
        required=True, metadata={"description": "a JSON Schema", "example": _SCHEMA}
    )


class RulesBody(Body):
    schema = fields.Dict(
        required=True,
        allow_none=True,
        metadata={"description": "a JSON Schema; null for none", "example": _SCHEMA},
    )
    level = fields.String(
        validate=ma.validate.OneOf([MODERATE, STRICT]), metadata={"example": MODERATE}
    )
    action = fields.String(validate=ma.validate.OneOf([REFUSE, WARN]), metadata={"example": REFUSE})
    breaking = fields.Integer(
        validate=ma.validate.Range(0, MOST_BREAKING),
        metadata={"description": "as many documents may break them", "example": 0},
    )
    tried = fields.Integer(
        validate=ma.validate.Range(1),
        metadata={
            "description": "of a sample of so many, as a trial that was not complete told it",
            "example": 1000,
        },
    )


class RulesAnswer(Success):
    schema = AnyValue(required=True, allow_none=True, metadata={"example": _SCHEMA})
    others = AnyValue(
        required=True,
        allow_none=True,
        metadata={"description": "conditions that are no JSON Schema", "example": None},
    )
    level = fields.String(required=True, metadata={"example": MODERATE})
    action = fields.String(required=True, metadata={"example": REFUSE})
    refused = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "writes by pages, jobs and this API that they refused; null where the "
            "portal did not put them into force, or they let writes through",
            "example": 12,
        },
    )


class FormerRules(Response):
    schema = AnyValue(required=True, metadata={"example": _SCHEMA})
    level = fields.String(required=True, metadata={"example": MODERATE})
    action = fields.String(required=True, metadata={"example": REFUSE})
    at = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        allow_none=True,
        metadata={"description": "null where a program set them", **_MOMENT},
    )
    by = fields.String(required=True, allow_none=True, metadata={"example": "ada@acme.example"})
    until = fields.AwareDateTime(
        format="iso",
        default_timezone=UTC,
        required=True,
        allow_none=True,
        metadata={"description": "null where a program replaced them", **_MOMENT},
    )
    until_by = fields.String(
        required=True, allow_none=True, metadata={"example": "ada@acme.example"}
    )


class FormerRulesAnswer(Success):
    former = fields.List(fields.Nested(FormerRules), required=True)


class RulesSetAnswer(Success):
    pass


class ProposalAnswer(Success):
    schema = AnyValue(required=True, metadata={"example": _SCHEMA})
    named = fields.Integer(
        required=True, metadata={"description": "the fields that it names", "example": 7}
    )
    of = fields.Integer(
        required=True, metadata={"description": "the fields that there are", "example": 12}
    )


class BrokenRule(Response):
    name = fields.String(required=True, metadata={"example": "title"})
    reason = fields.String(required=True, metadata={"example": "is the int32 5, not text"})
    documents = fields.Integer(required=True, metadata={"example": 2})
    address = fields.String(required=True, metadata={"description": "of one of them", **_ADDRESS})
    filter = AnyValue(required=True, metadata=_FILTER)


class TrialAnswer(Success):
    breaking = fields.Integer(required=True, metadata={"example": 2})
    more = fields.Boolean(
        required=True,
        metadata={"description": f"there are more than {MOST_BREAKING}", "example": False},
    )
    tried = fields.Integer(required=True, metadata={"example": 248113})
    complete = fields.Boolean(
        required=True,
        metadata={"description": "all were tried, not only a random sample", "example": True},
    )
    examples = fields.List(fields.Nested(BrokenRule), required=True)
