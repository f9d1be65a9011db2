"""Bringing organizations back from the trash."""

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.audit import Origin
from portal.documents.organizations import ACTIVE, RESTORE, TRASHED, Operation, Organization
from portal.documents.slugs import TARGET
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import Plan, advance, declare, pursue, write_intent
from portal.organizations.lifecycle.names import clean_name, collection_of, slug_of
from portal.organizations.lifecycle.steps import move_back, move_collection
from portal.web import rate_limits


def restore_organization(
    organization: Organization, name: str | None, origin: Origin
) -> Organization:
    """Bring a trashed organization back, with its documents and members, under another ``name``
    or without one under its own.

    Raises TooManyTries, InvalidName, SlugTaken, OperationInProgress, NotInTrash,
    OrganizationPurged, CollectionLost; then it is in the trash as before.
    """
    rate_limits.count_try(rate_limits.RENAMES, str(organization.id))
    name = organization.name if name is None else clean_name(name)
    slug = organization.slug if name == organization.name else slug_of(name)
    operation = Operation(
        kind=RESTORE,
        started_at=clock.now(),
        origin=origin,
        collection=collection_of(slug),
        name=name,
        slug=slug,
    )

    def body() -> Organization:
        intended = write_intent(organization, operation, states=(TRASHED,))
        holder = slugs.holder_owned_by(origin.account, slug)
        slugs.claim_slug(slug, organization.id, TARGET, origin, holder)
        return intended

    return pursue(transaction(body))


def _finish_restore(organization: Organization) -> Organization:
    operation = organization.operation

    def body() -> Organization:
        restored = advance(
            organization,
            set__state=ACTIVE,
            set__name=operation.name,
            set__slug=operation.slug,
            set__placement__collection=operation.collection,
            unset__trashed_at=True,
            unset__trashed_by=True,
            unset__purge_at=True,
            unset__warn_at=True,
            unset__operation=True,
        )
        slugs.settle(organization.id, operation.slug)
        record(
            restored,
            "organization.restored",
            operation.origin,
            name_before=organization.name,
            name=restored.name,
            slug_before=organization.slug,
            slug=restored.slug,
        )
        return restored

    return transaction(body)


def _undo_restore(organization: Organization) -> Organization:
    operation = organization.operation

    def body() -> Organization:
        kept = advance(organization, unset__operation=True)
        slugs.unclaim(operation.slug, organization.id)
        record(
            kept,
            "organization.restore_failed",
            operation.origin,
            name=operation.name,
            reason=operation.failure,
        )
        return kept

    return transaction(body)


PLAN = declare(
    Plan(
        kind=RESTORE,
        title="Restoring from the trash",
        doing="being restored",
        forward=(move_collection, _finish_restore),
        back=(move_back, _undo_restore),
    )
)
