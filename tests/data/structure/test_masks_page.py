"""The page of sensitive fields: chosen by admins, suggested by name, told as it is."""

from urllib.parse import urlencode

import pytest

from portal import clock
from portal.data.masks.masks import MASKED
from portal.data.structure import masking
from portal.data.structure.sensitive_names import kind_of
from portal.documents.audit import AuditEvent
from portal.documents.document_views import DocumentView
from portal.documents.memberships import Role
from portal.organizations.access.errors import Forbidden
from portal.organizations.access.lookup import Access
from tests.factories import (
    a_context,
    a_key,
    a_member,
    an_access,
    an_organization,
    fresh,
    the_owner,
)

PAGE = "/organizations/acme-corp/data/masks"


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def documents(acme, tenant_db):
    stored = tenant_db[acme.placement.collection]
    stored.insert_many(
        {"_id": n, "iban": "DE-canary", "city": "Bonn", "contact": {"email": "m@canary.example"}}
        for n in range(4)
    )
    return stored


@pytest.fixture
def ada(visitor, acme):
    a_member(acme, Role.ADMIN, "ada@acme.example")
    visitor.log_in("ada@acme.example")
    return visitor


def mask(organization, path):
    owner = the_owner(organization)
    return masking.mask_field(an_access(organization), path, a_context(owner))


def rows(page, caption):
    table = page.html.find("caption", string=caption).parent
    return {
        row.th.get_text(strip=True): [cell.get_text(" ", strip=True) for cell in row.find_all("td")]
        for row in table.tbody.find_all("tr")
    }


def test_fields_are_suggested_by_their_names_and_masked_by_a_button(ada, acme, documents):
    page = ada.get(PAGE)
    assert {path: cells[:2] for path, cells in rows(page, "May be sensitive").items()} == {
        "iban": ["named like a bank account", "100 %"],
        "contact.email": ["named like an e-mail address", "100 %"],
    }
    assert page.html.select_one('form[action$="/new"] input[value="iban"]')
    masked = ada.post(f"{PAGE}/new", {"path": "iban"}, form_at=PAGE)
    assert masked.status == 303
    page = ada.get(masked.location)
    assert "iban" in page.html.select_one(".flash.ok").get_text()
    assert list(rows(page, "Sensitive fields")) == ["iban"]
    assert list(rows(page, "May be sensitive")) == ["contact.email"]
    assert fresh(acme).masked_fields == ["iban"]
    event = AuditEvent.objects(action="field.masked").get()
    assert event.details == {"field": "iban"}


def test_a_suggestion_names_the_views_that_viewers_would_lose(ada, acme, documents):
    for name, query in (
        ("By bank", urlencode({"filter": '{"iban": {"$gt": "DE"}}'})),
        ("Towns", "sort=city"),
        ("Mails", "sort=contact.email"),
        ("Kept by another version", r'c=["iban","is","text","\ud800"]'),
    ):
        DocumentView(
            organization=acme.id, name=name, name_key=name, query=query, created_at=clock.now()
        ).save()
    told = {path: cells[2] for path, cells in rows(ada.get(PAGE), "May be sensitive").items()}
    assert told == {"iban": "the view “By bank”", "contact.email": "the view “Mails”"}


def test_a_field_that_is_not_sensitive_is_suggested_no_longer(ada, acme, documents):
    assert ada.post(f"{PAGE}/pass-over", {"path": "iban"}, form_at=PAGE).status == 303
    assert list(rows(ada.get(PAGE), "May be sensitive")) == ["contact.email"]


def test_any_field_is_masked_by_its_path(ada, acme):
    refused = ada.post(f"{PAGE}/new", {"path": "_id"})
    assert refused.status == 422
    assert "stands in the links" in refused.fault("path")
    assert ada.post(f"{PAGE}/new", {"path": "parts.price"}).status == 303
    assert fresh(acme).masked_fields == ["parts.price"]


def test_a_button_pressed_twice_is_one_change(ada, acme):
    sent = {**ada.hidden(f"{PAGE}/new"), "path": "iban"}
    first, second = (ada.send(f"{PAGE}/new", sent) for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.location == second.location
    assert AuditEvent.objects(action="field.masked").count() == 1


def test_unmasking_asks_first_and_is_recorded(ada, acme, documents):
    mask(acme, "iban")
    page = ada.get(f"{PAGE}/remove?path=iban")
    assert "What was seen can’t be taken back" in page.text
    assert fresh(acme).masked_fields == ["iban"]
    assert ada.post(f"{PAGE}/remove?path=iban", {"path": "iban"}).status == 303
    assert not fresh(acme).masked_fields
    assert AuditEvent.objects(action="field.unmasked").count() == 1


def test_what_can_be_no_field_is_not_told_back_at_any_length(ada, acme):
    """It would be told by the cookie, which browsers drop where it is too large."""
    refused = ada.post(f"{PAGE}/remove", {"path": "x" * 10_000})
    assert refused.status == 422
    assert "characters at most" in refused.text


def test_the_page_says_who_sees_what_and_draws_what_viewers_get(ada, acme, documents):
    mask(acme, "contact.email")
    mask(acme, "iban")
    a_key(acme, None, ["documents.read"], name="Reports")
    a_key(acme, None, ["documents.read", "documents.unmask"], name="Payroll export")
    a_member(acme, Role.VIEWER)
    page = ada.get(PAGE)
    heads = [head.get_text(strip=True) for head in page.html.find("thead").find_all("th")]
    assert heads[2:5] == ["Viewers, 1", "API keys, 1 of 2 may unmask", "MongoDB users, 0"]
    cells = rows(page, "Sensitive fields")["iban"]
    assert "“Payroll export” value" in cells[2]
    shown = page.html.find("caption", string="Documents as viewers get them").parent.get_text()
    assert MASKED in shown
    assert f"{{ email: {MASKED} }}" in page.text
    assert "canary" not in page.text


def test_making_a_mongodb_user_says_that_it_sees_sensitive_fields(ada, acme):
    mask(acme, "iban")
    page = ada.get("/organizations/acme-corp/credentials/new")
    assert "of sensitive ones too" in page.text


def test_viewers_have_no_such_page(visitor, acme):
    acme.update(set__viewers_read_documents=True)
    a_member(acme, Role.VIEWER)
    visitor.log_in("teo@acme.example")
    assert visitor.get(PAGE).status == 403
    assert not visitor.get("/organizations/acme-corp/data").html.find(
        "a", string="Sensitive fields"
    )


def test_a_key_that_may_not_see_values_may_not_unmask_them(acme):
    mask(acme, "iban")
    chooser = Access(acme, None, acme.slug, frozenset({"documents.mask", "documents.read"}))
    with pytest.raises(Forbidden):
        masking.unmask_field(chooser, "iban", a_context())
    assert fresh(acme).masked_fields == ["iban"]


def test_masking_twice_is_one_change(acme):
    mask(acme, "iban")
    mask(acme, "iban")
    assert fresh(acme).masked_fields == ["iban"]
    assert AuditEvent.objects(action="field.masked").count() == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "an e-mail address"),
        ("e_mail", "an e-mail address"),
        ("userEmailAddress", "an e-mail address"),
        ("IBAN", "a bank account"),
        ("phoneNumber", "a telephone number"),
        ("date_of_birth", "a birth date"),
        ("cardNumber", "a card"),
        ("api_key", "a secret"),
        ("tel2", "a telephone number"),
        ("shipping", None),
        ("title", None),
        ("hotel", None),
        ("number", None),
        ("", None),
    ],
)
def test_names_tell_what_is_sensitive(name, kind):
    assert kind_of(name) == kind
