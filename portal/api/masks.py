"""An organization's sensitive fields for programs."""

from typing import Any

from portal.api import document_schemas as schemas
from portal.api import replay
from portal.api.document_requests import with_link
from portal.api.guard import OF_ACCESS, ApiBlueprint, access_by_name, logged_in
from portal.api.replay import OF_CHANGES, Answer, takes_key
from portal.data.masks.errors import InvalidMask, TooManyMasks
from portal.data.structure import masking
from portal.documents.organizations import Organization
from portal.web.errors import MalformedJson
from portal.web.requests import request_context

masks = ApiBlueprint("org_masks", __name__, url_prefix="/org", description="Sensitive fields")
masks.after_request(with_link)


@masks.get("/<name:name>/masks", refusals=OF_ACCESS)
@logged_in
@masks.response(200, schemas.MasksAnswer)
def list_masks(name: str) -> dict[str, Any]:
    """List the sensitive fields of an organization

    Without `documents.unmask` their values, null and missing alike, are `•••` in every answer.
    """
    return _told(access_by_name(name, "documents.mask").organization)


@masks.post("/<name:name>/masks", refusals=(*OF_CHANGES, InvalidMask, TooManyMasks))
@takes_key
@logged_in
@masks.arguments(schemas.MaskBody)
@masks.response(200, schemas.MasksAnswer)
def mask_field(body: dict[str, str], name: str) -> dict[str, Any]:
    """Make a field sensitive

    With all that is below it, in each element of the lists on its way, from the next request on.
    MongoDB users see its values all the same.
    """
    access = access_by_name(name, "documents.mask")
    return _told(masking.mask_field(access, body["path"], request_context()))


@masks.delete("/<name:name>/masks", refusals=(MalformedJson, *OF_CHANGES, InvalidMask))
@takes_key
@logged_in
@masks.arguments(schemas.MaskBody)
@masks.response(200, schemas.MasksAnswer)
def unmask_field(body: dict[str, str], name: str) -> dict[str, Any]:
    """Make a field visible

    To all who read documents. That needs `documents.unmask` too.
    """
    access = access_by_name(name, "documents.mask")
    return _told(masking.unmask_field(access, body["path"], request_context()))


def _told(organization: Organization) -> dict[str, Any]:
    fields = masking.sensitive_fields(organization)
    return {"masks": [{"path": each.path, "since": each.since} for each in fields]}


def _replay(organization: Organization) -> Answer:
    return _told(organization), 200, {}


replay.install(
    masks,
    {
        masking.MASKED: (schemas.MasksAnswer, _replay),
        masking.UNMASKED: (schemas.MasksAnswer, _replay),
    },
)
