"""Deleting: to the trash, where nobody but the owners sees it."""

from datetime import timedelta

import pytest

from portal.documents.accounts import Account
from portal.documents.organizations import Organization, Slug
from portal.organizations import directory
from portal.organizations.lifecycle.errors import OperationInProgress
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.context import OPERATOR, AuditActor, RequestContext
from tests.factories import a_context, an_organization, fresh
from tests.visitor import Visitor


def delete(visitor, slug, confirm_name):
    return visitor.post(f"/organizations/{slug}/delete", {"confirm_name": confirm_name})


def test_deleting_moves_the_collection_to_the_trash_and_lists_it_with_its_date(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    answer = delete(visitor, "acme-corp", "Acme Corp")
    assert answer.status == 303
    assert answer.location == "/trash"
    organization = Organization.objects.get()
    assert tenant_db.list_collection_names() == [f"trash_{organization.id}"]
    assert tenant_db[f"trash_{organization.id}"].count_documents({}) == 1
    page = visitor.get("/trash")
    assert "Acme Corp" in page.text
    assert "by you" in page.text
    assert f"{organization.purge_at:%-d %B %Y}" in page.text
    assert organization.purge_at - organization.trashed_at == timedelta(days=30)


def test_what_is_in_the_trash_is_gone_everywhere_else(visitor):
    visitor.sign_up("Acme Corp")
    delete(visitor, "acme-corp", "Acme Corp")
    assert visitor.get("/organizations/acme-corp").status == 404
    assert "You belong to no organization yet" in visitor.get("/organizations").text


def test_the_name_is_free_at_once_old_ones_too(visitor, app):
    visitor.sign_up("Acme Corp")
    visitor.post("/organizations/acme-corp/rename", {"organization_name": "Other"})
    delete(visitor, "other", "Other")
    assert len(Slug.objects()) == 0
    another = Visitor(app)
    assert another.sign_up("Acme Corp", "else@acme.example").status == 303
    assert another.post("/organizations/new", {"organization_name": "Other"}).status == 303


def test_the_trash_shows_nobody_elses(visitor, app):
    visitor.sign_up("Acme Corp")
    delete(visitor, "acme-corp", "Acme Corp")
    another = Visitor(app)
    another.sign_up("Kestrel", "dispatch@kestrel.example")
    assert "The trash is empty" in another.get("/trash").text


def trashed(count, account):
    """As many organizations, trashed one after the other."""
    for n in range(count):
        trash_organization(an_organization(f"Org {n}", account), f"Org {n}", a_context(account))


def names(page):
    return [link.get_text() for link in page.html.select("tbody th a")]


def way(page, rel):
    link = page.html.find("a", rel=rel)
    return link and "/trash" + link["href"]


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one millisecond"])
def test_a_long_trash_is_paged_both_ways_newest_first(visitor, monkeypatch, master_db, at_once):
    monkeypatch.setattr(directory, "ROWS_PER_PAGE", 2)
    visitor.sign_up("Acme Corp")
    trashed(5, Account.objects.get())
    if at_once:
        moment = Organization.objects(state="trashed").first().trashed_at
        master_db.organizations.update_many({"state": "trashed"}, {"$set": {"trashed_at": moment}})
    first = visitor.get("/trash")
    second = visitor.get(way(first, "next"))
    third = visitor.get(way(second, "next"))
    assert [names(page) for page in (first, second, third)] == [
        ["Org 4", "Org 3"],
        ["Org 2", "Org 1"],
        ["Org 0"],
    ]
    assert not way(first, "prev")
    assert not way(third, "next")
    assert names(visitor.get(way(third, "prev"))) == names(second)
    assert names(visitor.get(way(second, "prev"))) == names(first)
    assert first.html.find("a", rel="next").get_text() == "Older"


def test_a_name_that_one_may_claim_is_not_told_to_be_taken(visitor):
    visitor.sign_up("Acme Corp")
    mara = Account.objects.get()
    trash_organization(Organization.objects.get(), None, a_context(mara))
    other = an_organization("Acme Corp", mara)
    assert directory.trash_of(mara.id).rows[0].slug_taken
    rename_organization(other, "Other", a_context(mara))
    assert not directory.trash_of(mara.id).rows[0].slug_taken
    trash_organization(fresh(other), None, a_context(mara))
    an_organization("Acme Corp")
    assert directory.trash_of(mara.id).rows[1].slug_taken


def test_the_trash_takes_two_round_trips_however_long(visitor, commands):
    visitor.sign_up("Acme Corp")
    trashed(3, Account.objects.get())
    commands.clear()
    assert len(names(visitor.get("/trash"))) == 3
    assert len(commands) == 2, commands


def test_keys_of_the_trash_that_are_none_are_passed_over(visitor):
    visitor.sign_up("Acme Corp")
    delete(visitor, "acme-corp", "Acme Corp")
    for value in ("", "$gt", "[]", "x" * 5000, "-1", "9" * 400, "%00", "%ED%A0%80"):
        for key in ("before", "after"):
            assert names(visitor.get(f"/trash?{key}={value}")) == ["Acme Corp"], value


def test_a_page_of_the_trash_that_is_gone_leads_to_the_first(visitor):
    visitor.sign_up("Acme Corp")
    answer = visitor.get(f"/trash?after={'0' * 13}-{'0' * 24}")
    assert answer.status == 303
    assert answer.location == "/trash"


def test_a_row_of_the_trash_carries_the_organizations_id(visitor):
    visitor.sign_up("Acme Corp")
    delete(visitor, "acme-corp", "Acme Corp")
    organization = Organization.objects.get()
    row = directory.trash_of(Account.objects.get().id).rows[0]
    assert row.id == organization.id
    assert row.trashed_at == organization.trashed_at
    assert row.trashed_by == "mara@acme.example"


@pytest.mark.parametrize(
    ("actor", "shown"),
    [(OPERATOR, "the operator"), (AuditActor(kind="API key", name="API key “W”"), "API key “W”")],
    ids=["operator", "key"],
)
def test_the_trash_says_who_else_than_a_member_deleted_it(visitor, actor, shown):
    visitor.sign_up("Acme Corp")
    trash_organization(Organization.objects.get(), None, a_context())
    restore_organization(Organization.objects.get(), None, a_context())
    trash_organization(Organization.objects.get(), None, RequestContext(actor))
    page = visitor.get("/trash")
    assert page.html.select_one("td .by").get_text() == f"by {shown}"
    one = visitor.get(f"/trash/{Organization.objects.get().id}")
    assert f"by {shown}" in one.html.select_one(".pairs dd").get_text(" ")


def test_another_name_than_the_shown_one_confirms_nothing(visitor):
    visitor.sign_up("Acme Corp")
    for typed in ("", "acme corp", "Acme", "a" * 200, "Acme\0Corp", "\N{SKULL}"):
        answer = delete(visitor, "acme-corp", typed)
        assert answer.status == 422, typed
        assert answer.fault("confirm_name")
    assert visitor.get("/organizations/acme-corp").status == 200


def test_spaces_around_the_typed_name_do_not_matter(visitor):
    visitor.sign_up("Acme Corp")
    assert delete(visitor, "acme-corp", " Acme Corp ").status == 303


def test_an_organization_whose_collection_is_missing_can_still_be_deleted(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.org_acme_corp.drop()
    assert delete(visitor, "acme-corp", "Acme Corp").status == 303
    assert Organization.objects.get().state == "trashed"


def test_deleting_waits_for_no_other_operation(master_db):
    organization = an_organization("Acme Corp")
    running = {
        "kind": "rename",
        "attempt": 1,
        "collection": "org_x",
        "started_at": organization.created_at,
        "origin": {},
    }
    master_db.organizations.update_one({}, {"$set": {"operation": running}})
    with pytest.raises(OperationInProgress):
        trash_organization(organization, "Acme Corp", a_context())
    assert fresh(organization).state == "active"


def test_a_collection_in_the_way_leaves_the_organization_as_it_was(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    tenant_db[f"trash_{organization.id}"].insert_one({"_id": 1})
    answer = delete(visitor, "acme-corp", "Acme Corp")
    assert answer.status == 409
    assert "Something is in the way" in answer.text
    assert tenant_db[f"trash_{organization.id}"].count_documents({}) == 1
    assert fresh(organization).operation is None
    assert visitor.get("/organizations/acme-corp").status == 200
    assert "Move to the trash undone" in visitor.get("/organizations/acme-corp/activity").text


def test_on_its_way_to_the_trash_the_page_shows_that_and_no_documents(
    visitor, tenant_db, master_db
):
    """As a process leaves it that dies right after the collection was moved."""
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    running = {
        "id": organization.id, "kind": "trash", "attempt": 1, "collection": f"trash_{organization.id}",
        "started_at": organization.created_at, "lease_until": organization.created_at.replace(year=2100),
        "origin": {"email": "mara@acme.example"},
    }  # fmt: skip
    master_db.organizations.update_one({}, {"$set": {"operation": running}})
    tenant_db.org_acme_corp.rename(f"trash_{organization.id}")
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 200
    assert "Moving to the trash" in page.text
    assert "Latest documents" not in page.text
