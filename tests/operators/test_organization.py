"""One organization in the operators' console."""

import pytest

from portal.documents.accounts import OperatorRole
from portal.documents.memberships import Role
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.restricting import lift_suspension
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from portal.organizations.usage.limits import LimitKind, set_limits
from portal.placement.measuring import measure_organizations
from portal.web.context import OPERATOR, RequestContext
from tests.factories import (
    a_context,
    a_member,
    a_suspension,
    an_organization,
    fresh,
    the_owner,
)
from tests.operators.test_overview import begin

BASE = "/operator/organizations"


def page_of(organization, part=""):
    return f"{BASE}/{organization.id}{part}"


def test_all_of_an_organization_is_on_one_page(desk):
    organization = an_organization("Verdant Grocers")
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    page = desk.get(page_of(organization))
    assert page.heading == "Verdant Grocers"
    shown = page.html.find("main").get_text(" ", strip=True)
    for known in (
        str(organization.id),
        str(organization.placement.uuid),
        "verdant-grocers",
        "main",
    ):
        assert known in shown
    assert page.html.select_one(".facts .figure").get_text() == "3"


def tabs_of(page):
    return [tab.get_text(" ", strip=True) for tab in page.html.select(".tabs a")]


def test_its_tabs_say_how_much_is_behind_them(desk):
    organization = an_organization()
    a_member(organization, Role.VIEWER)
    page = desk.get(page_of(organization))
    assert {"Members 2", "Operations 1", "Notes"} <= set(tabs_of(page))
    desk.post(page_of(organization, "/notes"), {"text": "Agreed a move."})
    assert "Notes 1" in tabs_of(desk.get(page_of(organization, "/members")))


def test_its_operations_are_listed_those_too_that_the_trail_alone_knows(desk):
    organization = an_organization("Acme Corp")
    rename_organization(organization, "Verdant Grocers", a_context(the_owner(organization)))
    suspension = a_suspension(organization)
    lift_suspension(fresh(organization), suspension.id, RequestContext(OPERATOR))
    page = desk.get(page_of(organization, "/move"))
    told = [row.get_text(" ", strip=True) for row in page.html.select("main tbody tr")]
    begun = [row.partition(" Done ")[0] for row in told]
    assert begun == [
        "Suspension, read-only, lifted",
        "Suspended, read-only: payment",
        "Renamed from Acme Corp to Verdant Grocers",
        "Organization created",
    ]
    assert "the operator" in told[0]
    assert the_owner(organization).email in told[2]
    assert "Operations 4" in tabs_of(page)


def test_an_operation_that_runs_is_tried_again_from_its_tab(desk, master_db):
    organization = an_organization()
    begin(organization, master_db, attempt=2, last_error="no room")
    page = desk.get(page_of(organization, "/move"))
    box = page.html.select_one(".operation")
    assert "no room" in box.get_text()
    retry, undo = box.select("form")
    assert (retry.button.get_text(), undo.button.get_text()) == ("Try again", "Undo it")
    done = desk.post(retry["action"], form_at=page_of(organization, "/move"))
    assert done.status == 303
    assert fresh(organization).name == "Other"


def test_its_limits_and_how_much_of_them_is_used(desk):
    organization = an_organization()
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    set_limits(organization, {LimitKind.DOCUMENTS: 4}, a_context())
    page = desk.get(page_of(organization))
    [documents] = [
        row.dd.get_text(" ", strip=True)
        for row in page.html.select(".beside .pairs > div")
        if row.dt.get_text() == "Documents"
    ]
    assert documents == "4 75 %"
    ways = [way["href"] for way in page.html.select(".head .actions > a")]
    assert ways == [page_of(organization, "/support/ask"), page_of(organization, "/limits")]


def test_what_has_come_since_it_was_measured_is_told(desk):
    organization = an_organization()
    measure_organizations()
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    remark = desk.get(page_of(organization)).html.select_one(".facts .remark")
    assert remark.get_text(" ", strip=True).startswith("+3 since measured")


def test_no_document_is_shown(desk):
    organization = an_organization()
    tenant_of(organization).insert_one({"canary": "SECRET-4711"})
    for part in ("", "/members", "/activity"):
        assert b"SECRET-4711" not in desk.get(page_of(organization, part)).response.data


def test_an_organization_is_found_whatever_its_state(desk):
    organization = an_organization()
    trashed = trash_organization(organization, None, a_context())
    assert "In the trash" in desk.get(page_of(organization)).text
    purge_organization(trashed, None, a_context())
    page = desk.get(page_of(organization))
    assert page.status == 200
    assert "It is gone." in page.text


def test_members_are_names_and_addresses(desk):
    organization = an_organization()
    a_member(organization, Role.VIEWER, "teo@acme.example")
    assert "teo@acme.example" in desk.get(page_of(organization, "/members")).text


@pytest.mark.parametrize("unknown", ["6565a1f0c2d4e8b7a913c0f5", "acme-corp", "0"])
def test_where_there_is_no_organization_the_answer_is_404(desk, unknown):
    assert desk.get(f"{BASE}/{unknown}").status == 404


@pytest.mark.parametrize("part", ["", "/members", "/activity"])
def test_members_of_an_organization_find_nothing_there(visitor, part):
    organization = an_organization()
    a_member(organization, Role.OWNER, "teo@acme.example")
    visitor.log_in("teo@acme.example")
    assert visitor.get(page_of(organization, part)).status == 404


def test_support_sees_it_too(desk_of):
    assert desk_of(OperatorRole.SUPPORT).get(page_of(an_organization())).status == 200
