"""The JSON about organizations that programs send and get."""

from marshmallow import fields

from portal.api.schemas import (
    EMAIL,
    ID,
    NAME,
    PASSWORD_EXAMPLE,
    ROLE,
    SHOWN_NAME,
    SLUG_EXAMPLE,
    Body,
    Choice,
    Response,
    Success,
    time_field,
)
from portal.documents.organizations import SLUG
from portal.identity.authentication.passwords import LONGEST
from portal.organizations.lifecycle.external import LONGEST_ID, LONGEST_VALUE, MOST_ENTRIES
from portal.organizations.lifecycle.names import LONGEST_SLUG

_PLAN = {"description": "by which its placement is chosen", "example": "large"}
_REGION = {"description": "in which its documents stay", "example": "eu-central"}
_EXTERNAL_ID = {
    "description": "by which another system knows it; no two organizations have the same",
    "minLength": 1,
    "maxLength": LONGEST_ID,
    "example": "cus_9s6XKzkNRiz8i3",
}
_METADATA = {
    "description": f"of another system: {MOST_ENTRIES} entries at most, each named by up to 40 "
    f"letters, digits, - and _, with a value of up to {LONGEST_VALUE} characters",
    "example": {"crm": "A-4711"},
}
_SLUG = {
    "description": "the address; left out, it is made of the name. Not 24 digits and letters a to "
    "f: that is an id",
    "pattern": f"^{SLUG.pattern}$",
    "maxLength": LONGEST_SLUG,
    **SLUG_EXAMPLE,
}
_PASSWORD = {**PASSWORD_EXAMPLE, "maxLength": LONGEST}
_UUID = {"example": "4c019639-7e90-4fb9-b912-814c9f056732"}


class CreateBody(Body):
    """Without a bearer token name, e-mail address and password, with one no credentials."""

    organization_name = fields.String(required=True, metadata=NAME)
    slug = fields.String(metadata=_SLUG)
    email = fields.String(metadata=EMAIL)
    password = fields.String(load_only=True, metadata=_PASSWORD)
    viewers_read_documents = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "whether viewers may read its documents; an owner can change it"},
    )
    plan = fields.String(metadata=_PLAN)
    region = fields.String(metadata=_REGION)
    external_id = fields.String(metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(), metadata=_METADATA)


class ExternalBody(Body):
    """An external id, metadata, or both. One that is left out stays, as does each entry that isn't
    named; null takes an entry away, or the id."""

    external_id = fields.String(allow_none=True, metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(allow_none=True), metadata=_METADATA)


class PlanBody(Body):
    """A plan, a region, or both: null takes one away, and one left out stays."""

    plan = fields.String(allow_none=True, metadata=_PLAN)
    region = fields.String(allow_none=True, metadata=_REGION)


class NewNameBody(Body):
    new_organization_name = fields.String(
        required=True, metadata={**NAME, "example": "Acme & Daughters"}
    )
    slug = fields.String(metadata={**_SLUG, "example": "acme-daughters"})


class RenameBody(NewNameBody):
    old_organization_name = fields.String(required=True, metadata=SHOWN_NAME)


class NameBody(Body):
    organization_name = fields.String(required=True, metadata=SHOWN_NAME)


class RestoreBody(Body):
    organization_name = fields.String(metadata=NAME)
    slug = fields.String(metadata=_SLUG)


class DeleteQuery(Body):
    purge = fields.Boolean(load_default=False, metadata={"description": "drop it at once"})


class Organization(Response):
    """An organization as created."""

    id = fields.String(required=True, metadata=ID)
    organization_name = fields.String(required=True, attribute="name", metadata=SHOWN_NAME)
    slug = fields.String(required=True, metadata=SLUG_EXAMPLE)
    # Null where it has no collection of its own.
    collection_name = fields.String(
        required=True, allow_none=True, metadata={"example": "org_acme_corp"}
    )
    created_at = time_field(required=True)


class PlannedOrganization(Response):
    """An organization's plan and region, null where it has none."""

    id = fields.String(required=True, metadata=ID)
    slug = fields.String(required=True, metadata=SLUG_EXAMPLE)
    plan = fields.String(required=True, allow_none=True, metadata=_PLAN)
    region = fields.String(required=True, allow_none=True, metadata=_REGION)


class ExternalOrganization(Response):
    """The names by which other systems know an organization."""

    id = fields.String(required=True, metadata=ID)
    slug = fields.String(required=True, metadata=SLUG_EXAMPLE)
    external_id = fields.String(required=True, allow_none=True, metadata=_EXTERNAL_ID)
    metadata = fields.Dict(fields.String(), fields.String(), required=True, metadata=_METADATA)


class Operation(Response):
    """A lifecycle operation that runs."""

    kind = fields.String(required=True, metadata={"example": "rename"})
    started_at = time_field(required=True)


class Replacement(Response):
    """A collection that stands in place of an organization's own, which is gone."""

    uuid = fields.String(required=True, metadata=_UUID)
    documents = fields.Integer(required=True, metadata={"example": 1200})


class AdoptBody(Body):
    uuid = fields.String(required=True, metadata=_UUID)


class OrganizationDetails(Organization):
    """An organization as a member sees it; figures are null while its collection can't be read.

    ``collection_state`` is null while it is being created. `missing`: somebody dropped it in the
    database. `replaced`: another stands there instead, which an owner may take over. `misnamed`:
    somebody renamed it, and another has its name. `lost`: whoever runs the portal gave its cluster
    up. ``partial_figures`` where it shares a collection, and has more documents there than are
    counted.
    """

    collection_state = Choice("CollectionState", required=True, allow_none=True)
    replacement = fields.Nested(Replacement, required=True, allow_none=True)

    role = Choice("Role", required=True, allow_none=True, metadata=ROLE)
    plan = fields.String(required=True, allow_none=True, metadata=_PLAN)
    region = fields.String(required=True, allow_none=True, metadata=_REGION)
    documents = fields.Integer(required=True, allow_none=True, metadata={"example": 1200})
    bytes = fields.Integer(required=True, allow_none=True, metadata={"example": 86016})
    partial_figures = fields.Boolean(required=True, metadata={"example": False})
    operation = fields.Nested(Operation, required=True, allow_none=True)


class TrashedOrganization(Response):
    """An organization in the trash; times are null until it is there."""

    id = fields.String(required=True, metadata=ID)
    organization_name = fields.String(required=True, attribute="name", metadata=SHOWN_NAME)
    trashed_at = time_field(required=True, allow_none=True)
    purge_at = time_field(required=True, allow_none=True)


class CreatedAnswer(Success):
    organization = fields.Nested(Organization, required=True)


class SignUpRequestAnswer(Success):
    organization = fields.Nested(
        Organization,
        required=True,
        allow_none=True,
        metadata={"description": "null: there is none yet"},
    )


class OrganizationAnswer(Success):
    organization = fields.Nested(OrganizationDetails, required=True)


class PlanAnswer(Success):
    organization = fields.Nested(PlannedOrganization, required=True)


class ExternalAnswer(Success):
    organization = fields.Nested(ExternalOrganization, required=True)


class DeletedAnswer(Success):
    trash = fields.Nested(
        TrashedOrganization,
        required=True,
        allow_none=True,
        metadata={"description": "null: it is purged"},
    )


class TrashAnswer(Success):
    trash = fields.List(fields.Nested(TrashedOrganization), required=True)


def show_password_rule(shortest: int) -> None:
    """Have the document say how long a password of this portal is."""
    password = CreateBody._declared_fields["password"]
    password.metadata = {**password.metadata, "minLength": shortest}
