"""Lifecycle operations by the strategy that an organization is placed by."""

import pytest

from portal.documents.organizations import OrganizationState, Slug, Strategy
from portal.documents.pools import Pool
from portal.organizations import latest, storage
from portal.organizations.lifecycle import pools
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import stored_by
from portal.settings import current
from tests.factories import a_context, an_organization

each_strategy = pytest.mark.parametrize("strategy", list(Strategy))


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


def store(admin, organization, document):
    """Write a document where it is stored, as an application would."""
    placement = organization.placement
    if placement.strategy == Strategy.SHARED:
        name = Pool.objects.get(id=placement.pool).collection
        document = {**document, "_id": {"o": organization.id, "i": document["_id"]}}
    else:
        name = placement.collection
    admin[placement.database or current().tenant_db][name].insert_one(document)
