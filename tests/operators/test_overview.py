"""What the console's first page tells: what needs an operator, and nothing else."""

from datetime import timedelta

from portal import clock
from tests.factories import an_organization


def told(desk):
    """What needs the operator, as the page says it."""
    page = desk.get("/operator")
    assert page.status == 200
    return [row.get_text(" ", strip=True) for row in page.html.select(".needs > ul > li")]


def an_operation(organization, **values):
    """A rename of the organization, as it stands in its document."""
    return {
        "id": organization.id,
        "kind": "rename",
        "attempt": 1,
        "name": "Other",
        "slug": "other",
        "started_at": clock.now(),
        "lease_until": clock.now(),
        "origin": {},
        **values,
    }


def test_a_quiet_installation_says_that_nothing_needs_anybody(desk):
    assert told(desk) == ["Nothing needs you."]


def test_an_operation_that_fails_is_told_with_its_error(desk, master_db):
    acme = an_organization("Acme Corp")
    operation = an_operation(acme, attempt=5, last_error="OperationFailure: org_other exists")
    master_db.organizations.update_one({"_id": acme.id}, {"$set": {"operation": operation}})
    [need] = told(desk)
    assert "Rename of Acme Corp failed 5 times" in need
    assert "org_other exists" in need


def test_an_operation_that_takes_long_is_told_and_a_short_one_is_not(desk, master_db):
    acme, other = an_organization("Acme Corp"), an_organization("Other Inc")
    began = clock.now() - timedelta(minutes=4)
    for organization, values in ((acme, {"started_at": began}), (other, {})):
        operation = an_operation(organization, **values)
        master_db.organizations.update_one(
            {"_id": organization.id}, {"$set": {"operation": operation}}
        )
    [need] = told(desk)
    assert "Rename of Acme Corp has run for 4 minutes" in need
