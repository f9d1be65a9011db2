"""The JSON about MongoDB credentials that programs send and get."""

import marshmallow as ma
from marshmallow import fields

from portal.api.schemas import (
    EMAIL_EXAMPLE,
    ID,
    NAME,
    Body,
    Choice,
    Response,
    Secret,
    Success,
    ToldOnce,
    time_field,
)
from portal.organizations.credentials import managing

_CREDENTIAL_EXAMPLE = {"example": "Weekly report"}
_CREDENTIAL_OVERLAPS = [
    int(overlap.total_seconds()) for overlap in managing.OVERLAPS if overlap is not None
]
_ENDS_AT = {"description": "the end of a former one, if a day was set"}
_CONNECTIONS = {
    "description": "open ones; null where MongoDB doesn’t let the portal list them",
    "example": 3,
}
_PENDING_SINCE = {"description": "revoked here since, and not yet in MongoDB"}
_MEMBERS_EXAMPLE = {"example": ["db1.example:27017"]}


class CredentialUser(Response):
    """A MongoDB user of a credential."""

    name = fields.String(required=True, metadata={"example": "credentialK3f9ZpQw7LxV"})
    created_at = time_field(required=True)
    ends_at = time_field(required=True, allow_none=True, metadata=_ENDS_AT)
    seen_at = time_field(required=True, allow_none=True, metadata={"description": "connected"})
    seen_by = fields.List(
        fields.String(), required=True, metadata={"description": "by the applications"}
    )
    connections = fields.Integer(required=True, allow_none=True, metadata=_CONNECTIONS)


class Credential(Response):
    """A credential: a MongoDB user that reaches the organization's collection alone. While it is
    rotated the former one works, too."""

    id = fields.String(required=True, metadata=ID)
    name = fields.String(required=True, metadata=_CREDENTIAL_EXAMPLE)
    reach = Choice("CredentialReach", required=True)
    made_by = fields.String(required=True, allow_none=True, metadata=EMAIL_EXAMPLE)
    created_at = time_field(required=True)
    user = fields.Nested(CredentialUser, required=True)
    former = fields.Nested(CredentialUser, required=True, allow_none=True)
    pending_since = time_field(required=True, allow_none=True, metadata=_PENDING_SINCE)


class CredentialVerification(Response):
    """The members on which the user signed in and read; those that lag behind, and those that don't
    answer."""

    proven = fields.List(fields.String(), required=True, metadata=_MEMBERS_EXAMPLE)
    lagging = fields.List(fields.String(), required=True)
    down = fields.List(fields.String(), required=True)


class NewCredentialBody(Body):
    name = fields.String(required=True, metadata={**NAME, **_CREDENTIAL_EXAMPLE})
    reach = Choice("CredentialReach", required=True)


class RotateCredentialBody(Body):
    overlap_seconds = fields.Integer(
        strict=True,
        validate=ma.validate.OneOf(_CREDENTIAL_OVERLAPS),
        metadata={
            "description": "how long the old user works beside the new one; left out, until ended"
        },
    )


class EndOverlapBody(Body):
    although_in_use = fields.Boolean(load_default=False, truthy={True}, falsy={False})


class CredentialsAnswer(Success):
    credentials = fields.List(fields.Nested(Credential), required=True)


class CredentialAnswer(Success):
    credential = fields.Nested(Credential, required=True)


class NewConnectionStringAnswer(CredentialAnswer):
    """A credential with a new user. A repeated call is answered without the string."""

    connection_string = Secret(
        metadata={
            "description": "how programs connect; told this once",
            "example": "mongodb://credential…:…@db.example:27017/tenant_db?authSource=tenant_db",
        }
    )
    proof = ToldOnce(CredentialVerification)


class RevokedAnswer(Success):
    pending = fields.Boolean(
        required=True,
        metadata={"description": "MongoDB did not answer: it is tried again", "example": False},
    )
