"""Restoring from the trash: everything is there again, under its name or another."""

import pytest

from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization, OrganizationState, Slug
from portal.organizations.access.errors import NotInTrash
from portal.organizations.lifecycle.errors import (
    OperationInProgress,
    SlugTaken,
    TenantCollectionMissing,
)
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, a_member, an_account, an_organization, fresh
from tests.program import Program, fault
from tests.visitor import Visitor


def a_trashed(name="Acme Corp", account=None):
    return trash_organization(an_organization(name, account), None, a_context(account))


@pytest.fixture
def mara(visitor):
    """Logged in, with Acme Corp in the trash; and its id."""
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"})
    [link] = visitor.get("/trash").html.select("tbody th a")
    return visitor, link["href"]


def test_restoring_brings_back_documents_indexes_and_members(tenant_db):
    organization = an_organization("Acme Corp")
    a_member(organization, Role.VIEWER)
    tenant_db.org_acme_corp.insert_many([{"_id": n} for n in range(10)])
    tenant_db.org_acme_corp.create_index("x")
    uuid = organization.placement.uuid
    restored = restore_organization(
        trash_organization(organization, None, a_context()), None, a_context()
    )
    assert (restored.state, restored.slug, restored.operation) == ("active", "acme-corp", None)
    assert (restored.trashed_at, restored.purge_at) == (None, None)
    assert restored.placement.uuid == uuid
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert tenant_db.org_acme_corp.count_documents({}) == 10
    assert "x_1" in tenant_db.org_acme_corp.index_information()
    assert sorted(m.role for m in Membership.objects(organization=restored.id)) == [
        Role.OWNER,
        Role.VIEWER,
    ]
    assert [(s.id, s.state) for s in Slug.objects()] == [("acme-corp", "current")]
    assert AuditEvent.objects(chain=restored.id, action="organization.restored").count() == 1


def test_memberships_sleep_in_the_trash_and_wake_with_it(visitor, app):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    a_member(organization, Role.VIEWER)
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    visitor.post("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"})
    assert teo.get("/organizations/acme-corp").status == 404
    visitor.post(f"/trash/{organization.id}/restore", {})
    assert teo.get("/organizations/acme-corp").status == 200


def test_the_button_in_the_trash_restores_at_once(mara):
    visitor, place = mara
    answer = visitor.post(f"{place}/restore", {}, form_at="/trash")
    assert (answer.status, answer.location) == (303, "/organizations/acme-corp")
    assert "Acme Corp is back" in visitor.get(answer.location).text
    assert "The trash is empty" in visitor.get("/trash").text


def test_a_taken_name_is_told_and_another_can_be_chosen(mara):
    visitor, place = mara
    an_organization("Acme Corp")
    assert "The name is already taken" in visitor.get("/trash").text
    answer = visitor.post(f"{place}/restore", {})
    assert answer.status == 409
    assert "acme-corp is taken" in answer.fault("organization_name")
    assert answer.value("organization_name") == "Acme Corp"
    answer = visitor.post(f"{place}/restore", {"organization_name": "Acme Revived"})
    assert answer.location == "/organizations/acme-revived"


def test_a_place_in_the_trash_shows_who_when_and_what_happened(mara):
    visitor, place = mara
    page = visitor.get(place)
    assert page.heading == "Acme Corp"
    for words in (
        "by you",
        "in 30 days",
        "Moved to the trash",
        "Organization created",
        "0, 0 Bytes",
    ):
        assert words in page.text


@pytest.mark.each_case
@pytest.mark.attack("T1", "T3")
@pytest.mark.parametrize("page", ["", "/restore", "/purge"])
@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER, None])
def test_the_trash_is_for_owners_only(app, page, role):
    organization = an_organization("Acme Corp")
    if role:
        a_member(organization, role)
    else:
        an_account("teo@acme.example")
    trash_organization(organization, None, a_context())
    teo = Visitor(app)
    teo.log_in("teo@acme.example")
    path = f"/trash/{organization.id}{page}"
    assert teo.get(path).status == 404
    if page:
        fields = {"confirm_name": "Acme Corp"}
        assert teo.post(path, fields, form_at="/organizations/new").status == 404
    assert fresh(organization).state == OrganizationState.TRASHED


def test_places_that_are_none_are_404(mara):
    visitor, _ = mara
    for place in ("nothing", "0" * 24, "%00", "$where", "a" * 300):
        assert visitor.get(f"/trash/{place}").status == 404, place


def test_a_stale_page_of_the_trash_leads_to_where_it_is_now(mara):
    visitor, place = mara
    visitor.post(f"{place}/restore", {})
    answer = visitor.get(f"{place}/purge")
    assert answer.status == 409
    assert "Acme Corp is at acme-corp" in answer.text
    assert answer.html.find("a", string="Back to Acme Corp")["href"] == "/organizations/acme-corp"


@pytest.mark.attack("N3")
def test_restoring_onto_a_collection_that_is_not_ours_is_undone(tenant_db, log):
    """The operator is told."""
    organization = a_trashed()
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    with pytest.raises(SlugTaken):
        restore_organization(organization, None, a_context())
    now = fresh(organization)
    assert (now.state, now.operation, now.purge_at) == (
        OrganizationState.TRASHED,
        None,
        organization.purge_at,
    )
    assert not Slug.objects()
    assert tenant_db.org_acme_corp.find_one() == {"_id": 1}
    assert log.named("operation.turned_back")
    assert restore_organization(now, "Other", a_context()).slug == "other"


def test_what_was_dropped_in_the_trash_is_told_and_purging_is_what_is_left(mara, tenant_db):
    visitor, place = mara
    [name] = tenant_db.list_collection_names()
    tenant_db[name].drop()
    assert "Its collection is not in the database any more" in visitor.get(place).text
    answer = visitor.post(f"{place}/restore", {})
    assert answer.status == 409
    assert "is not in the database any more" in answer.text
    assert visitor.post(f"{place}/purge", {"confirm_name": "Acme Corp"}).status == 303


def test_what_was_renamed_in_the_trash_is_told_before_it_is_purged(mara, tenant_db):
    visitor, place = mara
    [name] = tenant_db.list_collection_names()
    tenant_db[name].rename("by_hand")
    tenant_db[name].insert_one({"_id": "somebody's"})
    assert "Documents all in by_hand" in visitor.get(f"{place}/purge").text


def test_a_purge_while_it_is_restored_is_refused(master_db):
    organization = a_trashed()
    master_db.organizations.update_one(
        {}, {"$set": {"operation": {
            "id": organization.id, "kind": "restore", "attempt": 1, "collection": "org_acme_corp",
            "started_at": organization.created_at, "lease_until": organization.created_at.replace(year=2100),
            "name": "Acme Corp", "slug": "acme-corp", "origin": {},
        }}},
    )  # fmt: skip
    with pytest.raises(OperationInProgress) as refused:
        purge_organization(fresh(organization), None, a_context())
    assert (refused.value.kind, refused.value.doing) == ("restore", "being restored")


def test_restoring_twice_tells_the_second_that_it_is_back():
    organization = a_trashed()
    restore_organization(organization, None, a_context())
    with pytest.raises(NotInTrash):
        restore_organization(organization, None, a_context())


def test_restoring_without_its_collection_leaves_it_in_the_trash(tenant_db):
    organization = a_trashed()
    tenant_db[organization.placement.collection].drop()
    with pytest.raises(TenantCollectionMissing):
        restore_organization(organization, None, a_context())
    assert (fresh(organization).state, fresh(organization).operation) == (
        OrganizationState.TRASHED,
        None,
    )


@pytest.mark.parametrize("name", ["", " ", "x"])
def test_a_name_that_is_none_is_refused_and_not_passed_over(app, name):
    program = Program(app)
    program.sign_up()
    program.log_in()
    place = program.delete("/org/delete/acme-corp").json["trash"]["id"]
    answer = program.post(f"/org/trash/{place}/restore", {"organization_name": name})
    assert fault(answer) == (422, "invalid_name", {"organization_name"})


def test_an_owner_restores_onto_an_old_slug_of_another_of_theirs():
    owner = an_account()
    trashed, other = a_trashed("Acme Corp", owner), an_organization("Acme Corp", owner)
    rename_organization(other, "Other", a_context(owner))
    with pytest.raises(SlugTaken):
        restore_organization(trashed, None, a_context(an_account("else@acme.example")))
    assert restore_organization(trashed, None, a_context(owner)).slug == "acme-corp"
