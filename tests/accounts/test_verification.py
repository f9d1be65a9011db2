"""An address is proved by a link that is mailed there, and the first proof ends what was before."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.database import users
from portal.database.transactions import transaction
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.credentials import Credential
from portal.documents.memberships import Role
from portal.documents.organizations import Organization
from portal.documents.sessions import Session, SessionKind
from portal.identity.accounts.creating import record_first_verification, verify_by_link
from portal.identity.accounts.mails import RECOVER
from portal.identity.authentication.passwords import hash_password
from portal.mail import links
from portal.mail.errors import InvalidLink
from portal.organizations.api_keys import managing
from portal.organizations.credentials import tending
from portal.organizations.lifecycle.privileges import PREFIX
from tests.accounts.letters import token_of
from tests.factories import a_context, a_credential, an_access
from tests.program import Program
from tests.visitor import PASSWORD, Visitor

MARA = "mara@acme.example"
SUBJECT = "Verify your e-mail address"
OTHER = "another battery of horses"


@pytest.fixture
def link(visitor, letters):
    """The link that was mailed to who signed up in the visitor's browser."""
    visitor.sign_up(email=MARA)
    return letters.link(MARA, SUBJECT)


def follow(visitor, link, password=PASSWORD):
    return visitor.post("/verify", {"password": password}, form_at=link)


def test_a_sign_up_mails_a_link_that_verifies_the_address(visitor, app, link):
    assert "not verified" in visitor.get("/account").text
    answer = follow(Visitor(app), link)
    assert (answer.status, answer.location) == (303, "/organizations")
    assert Account.objects.get().verified_at


def test_who_verified_is_logged_in_and_no_longer_reminded(app, link):
    visitor = Visitor(app)
    follow(visitor, link)
    page = visitor.get("/account")
    assert "Verified" in page.text
    assert "not verified" not in page.text


def test_opening_the_link_changes_nothing(app, link):
    """Programs that read mails open links, too."""
    page = Visitor(app).get(link)
    assert page.status == 200
    assert MARA in page.text
    assert Account.objects.get().verified_at is None


def test_the_link_works_once(app, link):
    follow(Visitor(app), link)
    for answer in (Visitor(app).get(link), with_token(Visitor(app), link)):
        assert answer.status == 410
        assert answer.heading == "This link no longer works"


def with_token(visitor, link, password=PASSWORD):
    fields = {"csrf_token": visitor.token(), "token": token_of(link), "password": password}
    return visitor.send("/verify", fields)


def test_the_link_works_for_24_hours(app, link, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=23, minutes=59))
    assert Visitor(app).get(link).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert Visitor(app).get(link).status == 410


@pytest.mark.parametrize("token", ["", "guessed", "a.b.c", "\0", "é" * 500])
def test_what_was_not_signed_here_is_no_link(visitor, token):
    assert visitor.get("/verify", query_string={"token": token}).status == 410


def test_a_link_for_something_else_verifies_nothing(visitor, link):
    account = Account.objects.get()
    content = {"account": str(account.id), "address": account.email_key}
    token = links.sign_token(RECOVER, content)
    assert visitor.get(f"/verify?token={token}").status == 410


def test_a_link_to_an_address_that_the_account_no_longer_has_verifies_nothing(app, link):
    Account.objects.update_one(set__email="m@acme.example", set__email_key="m@acme.example")
    assert Visitor(app).get(link).status == 410


@pytest.mark.attack("A7")
def test_the_first_proof_ends_the_sessions_and_tokens_of_whoever_typed_the_address(
    visitor, app, link
):
    """Somebody signed up with the victim's address and waits."""
    program = Program(app)
    program.log_in()
    assert follow(Visitor(app), link, OTHER).status == 303
    assert visitor.get("/account").location.startswith("/login")
    assert program.get("/auth/check").status_code == 401
    assert [session.kind for session in Session.objects()] != [SessionKind.PROGRAM]
    assert len(Session.objects()) == 1
    assert Visitor(app).log_in(MARA, PASSWORD).status == 401
    assert Visitor(app).log_in(MARA, OTHER).status == 303


@pytest.mark.attack("A7")
def test_the_first_proof_revokes_the_keys_that_somebody_made_under_the_account(app, link):
    """A key would outlive their sessions."""
    account, organization = Account.objects.get(), Organization.objects.get()
    made = managing.create_key(
        an_access(organization), "Waiting", Role.ADMIN, (), None, a_context(account)
    ).credential
    program = Program(app, made)
    assert program.get("/org/acme-corp").status_code == 200
    assert follow(Visitor(app), link, OTHER).status == 303
    assert program.get("/org/acme-corp").status_code == 401
    event = AuditEvent.objects(chain=organization.id).order_by("-seq").first()
    assert (event.action, event.details["name"]) == ("key.revoked", "Waiting")


@pytest.mark.attack("A7")
def test_the_first_proof_revokes_the_credentials_that_somebody_made(app, link, tenant_db):
    organization = Organization.objects.get()
    a_credential(organization)
    assert follow(Visitor(app), link, OTHER).status == 303
    assert Credential.objects.get().revoked_at
    tending.run_once()
    assert not users.users_in(tenant_db, PREFIX)
    event = AuditEvent.objects(chain=organization.id).order_by("-seq").first()
    assert (event.action, event.details["name"]) == ("credential.revoked", "Reporting")


@pytest.mark.attack("A7")
def test_the_password_that_was_typed_is_the_accounts_whatever_happens_meanwhile(app, link):
    """Whoever waits changes the password while the address is verified."""
    read = Account.objects.get()
    others = hash_password(OTHER)
    Account.objects.update_one(set__password_hash=others)
    transaction(lambda: record_first_verification(read, read.password_hash, a_context(read)))
    assert Visitor(app).log_in(MARA, PASSWORD).status == 303


def test_an_address_is_not_proved_for_an_account_that_has_another_by_now(link):
    read = Account.objects.get()
    Account.objects.update_one(set__email="m@acme.example", set__email_key="m@acme.example")
    with pytest.raises(InvalidLink):
        verify_by_link(read, PASSWORD, a_context(read))
    assert Account.objects.get().verified_at is None


def test_who_signed_up_themselves_may_keep_the_password(app, link):
    before = Account.objects.get().password_hash
    follow(Visitor(app), link)
    assert Account.objects.get().password_hash == before
    assert Visitor(app).log_in(MARA).status == 303


def test_a_new_password_keeps_the_rules(app, link):
    answer = follow(Visitor(app), link, "short")
    assert answer.status == 422
    assert "12 characters or more" in answer.fault("password")
    assert Account.objects.get().verified_at is None


def test_it_is_in_the_trail_by_whom_the_address_is(app, link):
    account = Account.objects.get()
    follow(Visitor(app), link)
    events = AuditEvent.objects(chain=account.id).order_by("seq")
    assert [event.action for event in events] == ["account.address_verified", "account.logged_in"]
    assert {event.actor for event in events} == {account.id}


def test_another_mail_is_sent_where_it_is_asked_for(visitor, letters, link):
    answer = visitor.post("/account/verification", form_at="/account")
    assert (answer.status, answer.location) == (303, "/account")
    assert letters.to(MARA) == [SUBJECT, SUBJECT]
    assert follow(visitor, letters.link(MARA, SUBJECT)).status == 303
    again = visitor.post("/account/verification", form_at="/account")
    assert again.status == 409
    assert again.heading == "There is nothing to verify"


def test_mails_are_limited(visitor, letters, settings, link):
    hidden = visitor.hidden("/account")
    portal_settings.activate(replace(settings, rate_limits=True))
    answers = [visitor.send("/account/verification", hidden).status for _ in range(4)]
    portal_settings.activate(settings)
    assert answers == [303, 303, 303, 429]
    assert len(letters.to(MARA)) == 4


@pytest.mark.attack("A6")
def test_following_links_is_limited_as_logging_in_is(app, settings, link):
    """Who has a link can't keep the portal hashing."""
    visitor = Visitor(app)
    hidden = visitor.hidden(link)
    portal_settings.activate(replace(settings, rate_limits=True, login_limit_per_network=2))
    fields = {**hidden, "password": "short"}
    answers = [visitor.send("/verify", fields).status for _ in range(3)]
    portal_settings.activate(settings)
    assert answers == [422, 422, 429]


def test_nobody_is_told_to_verify_what_is_verified_when_the_mail_leaves(visitor, letters):
    visitor.sign_up(email=MARA)
    Account.objects.update_one(set__verified_at=clock.now())
    assert letters.to(MARA) == []
