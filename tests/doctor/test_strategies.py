"""What the doctor finds where organizations share a collection, or have a database of their own."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.database.portal_role import MOVING_COLLECTION, OWN_COLLECTION, internal_database
from portal.doctor import placements
from portal.doctor import pools as pools_compared
from portal.doctor.examination import CHECKS, examine
from portal.documents.organizations import Organization, Strategy
from portal.documents.pools import Pool
from portal.organizations.lifecycle import pools
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from tests.factories import a_context, an_organization, collections_in, fresh

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.slow]


def found(*, repair=False):
    """What is found, as (kind, subject, what became of it)."""
    outcomes = [outcome for check in CHECKS for outcome in examine(check, repair=repair)]
    return [(each.finding.kind.name, each.finding.subject, each.repaired) for each in outcomes]


def check_mended(*expected):
    """That is found, mended, and not found again."""
    assert [(kind, subject) for kind, subject, _ in found()] == [each[:2] for each in expected]
    assert found(repair=True) == list(expected)
    assert found() == []


@pytest.fixture
def shared():
    return an_organization("Acme Corp", strategy=Strategy.SHARED)


@pytest.fixture
def own_database():
    return an_organization("Own", strategy=Strategy.DATABASE)


def count_now():
    Pool.objects.update(unset__counted_at=True)
    pools.count_due()


@pytest.fixture(autouse=True)
def counted(shared, own_database):
    count_now()


def test_all_is_well_with_every_strategy():
    an_organization("Usual")
    assert found() == []
    trash_organization(fresh(Organization.objects.get(slug="own")), None, a_context())
    assert found() == []


def test_a_pool_that_was_renamed_by_hand_gets_its_next_name(tenant_db):
    tenant_db.shared_1_1.rename("by_hand")
    check_mended(("pool_behind", "shared_1_1", "renamed to shared_1_2"))


def test_a_fence_that_was_left_half_done_is_finished(tenant_db):
    Pool.objects.update(set__next_generation=2)
    check_mended(("pool_behind", "shared_1_1", "renamed to shared_1_3"))


@pytest.mark.usefixtures("real_limits")
def test_a_pool_that_was_dropped_is_told(tenant_db):
    tenant_db.shared_1_1.drop()
    assert found(repair=True) == [("missing_pool", "shared_1_1", None)]


def test_a_pool_whose_record_was_lost_is_recorded_anew_and_never_set_aside(tenant_db):
    Pool.objects.delete()
    assert list(examine(placements.find_strays, repair=True)) == []
    check_mended(("unrecorded_pool", "pool 1", "recorded as shared_1_1"))
    assert "shared_1_1" in collections_in(tenant_db)
    assert Pool.objects.get().organizations == 1


def test_a_pool_that_was_lost_with_its_record_is_told_and_its_number_is_never_used_again(
    tenant_db, shared
):
    tenant_db.shared_1_1.drop()
    Pool.objects.delete()
    [(kind, subject, repaired)] = found(repair=True)
    assert (kind, subject, repaired) == ("unrecorded_pool", "pool 1", None)
    other = an_organization("Other", strategy=Strategy.SHARED)
    assert other.placement.pool == 2
    assert fresh(shared).placement.pool == 1


def test_a_pool_that_is_half_open_is_opened(tenant_db):
    Pool(id=2, next_generation=1).save()
    check_mended(("half_open_pool", "2", "opened as shared_2_1"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unique": True}, "email_1, unique: an organization is refused what another has"),
        ({"expireAfterSeconds": 9}, "email_1, which deletes everybody’s documents by their age"),
        ({}, "email_1"),
    ],
)
def test_an_index_that_somebody_added_to_a_pool_is_told_and_dropped(tenant_db, options, told):
    tenant_db.shared_1_1.create_index("email", **options)
    [finding] = pools_compared.find_amiss()
    assert finding.words == told
    check_mended(("pool_index", "shared_1_1", "dropped"))


def test_a_validator_that_somebody_gave_a_pool_is_told(tenant_db):
    tenant_db.command("collMod", "shared_1_1", validator={"x": 1})
    assert found() == [("pool_options", "shared_1_1", None)]


def test_documents_of_a_purged_organization_are_deleted_from_a_pool(shared, tenant_db):
    neighbour = an_organization("Neighbour", strategy=Strategy.SHARED)
    kept = {"_id": {"o": neighbour.id, "i": 1}}
    purge_organization(shared, None, a_context())
    count_now()
    collection = tenant_db[Pool.objects.get().collection]
    collection.insert_many([{"_id": {"o": shared.id, "i": 1}}, kept])
    check_mended(("unowned_documents", "shared_1_2", "deleted"))
    assert list(collection.find()) == [kept]


def test_documents_of_nobody_and_of_others_are_told(own_database, tenant_db):
    stored = [
        {"_id": {"o": ObjectId(), "i": 1}},
        {"_id": {"o": own_database.id, "i": 1}},
        {"_id": 7},
    ]
    tenant_db.shared_1_1.insert_many(stored)
    assert found(repair=True) == [("unowned_documents", "shared_1_1", None)] * 3
    assert tenant_db.shared_1_1.count_documents({}) == 3


def test_the_organizations_of_a_pool_are_found_without_reading_all_documents(
    shared, tenant_db, commands
):
    neighbour = an_organization("Neighbour", strategy=Strategy.SHARED)
    count_now()
    for one in (shared, neighbour):
        tenant_db.shared_1_1.insert_many({"_id": {"o": one.id, "i": n}} for n in range(1000))
    commands.clear()
    assert found() == []
    assert "getMore" not in commands


def test_a_pool_that_was_opened_just_now_is_no_finding():
    Pool.objects.update(set__organizations=7, unset__counted_at=True)
    assert found() == []


def test_a_pool_that_nobody_counts_is_counted():
    long_ago = clock.now() - timedelta(days=1)
    Pool.objects.update(set__organizations=7, set__counted_at=long_ago)
    check_mended(("miscounted_pool", "shared_1_1", "counted"))


def test_a_database_without_organization_is_told(own_database, admin):
    purge_organization(own_database, None, a_context())
    assert found() == []
    admin[own_database.placement.database].left.insert_one({})
    assert found(repair=True) == [("stray_database", own_database.placement.database, None)]
    assert collections_in(admin[own_database.placement.database]) == ["left"]


def test_what_else_is_in_an_organizations_database_is_told(own_database, admin):
    admin[own_database.placement.database].more.insert_one({})
    assert found() == [("other_collections", "own", None)]


@pytest.mark.parametrize("name", [OWN_COLLECTION, MOVING_COLLECTION])
def test_a_collection_that_applications_may_write_elsewhere_is_told(admin, tenant_db, name):
    for place in ("t_elsewhere", internal_database(tenant_db.name)):
        admin[place][name].insert_one({})
        try:
            assert found() == [("own_collection_outside", place, None)]
        finally:
            admin[place].drop_collection(name)


def test_a_missing_and_a_replaced_collection_in_an_own_database_are_found(own_database, admin):
    database = admin[own_database.placement.database]
    database[OWN_COLLECTION].drop()
    assert found() == [("missing_collection", "own", None)]
    database[OWN_COLLECTION].insert_one({"_id": 1})
    assert found()[0][:2] == ("restored_collection", "own")


def test_one_placed_by_an_unknown_strategy_is_left_alone(own_database, admin):
    Organization.objects(id=own_database.id).update(set__placement__strategy="elastic")
    assert found(repair=True) == [("unknown_strategy", "own", None)]
    assert collections_in(admin[own_database.placement.database]) == [OWN_COLLECTION]
