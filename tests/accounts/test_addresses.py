"""The address of an account changes when a link that was mailed to the new one is followed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.identity.accounts import changing
from portal.identity.accounts.errors import AddressTaken
from portal.web.errors import TooManyAttempts
from tests.accounts.letters import token_of
from tests.factories import a_context, an_account
from tests.visitor import PASSWORD, Visitor

OLD, NEW = "mara@acme.example", "m.tolliver@acme.example"
CONFIRM, CHANGED = "Confirm your new e-mail address", "Your account has another e-mail address"
ASKED = "Your account is to get another e-mail address"


@pytest.fixture
def mara(visitor):
    """An account, logged in in the visitor's browser."""
    account = an_account(OLD)
    visitor.log_in(OLD)
    return account


def ask(visitor, email=NEW, password=PASSWORD):
    return visitor.post("/account/address", {"email": email, "current_password": password})


@pytest.fixture
def link(visitor, mara, letters):
    """The link that was mailed to the new address."""
    assert ask(visitor).status == 303
    return letters.link(NEW, CONFIRM)


def confirm(visitor, link, password=PASSWORD):
    token = visitor.token("/account/address" if logged_in(visitor) else "/login")
    fields = {"csrf_token": token, "token": token_of(link), "current_password": password}
    return visitor.send("/address", fields)


def logged_in(visitor):
    return visitor.get("/account").status == 200


def address():
    return Account.objects.get(password_hash__exists=True).email


def test_asking_changes_nothing_and_tells_both_addresses(visitor, mara, letters):
    answer = ask(visitor)
    assert (answer.status, answer.location) == (303, "/account")
    assert address() == OLD
    assert letters.to(NEW) == [CONFIRM]
    assert letters.to(OLD) == [ASKED]
    assert NEW in letters.text(OLD, ASKED)


def test_following_the_link_changes_the_address_and_tells_both(visitor, link, letters):
    page = visitor.get(link)
    assert OLD in page.text
    assert NEW in page.text
    answer = visitor.post("/address", {"current_password": PASSWORD}, form_at=link)
    assert (answer.status, answer.location) == (303, "/account")
    account = Account.objects.get()
    assert (account.email, account.email_key) == (NEW, NEW)
    assert account.verified_at
    assert CHANGED in letters.to(OLD)
    assert CHANGED in letters.to(NEW)
    assert logged_in(visitor)
    assert NEW in visitor.get("/account").text


def test_it_can_be_followed_where_nobody_is_logged_in(app, link):
    assert confirm(Visitor(app), link).status == 303
    assert Visitor(app).log_in(OLD).status == 401
    assert Visitor(app).log_in(NEW).status == 303


@pytest.mark.attack("A7")
def test_who_asked_for_nothing_gives_their_address_to_no_account(app, link):
    """A link that comes to the victim's address from somebody's account."""
    answer = confirm(Visitor(app), link, "what the victim would type")
    assert answer.status == 422
    assert answer.fault("current_password") == "This is not your password: check it"
    assert address() == OLD


@pytest.mark.attack("A1")
def test_guessing_at_a_link_is_limited_however_many_sessions_one_has(app, link, settings):
    """Sessions of another account, too."""
    an_account("thief@acme.example")
    thieves = [Visitor(app) for _ in range(7)]
    for thief in thieves:
        thief.log_in("thief@acme.example")
    tokens = [thief.token("/account/address") for thief in thieves]
    given = {"token": token_of(link), "current_password": "wrong password wrong"}
    portal_settings.activate(replace(settings, rate_limits=True))
    answers = [
        thief.send("/address", {**given, "csrf_token": token}).status
        for thief, token in zip(thieves, tokens, strict=True)
    ]
    portal_settings.activate(settings)
    assert answers == [422] * 5 + [429] * 2


@pytest.mark.attack("A1")
def test_guessing_at_a_link_keeps_the_owner_out_of_nothing(visitor, app, link, settings):
    thief = Visitor(app)
    fields = {
        "csrf_token": thief.token(),
        "token": token_of(link),
        "current_password": "wrong password wrong",
    }
    portal_settings.activate(replace(settings, rate_limits=True))
    answers = [thief.send("/address", fields).status for _ in range(6)]
    followed = confirm(visitor, link).status
    portal_settings.activate(settings)
    assert answers == [422] * 5 + [429]
    assert followed == 303


@pytest.mark.attack("A6")
def test_following_links_is_limited_as_logging_in_is(app, link, settings):
    """Who has a link can't keep the portal hashing."""
    stranger = Visitor(app)
    fields = {"csrf_token": stranger.token(), "token": token_of(link), "current_password": "x"}
    portal_settings.activate(replace(settings, rate_limits=True, login_limit_per_network=2))
    answers = [stranger.send("/address", fields).status for _ in range(3)]
    portal_settings.activate(settings)
    assert answers == [422, 422, 429]


@pytest.mark.attack("D1")
def test_mails_to_one_address_are_limited_whoever_asks(app, settings, letters):
    """Nobody fills a stranger's mailbox from many accounts."""
    askers = [an_account(f"{n}@acme.example") for n in range(4)]
    portal_settings.activate(replace(settings, rate_limits=True))
    for asker in askers[:3]:
        changing.request_email_change(asker.id, NEW, PASSWORD, a_context(asker))
    with pytest.raises(TooManyAttempts):
        changing.request_email_change(askers[3].id, NEW, PASSWORD, a_context(askers[3]))
    portal_settings.activate(settings)
    assert letters.to(NEW) == [CONFIRM] * 3


def test_the_link_works_once(visitor, app, link):
    confirm(visitor, link)
    assert confirm(Visitor(app), link).status == 410
    assert visitor.get(link).status == 410


def test_the_link_works_for_24_hours(app, link, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=24, minutes=1))
    assert Visitor(app).get(link).status == 410


def test_only_the_newest_link_works(visitor, app, link, letters):
    ask(visitor, "other@acme.example")
    newest = letters.link("other@acme.example", CONFIRM)
    assert confirm(Visitor(app), link).status == 410
    assert confirm(Visitor(app), newest).status == 303
    assert address() == "other@acme.example"


def test_the_link_dies_with_a_change_of_password(visitor, app, link):
    fields = {"current_password": PASSWORD, "password": "another battery of horses"}
    visitor.post("/account/password", fields)
    assert confirm(Visitor(app), link, fields["password"]).status == 410


@pytest.mark.attack("A2")
def test_whether_an_address_is_taken_is_not_told(visitor, mara, letters):
    an_account(NEW)
    taken, free = ask(visitor), ask(visitor, "free@acme.example")
    assert (taken.status, taken.location) == (free.status, free.location) == (303, "/account")
    assert letters.to(NEW) == []


@pytest.mark.attack("A2")
def test_the_same_commands_are_sent_whether_it_is_taken_or_not(visitor, mara, commands):
    an_account(NEW)
    hidden = visitor.hidden("/account/address")
    sent = []
    for email in (NEW, "free@acme.example"):
        commands.clear()
        visitor.send("/account/address", {**hidden, "email": email, "current_password": PASSWORD})
        sent.append(list(commands))
    assert sent[0] == sent[1]


def test_what_is_taken_meanwhile_is_told_to_who_follows_the_link(visitor, link):
    an_account(NEW)
    answer = confirm(visitor, link)
    assert answer.status == 409
    assert answer.heading == "This address is taken"
    assert Account.objects(email=OLD).first()


def test_of_two_that_confirm_one_address_one_gets_it(app, visitor, mara, letters):
    teo = an_account("teo@acme.example")
    tokens = []
    for account in (mara, teo):
        changing.request_email_change(account.id, NEW, PASSWORD, a_context(account))
        tokens.append(token_of(letters.link(NEW, CONFIRM)))

    def confirmed(token):
        try:
            return changing.confirm_email_change(token, PASSWORD, a_context())
        except AddressTaken:
            return None

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(confirmed, tokens))
    assert sorted(answer is None for answer in answers) == [False, True]
    assert len(Account.objects(email_key=NEW)) == 1


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("nothing", PASSWORD, "email"),
        ("", PASSWORD, "email"),
        ("MARA@acme.example", PASSWORD, "email"),
        (NEW, "wrong password wrong", "current_password"),
        (NEW, "", "current_password"),
        (f"x@y.example\r\nBcc: {NEW}", PASSWORD, "email"),
    ],
)
def test_bad_input_is_told_at_the_field(visitor, mara, letters, email, password, field):
    answer = ask(visitor, email, password)
    assert answer.status == 422
    assert answer.fault(field)
    assert letters.to(OLD) == []


def test_it_is_in_the_trail(visitor, mara, link):
    confirm(visitor, link)
    changed, asked = AuditEvent.objects(chain=mara.id).order_by("-seq").limit(2)
    assert (asked.action, changed.action) == ("account.address_asked", "account.address_changed")
    for event in (asked, changed):
        assert event.personal["target_email"]["value"] == NEW
        assert NEW not in str(event.details)
