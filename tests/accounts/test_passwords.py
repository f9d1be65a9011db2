"""Passwords: what may be chosen, and how they are kept."""

import threading
import time
import unicodedata
from dataclasses import replace

import pytest

from portal import settings as portal_settings
from portal.app import create_app
from portal.email_addresses import parse_email
from portal.errors import PortalError
from portal.identity.authentication import passwords
from portal.identity.authentication.errors import WeakPassword
from portal.identity.authentication.passwords import (
    check_password,
    hash_password,
    strength,
    verify_password,
)
from portal.organizations.lifecycle.names import parse_name, parse_slug
from portal.web.errors import Overloaded
from tests.program import Program
from tests.stopwatch import work_seconds
from tests.visitor import PASSWORD


def test_a_long_hard_password_may_be_chosen():
    check_password(PASSWORD, "mara@acme.example", "Acme Corp")
    check_password("kpW7#tq!vZ2x")
    check_password("広い海の上を飛ぶ鷹の群れ")
    check_password("correct 🫨 horse 🫩 battery")  # of Unicode 15 and 16
    check_password("ein Käuzchen ruft über dem See, und niemand außer mir hört es " * 2)


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("short", "longer"),
        ("a" * 129, "shorter"),
        ("x" * 1_000_000, "shorter"),
        ("password1234", "harder"),
        ("passwordpassword", "harder"),
        ("acmecorpacmecorp", "harder"),
        ("correct\0horse battery", "control"),
        ("correct\nhorse battery", "control"),
        ("correct\ufdd0horse battery", "control"),
        ("correct\U000e0080horse battery", "control"),
        ("correct\ue000horse battery", "control"),
        ("correct\N{REPLACEMENT CHARACTER}horse battery", "control"),
    ],
)
def test_a_weak_password_is_refused_with_what_to_do(password, told):
    with pytest.raises(WeakPassword) as refused:
        check_password(password, "mara@acme.example", "Acme Corp")
    assert told in refused.value.reason
    assert password not in refused.value.reason


def test_strength_knows_what_is_easy_to_guess_for_who_knows_the_person():
    assert (
        strength("kestrel freight 2026").score
        > strength("kestrel freight 2026", "dispatch@kestrel.example", "Kestrel Freight").score
        or not strength("kestrelfreight", "Kestrel Freight").enough
    )


def test_strength_of_nothing_is_the_weakest():
    assert strength("").score == 0


TRIAL = {"password_min_length": 8, "password_min_score": 0}


def test_a_refusal_names_the_rule_and_how_to_meet_it(visitor):
    short = visitor.sign_up(password="Admin123").fault("password")
    assert short == "Choose a longer password: 12 characters or more"
    weak = visitor.sign_up(password="password1234").fault("password")
    assert "is rated 1 of 4, and 3 is needed" in weak
    assert "Four uncommon words in a row" in weak


@pytest.fixture
def rules(settings):
    """Sets the rules of passwords."""
    yield lambda **rules: portal_settings.activate(replace(settings, **rules))
    portal_settings.activate(settings)


def test_a_trial_may_have_weaker_rules(visitor, app, rules):
    """The password of the API's own tutorial."""
    rules(**TRIAL)
    assert "8 characters or more" in visitor.get("/signup").text
    assert "8 characters or more" in visitor.sign_up(password="Admin12").fault("password")
    assert visitor.sign_up(password="Admin123").status == 303
    assert Program(app).log_in(password="Admin123").status_code == 200


def test_an_intranet_may_have_stricter_rules(visitor, rules):
    rules(password_min_length=30, password_min_score=4)
    assert "30 characters or more" in visitor.sign_up().fault("password")
    assert visitor.sign_up(password=f"{PASSWORD} 42 zebras").status == 303


def test_the_document_of_the_api_has_the_rule(settings):
    lax = create_app(replace(settings, **TRIAL)).test_client()
    schemas = lax.get("/docs/openapi.json").json["components"]["schemas"]
    assert schemas["CreateBody"]["properties"]["password"]["minLength"] == 8
    strict = create_app(settings).test_client()
    schemas = strict.get("/docs/openapi.json").json["components"]["schemas"]
    assert schemas["CreateBody"]["properties"]["password"]["minLength"] == 12


@pytest.mark.attack("A6")
@pytest.mark.usefixtures("real_estimates")
def test_no_password_takes_long_to_estimate():
    """zxcvbn takes seconds for long ones of many special characters."""
    begin = time.process_time()
    strength("(4@8{[<6391!|7$05+%2" * 6)
    assert time.process_time() - begin < 3


def test_a_password_is_as_long_as_its_composed_form():
    decomposed = "e\u0301" * 20 + " hawk over the estuary"
    check_password(decomposed)
    long = "Käuzchen über dem Fluß, weit im Südwesten, hört die Mühle. " * 2
    assert verify_password(unicodedata.normalize("NFD", long), hash_password(long))


@pytest.mark.usefixtures("real_estimates")
def test_what_one_person_is_called_does_not_judge_anothers_password():
    """In threads that estimate at the same time."""
    scores = []

    def judge(personal):
        for _ in range(60):
            scores.append((personal, strength("zorblaxquimby9", personal).score))

    names = ["zorblaxquimby9@acme.example", "mara@acme.example"] * 2
    threads = [threading.Thread(target=judge, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(scores)) == 2


@pytest.mark.usefixtures("real_hashes")
def test_hashes_are_argon2id_and_salted():
    one, two = hash_password(PASSWORD), hash_password(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != two
    assert verify_password(PASSWORD, one)
    assert verify_password(PASSWORD, two)
    assert not verify_password("another", one)
    assert not verify_password(PASSWORD, None)


def test_no_more_hashes_are_made_at_once_than_there_are_cores(monkeypatch):
    running, most, lock = 0, 0, threading.Lock()

    class Counting:
        def hash(self, password):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            result = hasher.hash(password)
            with lock:
                running -= 1
            return result

    hasher = passwords._hasher
    monkeypatch.setattr(passwords, "_hasher", Counting())
    threads = [threading.Thread(target=hash_password, args=(PASSWORD,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= passwords._turns()._initial_value


def test_who_waits_too_long_for_a_hash_is_told_that_the_portal_is_busy(monkeypatch, visitor):
    monkeypatch.setattr(passwords, "_WAIT_SECONDS", 0.01)
    turns = passwords._turns()
    for _ in range(turns._initial_value):
        turns.acquire()
    try:
        with pytest.raises(Overloaded):
            hash_password(PASSWORD)
        answer = visitor.log_in()
    finally:
        for _ in range(turns._initial_value):
            turns.release()
    assert answer.status == 503
    assert answer.response.headers["Retry-After"]
    assert "The portal is busy" in answer.text


@pytest.mark.parametrize(
    ("path", "kind"), [("/login", "current-password"), ("/signup", "new-password")]
)
def test_password_managers_and_pasting_are_welcome(visitor, path, kind):
    field = visitor.get(path).html.find("input", {"type": "password"})
    assert field["autocomplete"] == kind
    assert not {"maxlength", "pattern", "onpaste", "readonly"} & set(field.attrs)


@pytest.mark.attack("A6")
def test_the_longest_password_counts_to_its_end(visitor):
    """Nothing is cut, neither by the form nor by the hash."""
    longest = "".join(chr(0x4E00 + n * 37) for n in range(passwords.LONGEST))
    assert visitor.sign_up(password=longest).status == 303
    visitor.log_out()
    assert visitor.log_in(password=longest[:-1]).status == 401
    assert visitor.log_in(password=longest).status == 303


@pytest.mark.attack("A6")
def test_a_password_of_a_megabyte_is_refused_unread(visitor):
    token = visitor.token("/login")
    fields = {"csrf_token": token, "email": "mara@acme.example", "password": "x" * 1_000_000}
    answers = []
    taken = work_seconds(lambda: answers.append(visitor.client.post("/login", data=fields)))
    assert taken < 0.5
    assert answers[0].status_code == 413


MARKS = "a" + "\u0315" * 16_000 + "\u0323" * 15_500


@pytest.mark.attack("A6")
@pytest.mark.parametrize("check", [parse_name, parse_email, check_password, parse_slug])
def test_a_text_that_is_slow_to_compose_is_refused_unread(check):
    """Composing 30,000 marks on one letter takes a second."""

    def attempt():
        with pytest.raises(PortalError):
            check(MARKS)
        assert not verify_password(MARKS, None)

    assert work_seconds(attempt) < 0.5
