"""Renaming organizations together with their tenant collections, and restoring them from the trash,
which is a rename that also changes the state.

The slug is claimed with the intent, and becomes current with the result. Where no collection has
the organization's name, both are written in one transaction.
"""

from collections.abc import Callable

from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.organizations import (
    OperationKind,
    Organization,
    OrganizationState,
    SlugState,
    Strategy,
)
from portal.organizations.lifecycle import engine, slugs
from portal.organizations.lifecycle.errors import NameUnchanged
from portal.organizations.lifecycle.names import OrganizationName, parse_name_for
from portal.organizations.lifecycle.naming import name_restricted
from portal.organizations.lifecycle.privileges import (
    give_privileges,
    give_privileges_back,
    take_privileges,
    take_privileges_again,
)
from portal.organizations.lifecycle.steps import rename_collection, rename_collection_back
from portal.web import rate_limits
from portal.web.context import OPERATOR, RequestContext
from portal.web.idempotency import claim_key


def rename_organization(
    organization: Organization,
    typed_name: str,
    context: RequestContext,
    typed_slug: str | None = None,
    *,
    check: engine.Check | None = None,
) -> Organization:
    """Rename the organization and its collection.

    A name with the same slug changes the display name alone. An old slug of another organization is
    taken while it is held, but for that organization's owners.

    Raises TooManyAttempts, InvalidName, InvalidSlug, NameUnchanged, SlugTaken, OperationInProgress,
    OrganizationRenamed, NotFound, TenantCollectionMissing, and what ``check`` raises.
    """
    rate_limits.count_attempt(rate_limits.RENAMES, str(organization.id))
    name = parse_name_for(organization, typed_name, typed_slug)
    if name == OrganizationName(organization.name, organization.slug):
        raise NameUnchanged(name.shown)
    if name.slug == organization.slug:
        return _change_display_name(organization, name, context, check)
    with slugs.offering_a_free_slug(typed_slug):
        kind, state = OperationKind.RENAME, OrganizationState.ACTIVE
        begun = _begin(organization, kind, state, name, context, _write_rename, check)
        return engine.run_now(begun)


def restore_organization(
    organization: Organization,
    typed_name: str | None,
    context: RequestContext,
    typed_slug: str | None = None,
    *,
    check: engine.Check | None = None,
) -> Organization:
    """Restore a trashed organization with its documents and members, perhaps under another name or
    slug.

    Raises TooManyAttempts, InvalidName, InvalidSlug, SlugTaken, OperationInProgress, NotInTrash,
    OrganizationPurged, TenantCollectionMissing, and what ``check`` raises; then it is in the trash
    as before.
    """
    rate_limits.count_attempt(rate_limits.RENAMES, str(organization.id))
    name = parse_name_for(organization, typed_name, typed_slug)
    with slugs.offering_a_free_slug(typed_slug):
        kind, state = OperationKind.RESTORE, OrganizationState.TRASHED
        begun = _begin(organization, kind, state, name, context, _write_restore, check)
        return engine.run_now(begun)


@transactional
def _change_display_name(
    organization: Organization,
    name: OrganizationName,
    context: RequestContext,
    check: engine.Check | None,
) -> Organization:
    claim_key(context, organization.id, OperationKind.RENAME)
    renamed = Organization.objects(
        id=organization.id,
        state=OrganizationState.ACTIVE,
        slug=organization.slug,
        restricted=organization.restricted,
        operation=None,
    ).modify(new=True, set__name=name.shown)
    if renamed is None:
        raise engine.refusal(organization)
    if check:
        check(organization)
    names = {"name_before": organization.name, "name": name.shown}
    record(renamed, "organization.renamed", context.origin, **names)
    return renamed


def _begin(
    organization: Organization,
    kind: OperationKind,
    state: OrganizationState,
    name: OrganizationName,
    context: RequestContext,
    result: Callable[[Organization], Organization],
    check: engine.Check | None,
) -> Organization:
    """Write the intent of an operation that gives the organization in this ``state`` the name, and
    claim its slug; where it takes no steps, write its ``result`` as well. Raises SlugTaken, and
    what ``write_intent`` raises."""

    @transactional
    def write(held_by_own: bool) -> Organization:
        collection = name_restricted(organization, organization.restricted, name)
        operation = engine.new_operation(kind, collection, context, name=name.shown, slug=name.slug)
        written = engine.write_intent(
            organization, operation, context, states=(state,), check=check
        )
        holder = organization.id if context.actor.kind == OPERATOR.kind else None
        if held_by_own:
            holder = slugs.owned_holder(context.account, name.slug)
        slugs.claim_slug(name.slug, organization.id, SlugState.TARGET, context, holder)
        steps = engine.takes_steps(kind, organization.placement.strategy)
        return written if steps else result(written)

    return slugs.claiming(name.slug, context.account, write)


@within_transaction
def _write_name(organization: Organization, action: str, **changes: object) -> Organization:
    """Write the operation's name and result into the organization, and record the ``action``; the
    caller updates the slugs. Raises LeaseLost."""
    operation = organization.operation
    names = {
        "name_before": organization.name,
        "name": operation.name,
        "slug_before": organization.slug,
        "slug": operation.slug,
    }
    return engine.update_and_record(
        organization,
        action,
        names,
        set__name=operation.name,
        set__slug=operation.slug,
        unset__operation=True,
        **engine.new_place(operation),
        **changes,
    )


@transactional
def _release_name(organization: Organization, action: str) -> Organization:
    """Release the operation's slug, and record its failure as the ``action``. Raises LeaseLost."""
    operation = organization.operation
    failed = {"name": operation.name, "reason": operation.failure}
    undone = engine.update_and_record(organization, action, failed, unset__operation=True)
    slugs.release_target(operation.slug, organization.id)
    return undone


@within_transaction
def _write_rename(organization: Organization) -> Organization:
    renamed = _write_name(organization, "organization.renamed")
    slugs.promote_target(organization.id, organization.slug, renamed.slug, organization.name)
    if renamed.audit_head.seq > slugs.MAX_OLD:  # each rename was recorded
        slugs.release_oldest(organization.id)
    return renamed


@transactional
def _finish_rename(organization: Organization) -> Organization:
    return _write_rename(organization)


def _undo_rename(organization: Organization) -> Organization:
    return _release_name(organization, "organization.rename_failed")


@within_transaction
def _write_restore(organization: Organization) -> Organization:
    restored = _write_name(
        organization,
        "organization.restored",
        set__state=OrganizationState.ACTIVE,
        unset__trashed_at=True,
        unset__trashed_by=True,
        unset__purge_at=True,
        unset__warn_at=True,
    )
    slugs.mark_current(organization.id, restored.slug)
    return restored


@transactional
def _finish_restore(organization: Organization) -> Organization:
    return _write_restore(organization)


def _undo_restore(organization: Organization) -> Organization:
    return _release_name(organization, "organization.restore_failed")


RENAME = engine.Plan(
    kind=OperationKind.RENAME,
    title="Renaming to {name}",
    doing="being renamed",
    ways={
        Strategy.COLLECTION: engine.Way(
            forward=(take_privileges, rename_collection, give_privileges, _finish_rename),
            back=(
                take_privileges_again,
                rename_collection_back,
                give_privileges_back,
                _undo_rename,
            ),
        )
    },
)
_RESTORE_WAY = engine.Way(
    forward=(rename_collection, give_privileges, _finish_restore),
    back=(take_privileges_again, rename_collection_back, _undo_restore),
)
RESTORE = engine.Plan(
    kind=OperationKind.RESTORE,
    title="Restoring from the trash",
    doing="being restored",
    ways={Strategy.COLLECTION: _RESTORE_WAY, Strategy.DATABASE: _RESTORE_WAY},
)
