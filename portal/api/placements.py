"""The placement of an organization's documents, for programs without the library."""

from typing import Any

from flask import Response, request
from flask_login import current_user
from marshmallow import fields

from portal.api import schemas
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, canonical, logged_in
from portal.api.replay import Answer
from portal.database import directory
from portal.database.connection import master_database
from portal.documents.organizations import MAIN_CLUSTER, Organization, Strategy
from portal.errors import NotFound
from portal.organizations.access.lookup import parse_object_id, visible_in_any_state
from portal.web.entity_tags import names_one

placements = ApiBlueprint("placements", __name__, url_prefix="/org", description="Placements")

_ID = {"example": "692588d0a7c4f2b91e03d65a"}
_UUID = {"example": "0c4a2f6e-54a0-4c7e-9a51-0d2f4d8d3b52"}


class RunningOperation(schemas.Response):
    """A lifecycle operation that runs, and the collection's name when it is done."""

    kind = fields.String(required=True, metadata={"example": "rename"})
    collection = fields.String(required=True, metadata={"example": "org_acme_daughters"})


class Placement(schemas.Response):
    """The place of an organization's documents. ``collection`` and ``uuid`` are null where that is
    a shared collection, the ``pool``'s; ``uuid`` also while the collection is being created."""

    strategy = fields.String(required=True, metadata={"example": Strategy.COLLECTION.value})
    cluster = fields.String(required=True, metadata={"example": MAIN_CLUSTER})
    database = fields.String(required=True, metadata={"example": "tenant_db"})
    collection = fields.String(
        required=True, allow_none=True, metadata={"example": "org_acme_corp"}
    )
    uuid = fields.UUID(required=True, allow_none=True, metadata=_UUID)
    pool = fields.Integer(required=True, allow_none=True, metadata={"example": None})


class DirectoryEntry(schemas.Response):
    """An organization in the directory. ``version`` grows with each change within an ``epoch``."""

    id = fields.String(required=True, attribute="_id", metadata=_ID)
    slug = fields.String(required=True, metadata={"example": "acme-corp"})
    state = fields.String(required=True, metadata={"example": "active"})
    version = fields.Integer(required=True, metadata={"example": 7})
    epoch = fields.Integer(required=True, metadata={"example": 1764406800})
    placement = fields.Nested(Placement, required=True)
    operation = fields.Nested(RunningOperation, required=True, allow_none=True)


class PlacementAnswer(schemas.Success):
    organization = fields.Nested(DirectoryEntry, required=True)


@placements.get("/<name:name>/placement", refusals=OF_ACCESS)
@logged_in
@placements.response(200, PlacementAnswer)
@placements.alt_response(304, description="As the ETag in If-None-Match says")
def get_placement(name: str) -> Answer | Response:
    """See where an organization's documents are

    What the directory says, for programs that write to MongoDB without the library: send each
    command with the `uuid` as `collectionUUID`. One in a `pool` has neither `uuid` nor
    `collection`: its documents are among others', and are reached by the library or by the data
    API (`/org/…/documents`) alone. By id (`/org/by-id/…/placement`) it is answered in every state:
    of an organization in the trash, too, and of a purged one.
    """
    access = access_by_name(name, "organization.view")
    return _answer(access.organization, canonical(access, access.organization, "/placement"))


@placements.get("/by-id/<organization_id>/placement", refusals=OF_ACCESS)
@logged_in
@placements.response(200, PlacementAnswer)
@placements.alt_response(304, description="As the ETag in If-None-Match says")
def get_placement_by_id(organization_id: str) -> Answer | Response:
    """See where an organization's documents are, whatever its name and state

    For its members and keys, and for who owned it when it was purged.
    """
    found = visible_in_any_state(parse_object_id(organization_id), current_user)
    return _answer(found, {})


def _answer(organization: Organization, headers: dict[str, str]) -> Answer | Response:
    entry = directory.find_organization(master_database(), organization.id)
    if entry is None:  # its creation was just rolled back
        raise NotFound(str(organization.id))
    etag = f"{entry['epoch']}-{entry['version']}"
    headers = {**headers, "ETag": f'"{etag}"'}
    if names_one(request.headers.get("If-None-Match", ""), [etag]):
        return Response(status=304, headers=headers)
    return {"organization": _shown(entry)}, 200, headers


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    placement = {"collection": None, "uuid": None, "pool": None, **entry["placement"]}
    return {"operation": None, **entry, "placement": placement}
