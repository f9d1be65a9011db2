"""Viewers read documents only where an owner allows it."""

import pytest

from portal.database.connection import tenant_database
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from tests.factories import a_member, an_organization, the_owner
from tests.visitor import Visitor

SWITCH = "/organizations/acme-corp/viewers"


def visitor_of(app, email):
    visitor = Visitor(app)
    visitor.log_in(email)
    return visitor


@pytest.fixture
def acme(app):
    organization = an_organization("Acme Corp")
    tenant_database()["org_acme_corp"].insert_one({"_id": 1, "title": "Quarterly plan"})
    a_member(organization, Role.VIEWER, "vera@acme.example")
    return organization


def test_an_owner_lets_viewers_read_and_takes_it_back(app, acme):
    viewer, owner = visitor_of(app, "vera@acme.example"), visitor_of(app, the_owner(acme).email)
    assert "Quarterly plan" not in viewer.get("/organizations/acme-corp").text
    assert "Quarterly plan" in owner.get("/organizations/acme-corp").text

    assert owner.post(SWITCH, {"viewers_read_documents": "y"}).status == 303
    assert "Quarterly plan" in viewer.get("/organizations/acme-corp").text
    assert "Viewers may read them" in viewer.get("/organizations/acme-corp/settings").text

    assert owner.post(SWITCH, {}).status == 303
    assert "Quarterly plan" not in viewer.get("/organizations/acme-corp").text
    actions = [event.action for event in AuditEvent.objects(chain=acme.id).order_by("seq")]
    assert actions[1:] == ["organization.documents_shared", "organization.documents_hidden"]


def test_saving_it_unchanged_records_nothing(app, acme):
    owner = visitor_of(app, the_owner(acme).email)
    assert owner.post(SWITCH, {}).status == 303
    assert AuditEvent.objects(chain=acme.id).count() == 1


@pytest.mark.parametrize(
    ("answer", "shared"), [({}, None), ({"viewers_read_documents": "y"}, True)]
)
def test_it_is_asked_when_an_organization_is_created(visitor, answer, shared):
    visitor.sign_up("Acme Corp", **answer)
    assert Organization.objects.get(slug="acme-corp").viewers_read_documents is shared
    visitor.post("/organizations/new", {"organization_name": "Kestrel", **answer})
    assert Organization.objects.get(slug="kestrel").viewers_read_documents is shared
