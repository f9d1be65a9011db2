"""Takes over the collection that stands in place of an organization's own.

An application may replace one by ``$out``, UUID included (verified on 6.0.5: whoever may insert may
that), and a restore without UUIDs does: the recorded UUID is gone, and another collection stands
under the recorded name. Nobody can tell whether it is the organization's, so it is taken over where
an owner or operator says so, and exactly as it was shown.
"""

from dataclasses import dataclass
from uuid import UUID

from bson import ObjectId
from pymongo.database import Database

from portal.audit.trail import record
from portal.database.clusters import database_of
from portal.database.transactions import transactional, within_transaction
from portal.documents.audit import Origin
from portal.documents.organizations import Organization, OrganizationState, next_version
from portal.organizations.access.lookup import Access, begin_change
from portal.organizations.lifecycle.errors import NotReplaced
from portal.organizations.lifecycle.names import check_confirmed
from portal.tenants import collections
from portal.web.context import RequestContext

ADOPTED = "collection_adopted"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A collection in place of an organization's own: its UUID, and about how many documents it
    has."""

    uuid: UUID
    documents: int


def find_replacement(organization: Organization) -> Replacement | None:
    """The collection that stands under the recorded name while the recorded UUID is gone, unless it
    is another organization's; ``None`` too while an operation runs."""
    name, recorded = organization.placement.collection, organization.placement.uuid
    if organization.operation or recorded is None:  # it is being created, or in a pool
        return None
    database = database_of(organization.placement)
    if collections.names_of(database, [recorded]):
        return None
    found = uuid_of_nobodys(database, name)
    if found is None:
        return None
    return Replacement(found, database[name].estimated_document_count())


def adopt_replacement(
    access: Access, uuid: str, confirm_name: str | None, context: RequestContext
) -> Organization:
    """Make the collection with this UUID the organization's, which then reads and writes there. A
    no-op where it is so already. ``confirm_name`` is what a person typed; programs send none.

    Raises NameNotConfirmed, NotReplaced; what ``begin_change`` raises.
    """
    check_confirmed(confirm_name, access.organization.name)
    return _adopt(access, uuid, find_replacement(access.organization), context)


def uuid_of_nobodys(database: Database, name: str) -> UUID | None:
    """The UUID of the collection ``name``, if there is one and no organization's."""
    found = collections.uuid_of(database, name)
    living = Organization.objects(placement__uuid=found, state__ne=OrganizationState.PURGED)
    return None if found is None or living.first() else found


@within_transaction
def write_adoption(
    organization_id: ObjectId, name: str, recorded: UUID | None, found: UUID, origin: Origin
) -> Organization | None:
    """Record the collection ``found`` as the organization's; ``None`` where its placement has
    changed since it was shown, or an operation runs."""
    as_shown = {"placement__collection": name, "placement__uuid": recorded, "operation": None}
    kept = Organization.objects(id=organization_id, state__ne=OrganizationState.PURGED, **as_shown)
    adopted = kept.modify(new=True, set__placement__uuid=found, **next_version())
    if adopted is None:
        return None
    record(
        adopted,
        "organization.collection_adopted",
        origin,
        collection=name,
        uuid_before=str(recorded),
        uuid=str(found),
    )
    return adopted


@transactional
def _adopt(
    access: Access, uuid: str, found: Replacement | None, context: RequestContext
) -> Organization:
    organization = begin_change(
        access, context, ADOPTED, access.organization.id, permission="organization.adopt"
    )
    if uuid == str(organization.placement.uuid):
        return organization
    if found is None or uuid != str(found.uuid):
        raise NotReplaced(organization.name)
    shown = access.organization.placement
    adopted = write_adoption(
        organization.id, shown.collection, shown.uuid, found.uuid, context.origin
    )
    if adopted is None:
        raise NotReplaced(organization.name)
    return adopted
