"""Renaming: the collection goes with the name, and nothing else changes."""

import threading
from datetime import timedelta

import pytest

from portal import clock
from portal.audit.trail import events_of, record
from portal.database.transactions import transaction
from portal.doctor.chains import find_broken
from portal.documents.audit import AuditEvent, Origin
from portal.documents.memberships import Role
from portal.documents.organizations import OperationKind, Organization, Slug, SlugState
from portal.organizations.lifecycle import engine, slugs
from portal.organizations.lifecycle.errors import NameUnchanged, OperationInProgress, SlugTaken
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.storage import PAUSE_BETWEEN_REPAIRS
from portal.web import rate_limits
from tests.factories import (
    a_context,
    a_member,
    a_plan,
    an_account,
    an_organization,
    fresh,
    steps_of,
)
from tests.visitor import Visitor


def test_a_rename_moves_the_collection_with_every_id_and_index(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_many([{"_id": n, "n": n * n} for n in range(10)])
    tenant_db.org_acme_corp.create_index("n", unique=True)
    before = tenant_db.org_acme_corp.index_information()
    answer = visitor.post(
        "/organizations/acme-corp/rename", {"organization_name": "Acme & Daughters"}
    )
    assert answer.status == 303
    assert answer.location == "/organizations/acme-daughters"
    assert tenant_db.list_collection_names() == ["org_acme_daughters"]
    assert [row["_id"] for row in tenant_db.org_acme_daughters.find()] == list(range(10))
    assert tenant_db.org_acme_daughters.index_information() == before
    page = visitor.get(answer.location)
    assert page.heading == "Acme & Daughters"
    assert "Acme Corp is now Acme & Daughters. Old links still work." in page.text


def test_the_session_goes_on_after_a_rename(visitor):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    assert visitor.get("/organizations/other").status == 200


def test_an_old_address_leads_members_on_and_nobody_else(visitor, app):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    answer = visitor.get("/organizations/acme-corp/settings")
    assert answer.status == 307
    assert answer.location == "/organizations/other/settings"
    assert answer.response.headers["Cache-Control"] == "no-store"
    stranger = Visitor(app)
    stranger.sign_up("Kestrel", "dispatch@kestrel.example")
    assert stranger.get("/organizations/acme-corp").status == 404


def test_a_change_sent_to_an_old_address_is_refused_with_the_current_name(visitor):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    answer = visitor.post(
        "/organizations/acme-corp/delete",
        {"confirm_name": "Other"},
        form_at="/organizations/other/delete",
    )
    assert answer.status == 409
    assert "It is Other now, at other" in answer.text
    assert Organization.objects.get().state == "active"


def test_a_taken_name_is_told_at_the_field_and_changes_nothing(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    an_organization("Kestrel")
    answer = visitor.post("/organizations/acme-corp/rename", {"organization_name": "KESTREL"})
    assert answer.status == 409
    assert "kestrel is taken" in answer.fault("organization_name")
    assert answer.value("organization_name") == "KESTREL"
    assert sorted(tenant_db.list_collection_names()) == ["org_acme_corp", "org_kestrel"]


def test_a_rename_without_a_name_asks_for_one(visitor):
    visitor.sign_up("Acme Corp")
    answer = visitor.post("/organizations/acme-corp/rename", {})
    assert answer.status == 422
    assert answer.fault("organization_name") == "Enter a name"


def test_capitals_and_spaces_change_the_display_name_alone():
    organization = an_organization("acme corp")
    renamed = rename_organization(organization, "ACME Corp", a_context())
    assert renamed.name == "ACME Corp"
    assert renamed.slug == "acme-corp"
    assert len(Slug.objects()) == 1


def test_the_name_it_has_already_is_refused():
    organization = an_organization("Acme Corp")
    with pytest.raises(NameUnchanged):
        rename_organization(organization, " Acme  Corp ", a_context())


@pytest.mark.attack("N3")
def test_a_collection_that_is_not_ours_turns_the_rename_back(tenant_db, log):
    """The operator is told."""
    organization = an_organization("Acme Corp")
    tenant_db.org_other.insert_one({"_id": 1})
    with pytest.raises(SlugTaken):
        rename_organization(organization, "Other", a_context())
    now = fresh(organization)
    assert (now.name, now.slug, now.operation) == ("Acme Corp", "acme-corp", None)
    assert [slug.id for slug in Slug.objects()] == ["acme-corp"]
    assert sorted(tenant_db.list_collection_names()) == ["org_acme_corp", "org_other"]
    assert tenant_db.org_other.count_documents({}) == 1
    [told] = log.named("operation.turned_back")
    assert (told["level"], told["organization"]) == ("error", str(organization.id))
    # and it can be renamed to something else at once
    assert rename_organization(now, "Third", a_context()).slug == "third"


def test_an_old_slug_may_be_taken_back_by_an_owner_but_by_nobody_else():
    owner = an_account()
    organization = an_organization("Acme Corp", owner)
    renamed = rename_organization(organization, "Other", a_context())
    with pytest.raises(SlugTaken):
        an_organization("Acme Corp")
    admin = a_member(organization, Role.ADMIN, "ada@acme.example")
    with pytest.raises(SlugTaken):
        rename_organization(renamed, "Acme Corp", a_context(admin))
    back = rename_organization(renamed, "Acme Corp", a_context(owner))
    assert back.slug == "acme-corp"
    assert Slug.objects.get(id="other").state == SlugState.OLD


def test_an_owner_swaps_the_names_of_two_organizations_at_once(tenant_db):
    owner = an_account()
    a, b = an_organization("Aster", owner), an_organization("Birch", owner)
    tenant_db.org_aster.insert_one({"_id": "of a"})
    a = rename_organization(a, "Waiting", a_context(owner))
    b = rename_organization(b, "Aster", a_context(owner))
    a = rename_organization(a, "Birch", a_context(owner))
    assert (a.slug, b.slug) == ("birch", "aster")
    assert tenant_db.org_birch.find_one() == {"_id": "of a"}
    assert sorted((s.id, s.organization, s.state) for s in Slug.objects()) == sorted([
        ("aster", b.id, "current"), ("birch", a.id, "current"), ("waiting", a.id, "old"),
    ])  # fmt: skip


@pytest.mark.parametrize("how", ["founded", "renamed", "restored"])
def test_who_gives_an_old_slug_up_to_another_organization_has_it_in_its_trail(how):
    owner = an_account()
    a, b = an_organization("Aster", owner), an_organization("Birch", owner)
    a = rename_organization(a, "Waiting", a_context(owner))
    if how == "founded":
        b = an_organization("Aster", owner)
    elif how == "renamed":
        b = rename_organization(b, "Aster", a_context(owner))
    else:
        trash_organization(b, None, a_context(owner))
        b = restore_organization(fresh(b), "Aster", a_context(owner))
    told = AuditEvent.objects.get(action="organization.slug_given_up")
    assert (told.chain, told.actor, told.target) == (a.id, owner.id, b.id)
    assert events_of(a.id).rows[0].words == "Address aster given up to another organization"
    assert not list(find_broken())


def test_an_old_slug_of_its_own_is_not_given_up():
    owner = an_account()
    a = rename_organization(an_organization("Aster", owner), "Waiting", a_context(owner))
    rename_organization(a, "Aster", a_context(owner))
    assert not AuditEvent.objects(action="organization.slug_given_up")


def test_an_old_slug_of_another_organization_is_given_up_where_the_rename_is_undone(tenant_db):
    owner = an_account()
    a, b = an_organization("Aster", owner), an_organization("Birch", owner)
    rename_organization(a, "Waiting", a_context(owner))
    tenant_db.create_collection("org_aster")
    with pytest.raises(SlugTaken):
        rename_organization(b, "Aster", a_context(owner))
    assert sorted((s.id, s.state) for s in Slug.objects()) == [
        ("birch", "current"), ("waiting", "current"),
    ]  # fmt: skip


def test_an_old_slug_is_free_for_anybody_after_its_time(time_machine):
    organization = an_organization("Acme Corp")
    rename_organization(organization, "Other", a_context())
    time_machine.move_to(clock.now() + timedelta(days=31))
    assert an_organization("Acme Corp").slug == "acme-corp"


def test_an_organization_holds_its_last_old_slugs(monkeypatch):
    """So an admin can't hoard names, nor make the organization too large to be deleted."""
    monkeypatch.setattr(slugs, "MAX_OLD", 2)
    organization = an_organization("Acme Corp")
    held = [{"acme-corp"}, {"acme-corp", "name-0"}, {"name-0", "name-1"}, {"name-1", "name-2"}]
    for n, old in enumerate(held):
        organization = rename_organization(organization, f"Name {n}", a_context())
        assert {slug.id for slug in Slug.objects(state=SlugState.OLD)} == old


def test_a_rename_takes_no_command_too_many(monkeypatch, commands):
    monkeypatch.setattr(rate_limits, "count_attempt", lambda *_: None)
    owner = an_account()
    organization = an_organization("Acme Corp", owner)
    commands.clear()
    rename_organization(organization, "Other", a_context(owner))
    intent = ["findAndModify", "update", "commitTransaction"]
    result = ["findAndModify", "insert", "update", "commitTransaction"]
    assert commands == [*intent, "renameCollection", *result]


def test_what_is_recorded_during_a_rename_stays_in_the_trail(monkeypatch):
    organization = an_organization("Acme Corp")
    first, *rest = steps_of(OperationKind.RENAME)

    def beside(renamed):
        transaction(lambda: record(fresh(organization), "job.started", Origin(), title="Beside"))
        return first(renamed)

    monkeypatch.setitem(
        engine.PLANS, OperationKind.RENAME, a_plan(OperationKind.RENAME, beside, *rest)
    )
    renamed = rename_organization(organization, "Other", a_context())
    actions = [event.action for event in events_of(organization.id).rows]
    assert actions == ["organization.renamed", "job.started", "organization.created"]
    assert renamed.audit_head.seq == 3
    assert not list(find_broken())


def test_a_second_rename_meanwhile_is_refused(monkeypatch):
    organization = an_organization("Acme Corp")
    inside, go_on = threading.Event(), threading.Event()

    def slow(step):
        def wait(moving):
            inside.set()
            go_on.wait(30)
            return step(moving)

        return wait

    first, *rest = steps_of(OperationKind.RENAME)
    slowed = a_plan(OperationKind.RENAME, slow(first), *rest)
    monkeypatch.setitem(engine.PLANS, OperationKind.RENAME, slowed)
    thread = threading.Thread(target=rename_organization, args=(organization, "Other", a_context()))
    thread.start()
    assert inside.wait(30)
    try:
        with pytest.raises(OperationInProgress) as refused:
            rename_organization(fresh(organization), "Third", a_context())
        assert refused.value.kind == "rename"
    finally:
        go_on.set()
        thread.join()
    assert fresh(organization).slug == "other"
    assert sorted(slug.id for slug in Slug.objects()) == ["acme-corp", "other"]


def test_a_running_rename_is_shown_and_a_second_one_answers_409(visitor, master_db):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    operation = {
        "id": organization.id, "kind": "rename", "attempt": 1, "started_at": organization.created_at,
        "lease_until": organization.created_at.replace(year=2100), "collection": "org_other",
        "name": "Other", "slug": "other", "origin": {"email": "mara@acme.example"},
    }  # fmt: skip
    master_db.organizations.update_one({}, {"$set": {"operation": operation}})
    page = visitor.get("/organizations/acme-corp")
    assert "Renaming to Other" in page.text
    assert "Being renamed" in visitor.get("/organizations").text
    answer = visitor.post("/organizations/acme-corp/rename", {"organization_name": "Third"})
    assert answer.status == 409
    assert "Acme Corp is being renamed since" in answer.text
    assert "What you typed: Third" in answer.text
    back = answer.html.find("a", string="Back to Acme Corp")
    assert back["href"] == "/organizations/acme-corp"


def test_a_collection_that_was_renamed_by_hand_is_found_by_its_uuid(tenant_db):
    organization = an_organization("Acme Corp")
    tenant_db.org_acme_corp.rename("by_hand")
    rename_organization(organization, "Other", a_context())
    assert tenant_db.list_collection_names() == ["org_other"]


def test_a_collection_that_was_renamed_by_hand_gets_its_name_back_when_somebody_looks(
    visitor, tenant_db, log
):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    tenant_db.org_acme_corp.rename("by_hand")
    page = visitor.get("/organizations/acme-corp")
    assert "Its collection" not in page.text
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert Organization.objects.get().operation is None
    assert log.named("collection.name_repaired")


def test_where_another_has_its_name_the_page_says_so_until_that_is_out_of_the_way(
    visitor, tenant_db
):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.rename("by_hand")
    tenant_db.org_acme_corp.insert_one({"_id": "somebody's"})
    assert "Its collection is called by_hand now" in visitor.get("/organizations/acme-corp").text
    assert sorted(tenant_db.list_collection_names()) == ["by_hand", "org_acme_corp"]
    tenant_db.org_acme_corp.rename("away")
    a_while_ago = clock.now() - PAUSE_BETWEEN_REPAIRS
    Organization.objects.update(set__rolled_back__at=a_while_ago)
    assert "Its collection is" not in visitor.get("/organizations/acme-corp").text
    assert sorted(tenant_db.list_collection_names()) == ["away", "org_acme_corp"]


def test_a_collection_that_was_dropped_by_hand_is_told(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.drop()
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert "Its collection is not in the database any more" in page.text
    answer = visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    assert answer.status == 409
    assert "is not in the database any more" in answer.text
    assert Organization.objects.get().operation is None


@pytest.fixture
def rename_fails_once(bare_client):
    """The next rename happens, but the server says that it can't be sure of it."""
    command = {
        "configureFailPoint": "failCommand",
        "mode": {"times": 1},
        "data": {"failCommands": ["renameCollection"], "writeConcernError": {"code": 64, "errmsg": "timed out"}},
    }  # fmt: skip
    bare_client.admin.command(command)
    yield
    bare_client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.mark.usefixtures("rename_fails_once")
def test_a_rename_whose_result_is_unknown_is_asked_for_again(tenant_db):
    assert an_organization("Acme Corp").operation is None
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
