"""Lifecycle operations by the strategy that an organization is placed by."""

import pytest

from portal.documents.accounts import Account
from portal.documents.organizations import Organization, OrganizationState, Slug, Strategy
from portal.documents.pools import Pool
from portal.errors import NotFound
from portal.organizations import latest, storage
from portal.organizations.access.errors import OrganizationTrashed, UnknownStrategy
from portal.organizations.lifecycle import engine, pools, runner
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.moving.planning import Wish, plan_move
from portal.organizations.moving.surveying import emptying
from portal.organizations.storage import stored_by, tenant_of
from portal.placement.measuring import measure_organizations
from portal.placement.policies import current_policy
from portal.placement.proposals import propose_moves
from portal.settings import current
from portal.tenant_scripts.selecting import Selection
from tests.factories import a_context, an_organization, fresh, verify
from tests.program import Program, fault

PAGES = ("", "/activity", "/settings", "/rename", "/delete", "/connect", "/members")
each_strategy = pytest.mark.parametrize("strategy", list(Strategy))


@pytest.mark.each_case
@each_strategy
def test_an_organization_lives_through_it_all(strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    assert organization.operation is None
    renamed = rename_organization(organization, "Other", a_context())
    assert (renamed.slug, renamed.operation) == ("other", None)
    trashed = trash_organization(renamed, None, a_context())
    assert (trashed.state, trashed.operation) == (OrganizationState.TRASHED, None)
    restored = restore_organization(trashed, "Acme Corp", a_context())
    assert (restored.state, restored.slug) == (OrganizationState.ACTIVE, "acme-corp")
    purged = purge_organization(restored, None, a_context())
    assert purged.state == OrganizationState.PURGED
    assert not Slug.objects()


def test_documents_of_a_neighbour_stay_when_an_organization_is_purged(tenant_db, monkeypatch):
    monkeypatch.setattr(pools, "DELETED_AT_ONCE", 2)
    acme = an_organization("Acme Corp", strategy=Strategy.SHARED)
    neighbour = an_organization("Neighbour", strategy=Strategy.SHARED)
    pool = Pool.objects.get()
    stored = [{"_id": {"o": one.id, "i": n}} for one in (acme, neighbour) for n in (1, "a", None)]
    tenant_db[pool.collection].insert_many(stored)
    purge_organization(acme, None, a_context())
    pool.reload()
    assert pool.generation == 2
    assert list(tenant_db[pool.collection].find()) == stored[3:]


@each_strategy
def test_its_documents_are_followed_through_all_of_it(strategy):
    organization = an_organization("Acme Corp", strategy=strategy)
    documents = tenant_of(organization)
    documents.insert_one({"_id": 1})
    renamed = rename_organization(organization, "Other", a_context())
    documents.insert_one({"_id": 2})
    trashed = trash_organization(renamed, None, a_context())
    with pytest.raises(OrganizationTrashed):
        documents.insert_one({"_id": 3})
    with pytest.raises(OrganizationTrashed):
        tenant_of(trashed)
    restored = restore_organization(trashed, None, a_context())
    documents.insert_one({"_id": 4})
    assert [found["_id"] for found in tenant_of(restored).find()] == [1, 2, 4]
    purge_organization(restored, None, a_context())
    with pytest.raises(NotFound):
        documents.find_one({})


def test_neighbours_go_on_through_a_fence():
    acme = an_organization("Acme Corp", strategy=Strategy.SHARED)
    neighbour = an_organization("Neighbour", strategy=Strategy.SHARED)
    documents = tenant_of(neighbour)
    documents.insert_one({"_id": 1})
    trash_organization(acme, None, a_context())
    documents.insert_one({"_id": 2})
    assert documents.count_documents({}) == 2


@each_strategy
def test_an_organization_tells_its_figures_and_documents(strategy, admin):
    organization = an_organization("Acme Corp", strategy=strategy)
    for n in range(3):
        store(admin, organization, {"_id": n, "n": n})
    stored = stored_by(organization, *latest.PIPELINE)
    assert stored.figures.documents == 3
    assert [row.id for row in latest.as_shown(stored.documents)] == ["2", "1", "0"]
    trashed = trash_organization(organization, None, a_context())
    assert stored_by(trashed).figures.documents == 3


def test_of_many_documents_in_a_pool_only_so_many_are_counted(monkeypatch, admin):
    monkeypatch.setattr(storage, "MAX_COUNTED", 2)
    monkeypatch.setattr(storage, "_COUNT", ({"$limit": 3}, *storage._COUNT[1:]))
    organization = an_organization("Acme Corp", strategy=Strategy.SHARED)
    for n in range(5):
        store(admin, organization, {"_id": n})
    figures = stored_by(organization).figures
    assert (figures.documents, figures.partial) == (2, True)


@each_strategy
def test_every_page_of_an_organization_works(strategy, visitor, admin):
    visitor.sign_up("Mine", "mara@acme.example")
    owner = Account.objects.get(email="mara@acme.example")
    verify()
    organization = an_organization("Acme Corp", owner, strategy=strategy)
    store(admin, organization, {"_id": "the first"})
    for page in PAGES:
        assert visitor.get(f"/organizations/acme-corp{page}").status == 200
    overview = visitor.get("/organizations/acme-corp")
    assert "the first" in overview.text
    assert organization.placement.shown.partition("_")[2] in overview.text
    trash_organization(organization, None, a_context())
    for page in ("", "/restore", "/purge"):
        assert visitor.get(f"/trash/{organization.id}{page}").status == 200


@each_strategy
def test_programs_see_an_organization(strategy, admin, app):
    program = Program(app)
    program.sign_up("Mine")
    verify()
    program.log_in()
    owner = Account.objects.get(email="mara@acme.example")
    organization = an_organization("Acme Corp", owner, strategy=strategy)
    store(admin, organization, {"_id": 1})
    told = program.get("/org/acme-corp").json["organization"]
    assert (told["documents"], told["partial_figures"], told["collection_state"]) == (
        1,
        False,
        "present",
    )
    placement = program.get("/org/acme-corp/placement").json["organization"]["placement"]
    assert placement["strategy"] == strategy
    assert placement["pool"] == (1 if strategy == Strategy.SHARED else None)


def store(admin, organization, document):
    """Write a document where it is stored, as an application would."""
    placement = organization.placement
    if placement.strategy == Strategy.SHARED:
        name = Pool.objects.get(id=placement.pool).collection
        document = {**document, "_id": {"o": organization.id, "i": document["_id"]}}
    else:
        name = placement.collection
    admin[placement.database or current().tenant_db][name].insert_one(document)


@each_strategy
def test_all_but_a_purge_take_as_long_for_many_documents_as_for_few(strategy, commands):
    """By the same commands, none of which goes through the documents."""

    def of(size):
        organization = an_organization(f"Of {size}", strategy=strategy)
        tenant_of(organization).insert_many({"_id": n} for n in range(size))
        commands.clear()
        renamed = rename_organization(organization, f"Renamed {size}", a_context())
        trashed = trash_organization(renamed, None, a_context())
        restore_organization(trashed, None, a_context())
        return list(commands)

    assert of(2) == of(3000)


def test_a_purge_deletes_from_a_pool_in_small_batches_and_keeps_its_lease(commands, monkeypatch):
    monkeypatch.setattr(engine, "_SPARED", 0)  # as if each batch took long
    organization = an_organization("Acme Corp", strategy=Strategy.SHARED)
    tenant_of(organization).insert_many({"_id": n} for n in range(1200))
    commands.clear()
    purge_organization(organization, None, a_context())
    between = "".join(each[0] for each in commands)
    assert "fdufdufdufdufdufd" in between  # found, deleted, lease renewed


def test_a_database_is_named_alike_where_a_file_system_folds_case():
    organization = an_organization("Acme Corp", strategy=Strategy.DATABASE)
    name = organization.placement.database
    assert name == name.lower() == f"t_{organization.id}"


UNKNOWN = "elastic"


@pytest.fixture
def placed_by_a_newer_version(visitor):
    """An organization that a newer version beside this one placed in a way of its own."""
    visitor.sign_up("Acme Corp", "mara@acme.example")
    organization = Organization.objects.get()
    Organization.objects.update(set__placement__strategy=UNKNOWN)
    return fresh(organization)


def test_one_placed_by_a_newer_version_answers_503_on_its_pages(placed_by_a_newer_version, visitor):
    answer = visitor.get("/organizations/acme-corp")
    assert answer.status == 503
    assert UNKNOWN in answer.text
    assert visitor.get("/organizations").status == 200
    assert visitor.get("/organizations/acme-corp/rename").status == 503


def test_one_placed_by_a_newer_version_answers_503_to_programs(placed_by_a_newer_version, app):
    program = Program(app)
    program.log_in()
    for path in ("", "/placement", "/documents", "/members"):
        assert fault(program.get(f"/org/acme-corp{path}"))[:2] == (503, "unknown_strategy")


def test_one_placed_by_a_newer_version_is_left_out_where_all_are_gone_through(
    placed_by_a_newer_version,
):
    other = an_organization("Kestrel Freight")
    assert measure_organizations().count == 1
    assert propose_moves(current_policy()) == []
    assert not Organization.objects(__raw__=Selection().query).filter(slug="acme-corp")
    told = {each.slug: each.obstacle for each in emptying("main", "main").candidates()}
    assert told.keys() == {"acme-corp", other.slug}
    assert UNKNOWN in told["acme-corp"]
    with pytest.raises(UnknownStrategy):
        plan_move(placed_by_a_newer_version, Wish(Strategy.SHARED, "main"))


def test_the_runner_touches_nothing_of_one_placed_by_a_newer_version(
    placed_by_a_newer_version, master_db
):
    past = placed_by_a_newer_version.created_at
    operation = {
        "id": placed_by_a_newer_version.id,
        "kind": "trash",
        "attempt": 1,
        "lease_until": past,
    }
    trashed = {"state": "trashed", "purge_at": past, "warn_at": past}
    for change in ({"operation": operation}, {**trashed, "operation": None}):
        master_db.organizations.update_one({}, {"$set": change})
        before = master_db.organizations.find_one()
        runner.run_once()
        assert master_db.organizations.find_one() == before
