"""The JSON about people that programs of operators send and get."""

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import Body, Choice, Response, Success
from portal.operators.people.changing import LONGEST_REASON
from portal.operators.people.finding import LONGEST_TYPED

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_EMAIL = {"format": "email", "example": "mara@acme.example"}
_PERSON_NAME = {"example": "Mara"}
_YES, _NO = {"example": True}, {"example": False}


def _time(description: str, **options: Any) -> fields.AwareDateTime:
    metadata = {"description": description, "example": "2026-11-25T09:30:00+00:00"}
    return fields.AwareDateTime(format="iso", default_timezone=UTC, metadata=metadata, **options)


class PeopleQuery(Body):
    q = fields.String(
        load_default="",
        validate=ma.validate.Length(max=LONGEST_TYPED),
        metadata={
            "description": "the beginning of an address, @ and a domain, or an id",
            "example": "mara@",
        },
    )
    blocked = fields.Boolean(
        load_default=False,
        metadata={"description": "only those who are blocked", "example": False},
    )
    after = fields.String(
        metadata={"description": "that of the answer before", "example": "mara@acme.example"}
    )


class BlockBody(Body):
    reason = fields.String(
        required=True,
        metadata={
            "description": "for operators",
            "maxLength": LONGEST_REASON,
            "example": "Reported for phishing, ticket 4711",
        },
    )


class ListedPersonInfo(Response):
    """An account in a list."""

    id = fields.String(required=True, metadata=_ID)
    email = fields.String(required=True, metadata=_EMAIL)
    name = fields.String(required=True, metadata=_PERSON_NAME)
    created_at = _time("when it was made", required=True)
    verified = fields.Boolean(required=True, metadata=_YES)
    has_second_factor = fields.Boolean(required=True, metadata=_YES)
    blocked = fields.Boolean(required=True, metadata=_NO)
    operator_role = fields.String(
        required=True, metadata={"description": "empty for others", "example": "support"}
    )
    organizations = fields.Integer(required=True, metadata={"example": 3})


class PeopleAnswer(Success):
    people = fields.List(fields.Nested(ListedPersonInfo), required=True)
    way = Choice("PeopleSearchKind", required=True)
    after = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "for the next call", "example": "mara@acme.example"},
    )


class PersonMembership(Response):
    """An organization that a person is a member of."""

    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata={"example": "Acme Corp"})
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    state = fields.String(required=True, metadata={"example": "active"})
    role = fields.String(required=True, metadata={"example": "owner"})
    since = _time("when they joined", required=True)


class PersonsSession(Response):
    """A session of a person, in a browser or of a program."""

    id = fields.String(attribute="public_id", required=True, metadata=_ID)
    is_program = fields.Boolean(required=True, metadata=_NO)
    browser = fields.String(required=True, metadata={"example": "Firefox on Linux"})
    address = fields.String(
        required=True, metadata={"description": "the IP address", "example": "203.0.113.40"}
    )
    created_at = _time("when they logged in", required=True)
    seen_at = _time("when it was last used", required=True)


class PersonInfo(Response):
    """A person's account, without credentials."""

    id = fields.String(attribute="account.id", required=True, metadata=_ID)
    email = fields.String(attribute="account.email", required=True, metadata=_EMAIL)
    name = fields.String(required=True, metadata=_PERSON_NAME)
    created_at = _time("when it was made", attribute="account.created_at", required=True)
    verified = fields.Boolean(attribute="account.verified", required=True, metadata=_YES)
    operator_role = fields.String(
        attribute="account.operator_role",
        required=True,
        allow_none=True,
        metadata={"description": "null for others", "example": "support"},
    )
    blocked_at = _time(
        "null unless it is blocked", attribute="account.blocked_at", required=True, allow_none=True
    )
    blocked_reason = fields.String(
        attribute="account.blocked_reason",
        required=True,
        allow_none=True,
        metadata={"example": "Reported for phishing, ticket 4711"},
    )
    factors_reset_at = _time(
        "when the second factors are to be reset, if they are",
        attribute="account.factors_reset_at",
        required=True,
        allow_none=True,
    )
    has_second_factor = fields.Boolean(
        attribute="account.has_second_factor", required=True, metadata=_YES
    )
    organization_count = fields.Integer(required=True, metadata={"example": 3})
    organizations = fields.List(fields.Nested(PersonMembership), required=True)
    solely_owned = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "the names of what nobody else who can log in owns; 100 at most",
            "example": ["Acme Corp"],
        },
    )
    sessions = fields.List(fields.Nested(PersonsSession), required=True)


class PersonAnswer(Success):
    person = fields.Nested(PersonInfo, required=True)
