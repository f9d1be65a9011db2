"""What others left behind is finished, and one that can't be doesn't stop the rest."""

from portal.organizations import runner
from portal.organizations.documents import Organization
from portal.organizations.lifecycle import take_over
from tests.factories import an_organization, fresh


def an_unfinished_rename(master_db, organization, slug):
    """As a process leaves it that dies right after the intent."""
    operation = {
        "id": organization.id,
        "kind": "rename",
        "attempt": 1,
        "started_at": organization.created_at,
        "lease_until": organization.created_at,
        "origin": {"email": "mara@acme.example"},
        "collection": "org_" + slug,
        "name": slug.title(),
        "slug": slug,
    }
    master_db.organizations.update_one({"_id": organization.id}, {"$set": {"operation": operation}})
    master_db.slugs.insert_one({"_id": slug, "organization": organization.id, "state": "target"})


def test_an_operation_whose_lease_ran_out_is_finished(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    assert runner.recover_due_operations() == 1
    assert (fresh(organization).slug, fresh(organization).operation) == ("other", None)
    assert runner.recover_due_operations() == 0


def test_an_operation_with_a_lease_is_left_to_its_holder(master_db):
    organization = an_organization("Acme Corp")
    an_unfinished_rename(master_db, organization, "other")
    assert take_over().id == organization.id
    assert take_over() is None
    assert fresh(organization).operation.attempt == 2


def test_one_that_fails_does_not_stop_the_others(master_db):
    broken, sound = an_organization("Broken"), an_organization("Sound")
    an_unfinished_rename(master_db, broken, "one")
    an_unfinished_rename(master_db, sound, "two")
    master_db.organizations.update_one(
        {"_id": broken.id}, {"$set": {"operation.kind": "unheard of"}}
    )
    assert runner.recover_due_operations() == 2
    assert fresh(sound).slug == "two"
    assert Organization.objects(id=broken.id, operation__attempt=2)


def test_what_is_due_is_found_by_an_index_of_running_operations_alone(master_db):
    for n in range(20):
        an_organization(f"Org {n}")
    due = {
        "operation.lease_until": {"$exists": True},
        "$expr": {"$lt": ["$operation.lease_until", "$$NOW"]},
    }
    explained = master_db.command(
        "explain", {"find": "organizations", "filter": due}, verbosity="executionStats"
    )
    assert explained["executionStats"]["totalDocsExamined"] == 0
