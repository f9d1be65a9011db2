"""Pages of API keys, as a person sees them."""

import re
from datetime import timedelta

import pytest

from portal import clock
from portal.documents.api_keys import ApiKey
from portal.documents.audit import AuditEvent
from portal.documents.memberships import Membership, Role
from portal.documents.organizations import Organization
from portal.organizations.api_keys import managing
from portal.organizations.api_keys.managing import MAX_KEYS
from portal.organizations.lifecycle.renaming import rename_organization
from tests.factories import a_context, a_key, a_member, an_organization
from tests.program import Program
from tests.visitor import Visitor

KEYS = "/organizations/acme-corp/keys"
NEW = f"{KEYS}/new"
SECRET = re.compile(r"pk_[0-9a-f]{24}_[A-Za-z0-9_-]{43}")


def secret_on(page):
    return page.html.select_one("code.secret").get_text()


def make(visitor, name="Nightly export", **fields):
    return visitor.post(NEW, {"name": name, "grant": Role.VIEWER, **fields})


@pytest.mark.attack("L1")
def test_a_key_is_made_and_its_secret_shown_once(app, mara):
    """Nowhere but there."""
    assert mara.get(KEYS).html.find("h2", string="There are no API keys yet")
    page = make(mara, grant=Role.ADMIN)
    assert page.status == 200
    assert page.response.headers["Cache-Control"] == "no-store"
    credential = secret_on(page)
    assert SECRET.fullmatch(credential)
    assert Program(app, credential).get("/org/acme-corp").status_code == 200
    listed = mara.get(KEYS)
    row = " ".join(listed.html.tbody.tr.get_text(" ").split())
    for words in (
        "Nightly export",
        "admin",
        "you",
        "just now",
        "Active",
    ):
        assert words in row
    for path in (KEYS, "/organizations/acme-corp/activity", "/organizations/acme-corp"):
        assert credential.split("_", 2)[2] not in mara.get(path).text
    assert "API key “Nightly export” made: admin" in mara.get(f"{KEYS[:-5]}/activity").text


def test_a_form_that_is_sent_twice_makes_one_key_and_says_so(mara):
    fields = {**mara.hidden(NEW), "name": "Nightly export", "grant": Role.VIEWER}
    first, second = mara.send(NEW, fields), mara.send(NEW, fields)
    assert (first.status, second.status) == (200, 200)
    assert not SECRET.search(second.text)
    assert "The secret was in the first answer and is not kept" in second.text
    assert second.html.find("a", string="Rotate…")
    assert len(ApiKey.objects()) == 1
    assert len(AuditEvent.objects(action="key.created")) == 1


def test_a_form_that_was_sent_twice_says_so_also_when_no_more_keys_are_possible(mara, monkeypatch):
    monkeypatch.setattr(managing, "MAX_KEYS", 1)
    fields = {**mara.hidden(NEW), "name": "Nightly export", "grant": Role.VIEWER}
    mara.send(NEW, fields)
    assert "It was done already" in mara.send(NEW, fields).text
    another = make(mara, "Another")
    assert another.status == 409
    assert another.heading == "There are too many keys"


def test_what_was_made_by_a_form_and_revoked_since_is_not_there(mara):
    fields = {**mara.hidden(NEW), "name": "Nightly export", "grant": Role.VIEWER}
    mara.send(NEW, fields)
    ApiKey.objects.delete()
    assert mara.send(NEW, fields).status == 404
    assert len(ApiKey.objects()) == 0


def test_permissions_are_chosen_one_by_one(mara):
    page = make(mara, grant="chosen", permissions=["members.view", "organization.view"])
    assert "see its members, see the organization" in page.text
    assert ApiKey.objects.get().permissions == ["members.view", "organization.view"]
    assert "2 permissions" in mara.get(KEYS).text


def test_what_was_ticked_before_a_role_was_chosen_does_not_count(mara):
    make(mara, grant=Role.VIEWER, permissions=["members.manage"])
    key = ApiKey.objects.get()
    assert (key.role, key.permissions) == (Role.VIEWER, None)


def test_a_form_says_what_is_wrong_with_it(mara):
    page = make(mara, "x", grant="chosen", expires_on="2020-01-01")
    assert page.status == 422
    assert page.fault("name") == "Choose a longer name: 2 characters or more"
    assert page.fault("permissions") == "Choose what the key may do"
    assert page.fault("expires_on") == "Choose a last day that is not over"
    page = make(mara, expires_on="soon")
    assert page.fault("expires_on") == "Enter a day like 2027-01-31"
    assert page.html.find(id="expires_on")["value"] == ""
    for fields in ({"grant": "owner"}, {"grant": "chosen", "permissions": "keys.manage"},
                   {"name": ["one", "two"]}, {"expires_on": "9999-12-31"},
                   {"expires_on": "0001-01-01"}, {"grant": ""}):  # fmt: skip
        assert make(mara, **fields).status == 422
    assert len(ApiKey.objects()) == 0


@pytest.mark.attack("N1")
def test_names_are_shown_escaped(mara):
    make(mara, "{{7*7}}")
    make(mara, "=1+1")
    assert not mara.get(KEYS).html.tbody
    make(mara, "#1 & (co) +!")
    assert "#1 & (co) +!" in mara.get(KEYS).text


def test_a_key_is_rotated_and_the_old_secret_ends_when_it_was_said(app, mara):
    old = Program(app, secret_on(make(mara)))
    path = f"{KEYS}/{ApiKey.objects.get().id}/rotate"
    page = mara.post(path, {"overlap": "3600"})
    assert page.status == 200
    new = Program(app, secret_on(page))
    assert "Old secret works until" in page.text
    assert "Two secrets" in mara.get(KEYS).text
    assert [program.get("/org/acme-corp").status_code for program in (old, new)] == [200, 200]
    assert "no longer works" in mara.post(path, {"overlap": "0"}).text
    assert new.get("/org/acme-corp").status_code == 401


def test_a_rotation_that_is_sent_twice_is_one(app, mara):
    make(mara)
    path = f"{KEYS}/{ApiKey.objects.get().id}/rotate"
    fields = {**mara.hidden(path), "overlap": "0"}
    program = Program(app, secret_on(mara.send(path, fields)))
    assert not SECRET.search(mara.send(path, fields).text)
    assert program.get("/org/acme-corp").status_code == 200
    for overlap in ("7", "-1", "x", "", "1e3"):
        assert mara.post(path, {"overlap": overlap}).status == 422


def test_a_key_is_revoked_after_a_question(app, mara):
    program = Program(app, secret_on(make(mara)))
    path = f"{KEYS}/{ApiKey.objects.get().id}/revoke"
    asked = mara.get(path)
    assert asked.heading == "Revoke “Nightly export”?"
    fields = mara.hidden(path)
    for _ in range(2):
        answer = mara.send(path, fields)
        assert (answer.status, answer.location) == (303, KEYS)
    assert "“Nightly export” is revoked" in mara.get(KEYS).text
    assert program.get("/org/acme-corp").status_code == 401
    assert mara.get(path).status == 404
    assert len(AuditEvent.objects(action="key.revoked")) == 1


@pytest.mark.attack("T1")
def test_keys_of_others_are_not_there(mara):
    a_key(an_organization("Kestrel"))
    key = ApiKey.objects.get()
    for organization in ("acme-corp", "kestrel"):
        for page in ("rotate", "revoke"):
            path = f"/organizations/{organization}/keys/{key.id}/{page}"
            assert mara.get(path).status == 404
            assert mara.post(path, {"overlap": "0"}, form_at=NEW).status == 404
    assert mara.get("/organizations/kestrel/keys").status == 404
    assert ApiKey.objects.get().secret_hash == key.secret_hash


def test_the_tab_is_for_those_who_may(app, mara):
    organization = Organization.objects.get()
    teo = a_member(organization, Role.ADMIN, "teo@acme.example")
    admin = Visitor(app)
    admin.log_in("teo@acme.example")
    assert admin.get("/organizations/acme-corp").html.find("a", string="API keys")
    fields = {**admin.hidden(NEW), "name": "Late", "grant": Role.VIEWER}
    Membership.objects(account=teo.id).update(set__role=Role.VIEWER)
    assert not admin.get("/organizations/acme-corp").html.find("a", string="API keys")
    assert admin.get(KEYS).status == 403
    assert admin.send(NEW, fields).status == 403
    assert len(ApiKey.objects()) == 0


@pytest.mark.attack("C1")
def test_a_form_of_another_session_makes_no_key(mara):
    assert mara.send(NEW, {"name": "Nightly export", "grant": Role.VIEWER}).status == 400
    assert len(ApiKey.objects()) == 0


def test_an_old_address_leads_on_and_refuses_changes(mara):
    make(mara)
    key = ApiKey.objects.get()
    rename_organization(Organization.objects.get(), "Other", a_context())
    page = mara.get(f"{KEYS}/{key.id}/revoke")
    assert (page.status, page.location) == (307, f"/organizations/other/keys/{key.id}/revoke")
    assert mara.post(f"{KEYS}/{key.id}/revoke", form_at="/organizations/new").status == 409
    assert len(ApiKey.objects()) == 1


def test_an_expired_key_says_so_and_can_only_be_revoked(mara, time_machine):
    make(mara, expires_on=clock.now().date().isoformat())
    key = ApiKey.objects.get()
    past = clock.now() - timedelta(days=1)
    ApiKey.objects.update(set__expires_at=past)
    row = mara.get(KEYS).html.tbody.tr
    assert "Expired" in row.get_text()
    assert not row.find("a", href=f"{KEYS}/{key.id}/rotate")
    answer = mara.post(f"{KEYS}/{key.id}/rotate", {"overlap": "0"})
    assert (answer.status, answer.heading) == (409, "This key has expired")


def test_where_no_more_keys_are_possible_none_is_offered(mara):
    make(mara)
    template = ApiKey.objects.get().to_mongo().to_dict()
    del template["_id"]
    ApiKey._get_collection().insert_many([dict(template) for _ in range(MAX_KEYS - 1)])
    page = mara.get(KEYS)
    assert not page.html.find("a", string="Make a key")
    assert "no more are possible until one is revoked" in page.text
