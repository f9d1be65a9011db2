"""A form whose session changed meanwhile is shown again, filled in, and never carried out."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.app import create_app
from portal.documents.accounts import Account
from portal.documents.memberships import Invitation
from portal.documents.organizations import Organization
from portal.documents.sessions import Session
from tests.factories import an_account, an_organization
from tests.visitor import PASSWORD, Page, Visitor

MARA = "mara@acme.example"
RENAME = "/organizations/acme-corp/rename"
COOKIE = "portal_session_test"


@pytest.fixture
def mara(app):
    """In her browser, with the organization Acme Corp."""
    an_organization("Acme Corp", an_account(MARA))
    visitor = Visitor(app)
    visitor.log_in(MARA)
    return visitor


def sentence(page):
    return page.html.select_one("main .flash.attention p").get_text(" ", strip=True)


def hidden(page):
    inputs = page.html.select("main form input[type=hidden]")
    return {found["name"]: found["value"] for found in inputs}


# Entering


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("/organizations/acme-corp/rename", "/organizations/acme-corp/rename"),
        ("", "/organizations"),
        ("//evil.example", "/organizations"),
        ("https://evil.example/", "/organizations"),
    ],
)
def test_a_log_in_of_who_logged_in_in_another_tab_leads_where_that_one_wanted(
    mara, app, wanted, place
):
    tab = Visitor(app)
    sent = {**tab.hidden("/login"), "email": MARA, "password": PASSWORD, "next": wanted}
    answer = mara.send("/login", sent)
    assert (answer.status, answer.location) == (303, place)
    assert len(Session.objects()) == 1


def test_who_signs_up_while_logged_in_by_now_gets_the_page_for_another_organization(mara, app):
    sent = {**Visitor(app).hidden("/signup"), "organization_name": "Other"}
    assert mara.send("/signup", sent).location == "/organizations/new"
    assert len(Organization.objects()) == 1


def test_a_log_in_form_of_yesterday_comes_again_filled_in_and_works_with_one_press_more(
    visitor, time_machine
):
    an_account(MARA)
    sent = {**visitor.hidden("/login?next=/account"), "email": MARA, "password": PASSWORD}
    time_machine.move_to(clock.now() + timedelta(hours=13))
    page = visitor.send("/login", sent)
    assert (page.status, page.heading) == (400, "Log in")
    assert sentence(page).startswith("This form is no longer valid, since it was opened long ago")
    assert page.value("email") == MARA
    assert PASSWORD not in str(page.html)
    assert page.fault("password") is None
    answer = visitor.send("/login", {**hidden(page), "email": MARA, "password": PASSWORD})
    assert (answer.status, answer.location) == (303, "/account")


ENTRANCES = [
    ("/login", {"email": MARA}),
    ("/signup", {"email": MARA, "organization_name": "Acme Corp"}),
    ("/forgot", {"email": MARA}),
]


@pytest.mark.parametrize(("path", "typed"), ENTRANCES)
def test_every_entrance_keeps_what_was_typed_but_the_password(app, visitor, path, typed):
    sent = {**Visitor(app).hidden(path), **typed, "password": PASSWORD}
    visitor.get(path)
    page = visitor.send(path, sent)
    assert page.status == 400
    assert {name: page.value(name) for name in typed} == typed
    assert PASSWORD not in str(page.html)
    assert len(Account.objects()) == 0


def test_who_logs_out_twice_is_led_to_the_log_in_page(mara):
    sent = mara.hidden("/organizations/new")
    for _ in range(2):
        assert mara.send("/logout", sent).location == "/login"
    assert not mara.get("/login").html.select(".flash")


def test_a_log_out_from_before_another_log_in_ends_no_session(mara):
    sent = mara.hidden("/organizations/new")
    mara.log_out()
    mara.log_in(MARA)
    headers = {"Referer": "http://localhost/account?x=1"}
    answer = mara.send("/logout", sent, headers=headers)
    assert (answer.status, answer.location) == (303, "/account?x=1")
    assert "send it again" in sentence(mara.get("/account"))


# Logged in


def test_a_form_from_before_another_log_in_comes_again_with_what_was_typed(mara):
    sent = {**mara.hidden(RENAME), "organization_name": "Kestrel"}
    mara.log_out()
    mara.log_in(MARA)
    page = mara.send(RENAME, sent)
    assert page.status == 400
    assert page.value("organization_name") == "Kestrel"
    assert Organization.objects.get().slug == "acme-corp"
    token = page.html.select_one("main form input[name=csrf_token]")["value"]
    answer = mara.send(RENAME, {"csrf_token": token, "organization_name": "Kestrel"})
    assert answer.location == "/organizations/kestrel"


def test_an_invitation_from_before_another_log_in_keeps_the_address(mara):
    sent = {**mara.hidden("/organizations/acme-corp/members"), "email": "lena@acme.example"}
    mara.log_out()
    mara.log_in(MARA)
    page = mara.send("/organizations/acme-corp/invitations", {**sent, "role": "viewer"})
    assert (page.status, page.value("email")) == (400, "lena@acme.example")
    assert len(Invitation.objects()) == 0


def test_a_stranger_is_not_shown_a_form_of_an_organization(mara, app):
    an_account("other@acme.example")
    sent = {**mara.hidden(RENAME), "organization_name": "Kestrel"}
    other = Visitor(app)
    other.log_in("other@acme.example")
    assert other.send(RENAME, sent).status == 404


OF_ANOTHER_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
]


@pytest.mark.attack("C1")
@pytest.mark.parametrize("path", ["/login", "/signup", "/forgot", RENAME])
def test_what_another_site_sends_is_neither_shown_nor_done(mara, app, path):
    sent = {"csrf_token": Visitor(app).token(), "email": MARA, "organization_name": "Evil"}
    for headers in OF_ANOTHER_SITE:
        page = mara.send(path, sent, headers=headers)
        assert (page.status, page.heading) == (400, "This form is no longer valid"), headers
        assert "Evil" not in page.text


def test_a_script_gets_the_error(mara, app):
    sent = {"csrf_token": Visitor(app).token(), "password": PASSWORD}
    page = Visitor(app).send("/signup/password", sent, headers={"Sec-Fetch-Mode": "cors"})
    assert page.status == 400


# After the session's end


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(mara, time_machine):
    sent = {**mara.hidden(RENAME), "organization_name": "Kestrel"}
    time_machine.move_to(clock.now() + timedelta(hours=13))
    answer = mara.send(RENAME, sent)
    assert (answer.status, answer.location) == (303, f"/login?next={RENAME}")
    page = mara.get(answer.location)
    assert "nothing was changed" in sentence(page)
    entered = mara.send("/login", {**hidden(page), "email": MARA, "password": PASSWORD})
    assert entered.location == RENAME
    assert mara.get(RENAME).value("organization_name") == "Acme Corp"
    assert Organization.objects.get().slug == "acme-corp"


@pytest.mark.parametrize(
    ("referrer", "place"),
    [
        ("http://localhost/organizations/acme-corp/members", "/organizations/acme-corp/members"),
        ("https://evil.example/organizations", "/organizations/acme-corp/invitations"),
        ("http://localhost//evil.example", "/organizations/acme-corp/invitations"),
        ("http://localhost/logout", "/organizations/acme-corp/invitations"),
        (None, "/organizations/acme-corp/invitations"),
    ],
)
@pytest.mark.attack("C2")
def test_a_button_pressed_after_the_session_ended_leads_back_to_its_page(
    mara, time_machine, referrer, place
):
    sent = mara.hidden("/organizations/acme-corp/members")
    time_machine.move_to(clock.now() + timedelta(hours=13))
    headers = {"Referer": referrer} if referrer else {}
    answer = mara.send("/organizations/acme-corp/invitations", sent, headers=headers)
    assert answer.location == f"/login?next={place}"


def test_a_form_sent_after_the_cookie_went_leads_back_too(mara):
    sent = {**mara.hidden(RENAME), "organization_name": "Kestrel"}
    mara.client.delete_cookie(COOKIE)
    assert mara.send(RENAME, sent).location == f"/login?next={RENAME}"


@pytest.mark.parametrize("logs_in_again", [False, True])
def test_a_form_that_takes_a_recent_proof_says_that_nothing_was_changed(
    mara, time_machine, logs_in_again
):
    path = "/organizations/acme-corp/delete"
    sent = {**mara.hidden(path), "confirm_name": "Acme Corp"}
    if logs_in_again:
        mara.log_out()
        mara.log_in(MARA)
    time_machine.move_to(clock.now() + timedelta(minutes=20))
    answer = mara.send(path, sent)
    assert answer.location == f"/account/confirm?next={path}"
    assert "nothing was changed" in sentence(mara.get(answer.location))


# Cookies


@pytest.mark.parametrize(("path", "typed"), ENTRANCES)
def test_a_browser_without_cookies_is_told_so_and_where_the_portal_is(visitor, path, typed):
    sent = {**visitor.hidden(path), **typed}
    for _ in range(2):
        visitor.client.delete_cookie(COOKIE)
        page = visitor.send(path, sent)
        assert page.status == 400
        assert "sent no cookie" in sentence(page)
        assert "http://localhost" in sentence(page)
        assert page.value("email") == MARA


@pytest.fixture
def under_https(settings):
    """A browser that opened a portal for HTTPS by HTTP, and so drops its cookies."""
    before = portal_settings.current()
    app = create_app(replace(settings, public_url="https://portal.example"))
    yield app.test_client(use_cookies=False)
    create_app(before)


def test_a_portal_under_https_that_is_reached_by_http_says_where_it_is(under_https):
    place = {"base_url": "http://portal.example", "headers": {"Origin": "http://portal.example"}}
    page = Page(under_https.get("/login", **place))
    token = page.html.find("input", {"name": "csrf_token"})["value"]
    fields = {"csrf_token": token, "email": MARA, "password": PASSWORD}
    answer = Page(under_https.post("/login", data=fields, **place))
    assert answer.status == 400
    assert "sent no cookie" in sentence(answer)
    assert "https://portal.example" in sentence(answer)
