"""Lifecycle operations of organizations that are placed in another cluster than the first."""

import pytest

from portal.database.connection import client
from portal.documents.accounts import Account
from portal.documents.organizations import Organization, OrganizationState, Placement, Strategy
from portal.errors import PortalError
from portal.organizations.lifecycle import runner
from portal.organizations.lifecycle.errors import ClusterFull
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.signing_up import sign_up
from portal.organizations.storage import tenant_of
from portal.placement import capacity
from portal.settings import current
from tests.factories import a_context, an_organization, fresh
from tests.faults import doomed
from tests.faults.lapse import let_leases_run_out, let_transactions_run_out
from tests.placing import collections_on, documents_of
from tests.processes import wait_until
from tests.visitor import PASSWORD

EUROPE = "europe"
OWN = (Strategy.COLLECTION, Strategy.DATABASE)
each_strategy = pytest.mark.parametrize("strategy", list(Strategy))


def sign_acme_up(strategy):
    who = "Acme Corp", "mara@acme.example", PASSWORD, a_context()
    return sign_up(*who, placement=Placement(strategy=strategy, cluster=EUROPE)).organization


@pytest.fixture
def tenants_there(there):
    """The tenant database on the second cluster."""
    return there[current().tenant_db]


@pytest.fixture
def carry_on(admin, there):
    """As if time had passed, and a portal carried on with what is left, when all clusters answer."""

    def recover():
        let_leases_run_out(admin[current().master_db])
        runner.recover_due_operations()
        return not Organization.objects(operation__ne=None).first()

    def carry_on():
        for server in (admin, there):
            let_transactions_run_out(server)
        wait_until(recover)

    return carry_on


@each_strategy
def test_an_organization_lives_through_it_all_there(europe, tenants_there, tenant_db, strategy):
    organization = sign_acme_up(strategy)
    assert organization.operation is None
    documents = tenant_of(organization)
    documents.insert_one({"_id": 1})
    organization = rename_organization(organization, "Other", a_context())
    organization = trash_organization(organization, None, a_context())
    organization = restore_organization(organization, None, a_context())
    documents.insert_one({"_id": 2})
    pools = list(client()[current().master_db].pools.find())
    assert documents_of(tenants_there, organization.to_mongo(), pools) == [{"_id": 1}, {"_id": 2}]
    purged = purge_organization(organization, None, a_context())
    assert purged.state == OrganizationState.PURGED
    left = [] if strategy != Strategy.SHARED else ["shared_1_3"]
    assert sorted(collections_on(tenants_there)) == left
    assert not collections_on(tenant_db)


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("strategy", OWN)
def test_a_sign_up_whose_cluster_dies_is_success_and_is_finished_when_it_is_back(
    europe, carry_on, strategy
):
    with europe.stopped():
        organization = sign_acme_up(strategy)
    assert organization.operation.kind == "create"
    assert organization.placement.uuid is None
    carry_on()
    whole = fresh(organization)
    assert whole.operation is None
    tenant_of(whole).insert_one({"_id": 1})


@pytest.mark.usefixtures("real_limits")
def test_one_that_waits_for_its_cluster_is_shown_so(europe, visitor):
    with europe.stopped():
        organization = sign_acme_up(Strategy.COLLECTION)
        assert fresh(organization).operation.last_error
        visitor.log_in("mara@acme.example")
        page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert "Creating the collection" in page.text


@pytest.fixture
def full(there):
    """Has the second cluster refuse another collection, so many times or until it is called with
    0, as hosted ones do at a limit that nobody told."""

    def refuse(times=None):
        mode = {"times": times} if times else "alwaysOn" if times is None else "off"
        data = {"failCommands": ["create"], "errorCode": 8000}
        there.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

    yield refuse
    refuse(0)
    capacity.forget()


def test_nothing_is_left_of_one_for_which_its_cluster_has_no_room(europe, tenants_there, full):
    full()
    with pytest.raises(ClusterFull):
        sign_acme_up(Strategy.COLLECTION)
    assert Organization.objects.count() == Account.objects.count() == 0
    assert not collections_on(tenants_there)
    full(0)
    assert sign_acme_up(Strategy.COLLECTION).operation is None


@pytest.mark.usefixtures("real_limits")
def test_one_that_was_told_to_be_under_way_waits_for_room(europe, full, carry_on):
    with europe.stopped():
        organization = sign_acme_up(Strategy.COLLECTION)
    full(times=1)
    carry_on()
    assert fresh(organization).placement.uuid


def check_whole_or_nothing(tenants_there):
    found = collections_on(tenants_there)
    organization = Organization.objects.first()
    if organization is None:
        assert not found
        return
    assert organization.operation is None
    placement = organization.placement
    name = placement.collection
    if placement.strategy == Strategy.DATABASE:
        name = f"{placement.database}.{name}"
    assert found == {name: placement.uuid}
    assert not name.startswith("new_")


@pytest.mark.attack("F1")
def test_a_crash_between_the_commit_and_the_collection_leaves_nothing_half(
    settings, europe, empty_everything, tenants_there, carry_on
):
    die_at(
        ["before _record_uuid #1", "create answered #1", "after _record_uuid #1"],
        (settings, Strategy.COLLECTION),
        (empty_everything, carry_on, tenants_there),
    )


@pytest.mark.attack("F1")
@pytest.mark.full
@pytest.mark.parametrize("strategy", OWN)
def test_a_crash_anywhere_after_the_intent_leaves_nothing_half(
    settings, europe, empty_everything, tenants_there, carry_on, figure, strategy
):
    points = doomed.live(settings, sign_acme_up, strategy).points
    after = points[points.index("commitTransaction answered #1") :]
    die_at(after, (settings, strategy), (empty_everything, carry_on, tenants_there))
    figure(f"{len(after)} crashes after the intent, 0 half")


def die_at(points, deed, world):
    (settings, strategy), (empty_everything, carry_on, tenants_there) = deed, world
    for point in points:
        empty_everything()
        life = doomed.live(settings, sign_acme_up, strategy, end=point)
        assert life.points[-1] == point
        carry_on()
        check_whole_or_nothing(tenants_there)
        assert Organization.objects.count() == 1


@pytest.mark.attack("F1")
@pytest.mark.parametrize("strategy", OWN)
def test_whoever_sleeps_before_it_creates_the_collection_creates_no_second_one(
    settings, europe, tenants_there, carry_on, strategy
):
    """Others created it, and trashed the organization, before the command arrives."""
    with doomed.asleep(settings, sign_acme_up, strategy, point="create to be sent #1"):
        carry_on()
        trash_organization(Organization.objects.get(), None, a_context())
    carry_on()
    check_whole_or_nothing(tenants_there)


@pytest.mark.parametrize("strategy", OWN)
def test_one_whose_name_a_stranger_has_there_is_rolled_back(europe, tenants_there, strategy):
    tenants_there.org_acme_corp.insert_one({"_id": "a stranger's"})
    if strategy == Strategy.DATABASE:
        assert sign_acme_up(strategy).operation is None  # its name is in a database of its own
        return
    with pytest.raises(PortalError):
        sign_acme_up(strategy)
    assert not Organization.objects()
    assert list(collections_on(tenants_there)) == ["org_acme_corp"]


@pytest.mark.usefixtures("real_limits")
@each_strategy
def test_one_that_is_trashed_while_its_cluster_is_away_is_trashed_when_it_is_back(
    europe, carry_on, strategy
):
    organization = an_organization("Acme Corp", strategy=strategy, cluster=EUROPE)
    with europe.stopped():
        assert trash_organization(organization, None, a_context()).operation.kind == "trash"
    carry_on()
    assert fresh(organization).state == OrganizationState.TRASHED


@pytest.mark.usefixtures("real_limits")
@each_strategy
def test_a_purge_while_its_cluster_is_away_is_finished_when_it_is_back(
    europe, carry_on, tenants_there, strategy
):
    organization = an_organization("Acme Corp", strategy=strategy, cluster=EUROPE)
    with europe.stopped():
        assert purge_organization(organization, None, a_context()).operation.kind == "purge"
    carry_on()
    assert fresh(organization).state == OrganizationState.PURGED
