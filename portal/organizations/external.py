"""Setting what other systems know an organization by, once it exists."""

from collections.abc import Mapping

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import Organization, OrganizationState
from portal.errors import NotFound
from portal.organizations.lifecycle.errors import ExternalIdTaken
from portal.organizations.lifecycle.external import parse_external_id, parse_metadata
from portal.organizations.planning import UNCHANGED, Unchanged, check_seen
from portal.web.context import RequestContext
from portal.web.idempotency import claim_key

EXTERNAL_SET = "external_set"


def set_external(
    organization_id: ObjectId,
    context: RequestContext,
    seen: Mapping[str, str | None] | None = None,
    /,
    *,
    external_id: str | Unchanged | None = UNCHANGED,
    metadata: Mapping[str, str | None] | Unchanged = UNCHANGED,
) -> Organization:
    """Set the external id, or entries of the metadata: an entry that isn't named stays as it is,
    ``None`` takes one away, or the external id. A no-op where they are so. ``seen`` is what a form
    showed, as ``values_of`` has it.

    The trail has the names of what changed, and no values: they may be personal. Raises NotFound
    where it was purged, InvalidExternalId, InvalidMetadata, ExternalIdTaken, DuplicateRequest,
    ChangedMeanwhile where what is to be changed isn't as ``seen``; then nothing is changed.
    """
    try:
        return _set(organization_id, context, external_id, metadata, seen)
    except DuplicateKeyError as error:
        raise ExternalIdTaken(str(external_id)) from error


def values_of(organization: Organization) -> dict[str, str | None]:
    """The values by which others know it: ``external_id``, and ``metadata.crm`` of an entry."""
    entries = (organization.metadata or {}).items()
    by_name = {f"metadata.{name}": value for name, value in entries}
    return {"external_id": organization.external_id, **by_name}


@transactional
def _set(
    organization_id: ObjectId,
    context: RequestContext,
    external_id: str | Unchanged | None,
    metadata: Mapping[str, str | None] | Unchanged,
    seen: Mapping[str, str | None] | None,
) -> Organization:
    claim_key(context, organization_id, EXTERNAL_SET, organization_id)
    organization = Organization.objects(
        id=organization_id, state__ne=OrganizationState.PURGED
    ).first()
    if organization is None:
        raise NotFound(str(organization_id))
    before = values_of(organization)
    if not isinstance(external_id, Unchanged):
        organization.external_id = None if external_id is None else parse_external_id(external_id)
    if not isinstance(metadata, Unchanged):
        merged = {**(organization.metadata or {}), **metadata}
        kept = parse_metadata({name: value for name, value in merged.items() if value is not None})
        organization.metadata = kept or None
    after = values_of(organization)
    check_seen(before, after, seen)
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    if changed:
        values = {"external_id": organization.external_id, "metadata": organization.metadata}
        Organization._get_collection().update_one(
            {"_id": organization.id},
            {
                "$set": {name: value for name, value in values.items() if value is not None},
                "$unset": {name: "" for name, value in values.items() if value is None},
            },
        )
        record(organization, "organization.external_set", context.origin, fields=", ".join(changed))
    return organization
