"""The portal's own part in counting what organizations use, and in their limits.

What pages, programs, commands and jobs do with documents is counted by the store that they share
with applications; it reports to the same place.
"""

import time
from collections.abc import Mapping
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from portal import settings
from portal.database.connection import client
from portal.database.portal_role import reports_database
from portal.documents.limits import PlanLimits
from portal.documents.organizations import Organization, OwnLimits
from portal.errors import PortalError
from portal.organizations.usage.errors import OperationsLimited, StorageLimited
from portal.tenants._sync.metering import Metering
from portal.tenants.budgets import BUDGETS
from portal.tenants.errors import LimitExceeded
from portal.tenants.quotas import OPERATIONS, Entitled, LimitBook, Limits
from portal.tenants.usage import USAGE, Reporter

_DELIVERY_SECONDS = 5
_PLANS_KEPT_SECONDS = 5
# Jobs wait for as long as it takes; a request has a quarter of its time.
_LIMIT_SECONDS = 300


def start() -> None:
    """Begin to report what this process counts; call it after the fork."""
    _reporter.start()


def stop() -> None:
    """Report what is left, and end."""
    _reporter.close()


def report(*, last: bool = False) -> None:
    """Report what this process has counted until now; ``last`` where it ends."""
    _reporter.flush(last=last)


def metering() -> Metering:
    """The counts and limits of this process."""
    return _metering


def entitled(organization: Organization) -> Entitled | None:
    """The organization's limits, for the store."""
    own, by_plan = _limits(organization.limits), plan_limits(organization.plan)
    if own is None and by_plan is None:
        return None
    return Entitled(organization.plan, own, by_plan)


def plan_limits(plan: str | None) -> Limits | None:
    """The limits of a plan, as of a few seconds ago at most."""
    if not plan:
        return None
    read_at, known = _plans.get(plan, (0.0, None))
    if time.monotonic() - read_at > _PLANS_KEPT_SECONDS:
        found = PlanLimits.objects(id=plan).first()
        known = _limits(found.limits) if found else None
        _plans[plan] = time.monotonic(), known
    return known


def forget_plans() -> None:
    """Read the limits of plans anew."""
    _plans.clear()


def reports() -> Collection[dict[str, Any]]:
    """The batches that processes reported."""
    return client()[reports_database(settings.current().tenant_db)][USAGE]


def budgets() -> Collection[dict[str, Any]]:
    """The budgets that processes share."""
    name = settings.current().tenant_db
    return client()[name].get_collection(BUDGETS, write_concern=WriteConcern(1))


def _limits(limits: OwnLimits | None) -> Limits | None:
    return limits and Limits(limits.documents, limits.bytes, limits.operations)


def _deliver(batch: Mapping[str, Any]) -> None:
    majority = reports().with_options(write_concern=WriteConcern("majority"))
    with pymongo.timeout(_DELIVERY_SECONDS):
        majority.insert_one(dict(batch))


def _refuse(refusal: LimitExceeded) -> PortalError:
    organization = Organization.objects(id=refusal.organization).only("name").first()
    name = organization.name if organization else ""
    if refusal.limit == OPERATIONS:
        return OperationsLimited(name, refusal.allowed, refusal.retry_after_seconds or 0.0)
    return StorageLimited(name, refusal.limit, refusal.allowed, refusal.used or 0)


_plans: dict[str, tuple[float, Limits | None]] = {}
_reporter = Reporter(_deliver, "portal", unattended=True)
_metering = Metering(_reporter.meter, LimitBook(), budgets, _LIMIT_SECONDS, _refuse)
