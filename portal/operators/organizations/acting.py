"""The acts of operators on an organization: its members’ services, applied only as planned."""

from portal.documents.organizations import Organization
from portal.operators.organizations.planning import (
    Planned,
    PlannedAction,
    check_possible,
)
from portal.organizations.lifecycle import renaming, trashing
from portal.web.context import RequestContext


def apply_action(
    organization: Organization,
    action: PlannedAction,
    context: RequestContext,
    *,
    plan: str | None = None,
    confirm_name: str | None = None,
    typed_name: str | None = None,
    typed_slug: str | None = None,
) -> Organization:
    """Carry the action out; the organization after it, with its operation where that isn't finished
    yet. With the text of a ``plan`` only if the organization is still as that saw it.

    ``confirm_name`` is what a person typed before something is deleted; programs send none. Raises
    UnreadableActionPlan, PlanOutdated, and what ``plan_action`` and the service of the action
    raise; then nothing was changed.
    """
    planned = Planned.loads(plan, action, organization.id) if plan else None
    check_possible(organization, action)
    if planned:
        planned.check_documents(organization)
    check = planned.check if planned else None
    if action == PlannedAction.TRASH:
        return trashing.trash_organization(organization, confirm_name, context, check=check)
    if action == PlannedAction.PURGE:
        return trashing.purge_organization(organization, confirm_name, context, check=check)
    if action == PlannedAction.RENAME:
        return renaming.rename_organization(
            organization, typed_name or organization.name, context, typed_slug, check=check
        )
    return renaming.restore_organization(organization, typed_name, context, typed_slug, check=check)
