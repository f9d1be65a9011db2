"""Renaming organizations, the tenant collection with them."""

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.audit import Origin
from portal.documents.organizations import ACTIVE, RENAME, Operation, Organization
from portal.documents.slugs import TARGET
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import (
    Plan,
    advance,
    declare,
    pursue,
    refusal,
    write_intent,
)
from portal.organizations.lifecycle.errors import NameUnchanged
from portal.organizations.lifecycle.names import clean_name, collection_of, slug_of
from portal.organizations.lifecycle.steps import move_back, move_collection
from portal.web import rate_limits
from portal.web.idempotency import claim_key


def rename_organization(organization: Organization, name: str, origin: Origin) -> Organization:
    """Give the organization another name, and its collection with it.

    A name that leads to the same slug changes the display name alone; one that leads to an old
    slug is taken until that is free, but for the owners of the organization that has it. Raises
    TooManyTries, InvalidName, NameUnchanged, SlugTaken, OperationInProgress, AddressChanged,
    NotFound, CollectionLost; then nothing was changed.
    """
    rate_limits.count_try(rate_limits.RENAMES, str(organization.id))
    name = clean_name(name)
    if name == organization.name:
        raise NameUnchanged(name)
    slug = slug_of(name)
    if slug == organization.slug:
        return transaction(lambda: _change_display_name(organization, name, origin))
    operation = Operation(
        kind=RENAME,
        started_at=clock.now(),
        origin=origin,
        collection=collection_of(slug),
        name=name,
        slug=slug,
    )

    def body() -> Organization:
        intended = write_intent(organization, operation)
        holder = slugs.holder_owned_by(origin.account, slug)
        slugs.claim_slug(slug, organization.id, TARGET, origin, holder)
        return intended

    return pursue(transaction(body))


def _finish_rename(organization: Organization) -> Organization:
    operation = organization.operation

    def body() -> Organization:
        renamed = advance(
            organization,
            set__name=operation.name,
            set__slug=operation.slug,
            set__placement__collection=operation.collection,
            unset__operation=True,
        )
        slugs.move_on(organization.id, organization.slug, operation.slug)
        before, after = organization, renamed
        record(
            renamed,
            "organization.renamed",
            operation.origin,
            name_before=before.name,
            name=after.name,
            slug_before=before.slug,
            slug=after.slug,
        )
        return renamed

    return transaction(body)


def _undo_rename(organization: Organization) -> Organization:
    operation = organization.operation

    def body() -> Organization:
        undone = advance(organization, unset__operation=True)
        slugs.unclaim(operation.slug, organization.id)
        record(
            undone,
            "organization.rename_failed",
            operation.origin,
            name=operation.name,
            reason=operation.failure,
        )
        return undone

    return transaction(body)


def _change_display_name(organization: Organization, name: str, origin: Origin) -> Organization:
    claim_key(origin.key, origin.request_id, organization.id, RENAME)
    renamed = Organization.objects(
        id=organization.id, state=ACTIVE, slug=organization.slug, operation=None
    ).modify(new=True, set__name=name)
    if renamed is None:
        raise refusal(organization)
    record(renamed, "organization.renamed", origin, name_before=organization.name, name=name)
    return renamed


PLAN = declare(
    Plan(
        kind=RENAME,
        title="Renaming to {name}",
        doing="being renamed",
        forward=(move_collection, _finish_rename),
        back=(move_back, _undo_rename),
    )
)
