"""Rules that were in force before, which can be put back like any others."""

from dataclasses import dataclass, replace
from datetime import datetime

from portal.data.access import DocumentAccess
from portal.data.errors import RulesNotFound
from portal.data.masks.errors import FieldMasked
from portal.data.rules.rules import REFUSE, Rules, check_visible, name_of
from portal.data.rules.versions import MOST_KEPT, Version, is_same, version_of
from portal.documents.audit import AuditEvent
from portal.documents.organizations import Organization
from portal.documents.rules_versions import RulesVersion

_MOST_EVENTS = 4 * MOST_KEPT


@dataclass(frozen=True, slots=True)
class FormerRules:
    """Rules that were in force until somebody replaced or ended them. Without ``rules.at`` a
    program had set them."""

    id: str
    rules: Rules
    until: datetime | None = None
    until_by: str | None = None


@dataclass(frozen=True, slots=True)
class Refusals:
    """The number of writes by the portal that rules refused, and when the last one was."""

    writes: int
    at: datetime | None


def former_rules(access: DocumentAccess, in_force: Rules) -> list[FormerRules]:
    """The rules that were in force before, newest first, but for those that name what the caller
    may not see."""
    own = RulesVersion.objects(organization=access.organization.id)
    found = list(own.order_by("-seq", "found"))
    if found and in_force.schema is not None:
        now = Version(in_force.schema, in_force.level, in_force.action)
        found = found[is_same(found[0], now) :]
    events = _events(access, found) if found else []
    return [former for each in found if (former := _former(access, each, events))]


def refusals_of(organization: Organization, in_force: Rules) -> Refusals | None:
    """The writes that the rules in force refused; ``None`` where the portal didn't put them into
    force, or they let writes through."""
    if in_force.schema is None or in_force.action != REFUSE:
        return None
    own = RulesVersion.objects(organization=organization.id)
    newest = own.order_by("-seq", "found").first()
    now = Version(in_force.schema, in_force.level, in_force.action)
    return Refusals(newest.refused, newest.refused_at) if is_same(newest, now) else None


def find_former(access: DocumentAccess, in_force: Rules, former_id: str) -> FormerRules:
    """The former rules with this id. Raises RulesNotFound."""
    found = former_rules(access, in_force)
    one = next((each for each in found if each.id == former_id), None)
    if one is None:
        raise RulesNotFound
    return one


def _events(access: DocumentAccess, found: list[RulesVersion]) -> list[AuditEvent]:
    """The events that put rules into force or ended them, oldest first."""
    events = AuditEvent.objects(
        chain=access.organization.id,
        action__in=["rules.changed", "rules.ended"],
        seq__gte=found[-1].seq,
    )
    return list(events.order_by("-seq").limit(_MOST_EVENTS))[::-1]


def _former(
    access: DocumentAccess, stored: RulesVersion, events: list[AuditEvent]
) -> FormerRules | None:
    version = version_of(stored)
    try:
        check_visible(access, version.schema)
    except FieldMasked:
        return None
    rules = Rules(version.schema, None, version.level, version.action)
    later = [event for event in events if event.seq >= stored.seq]
    if not stored.found and later and later[0].seq == stored.seq:
        put = later.pop(0)
        rules = replace(rules, at=put.at, by=name_of(put))
    ended = later[0] if later else None
    return FormerRules(str(stored.id), rules, ended and ended.at, ended and name_of(ended))
