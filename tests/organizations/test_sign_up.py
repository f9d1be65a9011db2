"""Signing up: all of it or nothing."""

import pytest

from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization, Slug
from portal.documents.sessions import Session
from portal.placement.choosing import choose
from tests.factories import an_account
from tests.program import Program
from tests.visitor import PASSWORD, Visitor

DOCUMENTS = (Account, Session, Organization, Slug, Membership, AuditEvent)


def counts():
    return {document.__name__: len(document.objects()) for document in DOCUMENTS}


def test_a_sign_up_leads_to_the_organization_logged_in(visitor, tenant_db):
    answer = visitor.sign_up("Acme Corp")
    assert answer.status == 303
    assert answer.location == "/organizations/acme-corp"
    page = visitor.get("/organizations/acme-corp")
    assert page.heading == "Acme Corp"
    assert "You are an owner" in page.text
    assert tenant_db.list_collection_names() == ["org_acme_corp"]


def test_the_collection_is_the_one_whose_uuid_was_recorded(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get(slug="acme-corp")
    assert organization.operation is None
    [found] = tenant_db.list_collections()
    assert organization.placement.uuid == found["info"]["uuid"].as_uuid()
    assert organization.placement.collection == "org_acme_corp"


def test_what_a_sign_up_did_was_done_in_the_session_that_it_opened(visitor, app):
    visitor.sign_up("Acme Corp")
    visitor.post("/account", {"name": "Mara", "time_zone": "", "theme": "auto"})
    session = Session.objects.get().public_id
    assert [(event.action, event.session) for event in AuditEvent.objects.order_by("id")] == [
        ("organization.created", session),
        ("account.profile_changed", session),
    ]
    Program(app).sign_up("Other", "teo@acme.example")
    assert AuditEvent.objects.order_by("-id").first().session is None


def test_a_sign_up_takes_at_most_17_commands(visitor, commands):
    choose()  # what a process reads of clusters every few seconds
    hidden = visitor.hidden("/signup")
    fields = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
    commands.clear()
    answer = visitor.client.post("/signup", data={**hidden, **fields})
    assert answer.status_code == 303
    assert len(commands) <= 17, commands


def test_a_taken_name_is_told_at_the_field_and_leaves_nothing(visitor, app):
    visitor.sign_up("Acme Corp")
    before = counts()
    answer = Visitor(app).sign_up("acme_corp", "other@acme.example")
    assert answer.status == 409
    assert "acme-corp is taken" in answer.fault("organization_name")
    assert counts() == before


def test_a_taken_address_is_told_at_the_field_and_leaves_nothing(visitor, app, tenant_db):
    visitor.sign_up("Acme Corp", "Mara@acme.example")
    before = counts()
    answer = Visitor(app).sign_up("Other", "mara@ACME.example")
    assert answer.status == 409
    assert "log in" in answer.fault("email")
    assert counts() == before
    assert tenant_db.list_collection_names() == ["org_acme_corp"]


@pytest.mark.attack("N3")
def test_a_collection_that_is_not_ours_stops_a_sign_up_and_stays_untouched(visitor, tenant_db, log):
    """org_x exists without an organization; the operator is told."""
    tenant_db.org_acme_corp.insert_one({"_id": 1, "theirs": True})
    before = counts()
    answer = visitor.sign_up("Acme Corp")
    assert answer.status == 409
    assert "acme-corp is taken" in answer.fault("organization_name")
    assert counts() == before
    assert tenant_db.list_collection_names() == ["org_acme_corp"]
    assert list(tenant_db.org_acme_corp.find()) == [{"_id": 1, "theirs": True}]
    [told] = log.named("operation.turned_back")
    assert (told["level"], told["kind"]) == ("error", "create")


def test_a_refused_second_organization_leaves_the_account_as_it_was(visitor, tenant_db):
    visitor.sign_up("Acme Corp")
    tenant_db.create_collection("org_other")
    before = counts()
    assert visitor.post("/organizations/new", {"organization_name": "Other"}).status == 409
    assert counts() == before
    assert visitor.get("/organizations/acme-corp").status == 200


BAD = {
    "organization_name": ["", "a", "x" * 81, "a\0b", "a\u202eb", "$where", "<b>x</b>", "🙂🙂"],
    "email": ["", "mara", "mara@", "a@b", "m\0@acme.example", "mara@acme.example\r\nBcc: x@y.example",
              "<i>@acme.example", "a" * 300 + "@acme.example", '{"$ne": null}'],
    "password": ["", "short", "a" * 129, "passwordpassword", "mara@acme.example", "correct\0horse battery"],
}  # fmt: skip


@pytest.mark.parametrize("field", BAD)
def test_bad_input_is_told_at_the_field_and_what_was_typed_is_kept(visitor, field):
    good = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
    before, hidden = counts(), visitor.hidden("/signup")
    for value in BAD[field]:
        answer = visitor.send("/signup", {**hidden, **good, field: value})
        assert answer.status == 422, value
        assert {name for name in good if answer.fault(name)} == {field}, value
        assert answer.value("password") == ""
        if field != "organization_name":
            assert answer.value("organization_name") == "Acme Corp"
        assert answer.html.title.get_text().startswith("Error: ")
    assert counts() == before


def test_lone_surrogates_are_refused_at_the_field(visitor):
    token = visitor.token("/signup")
    body = f"csrf_token={token}&organization_name=Acme%ED%A0%80&email=mara%ED%A0%80@acme.example&password={'pass%ED%A0%80' * 4}"
    answer = visitor.client.post(
        "/signup", data=body, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 422
    assert counts()["Account"] == 0


def test_a_second_value_of_a_field_is_refused_at_the_field(visitor):
    fields = {
        "organization_name": ["Acme", "Other"],
        "email": "mara@acme.example",
        "password": PASSWORD,
    }
    answer = visitor.post("/signup", fields)
    assert answer.status == 422
    assert "one value" in answer.fault("organization_name")
    assert counts()["Organization"] == 0


def test_all_faults_are_told_at_once(visitor):
    answer = visitor.post("/signup", {"organization_name": "", "email": "", "password": ""})
    assert answer.html.find(class_="error-summary").h2.get_text() == "3 things to correct"
    links = [link["href"] for link in answer.html.select(".error-summary a")]
    assert links == ["#organization_name", "#email", "#password"]


def test_markup_in_a_name_is_shown_as_typed(visitor):
    answer = visitor.post("/signup", {"organization_name": '"><script>alert(1)</script>'})
    assert answer.value("organization_name") == '"><script>alert(1)</script>'
    assert not [script for script in answer.html.find_all("script") if not script.get("src")]


def test_the_answer_shows_what_the_name_becomes_without_javascript(visitor):
    an_account("mara@acme.example")
    answer = visitor.sign_up("Acme & Daughters")
    assert "acme-daughters" in answer.html.find(id="preview").get_text()
    assert "Yes" in answer.html.find(id="preview").get_text()


def test_the_preview_tells_the_truth(visitor, app):
    visitor.sign_up("Acme Corp")
    stranger = Visitor(app)
    taken = stranger.get("/organizations/preview?organization_name=ACME+corp")
    assert "No, held by another organization" in taken.text
    free = stranger.get("/organizations/preview?organization_name=Kestrel")
    assert "Yes" in free.text
    assert "kestrel" in free.text
    assert "Choose a longer name" in stranger.get("/organizations/preview?organization_name=x").text


def test_the_strength_of_a_password_is_said_in_words(visitor):
    def words(password):
        fields = {"password": password, "email": "mara@acme.example"}
        return visitor.post("/signup/password", fields, form_at="/signup").text

    assert "Strong" in words(PASSWORD)
    assert "weak" in words("password1234").lower()
    assert "weak" in words("mara@acme.example").lower()


@pytest.mark.attack("N1")
@pytest.mark.parametrize(
    "strange", ["\0", "\x0c", "\x1b", "\x7f", "\x85", "\ufdd0", "\ufffe", "\U0001ffff", "a\nb"]
)
def test_what_html_forbids_is_not_shown_again(visitor, strange):
    answer = visitor.post(
        "/signup", {"organization_name": f"Acme{strange}Corp", "email": f"m{strange}@a.example"}
    )
    assert answer.status == 422
    for field in ("organization_name", "email"):
        assert strange not in answer.value(field)
