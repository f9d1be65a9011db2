"""Operations that give an organization a name: its slug is claimed with the intent, and becomes
current with the result."""

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional, within_transaction
from portal.documents.organizations import (
    Operation,
    OperationKind,
    Organization,
    OrganizationState,
    SlugState,
)
from portal.organizations.lifecycle import slugs
from portal.organizations.lifecycle.engine import update_if_held, write_intent
from portal.organizations.lifecycle.names import OrganizationName
from portal.web.context import RequestContext


@transactional
def commit_naming_intent(
    organization: Organization,
    kind: OperationKind,
    name: OrganizationName,
    context: RequestContext,
    *,
    state: OrganizationState,
) -> Organization:
    """Write the intent of an operation that gives the organization this name, and claim its slug.

    The organization must be in this ``state``. Raises SlugTaken, and what ``write_intent`` raises.
    """
    operation = Operation(
        kind=kind,
        started_at=clock.now(),
        origin=context.origin,
        collection=name.collection,
        name=name.shown,
        slug=name.slug,
    )
    written = write_intent(organization, operation, context, states=(state,))
    holder = slugs.owned_holder(context.account, name.slug)
    slugs.claim_slug(name.slug, organization.id, SlugState.TARGET, context, holder)
    return written


@within_transaction
def finish_naming(organization: Organization, action: str, **changes: object) -> Organization:
    """Write the operation's name and result into the organization, and record the ``action``; the
    caller updates the slugs. Raises LeaseLost."""
    operation = organization.operation
    named = update_if_held(
        organization,
        set__name=operation.name,
        set__slug=operation.slug,
        set__placement__collection=operation.collection,
        unset__operation=True,
        **changes,
    )
    record(
        named,
        action,
        operation.origin,
        name_before=organization.name,
        name=named.name,
        slug_before=organization.slug,
        slug=named.slug,
    )
    return named


@transactional
def undo_naming(organization: Organization, action: str) -> Organization:
    """Release the operation's slug, and record its failure as the ``action``. Raises LeaseLost."""
    operation = organization.operation
    undone = update_if_held(organization, unset__operation=True)
    slugs.release_target(operation.slug, organization.id)
    record(undone, action, operation.origin, name=operation.name, reason=operation.failure)
    return undone
