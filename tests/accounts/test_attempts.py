"""Wrong passwords: they are slowed, the owner is told, and keeps getting in."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock
from portal import settings as portal_settings
from portal.documents.accounts import Account
from portal.documents.attempts import LogInAttempts
from portal.documents.mails import Mail
from portal.identity.authentication import credentials, passwords
from portal.identity.authentication.attempts import FREE_TRIES
from portal.mail import sender
from portal.web.errors import Overloaded
from tests.factories import an_account
from tests.mail.post_office import text_of
from tests.processes import at_once
from tests.program import Program
from tests.stopwatch import take_as_long, work_seconds
from tests.visitor import PASSWORD, Visitor

WRONG = "wrong password wrong"
MARA, NOBODY = "mara@acme.example", "nobody@acme.example"


@pytest.fixture(autouse=True)
def limited(settings):
    """Limits are on, that for an address out of the way: it goes by the server's clock, which tests
    don't move."""

    def limit(**some):
        limits = {"rate_limits": True, "login_limit_per_email": 10_000, **some}
        portal_settings.activate(replace(settings, **limits))

    limit()
    yield limit
    portal_settings.activate(settings)


@pytest.fixture
def hashes(monkeypatch):
    """For each password that was compared with a hash, the real one, whether it was right."""
    compared, matches = [], passwords._matches

    def counted(password, password_hash):
        compared.append(matches(password, password_hash))
        return compared[-1]

    monkeypatch.setattr(passwords, "_matches", counted)
    return compared


class Guesser:
    """Tries passwords from any address, without a cookie that tells that it is one."""

    def __init__(self, app):
        self.visitor = Visitor(app)
        self.token = self.visitor.token("/login")

    def answer(self, email=MARA, password=WRONG, address="192.0.2.66"):
        fields = {"csrf_token": self.token, "email": email, "password": password}
        place = {"REMOTE_ADDR": address}
        return self.visitor.client.post("/login", data=fields, environ_base=place)

    def status(self, *what, **where):
        return self.answer(*what, **where).status_code

    def statuses(self, times, *what):
        return [self.status(*what) for _ in range(times)]


@pytest.fixture
def guesser(app):
    return Guesser(app)


def stand_still(time_machine):
    time_machine.move_to(int(clock.now().timestamp()), tick=False)


def wait(time_machine, minutes, seconds=0):
    time_machine.move_to(round(clock.now().timestamp()) + 60 * minutes + seconds, tick=False)


@pytest.mark.attack("A1", "A2")
@pytest.mark.parametrize("email", [MARA, NOBODY, "no address"])
def test_after_five_wrong_ones_each_further_try_waits_longer(guesser, time_machine, email):
    """Whoever's the address is, also nobody's."""
    an_account(MARA)
    stand_still(time_machine)
    assert guesser.statuses(6, email) == [401] * 5 + [429]
    for minutes in (1, 2, 4, 8, 15, 15):
        wait(time_machine, minutes, -1)
        refused = guesser.answer(email)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        wait(time_machine, 0, 1)
        assert guesser.statuses(2, email) == [401, 429]


@pytest.mark.attack("A2")
def test_a_refusal_tells_nothing_of_whose_the_address_is(guesser, time_machine):
    an_account(MARA)
    stand_still(time_machine)
    told = []
    for email in (MARA, NOBODY):
        guesser.statuses(9, email)
        wait(time_machine, 1)
        guesser.status(email)
        refused = guesser.answer(email)
        text = refused.get_data(as_text=True).replace(refused.headers["X-Request-ID"], "")
        told.append((refused.status_code, refused.headers["Retry-After"], text))
    assert told[0] == told[1]
    assert told[0][1] == "120"


@pytest.mark.attack("A1")
def test_a_program_waits_too(app):
    an_account(MARA)
    program = Program(app)
    answers = [program.log_in(password=WRONG) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) in (59, 60)
    assert program.log_in().status_code == 429


def test_the_wait_is_told_in_minutes_once_it_is_long(guesser, time_machine):
    an_account(MARA)
    stand_still(time_machine)
    guesser.statuses(5)
    for minutes in (1, 2):
        wait(time_machine, minutes)
        guesser.status()
    assert "Wait 4 minutes, then try again" in guesser.answer().get_data(as_text=True)


def test_the_right_password_begins_anew(guesser, app):
    an_account(MARA)
    assert guesser.statuses(4) == [401] * 4
    assert Guesser(app).status(password=PASSWORD) == 303
    assert guesser.statuses(5) == [401] * 5


@pytest.mark.attack("A1")
def test_the_right_password_waits_like_the_others(guesser, app, time_machine, hashes):
    """Else a refusal would tell which it is not."""
    an_account(MARA)
    stand_still(time_machine)
    guesser.statuses(5)
    assert Guesser(app).status(password=PASSWORD) == 429
    assert len(hashes) == FREE_TRIES
    wait(time_machine, 1)
    assert Guesser(app).status(password=PASSWORD) == 303


many = pytest.mark.parametrize(
    "many", [pytest.param(40, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.full)]
)


@pytest.mark.attack("A1")
@many
def test_many_passwords_from_one_address_are_hardly_looked_at(guesser, hashes, many):
    """A try that is refused hashes nothing."""
    an_account(MARA)
    assert Counter(guesser.statuses(many)) == {401: FREE_TRIES, 429: many - FREE_TRIES}
    assert len(hashes) == FREE_TRIES


@pytest.mark.attack("A1")
@many
def test_many_passwords_from_as_many_addresses_are_hardly_looked_at(guesser, app, hashes, many):
    """The owner is told once, and gets in from a browser that is known."""
    an_account(MARA)
    home = Visitor(app)
    assert home.log_in(MARA).status == 303
    home.log_out()
    addresses = [f"198.51.{n // 250}.{n % 250}" for n in range(many)]
    answers = Counter(guesser.status(address=address) for address in addresses)
    assert answers == {401: FREE_TRIES, 429: many - FREE_TRIES}
    assert Mail.objects(kind="wrong_passwords").count() == 1
    assert home.log_in(MARA).status == 303
    assert hashes.count(False) == FREE_TRIES


@pytest.mark.attack("A1")
def test_a_day_of_patient_guessing_is_a_hundred_guesses(guesser, time_machine):
    """One try in a quarter of an hour."""
    an_account(MARA)
    stand_still(time_machine)
    guesser.statuses(FREE_TRIES)
    LogInAttempts.objects.update_one(set__wrong=1000, set__next_at=clock.now())
    answers = Counter()
    for _ in range(12):
        answers[guesser.status()] += 1
        wait(time_machine, 5)
    assert answers == {401: 4, 429: 8}


@pytest.mark.attack("A1")
@many
def test_one_password_for_many_accounts_is_limited_by_network(guesser, limited, hashes, many):
    limited(login_limit_per_network=20)
    for n in range(5):
        an_account(f"person{n}@acme.example")
    answers = Counter(guesser.status(f"person{n}@acme.example") for n in range(many))
    assert answers == {401: 20, 429: many - 20}
    assert len(hashes) == 20


@pytest.mark.attack("A1")
def test_tries_at_the_same_moment_are_no_more_than_after_each_other(app, hashes):
    an_account(MARA)
    guessers = [Guesser(app) for _ in range(16)]
    answers = Counter(at_once([guesser.status for guesser in guessers]))
    assert answers == {401: FREE_TRIES, 429: 16 - FREE_TRIES}
    assert len(hashes) == FREE_TRIES


@pytest.mark.attack("A1")
def test_a_known_browser_waits_after_its_own_wrong_passwords_alone(app):
    """A stolen laptop guesses no faster, and keeps nobody else out."""
    an_account(MARA)
    home = Visitor(app)
    home.log_in(MARA)
    home.log_out()
    answers = [home.log_in(MARA, WRONG).status for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert Guesser(app).status(password=PASSWORD) == 303


def test_a_browser_is_known_to_the_account_that_it_logged_in_to_alone(app, guesser):
    an_account(MARA)
    an_account("teo@acme.example")
    teos = Visitor(app)
    teos.log_in("teo@acme.example")
    teos.log_out()
    guesser.statuses(5)
    assert teos.log_in(MARA).status == 429


def test_a_known_browser_gets_in_from_a_network_that_guesses(guesser, limited, app):
    limited(login_limit_per_network=3)
    an_account(MARA)
    home = Visitor(app)
    home.log_in(MARA)
    home.log_out()
    token = home.token("/login")
    assert guesser.statuses(3, NOBODY) == [401] * 3
    assert guesser.status(NOBODY, address="127.0.0.1") == 401
    assert [guesser.status(f"{n}@a.example", address="127.0.0.1") for n in range(2)] == [401, 429]
    fields = {"csrf_token": token, "email": MARA, "password": PASSWORD}
    assert home.client.post("/login", data=fields).status_code == 303


@pytest.mark.attack("A1")
def test_the_owner_is_told_once_a_day(guesser, app, office, time_machine):
    an_account(MARA)
    stand_still(time_machine)
    guesser.statuses(4)
    sender.send_due_mails(app)
    assert not office.messages
    for _ in range(3):
        wait(time_machine, 15)
        guesser.status()
    sender.send_due_mails(app)
    [message] = office.messages
    assert (message["To"], message["Subject"]) == (MARA, "Wrong passwords for your account")
    assert "for the account mara@acme.example 5 times in a row" in text_of(message)
    assert "from 192.0.2.66" in text_of(message)
    assert "http://localhost/login" in text_of(message)
    wait(time_machine, 24 * 60 + 1)
    assert Guesser(app).status() == 401
    sender.send_due_mails(app)
    assert len(office.messages) == 2


@pytest.mark.attack("A2")
def test_of_an_address_without_account_nobody_is_told_and_nothing_is_kept(
    guesser, app, office, master_db
):
    """What is written is the same, so that it takes as long."""
    guesser.statuses(6, NOBODY)
    [mail] = Mail.objects
    assert NOBODY not in str(mail.to_mongo())
    assert NOBODY not in str(LogInAttempts.objects.get().to_mongo())
    sender.send_due_mails(app)
    assert not office.messages
    assert Mail.objects.get().outcome == "not needed"


@pytest.mark.attack("A2")
def test_known_and_unknown_addresses_take_the_same_commands_until_locked(guesser, commands):
    an_account(MARA)
    sent = []
    for email in (MARA, NOBODY):
        commands.clear()
        guesser.statuses(7, email)
        sent.append([name for name in commands if name != "getMore"])
    assert sent[0] == sent[1]


@pytest.mark.attack("A2")
@pytest.mark.usefixtures("real_hashes")
@pytest.mark.slow
def test_known_and_unknown_addresses_take_as_long_until_locked(guesser, limited):
    limited(login_limit_per_network=10_000)
    answers = set()

    def seconds(email):
        return work_seconds(lambda: answers.add(guesser.status(email)))

    def pairs(row):
        an_account(f"known{row}@acme.example")
        an_account(f"known{row}more@acme.example")
        names = [f"known{row}", f"known{row}more"] * FREE_TRIES
        return [(f"{name}@acme.example", f"un{name}@acme.example") for name in names]

    assert take_as_long(seconds, pairs)
    assert answers == {401}


def test_what_nobody_looked_at_does_not_count(guesser, monkeypatch):
    an_account(MARA)

    def busy(*arguments):
        raise Overloaded

    with monkeypatch.context() as patched:
        patched.setattr(credentials.passwords, "verify_password", busy)
        assert guesser.statuses(8) == [503] * 8
    assert guesser.statuses(6) == [401] * 5 + [429]


def test_where_limits_are_off_nobody_waits(guesser, limited, settings):
    portal_settings.activate(settings)
    an_account(MARA)
    assert guesser.statuses(7) == [401] * 7
    assert not LogInAttempts.objects


def test_attempts_are_forgotten_by_the_database(guesser, master_db):
    guesser.status()
    left = LogInAttempts.objects.get().expires_at - clock.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)
    indexes = master_db.log_in_attempts.index_information().values()
    assert any(index.get("expireAfterSeconds") == 0 for index in indexes)


@pytest.mark.attack("L1")
def test_no_password_is_in_the_log(guesser, app, log):
    an_account(MARA)
    guesser.statuses(6)
    assert WRONG not in log.text
    assert MARA not in log.text
    assert Account.objects.get().password_hash not in log.text
