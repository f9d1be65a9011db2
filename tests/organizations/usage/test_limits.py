"""Limits of organizations: set, told, in force for pages, programs and applications."""

from datetime import timedelta

import pymongo
import pytest

from portal import clock
from portal.database import directory
from portal.documents.audit import AuditEvent
from portal.documents.figures import OrganizationFigures
from portal.documents.limits import LimitNotice
from portal.documents.mails import Mail
from portal.documents.organizations import Strategy
from portal.errors import NotFound
from portal.organizations import planning
from portal.organizations.lifecycle.trashing import purge_organization
from portal.organizations.storage import tenant_of
from portal.organizations.usage import limits, measuring, metering
from portal.organizations.usage.errors import (
    InvalidLimit,
    LimitsChanged,
    OperationsLimited,
    StorageLimited,
)
from portal.organizations.usage.limits import LimitKind
from portal.tenants import Tenants
from portal.tenants.errors import LimitExceeded
from tests.factories import a_context, an_organization, fresh
from tests.organizations.usage.conftest import Reporting, roll_up, row

DOCUMENTS, BYTES, OPERATIONS = LimitKind.DOCUMENTS, LimitKind.BYTES, LimitKind.OPERATIONS


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


def set_limits(organization, **wanted):
    given = {LimitKind(kind): value for kind, value in wanted.items()}
    return limits.set_limits(organization, given, a_context())


def in_force(organization):
    found = limits.limits_of(fresh(organization))
    return {str(kind): limit.allowed for kind, limit in found.items() if limit.allowed}


def mails():
    return [mail.kind for mail in Mail.objects if mail.kind == "limit_near"]


def test_a_limit_is_in_force_for_the_portal_at_once_and_recorded(acme):
    set_limits(acme, documents=2)
    tenant_of(fresh(acme)).insert_many([{"_id": 1}, {"_id": 2}])
    with pytest.raises(StorageLimited) as refused:
        tenant_of(fresh(acme)).insert_one({"_id": 3})
    assert refused.value.status == 402
    assert "may keep 2 documents, and keeps 2. Nothing was added." in refused.value.words
    event = AuditEvent.objects(action="organization.limits_set").get()
    assert event.details["documents"] == "2"


def test_too_many_operations_are_answered_by_when_to_come_back(acme):
    set_limits(acme, operations=1)
    tenant_of(fresh(acme)).insert_many([{} for _ in range(90)])

    with pytest.raises(OperationsLimited) as refused, pymongo.timeout(30):
        tenant_of(fresh(acme)).find_one()
    assert refused.value.status == 429
    assert 30 <= int(refused.value.headers["Retry-After"]) <= 90


def test_an_application_hears_of_its_limits_by_the_directory(acme, server, master_db):
    set_limits(acme, documents=1)
    found = directory.find_organization(master_db, acme.id)
    assert found["limits"] == {"documents": 1}
    assert found["version"] == fresh(acme).version > acme.version
    uri = server.admin_uri.replace("/?", f"/{master_db.name}?", 1)
    with Tenants(uri) as tenants:
        store = tenants.by_id(acme.id)
        store.insert_one({"_id": 1})
        with pytest.raises(LimitExceeded):
            store.insert_one({"_id": 2})
        set_limits(acme, documents=2)
        tenants._directory.reporting.reporter.refresh()
        tenants._directory.reporting.reporter.refresh()
        set_limits(acme, documents=3)
        tenants._directory.reporting.reporter.refresh()
        store.insert_many([{"_id": 2}, {"_id": 3}])


def test_the_limits_of_a_plan_are_those_of_who_has_none_of_its_own(acme):
    limits.set_plan_limits("large", {DOCUMENTS: 5, BYTES: 1000}, a_context())
    planning.set_plan(acme.id, a_context(), plan="large")
    assert in_force(acme) == {"documents": 5, "bytes": 1000}
    set_limits(acme, documents=7)
    assert in_force(acme) == {"documents": 7, "bytes": 1000}
    set_limits(acme, documents=None)
    limits.set_plan_limits("large", {DOCUMENTS: None, BYTES: 900}, a_context())
    assert in_force(acme) == {"bytes": 900}
    planning.set_plan(acme.id, a_context(), plan=None)
    assert in_force(acme) == {}


@pytest.mark.parametrize("value", [0, -1, 10**15 + 1])
def test_a_limit_is_a_whole_number_from_one_up(acme, value):
    with pytest.raises(InvalidLimit) as refused:
        set_limits(acme, documents=value)
    assert refused.value.field == "documents"
    assert in_force(acme) == {}


def test_of_two_who_set_limits_by_what_they_saw_one_is_refused(acme):
    seen = dict.fromkeys(LimitKind)
    limits.set_limits(acme, {DOCUMENTS: 5}, a_context(), seen=seen)
    with pytest.raises(LimitsChanged):
        limits.set_limits(acme, {DOCUMENTS: 6}, a_context(), seen=seen)
    assert in_force(acme) == {"documents": 5}


def test_one_that_is_gone_has_none(acme):
    gone = purge_organization(acme, acme.name, a_context())
    with pytest.raises(NotFound):
        set_limits(gone, operations=5)


@pytest.mark.parametrize("strategy", [Strategy.COLLECTION, Strategy.SHARED])
def test_what_is_kept_is_counted_before_a_limit_first_applies(strategy):
    organization = an_organization("Verso Books", strategy=strategy)
    tenant_of(organization).insert_many([{"_id": n} for n in range(4)])
    set_limits(organization, documents=3)
    figures = OrganizationFigures.objects(id=organization.id).get()
    assert (figures.documents, figures.bytes) == (4, 4 * 14)
    with pytest.raises(StorageLimited):
        tenant_of(fresh(organization)).insert_one({})
    tenant_of(fresh(organization)).delete_many({"_id": {"$lt": 2}})
    tenant_of(fresh(organization)).insert_one({"_id": 9})


def test_counting_anew_tells_the_difference_and_records_it(acme):
    tenant_of(acme).insert_many([{"_id": n} for n in range(4)])
    first = limits.recount(acme, a_context())
    assert (first.before, first.now) == (None, measuring.Kept(4, 56, exact=True))
    OrganizationFigures.objects(id=acme.id).update_one(set__documents=99)
    second = limits.recount(acme, a_context())
    assert (second.before.documents, second.now.documents) == (99, 4)
    limits.recount(acme, a_context())
    assert AuditEvent.objects(action="organization.counted_anew").count() == 2


@pytest.mark.each_case
@pytest.mark.parametrize("minute", [0, 1, 59])
def test_operations_in_use_are_those_of_the_last_whole_minute(acme, monkeypatch, minute):
    now = clock.now().replace(minute=minute, second=20)
    monkeypatch.setattr(clock, "now", lambda: now)
    for process, ago, operations in (("web-1", 80, 120), ("web-2", 20, 300)):
        reporting = Reporting(process)
        reporting.until = now - timedelta(seconds=ago)
        reporting(row(acme, operations=operations))
    roll_up()
    assert limits.limits_of(fresh(acme))[OPERATIONS].used == 2


# Notices


def test_owners_are_told_once_that_most_of_a_limit_is_used(acme, reporting):
    set_limits(acme, documents=10)
    reporting(row(acme, levels={"documents": [7, 10]}))
    roll_up()
    assert mails() == []
    for _ in range(3):
        reporting(row(acme, levels={"documents": [8, 10]}), seconds=1)
        roll_up()
    assert mails() == ["limit_near"]
    reporting(row(acme, levels={"documents": [5, 10]}), seconds=1)
    roll_up()
    assert LimitNotice.objects.count() == 0
    reporting(row(acme, levels={"documents": [9, 10]}), seconds=1)
    roll_up()
    assert mails() == ["limit_near"] * 2


def test_owners_are_told_of_a_limit_below_what_is_kept(acme):
    tenant_of(acme).insert_many([{"_id": n} for n in range(10)])
    set_limits(acme, documents=5)
    assert mails() == ["limit_near"]
    assert LimitNotice.objects.get().used == 10


def test_operations_are_told_by_those_of_all_processes(acme):
    set_limits(acme, operations=10)
    for process in ("web-1", "web-2"):
        Reporting(process)(row(acme, operations=200))
    roll_up()
    assert mails() == []
    Reporting("web-3")(row(acme, operations=100))
    Reporting("web-4")(row(acme, operations=380))
    roll_up()
    assert mails() == ["limit_near"]


@pytest.mark.each_case
@pytest.mark.parametrize(("in_ten_seconds", "told"), [(90, ["limit_near"]), (70, [])])
def test_operations_are_told_by_whole_minutes_however_few_are_added_up_at_once(
    acme, reporting, in_ten_seconds, told
):
    set_limits(acme, operations=10)
    reporting.until = clock.now().replace(second=0, microsecond=0) - timedelta(minutes=2)
    for _ in range(6):
        reporting(row(acme, operations=in_ten_seconds))
        roll_up()
    assert mails() == told


def test_what_the_store_measured_reaches_the_notices(acme):
    set_limits(acme, documents=5)
    for n in range(5):
        tenant_of(fresh(acme)).insert_one({"_id": n})
    roll_up()
    assert mails() == ["limit_near"]


def test_levels_that_are_none_tell_nobody_anything(acme, reporting):
    set_limits(acme, documents=10, operations=10)
    for levels in ("x", {"documents": "9"}, {"documents": [None]}, {"documents": []}, [1]):
        reporting(row(acme, levels=levels), seconds=1)
    roll_up()
    assert mails() == []
    assert metering.reports().count_documents({}) == 0
