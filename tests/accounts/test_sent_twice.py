"""A form of an account that is sent twice leads the second time where it led the first."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.sessions import Session
from portal.identity.authentication.passwords import hash_password, verify_password
from tests.factories import an_account
from tests.visitor import PASSWORD, Visitor

MARA, NEW = "mara@acme.example", "m.tolliver@acme.example"
OTHER = "another battery of horses"
COOKIE = "portal_session_test"


def flash(visitor, place):
    page = visitor.get(place, follow_redirects=True)
    [words] = [found.get_text() for found in page.html.select(".flash[role=status] p")]
    return words


def elsewhere(visitor, path, sent):
    return visitor.send(path, sent, environ_overrides={"REMOTE_ADDR": "198.51.100.7"})


@pytest.fixture(params=["with the first one's cookie", "with the cookie from before"])
def twice(request):
    """Send a form twice; a browser may not have seen the first answer when it sends the second."""

    def send(visitor, path, sent):
        cookie = visitor.client.get_cookie(COOKIE).value
        first = visitor.send(path, sent)
        if "before" in request.param:
            visitor.client.set_cookie(COOKIE, cookie)
        return first, visitor.send(path, sent)

    return send


@pytest.fixture
def recovery(app, letters):
    an_account(MARA)
    Visitor(app).post("/forgot", {"email": MARA})
    return letters.link(MARA, "Choose a new password")


@pytest.fixture
def verification(app, letters):
    Visitor(app).sign_up(email=MARA)
    return letters.link(MARA, "Verify your e-mail address")


@pytest.fixture
def logged_in(app):
    an_account(MARA)
    visitor = Visitor(app)
    visitor.log_in(MARA)
    return visitor


def test_a_new_password(visitor, recovery, twice):
    sent = {**visitor.hidden(recovery), "password": OTHER}
    for answer in twice(visitor, "/recover", sent):
        assert (answer.status, answer.location) == (303, "/login")
    assert flash(visitor, "/login") == "Your password is changed. Log in with it."
    assert verify_password(OTHER, Account.objects.get().password_hash)
    assert len(AuditEvent.objects(action="account.password_recovered")) == 1


def test_a_new_password_of_who_was_logged_in(logged_in, letters, twice):
    logged_in.post("/forgot", {"email": MARA})
    link = letters.link(MARA, "Choose a new password")
    sent = {**logged_in.hidden(link), "password": OTHER}
    for answer in twice(logged_in, "/recover", sent):
        assert (answer.status, answer.location) == (303, "/login")


def test_the_proof_of_an_address(visitor, verification, twice):
    sent = {**visitor.hidden(verification), "password": OTHER}
    for answer in twice(visitor, "/verify", sent):
        assert (answer.status, answer.location) == (303, "/organizations")
    assert flash(visitor, "/organizations") == f"{MARA} is verified."
    assert len(AuditEvent.objects(action="account.address_verified")) == 1


def test_the_confirmation_of_another_address(logged_in, letters, twice):
    logged_in.post("/account/address", {"email": NEW, "current_password": PASSWORD})
    link = letters.link(NEW, "Confirm your new e-mail address")
    sent = {**logged_in.hidden(link), "current_password": PASSWORD}
    for answer in twice(logged_in, "/address", sent):
        assert (answer.status, answer.location) == (303, "/account")
    assert flash(logged_in, "/account") == f"Your address is {NEW} now."


def test_the_confirmation_of_another_address_by_who_is_not_logged_in(
    logged_in, app, letters, twice
):
    logged_in.post("/account/address", {"email": NEW, "current_password": PASSWORD})
    visitor = Visitor(app)
    link = letters.link(NEW, "Confirm your new e-mail address")
    sent = {**visitor.hidden(link), "current_password": PASSWORD}
    for answer in twice(visitor, "/address", sent):
        assert (answer.status, answer.location) == (303, "/account")


def test_ones_own_password(logged_in, twice):
    sent = {**logged_in.hidden("/account/password"), "password": OTHER}
    for answer in twice(logged_in, "/account/password", {**sent, "current_password": PASSWORD}):
        assert (answer.status, answer.location) == (303, "/account")
    assert flash(logged_in, "/account").startswith("Your password is changed.")
    assert len(AuditEvent.objects(action="account.password_changed")) == 1


def test_the_request_for_another_address_mails_one_link_which_works(logged_in, letters, twice):
    sent = {**logged_in.hidden("/account/address"), "email": NEW, "current_password": PASSWORD}
    for answer in twice(logged_in, "/account/address", sent):
        assert (answer.status, answer.location) == (303, "/account")
    assert len(Mail.objects(to=NEW)) == 1
    assert logged_in.get(letters.link(NEW, "Confirm your new e-mail address")).status == 200


def test_the_end_of_an_account(logged_in, twice):
    sent = {**logged_in.hidden("/account/close"), "confirm_email": MARA}
    for answer in twice(logged_in, "/account/close", {**sent, "current_password": PASSWORD}):
        assert (answer.status, answer.location) == (303, "/login")
    assert flash(logged_in, "/login") == "Your account is closed."


# What an attacker gains


@pytest.mark.attack("A3")
def test_a_used_link_with_another_password_or_from_another_network_is_refused(visitor, recovery):
    sent = {**visitor.hidden(recovery), "password": OTHER}
    visitor.send("/recover", sent)
    assert visitor.send("/recover", {**sent, "password": PASSWORD}).status == 410
    assert elsewhere(visitor, "/recover", sent).status == 410
    assert visitor.send("/recover", {**sent, "idempotency_key": "guessed"}).status == 410
    assert visitor.get(recovery).status == 410


@pytest.mark.attack("A3")
def test_a_used_proof_logs_nobody_in_from_elsewhere_or_after_the_password_was_changed(
    app, verification
):
    visitor, thief = Visitor(app), Visitor(app)
    token = thief.token()
    sent = {**visitor.hidden(verification), "password": OTHER}
    visitor.send("/verify", sent)
    assert elsewhere(thief, "/verify", {**sent, "csrf_token": token}).status == 410
    assert thief.send("/verify", {**sent, "csrf_token": token}).status == 410
    assert len(Session.objects()) == 1
    Account.objects.update(set__password_hash=hash_password("a third good passphrase"))
    visitor.client.delete_cookie(COOKIE)
    visitor.send("/verify", sent)
    assert len(Session.objects()) == 1
    assert visitor.get("/organizations").location.startswith("/login")


@pytest.mark.attack("A3")
def test_a_form_is_forgotten_after_a_day(visitor, recovery, time_machine):
    sent = {**visitor.hidden(recovery), "password": OTHER}
    visitor.send("/recover", sent)
    time_machine.move_to(clock.now() + timedelta(hours=25))
    visitor.get("/login")
    assert visitor.send("/recover", {**sent, "csrf_token": visitor.token()}).status == 410
