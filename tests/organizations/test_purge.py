"""Purging: what nothing brings back, by an owner's word or when its time is over."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, OrganizationState, Slug
from portal.organizations.access.errors import OrganizationPurged
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.errors import NameNotConfirmed
from portal.organizations.lifecycle.renaming import restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, an_account, an_organization, fresh


def a_trashed(name="Acme Corp", account=None):
    return trash_organization(an_organization(name, account), None, a_context(account))


def its_time_is_over(master_db, organization):
    over = {"purge_at": organization.purge_at - timedelta(days=31)}
    master_db.organizations.update_one({"_id": organization.id}, {"$set": over})


def test_purging_leaves_a_tombstone_and_the_record(tenant_db):
    owner = an_account()
    organization = a_trashed(account=owner)
    purged = purge_organization(organization, "Acme Corp", a_context(owner))
    assert (purged.state, purged.purged_by, purged.owners) == (
        OrganizationState.PURGED,
        owner.id,
        [owner.id],
    )
    assert tenant_db.list_collection_names() == []
    assert not Membership.objects()
    assert not Slug.objects()
    assert [e.action for e in AuditEvent.objects(chain=organization.id).order_by("seq")] == [
        "organization.created", "organization.trashed", "organization.purged",
    ]  # fmt: skip
    assert an_organization("Acme Corp").slug == "acme-corp"


@pytest.mark.parametrize("typed", ["", "acme corp", "Other", "\0"])
def test_purging_wants_the_name_typed(typed):
    organization = a_trashed()
    with pytest.raises(NameNotConfirmed):
        purge_organization(organization, typed, a_context())
    assert fresh(organization).state == OrganizationState.TRASHED


def test_the_page_asks_for_the_name_and_then_it_is_gone(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"})
    path = f"/trash/{Organization.objects.get().id}/purge"
    answer = visitor.post(path, {"confirm_name": "Acme"})
    assert answer.status == 422
    assert "Type “Acme Corp”" in answer.fault("confirm_name")
    answer = visitor.post(path, {"confirm_name": "Acme Corp"})
    assert (answer.status, answer.location) == (303, "/trash")
    assert "Acme Corp and all of its documents are gone" in visitor.get("/trash").text
    assert tenant_db.list_collection_names() == []
    again = visitor.get(path)
    assert again.status == 409
    assert "was purged on" in again.text


def test_what_was_purged_can_not_be_restored():
    organization = a_trashed()
    purge_organization(organization, None, a_context())
    with pytest.raises(OrganizationPurged):
        restore_organization(organization, None, a_context())
    with pytest.raises(OrganizationPurged):
        purge_organization(organization, None, a_context())


def test_what_is_in_the_trash_is_purged_by_itself_when_its_time_is_over(master_db, tenant_db):
    over, waits = a_trashed("Over"), a_trashed("Waits")
    its_time_is_over(master_db, over)
    assert runner.start_due_purges() == 1
    assert (fresh(over).state, fresh(waits).state) == (
        OrganizationState.PURGED,
        OrganizationState.TRASHED,
    )
    assert tenant_db.list_collection_names() == [f"trash_{waits.id}"]
    [event] = AuditEvent.objects(chain=over.id, action="organization.purged")
    assert event.actor is None
    assert runner.start_due_purges() == 0


def test_a_portal_whose_clock_is_wrong_purges_nothing_early(time_machine):
    organization = a_trashed()
    time_machine.move_to(clock.now() + timedelta(days=400))
    assert runner.start_due_purges() == 0
    assert fresh(organization).state == OrganizationState.TRASHED


def test_a_portal_whose_clock_is_behind_keeps_the_trash_as_long(time_machine):
    now = clock.now()
    time_machine.move_to(now - timedelta(days=400))
    organization = a_trashed()
    assert runner.start_due_purges() == 0
    assert organization.purge_at > now + timedelta(days=29)


def test_what_was_restored_is_not_purged_when_its_time_would_be_over(master_db):
    organization = a_trashed()
    its_time_is_over(master_db, organization)
    restore_organization(fresh(organization), None, a_context())
    assert runner.start_due_purges() == 0
    assert fresh(organization).state == "active"


def test_due_purges_are_found_by_an_index_of_the_trash_alone(master_db):
    for n in range(20):
        an_organization(f"Org {n}")
    due = {"purge_at": {"$exists": True}, "$expr": {"$lt": ["$purge_at", "$$NOW"]}}
    explained = master_db.command(
        "explain", {"find": "organizations", "filter": due}, verbosity="executionStats"
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0


def test_a_collection_that_was_renamed_in_the_trash_is_dropped_by_its_uuid(tenant_db):
    organization = a_trashed()
    tenant_db[organization.placement.collection].rename("by_hand")
    tenant_db[organization.placement.collection].insert_one({"_id": "somebody's"})
    assert purge_organization(organization, None, a_context()).state == OrganizationState.PURGED
    assert tenant_db.list_collection_names() == [organization.placement.collection]


def test_purging_without_a_collection_goes_on(tenant_db):
    organization = a_trashed()
    tenant_db[organization.placement.collection].drop()
    assert purge_organization(organization, None, a_context()).state == OrganizationState.PURGED
