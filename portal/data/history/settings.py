"""The switch that has programs' writes kept in the history."""

from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.organizations import Organization
from portal.organizations.access.lookup import Access, begin_change
from portal.web.context import RequestContext

CHANGED = "history_settings_changed"


@transactional
def record_programs(access: Access, context: RequestContext, *, recorded: bool) -> Organization:
    """Have what programs write by the data API kept in the history from the next request on, or no
    longer; a no-op where it is so already. What is kept stays kept.

    Raises NotFound where the organization is no longer active, Forbidden for who may no longer
    choose, DuplicateRequest.
    """
    organization = begin_change(
        access, context, CHANGED, access.organization.id, permission="documents.record"
    )
    if bool(organization.records_programs) == recorded:
        return organization
    organization.update(set__records_programs=recorded)
    organization.records_programs = recorded
    action = "history.programs_recorded" if recorded else "history.programs_not_recorded"
    record(organization, action, context.origin)
    return organization
