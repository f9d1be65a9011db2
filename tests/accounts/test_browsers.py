"""Browsers that an account is known to use."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal.app import create_app
from portal.database.together import read
from portal.documents.accounts import Account
from portal.documents.sessions import Browser
from portal.identity.sessions import browsers
from tests.factories import an_account
from tests.program import Program
from tests.visitor import PASSWORD, Visitor

COOKIE = "portal_browser_test"


def id_of(visitor):
    return visitor.client.get_cookie(COOKIE).value


def test_a_browser_is_known_after_it_logged_in(visitor):
    mara, teo = an_account("mara@acme.example"), an_account("teo@acme.example")
    visitor.log_in("mara@acme.example", "wrong password wrong")
    assert visitor.client.get_cookie(COOKIE) is None
    visitor.log_in("mara@acme.example")
    assert browsers.is_known(mara.id, id_of(visitor))
    assert not browsers.is_known(teo.id, id_of(visitor))
    assert not browsers.is_known(mara.id, browsers.new_id())
    assert not browsers.is_known(mara.id, None)


def test_a_browser_is_known_after_it_signed_up(visitor):
    visitor.sign_up()
    assert browsers.is_known(Account.objects.get().id, id_of(visitor))


def test_a_browser_keeps_its_id_over_log_outs_and_accounts(visitor):
    mara, teo = an_account("mara@acme.example"), an_account("teo@acme.example")
    visitor.log_in("mara@acme.example")
    first = id_of(visitor)
    visitor.log_out()
    visitor.log_in("teo@acme.example")
    assert id_of(visitor) == first
    assert all(browsers.is_known(account.id, first) for account in (mara, teo))


def test_only_the_hash_of_the_id_is_stored(visitor, master_db):
    an_account("mara@acme.example")
    visitor.log_in()
    visitor.log_out()
    visitor.log_in()
    [stored] = master_db.browsers.find()
    assert id_of(visitor) not in str(stored)
    assert stored["first_seen_at"] < stored["last_seen_at"]


@pytest.mark.parametrize(
    "sent", ["", "x", "x" * 44, '{"$ne": 1}', "x" * 42 + "\N{LATIN SMALL LETTER A WITH DIAERESIS}"]
)
def test_an_id_that_the_portal_did_not_make_is_not_kept(visitor, sent):
    an_account("mara@acme.example")
    visitor.client.set_cookie(COOKIE, sent)
    visitor.log_in()
    assert id_of(visitor) != sent


def test_a_program_is_no_browser(app):
    an_account("mara@acme.example")
    answer = Program(app).log_in()
    assert "Set-Cookie" not in answer.headers
    assert not Browser.objects


@pytest.mark.attack("S2")
@pytest.mark.parametrize(
    ("url", "name", "flags"),
    [
        ("http://localhost", COOKIE, "HttpOnly; Path=/; SameSite=Lax"),
        (
            "https://portal.example",
            "__Host-portal_browser",
            "Secure; HttpOnly; Path=/; SameSite=Lax",
        ),
    ],
)
def test_the_cookie_is_closed_to_scripts_and_other_sites(settings, url, name, flags):
    app = create_app(replace(settings, public_url=url))
    try:
        an_account("mara@acme.example")
        visitor = Visitor(app)
        token = visitor.get("/login", base_url=url).html.find("input", {"name": "csrf_token"})
        fields = {"csrf_token": token["value"], "email": "mara@acme.example", "password": PASSWORD}
        answer = visitor.send("/login", fields, base_url=url)
        sent = next(c for c in answer.response.headers.getlist("Set-Cookie") if c.startswith(name))
        assert sent.endswith(flags)
        assert f"Max-Age={180 * 24 * 3600}" in sent
    finally:
        create_app(settings)


def test_a_browser_is_trusted_for_a_while():
    mara, browser = an_account("mara@acme.example"), browsers.new_id()
    browsers.remember(mara.id, browser)
    assert not browsers.is_trusted(mara.id, browser)
    browsers.trust(mara.id, browser, clock.now() + timedelta(days=30))
    assert browsers.is_trusted(mara.id, browser)
    browsers.remember(mara.id, browser)
    assert browsers.is_trusted(mara.id, browser)
    browsers.trust(mara.id, browser, clock.now() - timedelta(seconds=1))
    assert not browsers.is_trusted(mara.id, browser)
    assert not read(browsers.reading_trusted(mara.id))


def test_trust_ends_for_all_browsers_that_stay_known():
    mara, browser = an_account("mara@acme.example"), browsers.new_id()
    browsers.remember(mara.id, browser)
    browsers.trust(mara.id, browser, clock.now() + timedelta(days=30))
    browsers.revoke_all_trust(mara.id)
    assert not browsers.is_trusted(mara.id, browser)
    assert browsers.is_known(mara.id, browser)


def test_all_browsers_of_an_account_are_forgotten_and_no_others():
    mara, teo = an_account("mara@acme.example"), an_account("teo@acme.example")
    first, second = browsers.new_id(), browsers.new_id()
    for account in (mara, teo):
        for browser in (first, second):
            browsers.remember(account.id, browser)
    browsers.revoke_all(mara.id)
    assert not any(browsers.is_known(mara.id, browser) for browser in (first, second))
    assert browsers.is_known(teo.id, first)
