"""Suspending organizations, and lifting their suspensions."""

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from portal.applications import managing
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.organizations import OrganizationState, Restriction, Strategy
from portal.documents.restrictions import Cause, Suspension
from portal.errors import NotFound
from portal.organizations.access.errors import OrganizationLocked, OrganizationReadOnly
from portal.organizations.credentials.managing import create_credential
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.errors import (
    CollectionNameConflict,
    OperationInProgress,
    RestrictionChanged,
    SuspensionNotFound,
)
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.restricting import (
    Reason,
    lift_suspension,
    suspend_organization,
)
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.storage import tenant_of
from portal.tenants import Tenants, errors
from portal.web.context import RequestContext
from tests.factories import (
    a_context,
    a_credential,
    an_access,
    an_organization,
    fresh,
    the_owner,
)
from tests.program import Program

REASON = Reason(Cause.PAYMENT, "billing@portal.example", "An invoice is open.", "called twice")
each_strategy = pytest.mark.parametrize("strategy", list(Strategy))
READ_ONLY, LOCKED, HIDDEN = Restriction


def suspend(organization, kind):
    return suspend_organization(fresh(organization), kind, REASON, a_context())


def lift(organization, suspension):
    return lift_suspension(fresh(organization), suspension.id, a_context())


def with_a_document(strategy=Strategy.COLLECTION, name="Acme Corp"):
    organization = an_organization(name, strategy=strategy)
    tenant_of(organization).insert_one({"_id": 1})
    return organization


@pytest.fixture
def shop(app, admin):
    """An application by the library; what it knows it keeps."""
    uri = managing.add_application("shop", {"main": admin}, RequestContext()).uri
    with Tenants(uri) as tenants:
        yield tenants
    managing.remove_application("shop", {"main": admin}, RequestContext())


@each_strategy
def test_one_that_is_read_only_is_read_and_not_written(strategy, shop):
    organization = with_a_document(strategy)
    acme, handle = shop["acme-corp"], tenant_of(organization)
    acme.insert_one({"_id": 2})
    suspension = suspend(organization, READ_ONLY)
    with pytest.raises(errors.ReadOnly):
        acme.insert_one({"_id": 3})
    with pytest.raises(errors.ReadOnly):
        acme.update_many({}, {"$set": {"a": 1}})
    with pytest.raises(errors.ReadOnly):
        acme.find_one_and_delete({"_id": 1})
    with pytest.raises(errors.ReadOnly), acme.transaction() as several:
        several.insert_one({"_id": 3})
    with pytest.raises(OrganizationReadOnly):
        handle.insert_one({"_id": 3})
    assert acme.count_documents({}) == len(list(handle.find())) == 2
    with acme.transaction() as several:
        assert several.find_one({"_id": 1})
    lift(organization, suspension)
    acme.insert_one({"_id": 3})
    tenant_of(fresh(organization)).insert_one({"_id": 4})
    assert acme.count_documents({}) == 4


@each_strategy
@pytest.mark.parametrize(
    ("kind", "in_library", "in_portal"),
    [(LOCKED, errors.Locked, OrganizationLocked), (HIDDEN, errors.Hidden, NotFound)],
)
def test_nobody_reaches_one_that_is_locked_or_hidden(strategy, kind, in_library, in_portal, shop):
    organization = with_a_document(strategy)
    acme, handle = shop["acme-corp"], tenant_of(organization)
    assert acme.count_documents({}) == 1
    suspension = suspend(organization, kind)
    for tenant, error in ((acme, in_library), (handle, in_portal)):
        with pytest.raises(error):
            tenant.find_one({})
        with pytest.raises(error):
            tenant.insert_one({"_id": 2})
    with pytest.raises(in_portal):
        tenant_of(fresh(organization)).find_one({})
    lift(organization, suspension)
    acme.insert_one({"_id": 2})
    assert acme.count_documents({}) == 2


@each_strategy
def test_lifting_one_of_several_leaves_the_others(strategy):
    organization = with_a_document(strategy)
    unpaid = suspend(organization, READ_ONLY)
    abuse = suspend(organization, HIDDEN)
    other = suspend(organization, READ_ONLY)
    assert fresh(organization).restricted == HIDDEN
    lift(organization, unpaid)
    assert fresh(organization).restricted == HIDDEN
    lift(organization, abuse)
    assert fresh(organization).restricted == READ_ONLY
    with pytest.raises(OrganizationReadOnly):
        tenant_of(fresh(organization)).insert_one({"_id": 2})
    assert tenant_of(fresh(organization)).find_one({"_id": 1})
    lift(organization, other)
    assert fresh(organization).restricted is None
    tenant_of(fresh(organization)).insert_one({"_id": 2})
    assert not Suspension.objects(open=True)
    unpaid.reload()
    assert lift(organization, unpaid).lifted_at == unpaid.lifted_at


def test_a_suspension_is_lifted_by_its_id_alone():
    acme, other = with_a_document(), with_a_document(name="Other")
    of_other = suspend(other, READ_ONLY)
    with pytest.raises(SuspensionNotFound):
        lift(acme, of_other)
    assert fresh(other).restricted == READ_ONLY


@each_strategy
def test_one_in_the_trash_comes_back_as_restricted_as_it_was_made_there(strategy):
    organization = with_a_document(strategy)
    first = suspend(organization, READ_ONLY)
    trashed = trash_organization(fresh(organization), None, a_context())
    suspend(trashed, LOCKED)
    lift(trashed, first)
    restored = restore_organization(fresh(organization), None, a_context())
    assert (restored.state, restored.restricted) == (OrganizationState.ACTIVE, LOCKED)
    with pytest.raises(OrganizationLocked):
        tenant_of(restored).find_one({})
    purge_organization(restored, None, a_context())
    assert not Suspension.objects()


def test_an_operator_renames_one_that_is_read_only():
    organization = with_a_document()
    suspension = suspend(organization, READ_ONLY)
    renamed = rename_organization(fresh(organization), "Other", a_context())
    assert renamed.placement.collection == f"readonly_{organization.id}"
    lift(organization, suspension)
    assert fresh(organization).placement.collection == "org_other"


@pytest.mark.parametrize("kind", [READ_ONLY, LOCKED])
def test_credentials_lose_what_the_suspension_takes(kind):
    organization = with_a_document()
    uri = a_credential(organization)
    suspension = suspend(organization, kind)
    with MongoClient(uri) as client:
        collection = client.get_default_database()[fresh(organization).placement.collection]
        with pytest.raises(OperationFailure, match="not authorized"):
            collection.insert_one({"_id": 2})
        if kind == READ_ONLY:
            assert collection.find_one()
        else:
            with pytest.raises(OperationFailure, match="not authorized"):
                collection.find_one()
        lift(organization, suspension)
        client.get_default_database()["org_acme_corp"].insert_one({"_id": 2})


def test_an_application_only_reads_under_the_name_of_one_that_is_read_only(shop, admin):
    organization = with_a_document(Strategy.DATABASE)
    suspend(organization, READ_ONLY)
    placement = fresh(organization).placement
    own = shop._directory.clusters.connection("main").client[placement.database]
    assert own[placement.collection].find_one()
    with pytest.raises(OperationFailure, match="not authorized"):
        own[placement.collection].insert_one({"_id": 2})
    suspend(organization, LOCKED)
    with pytest.raises(OperationFailure, match="not authorized"):
        own[fresh(organization).placement.collection].find_one()


def test_a_suspension_that_cannot_begin_leaves_everything_as_it_was(tenant_db):
    organization = with_a_document()
    tenant_db[f"locked_{organization.id}"].insert_one({"stranger": True})
    with pytest.raises(CollectionNameConflict):
        suspend(organization, LOCKED)
    assert fresh(organization).restricted is None
    assert not Suspension.objects(open=True)
    tenant_of(fresh(organization)).insert_one({"_id": 2})


def test_nothing_else_runs_while_it_begins(monkeypatch):
    organization = with_a_document()
    monkeypatch.setattr(engine, "run_now", lambda organization: organization)
    suspend(organization, LOCKED)
    with pytest.raises(OperationInProgress):
        suspend(organization, READ_ONLY)


def test_a_change_by_who_read_it_before_the_suspension_is_refused():
    organization = with_a_document()
    suspend(organization, READ_ONLY)
    with pytest.raises(RestrictionChanged):
        trash_organization(organization, None, a_context())
    assert fresh(organization).state == OrganizationState.ACTIVE


def test_what_happened_stands_in_the_trail_and_owners_are_told():
    organization = with_a_document()
    lift(organization, suspend(organization, LOCKED))
    suspend(organization, HIDDEN)
    actions = [each.action for each in AuditEvent.objects(chain=organization.id).order_by("seq")]
    assert actions[-3:] == [
        "organization.suspended",
        "organization.suspension_lifted",
        "organization.suspended",
    ]
    told = [mail.kind for mail in Mail.objects]
    assert told.count("suspended") == told.count("suspension_lifted") == 1


def test_a_credential_made_while_read_only_reads_until_that_is_lifted():
    organization = with_a_document()
    suspension = suspend(organization, READ_ONLY)
    made = create_credential(an_access(fresh(organization)), "Late", "write", a_context())
    with MongoClient(made.uri) as client:
        database = client.get_default_database()
        assert database[fresh(organization).placement.collection].find_one()
        with pytest.raises(OperationFailure, match="not authorized"):
            database[fresh(organization).placement.collection].insert_one({"_id": 2})
        lift(organization, suspension)
        database["org_acme_corp"].insert_one({"_id": 2})


@pytest.mark.parametrize("kind", [LOCKED, HIDDEN])
def test_a_repeated_call_is_not_answered_either(app, kind):
    """What was answered once is kept for a day."""
    organization = with_a_document()
    owner = the_owner(organization)
    person = Program(app)
    person.log_in(owner.email)
    keyed = {"headers": {"Idempotency-Key": "5f1c2f54-0b0e-4f0b-a5b3-7f2a4bdb1a11"}}
    body = {"new_organization_name": "Other"}
    assert person.put("/org/update/acme-corp", body, **keyed).status_code == 200
    suspend(organization, kind)
    again = person.put("/org/update/acme-corp", body, **keyed)
    assert again.status_code == {LOCKED: 423, HIDDEN: 404}[kind]
