"""What is sent twice is done once: double-clicked forms, and whatever comes at the same moment."""

from dataclasses import replace

import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from portal.documents.accounts import Account
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.memberships import Membership
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from portal.identity.authentication.passwords import hash_password
from portal.organizations.lifecycle import engine
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.errors import DuplicateRequest
from portal.web.idempotency import program_idempotency_key
from tests.factories import a_context, an_organization, fresh
from tests.processes import Person, at_once, portal
from tests.visitor import PASSWORD

SIGN_UP = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}


def click_twice(visitor, path, fields):
    """Send one form twice, as a browser does: from one page, with the cookie that it had then."""
    sent = {**visitor.hidden(path), **fields}
    cookie = visitor.client.get_cookie("portal_session_test").value
    first = visitor.send(path, sent)
    visitor.client.set_cookie("portal_session_test", cookie)
    return first, visitor.send(path, sent)


class Keyed:
    """A key, and the requests of one sender and path that carry it."""

    def __init__(self, typed="k", content=b"content"):
        self.key = program_idempotency_key(typed, "account", "POST", "/path", content)

    def context(self):
        return replace(a_context(), idempotency_key=self.key, request_id=str(ObjectId()))


def test_a_sign_up_that_is_clicked_twice_leaves_the_browser_logged_in(visitor):
    for answer in click_twice(visitor, "/signup", SIGN_UP):
        assert (answer.status, answer.location) == (303, "/organizations/acme-corp")
    assert visitor.get("/organizations/acme-corp").heading == "Acme Corp"
    assert len(Account.objects()) == len(Organization.objects()) == 1


def test_a_second_click_that_comes_with_the_first_ones_session_leads_there_too(visitor):
    sent = {**visitor.hidden("/signup"), **SIGN_UP}
    first, second = visitor.send("/signup", sent), visitor.send("/signup", sent)
    assert first.location == second.location == "/organizations/acme-corp"
    assert len(Session.objects()) == 1


def test_a_sign_up_that_is_sent_again_after_the_password_was_changed_logs_nobody_in(visitor):
    sent = {**visitor.hidden("/signup"), **SIGN_UP}
    cookie = visitor.client.get_cookie("portal_session_test").value
    visitor.send("/signup", sent)
    Account.objects.update(set__password_hash=hash_password("another good passphrase"))
    visitor.client.set_cookie("portal_session_test", cookie)
    assert visitor.send("/signup", sent).location == "/organizations"
    assert visitor.get("/organizations").location.startswith("/login")


def test_a_sign_up_that_is_sent_again_from_another_network_logs_nobody_in(visitor):
    sent = {**visitor.hidden("/signup"), **SIGN_UP}
    cookie = visitor.client.get_cookie("portal_session_test").value
    visitor.send("/signup", sent)
    visitor.client.set_cookie("portal_session_test", cookie)
    elsewhere = visitor.send("/signup", sent, environ_overrides={"REMOTE_ADDR": "198.51.100.7"})
    assert elsewhere.status == 409
    assert visitor.get("/organizations").status == 303
    assert len(Session.objects()) == 1


FORMS = [
    ("/organizations/new", {"organization_name": "Other"}, "/organizations/other"),
    ("/organizations/acme-corp/rename", {"organization_name": "Other"}, "/organizations/other"),
    ("/organizations/acme-corp/rename", {"organization_name": "ACME"}, "/organizations/acme"),
    ("/organizations/acme-corp/rename", {"organization_name": "ACME corp"}, "/organizations/acme-corp"),
    ("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"}, "/trash"),
    ("/trash/{}/restore", {"organization_name": ""}, "/organizations/acme-corp"),
    ("/trash/{}/restore", {"organization_name": "Other"}, "/organizations/other"),
    ("/trash/{}/purge", {"confirm_name": "Acme Corp"}, "/trash"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "place"), FORMS)
def test_every_form_that_is_clicked_twice_leads_to_one_place(visitor, path, fields, place):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    if "trash" in path:
        trash_organization(organization, None, a_context())
    path = path.format(organization.id)
    for answer in click_twice(visitor, path, fields):
        assert (answer.status, answer.location) == (303, place)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/organizations/acme-corp/delete", {"confirm_name": "Acme Corp"}),
        ("/trash/{}/restore", {"organization_name": "Acme Corp"}),
    ],
)
def test_a_second_click_while_the_first_is_at_work_leads_to_its_place(
    visitor, monkeypatch, path, fields
):
    visitor.sign_up("Acme Corp")
    organization = Organization.objects.get()
    if "restore" in path:
        trash_organization(organization, None, a_context())
    monkeypatch.setattr(engine, "run_now", lambda intended: intended)
    first, second = click_twice(visitor, path.format(organization.id), fields)
    assert first.status == second.status == 303
    assert first.location == second.location
    assert fresh(organization).operation


def test_who_is_no_member_any_more_is_not_told_the_new_address(visitor):
    visitor.sign_up("Acme Corp")
    path = "/organizations/acme-corp/rename"
    sent = {**visitor.hidden(path), "organization_name": "Other"}
    visitor.send(path, sent)
    rename_organization(Organization.objects.get(), "Secret plans", a_context())
    Membership.objects.delete()
    assert visitor.send(path, sent).location == "/organizations"


def test_a_form_that_was_filled_in_anew_is_another_one(visitor):
    """Who goes back to a form finds its key in it, and may want something else."""
    visitor.sign_up("Acme Corp")
    hidden = visitor.hidden("/organizations/new")
    for name in ("One", "Two"):
        answer = visitor.send("/organizations/new", {**hidden, "organization_name": name})
        assert answer.location == f"/organizations/{name.lower()}"


def test_a_form_that_is_shown_again_has_another_key(visitor):
    visitor.sign_up("Acme Corp")
    sent = {**visitor.hidden("/organizations/new"), "organization_name": "x"}
    page = visitor.send("/organizations/new", sent)
    assert page.status == 422
    shown = page.html.find("input", {"name": "idempotency_key"})["value"]
    assert shown not in ("", sent["idempotency_key"])


def test_a_form_without_a_key_works(visitor):
    visitor.sign_up("Acme Corp")
    fields = {"csrf_token": visitor.token("/organizations/new"), "organization_name": "Other"}
    assert visitor.send("/organizations/new", fields).status == 303
    assert visitor.send("/organizations/new", fields).status == 409


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "é", ["one", "two"]])
def test_a_form_with_what_is_no_key_is_refused(visitor, key):
    visitor.sign_up("Acme Corp")
    fields = {"organization_name": "Other", "idempotency_key": key}
    answer = visitor.post("/organizations/new", fields)
    assert answer.status == 422
    assert "idempotency_key" in answer.text
    assert len(Organization.objects()) == 1


# At the same moment


@pytest.mark.parametrize("_", range(3))
def test_of_many_at_once_one_does_it_and_the_others_know(_):
    organization, keyed = an_organization("Acme Corp"), Keyed()

    def rename():
        try:
            return rename_organization(organization, "Other", keyed.context()).slug
        except DuplicateRequest:
            return "repeated"

    assert sorted(at_once([rename] * 4)) == ["other", "repeated", "repeated", "repeated"]
    assert fresh(organization).slug == "other"


def test_a_second_operation_of_one_request_takes_the_first_ones_place():
    organization, once = an_organization("Acme Corp"), Keyed().context()
    renamed = rename_organization(organization, "Other", once)
    trash_organization(renamed, None, once)
    assert IdempotencyRecord.objects.get().kind == "trash"


@pytest.fixture(scope="module")
def running(server, request):
    name = f"once_{ObjectId()}"
    with portal(server, name) as process:
        yield process
    with MongoClient(server.admin_uri) as bare:
        bare.drop_database(f"master_{name}")
        bare.drop_database(f"tenant_{name}")


@pytest.mark.parametrize("n", range(4))
def test_two_equal_calls_at_once_over_two_workers_leave_one_organization(running, n):
    body = {**SIGN_UP, "organization_name": f"Org {n}", "email": f"person{n}@acme.example"}
    keyed = {"Idempotency-Key": f"key-{n}"}

    def call():
        return requests.post(f"{running.url}/org/create", json=body, headers=keyed, timeout=30)

    answers = at_once([call, call])
    [done] = [
        answer for answer in answers if "Idempotency-Replayed" not in answer.headers and answer.ok
    ]
    [repeated] = [answer for answer in answers if answer is not done]
    assert done.status_code == 201
    if repeated.status_code == 409:
        assert repeated.json()["error"]["code"] == "still_running"
    else:
        assert (repeated.status_code, repeated.content) == (201, done.content)
    assert call().content == done.content


@pytest.mark.parametrize("n", range(4))
def test_a_sign_up_that_is_double_clicked_over_two_workers_logs_in_either_way(running, n):
    person, fields = Person(running.url), {**SIGN_UP, "email": f"twice{n}@acme.example"}
    fields = {**fields, "organization_name": f"Twice {n}", "idempotency_key": f"key-{n}"}
    token = person.token("/signup")
    browsers = [Person(running.url), Person(running.url)]  # one that keeps either answer's cookie
    for browser in browsers:
        browser.session.cookies.update(person.session.cookies)
    answers = at_once(
        [lambda b=browser: b.send("/signup", token, **fields) for browser in browsers]
    )
    for browser, answer in zip(browsers, answers, strict=True):
        assert (answer.status_code, answer.headers["Location"]) == (
            303,
            f"/organizations/twice-{n}",
        )
        assert browser.get(f"/organizations/twice-{n}").status_code == 200
