"""A forgotten password: a new one by a link that is mailed."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.documents.accounts import Account, Recovery
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.sessions import Session
from portal.identity.accounts import recovering
from portal.identity.accounts.mails import RECOVER
from portal.mail import links
from tests.accounts.letters import token_of
from tests.factories import a_context, an_account, collections_in
from tests.processes import at_once
from tests.program import Program
from tests.stopwatch import take_as_long, work_seconds
from tests.visitor import PASSWORD, Visitor

MARA = "mara@acme.example"
SUBJECT = "Choose a new password"
OTHER = "another battery of horses"


@pytest.fixture
def mara():
    return an_account(MARA)


@pytest.fixture
def asked(mara, app, letters):
    """Asks for a link and takes it out of the mail."""

    def ask(email=MARA):
        assert ask_for_link(Visitor(app), email).status == 303
        return letters.link(MARA, SUBJECT)

    return ask


def ask_for_link(visitor, email=MARA):
    return visitor.post("/forgot", {"email": email})


def follow(visitor, link, password=OTHER):
    fields = {"csrf_token": visitor.token(), "token": token_of(link), "password": password}
    return visitor.send("/recover", fields)


def test_a_link_gives_a_new_password(app, asked):
    visitor, link = Visitor(app), asked()
    assert MARA in visitor.get(link).text
    answer = visitor.post("/recover", {"password": OTHER}, form_at=link)
    assert (answer.status, answer.location) == (303, "/login")
    assert "Your password is changed" in visitor.get("/login").text
    assert visitor.log_in(MARA, PASSWORD).status == 401
    assert visitor.log_in(MARA, OTHER).status == 303


@pytest.mark.parametrize(
    "beside", [".", ")", "%3E", ",", "%20", "&utm_source=mail", "%E2%81%A9", "%22.", "="]
)
def test_a_link_works_with_what_was_copied_along_with_it(app, asked, beside):
    visitor, link = Visitor(app), asked()
    answer = visitor.post("/recover", {"password": OTHER}, form_at=link + beside)
    assert (answer.status, answer.location) == (303, "/login")


def test_the_log_in_page_leads_there(visitor):
    page = visitor.get("/login")
    assert "/forgot" in [link["href"] for link in page.html.select("main a")]


def test_following_it_does_not_log_in(app, asked):
    """A second factor, where there is one, is asked for at the log-in."""
    visitor = Visitor(app)
    follow(visitor, asked())
    assert visitor.get("/account").location.startswith("/login")


@pytest.mark.attack("A3")
def test_a_link_works_once(app, asked):
    """Twice."""
    link = asked()
    assert follow(Visitor(app), link).status == 303
    assert follow(Visitor(app), link, "yet another one of horses").status == 410
    assert Visitor(app).get(link).status == 410
    assert Visitor(app).log_in(MARA, OTHER).status == 303


@pytest.mark.attack("A3")
def test_a_link_works_for_30_minutes(app, asked, time_machine):
    """After expiry."""
    link = asked()
    time_machine.move_to(clock.now() + timedelta(minutes=29))
    assert Visitor(app).get(link).status == 200
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert follow(Visitor(app), link).status == 410


@pytest.mark.attack("A3")
def test_a_link_dies_with_a_change_of_password(app, asked):
    """After a change of password."""
    link, visitor = asked(), Visitor(app)
    visitor.log_in(MARA)
    visitor.post("/account/password", {"current_password": PASSWORD, "password": OTHER})
    assert follow(Visitor(app), link, "yet another one of horses").status == 410


@pytest.mark.attack("A3")
def test_only_the_newest_link_works(app, asked, time_machine):
    """An old one after a new one."""
    old = asked()
    time_machine.move_to(clock.now() + timedelta(minutes=5, seconds=1))
    new = asked()
    assert follow(Visitor(app), old).status == 410
    assert follow(Visitor(app), new).status == 303


@pytest.mark.attack("A3")
def test_nobody_ends_a_link_that_was_just_mailed(app, asked, letters, time_machine):
    """A stranger wishes for the victim's address again and again."""
    link = asked()
    time_machine.move_to(clock.now() + timedelta(minutes=4, seconds=50))
    answers = [ask_for_link(Visitor(app)) for _ in range(3)]
    assert {(answer.status, answer.location) for answer in answers} == {(303, "/login")}
    assert letters.to(MARA) == [SUBJECT]
    assert follow(Visitor(app), link).status == 303


def test_wishes_that_are_too_early_put_off_no_later_one(app, asked, letters, time_machine):
    asked()
    for _ in range(2):
        time_machine.move_to(clock.now() + timedelta(minutes=3))
        ask_for_link(Visitor(app))
    assert letters.to(MARA) == [SUBJECT, SUBJECT]


def test_of_wishes_at_once_one_is_mailed(app, mara, letters):
    at_once([lambda: recovering.request_recovery(MARA, a_context()) for _ in range(4)])
    assert letters.to(MARA) == [SUBJECT]
    assert follow(Visitor(app), letters.link(MARA, SUBJECT)).status == 303


def test_a_new_link_is_mailed_at_once_where_the_last_was_used(app, asked, letters):
    follow(Visitor(app), asked())
    assert follow(Visitor(app), asked(), "yet another one of horses").status == 303


@pytest.mark.attack("A3")
def test_a_link_is_for_one_account(app, asked, letters):
    """For another account."""
    link = asked()
    teo = an_account("teo@acme.example")
    ask_for_link(Visitor(app), teo.email)
    request = str(Recovery.objects.order_by("at").first().request)
    forged = links.sign_token(RECOVER, {"account": str(teo.id), "request": request})
    assert Visitor(app).get(f"/recover?token={forged}").status == 410
    follow(Visitor(app), link)
    assert Visitor(app).log_in(teo.email, PASSWORD).status == 303


@pytest.mark.attack("A3")
@pytest.mark.parametrize("token", ["", "guessed", "a.b.c", "x" * 5000])
def test_a_guessed_link_opens_nothing(visitor, mara, token):
    """Token guessed."""
    assert visitor.get(f"/recover?{urlencode({'token': token})}").status == 410


@pytest.mark.attack("A3")
def test_nothing_in_the_database_opens_anything(asked, master_db):
    """Nothing in the database opens it."""
    token = token_of(asked())
    for name in collections_in(master_db):
        assert token not in str(list(master_db[name].find()))


def test_a_link_dies_with_a_change_of_address(app, asked):
    link = asked()
    Account.objects.update_one(set__email="m@acme.example", set__email_key="m@acme.example")
    assert follow(Visitor(app), link).status == 410


def test_a_weak_password_is_refused_and_the_link_still_works(app, asked):
    link = asked()
    answer = follow(Visitor(app), link, "short")
    assert answer.status == 422
    assert "12 characters or more" in answer.fault("password")
    assert follow(Visitor(app), link).status == 303


@pytest.mark.attack("A2")
def test_known_and_unknown_addresses_get_the_same_answer(app, mara, letters):
    answers = [ask_for_link(Visitor(app), email) for email in (MARA, "nobody@acme.example")]
    assert [(a.status, a.location) for a in answers] == [(303, "/login")] * 2
    assert letters.to(MARA) == [SUBJECT]
    assert letters.to("nobody@acme.example") == []


@pytest.mark.attack("A2")
@pytest.mark.slow
def test_unknown_addresses_take_as_long(app, mara):
    """The work; that the commands are the same, the next test says."""
    visitor = Visitor(app)
    token = visitor.token("/forgot")

    def seconds(email):
        fields = {"csrf_token": token, "email": email}
        taken = work_seconds(lambda: visitor.client.post("/forgot", data=fields))
        Recovery.objects.delete()
        visitor.get("/login")  # shows what the answer left in the cookie, as in a browser
        return taken

    assert take_as_long(seconds, lambda row: [(MARA, "nobody@acme.example")] * 15)


@pytest.mark.attack("A2")
def test_the_same_commands_are_sent_for_known_and_unknown(app, mara, commands):
    sent = []
    for email in (MARA, "nobody@acme.example", MARA, "nobody@acme.example"):  # too early at last
        visitor = Visitor(app)
        token = visitor.token("/forgot")
        commands.clear()
        visitor.client.post("/forgot", data={"csrf_token": token, "email": email})
        sent.append(list(commands))
    assert sent[0] == sent[1] == sent[2] == sent[3]


@pytest.mark.attack("A2")
@pytest.mark.parametrize("email", [MARA, "nobody@acme.example"])
def test_it_is_limited_for_an_address_known_or_not(app, mara, settings, email):
    visitor = Visitor(app)
    hidden = visitor.hidden("/forgot")
    portal_settings.activate(replace(settings, rate_limits=True))
    answers = [visitor.send("/forgot", {**hidden, "email": email}).status for _ in range(5)]
    portal_settings.activate(settings)
    assert answers == [303] * 3 + [429] * 2


@pytest.mark.attack("A6")
def test_following_links_is_limited_as_logging_in_is(app, settings, asked):
    """Who has a link can't keep the portal hashing."""
    visitor = Visitor(app)
    hidden = visitor.hidden(asked())
    portal_settings.activate(replace(settings, rate_limits=True, login_limit_per_network=2))
    answers = [visitor.send("/recover", {**hidden, "password": "x"}).status for _ in range(3)]
    portal_settings.activate(settings)
    assert answers == [422, 422, 429]


def test_it_is_limited_for_a_network(app, settings):
    visitor = Visitor(app)
    hidden = visitor.hidden("/forgot")
    portal_settings.activate(replace(settings, rate_limits=True, recovery_limit_per_network=2))
    answers = [
        visitor.send("/forgot", {**hidden, "email": f"{n}@acme.example"}).status for n in range(3)
    ]
    portal_settings.activate(settings)
    assert answers == [303, 303, 429]


def test_what_is_no_address_is_told_at_the_field(visitor):
    answer = ask_for_link(visitor, "not an address")
    assert answer.status == 422
    assert "mara@acme.example" in answer.fault("email")


def test_the_mail_goes_to_the_accounts_own_spelling(app, letters):
    """Two mailboxes may have addresses that are the same here."""
    account = an_account("strasse@acme.example")
    ask_for_link(Visitor(app), "straße@acme.example")
    assert [mail.to for mail in Mail.objects()] == [account.email]


def test_all_sessions_and_tokens_end(app, asked):
    visitor, program = Visitor(app), Program(app)
    visitor.log_in(MARA)
    program.log_in(MARA)
    follow(Visitor(app), asked())
    assert visitor.get("/account").location.startswith("/login")
    assert program.get("/auth/check").status_code == 401
    assert not Session.objects()


@pytest.mark.attack("A7")
def test_following_it_proves_the_address(app, mara, asked):
    """Whoever typed the victim's address is out by this, too."""
    mara.update(unset__verified_at=True)
    follow(Visitor(app), asked())
    account = Account.objects.get()
    assert account.verified_at
    actions = [event.action for event in AuditEvent.objects(chain=account.id).order_by("seq")]
    assert actions == ["account.address_verified", "account.password_recovered"]


def test_the_owner_is_told_that_the_password_was_changed(app, asked, letters):
    follow(Visitor(app), asked())
    assert letters.to(MARA) == [SUBJECT, "Your password was changed"]
    assert "127.0.0.1" in letters.text(MARA, "Your password was changed")


@pytest.mark.attack("L1")
def test_the_link_is_not_logged(app, asked, log):
    link = asked()
    Visitor(app).get(link)
    follow(Visitor(app), link)
    assert token_of(link) not in log.text
