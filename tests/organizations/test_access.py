"""Nobody reaches what isn't theirs."""

import pytest

from portal.documents.memberships import Membership, Role
from portal.errors import NotFound
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import access_to
from portal.permissions import ROLES, of_api_key
from tests.factories import a_member, a_person, an_account, an_organization
from tests.visitor import Visitor

PAGES = ("", "/placement", "/usage", "/activity", "/settings", "/rename", "/delete")


@pytest.mark.attack("T1")
@pytest.mark.parametrize("page", PAGES)
def test_organizations_of_others_look_like_none_at_all(visitor, page):
    an_organization("Acme Corp")
    visitor.sign_up("Kestrel", "dispatch@kestrel.example")
    for slug in ("acme-corp", "nothing-here", "NEW", "a%00b", "$where", "%F0%9F%99%82"):
        answer = visitor.get(f"/organizations/{slug}{page}")
        assert answer.status == 404, slug
        assert answer.heading == "Nothing is at this address"
        if page in ("/rename", "/delete"):
            fields = {"organization_name": "Mine", "confirm_name": "Acme Corp"}
            form = f"/organizations/kestrel{page}"
            assert visitor.post(f"/organizations/{slug}{page}", fields, form_at=form).status == 404


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_logged_in_is_asked_to_and_led_back(visitor, page):
    answer = visitor.get(f"/organizations/acme-corp{page}")
    assert answer.status == 303
    assert answer.location == f"/login?next=/organizations/acme-corp{page}"


ALLOWED = {
    Role.VIEWER: {"organization.view", "organization.leave", "members.view", "audit.view"},
    Role.ADMIN: {"organization.rename", "members.manage", "invitations.manage", "keys.manage",
            "credentials.manage",
            "audit.export", "documents.read", "documents.write", "documents.unmask",
            "documents.mask", "documents.record", "indexes.manage"},
    Role.OWNER: {"organization.delete", "documents.share", "documents.erase", "support.grant", "organization.restore", "organization.purge", "organization.adopt", "organization.move",
            "organization.require_second_factor", "owners.manage"},
}  # fmt: skip
MAY = {
    Role.VIEWER: ALLOWED[Role.VIEWER],
    Role.ADMIN: ALLOWED[Role.VIEWER] | ALLOWED[Role.ADMIN],
    Role.OWNER: ALLOWED[Role.VIEWER] | ALLOWED[Role.ADMIN] | ALLOWED[Role.OWNER],
}


def test_roles_and_keys_have_exactly_these_permissions():
    # What keys were given as a role before there was a data API gives none of it.
    not_for_keys = {"keys.manage", "credentials.manage", "invitations.manage", "organization.leave",
                    "documents.read", "documents.write", "documents.unmask", "documents.mask",
                    "documents.record", "indexes.manage"}  # fmt: skip
    assert ROLES == MAY
    assert {role: of_api_key(role) for role in MAY} == {
        Role.VIEWER: MAY[Role.VIEWER] - not_for_keys,
        Role.ADMIN: MAY[Role.ADMIN] - not_for_keys,
        Role.OWNER: MAY[Role.ADMIN] - not_for_keys,
    }


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.VIEWER])
def test_each_role_may_what_the_table_says(role):
    organization = an_organization("Acme Corp")
    access = access_to("acme-corp", a_person(a_member(organization, role)))
    for permission in MAY[role]:
        access.require(permission)
    for permission in MAY[Role.OWNER] - MAY[role]:
        with pytest.raises(Forbidden):
            access.require(permission)


def test_a_viewer_is_refused_what_only_others_may(app):
    organization = an_organization("Acme Corp")
    a_member(organization, Role.VIEWER, "teo@acme.example")
    viewer = Visitor(app)
    viewer.log_in("teo@acme.example")
    page = viewer.get("/organizations/acme-corp")
    assert "You are a viewer" in page.text
    assert not page.html.find("a", string="Rename")
    for path in ("rename", "delete"):
        answer = viewer.get(f"/organizations/acme-corp/{path}")
        assert answer.status == 403
        assert "One of its owners can do it" in answer.text


@pytest.mark.attack("T2")
def test_a_role_that_changed_acts_on_the_next_request(app):
    organization = an_organization("Acme Corp")
    account = a_member(organization, Role.ADMIN, "teo@acme.example")
    admin = Visitor(app)
    admin.log_in("teo@acme.example")
    assert admin.get("/organizations/acme-corp/rename").status == 200
    membership = Membership.objects.get(account=account.id)
    membership.update(set__role=Role.VIEWER)
    assert admin.get("/organizations/acme-corp/rename").status == 403
    membership.delete()
    assert admin.get("/organizations/acme-corp").status == 404


def test_access_needs_a_membership_even_for_a_known_organization():
    an_organization("Acme Corp")
    with pytest.raises(NotFound):
        access_to("acme-corp", a_person(an_account()))
