"""One organization in the operators' console."""

import pytest

from portal.documents.accounts import OperatorRole
from portal.documents.memberships import Role
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from tests.factories import a_context, a_member, an_organization

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
