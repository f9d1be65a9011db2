"""How often something may be tried."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pymongo.errors import AutoReconnect

from portal import clock
from portal import settings as portal_settings
from portal.documents.accounts import Account
from portal.documents.attempts import LimitCounter
from portal.organizations.lifecycle.errors import SlugTaken
from portal.organizations.lifecycle.renaming import rename_organization
from portal.placement.choosing import choose
from portal.web import rate_limits
from portal.web.errors import TooManyAttempts
from portal.web.rate_limits import network_of
from tests.factories import a_context, an_account, an_organization
from tests.visitor import PASSWORD, Visitor

WRONG = "wrong password wrong"


@pytest.fixture
def limited(settings):
    """Limits are on, and small."""

    def limit(**few):
        portal_settings.activate(replace(settings, rate_limits=True, **few))

    yield limit
    portal_settings.activate(settings)


def log_ins(visitor, emails, password=WRONG):
    token = visitor.token("/login")
    fields = {"csrf_token": token, "password": password}
    return [
        visitor.client.post("/login", data={**fields, "email": email}).status_code
        for email in emails
    ]


def test_an_address_may_be_used_ten_times_a_minute(visitor, limited):
    limited()
    an_account("mara@acme.example")
    answers = log_ins(visitor, ["mara@acme.example"], PASSWORD)
    assert answers == [303]
    token = visitor.token("/organizations/new")
    fields = {"csrf_token": token, "email": "mara@acme.example", "password": PASSWORD}
    for _ in range(11):
        answers.append(visitor.client.post("/login", data=fields).status_code)
        fields["csrf_token"] = visitor.token("/organizations/new")
    assert answers == [303] * 11 + [429]


@pytest.mark.attack("A1")
def test_another_spelling_is_the_same_address(visitor, limited):
    limited(login_limit_per_email=2)
    spellings = [
        "mara@acme.example",
        "MARA@acme.example",
        " mara@ACME.example ",
        "mArA@acme.example",
    ]
    assert log_ins(visitor, spellings) == [401, 401, 429, 429]


def test_a_refusal_says_when_to_come_again(visitor, limited):
    limited(login_limit_per_email=1)
    log_ins(visitor, ["mara@acme.example"])
    answer = visitor.log_in(password=WRONG)
    assert answer.status == 429
    seconds = int(answer.response.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert answer.heading == "Too many tries"
    assert f"Wait {seconds} seconds" in answer.text


@pytest.mark.attack("A1")
def test_guessing_for_many_accounts_is_limited_by_network(visitor, limited):
    """One password for many accounts."""
    limited(login_limit_per_network=5)
    assert log_ins(visitor, [f"person{n}@acme.example" for n in range(7)]) == [401] * 5 + [429] * 2


def test_the_right_password_does_not_count_for_others(visitor, app, limited):
    limited(login_limit_per_email=2)
    an_account("mara@acme.example")
    an_account("teo@acme.example")
    log_ins(visitor, ["mara@acme.example"] * 3)
    assert Visitor(app).log_in("teo@acme.example").status == 303


def test_a_limit_is_over_after_its_minute(limited, master_db):
    limited(signup_limit=1)
    rate_limits.count_attempt(rate_limits.SIGNUP, "192.0.2.7")
    with pytest.raises(TooManyAttempts):
        rate_limits.count_attempt(rate_limits.SIGNUP, "192.0.2.7")
    master_db.limit_counters.update_many(
        {}, {"$set": {"expireAt": clock.now() - timedelta(seconds=1)}}
    )
    rate_limits.count_attempt(rate_limits.SIGNUP, "192.0.2.7")


@pytest.mark.parametrize("path", ["/organizations/preview?organization_name=Acme"])
def test_previews_are_limited(visitor, limited, path):
    limited(preview_limit=3)
    assert [visitor.get(path).status for _ in range(5)] == [200] * 3 + [429] * 2


def test_previews_of_names_and_of_passwords_are_counted_together(visitor, limited):
    limited(preview_limit=2)
    token = visitor.token("/signup")
    fields = {"csrf_token": token, "password": "x"}
    answers = [visitor.client.post("/signup/password", data=fields).status_code for _ in range(2)]
    assert answers == [200, 200]
    assert visitor.get("/organizations/preview?organization_name=Acme").status == 429


def test_a_sign_up_that_can_not_be_sent_tells_no_more_names_than_previews_do(visitor, limited):
    limited(preview_limit=2)
    token = visitor.token("/signup")
    fields = {"csrf_token": token, "organization_name": "Acme", "email": "", "password": ""}
    answers = [visitor.client.post("/signup", data=fields).status_code for _ in range(3)]
    assert answers == [422, 422, 429]


def test_renames_of_an_organization_are_limited(limited):
    limited(rename_limit=3)
    organization, other = an_organization("Acme Corp"), an_organization("Taken")
    for name in ("Acme", "Acme Inc."):
        organization = rename_organization(organization, name, a_context())
    with pytest.raises(SlugTaken):
        rename_organization(organization, "Taken", a_context())
    for name in ("Taken", "Free"):
        with pytest.raises(TooManyAttempts):
            rename_organization(organization, name, a_context())
    assert rename_organization(other, "Other", a_context()).slug == "other"


def test_sign_ups_are_limited_on_pages_and_in_the_api_together(visitor, limited):
    limited(signup_limit=2)
    assert visitor.sign_up("One", "one@acme.example").status == 303
    body = {"organization_name": "Two", "email": "two@acme.example", "password": PASSWORD}
    assert visitor.client.post("/org/create", json=body).status_code == 201
    refused = visitor.client.post("/org/create", json={**body, "organization_name": "Three"})
    assert refused.status_code == 429
    assert refused.json["error"]["code"] == "too_many_tries"
    assert int(refused.headers["Retry-After"]) >= 1
    assert visitor.post("/organizations/new", {"organization_name": "Four"}).status == 429
    assert len(Account.objects()) == 2


def test_log_ins_are_limited_on_pages_and_in_the_api_together(visitor, limited):
    limited(login_limit_per_email=2)
    body = {"email": "mara@acme.example", "password": WRONG}
    assert visitor.client.post("/admin/login", json=body).status_code == 401
    assert log_ins(visitor, ["mara@acme.example"] * 2) == [401, 429]
    assert visitor.client.post("/admin/login", json=body).status_code == 429


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_where_it_cannot_be_counted_nothing_is_let_through(visitor, limited, monkeypatch, path):
    limited()

    def away(*arguments):
        raise AutoReconnect("gone")

    token = visitor.token(path)
    an_account("mara@acme.example")
    monkeypatch.setattr(rate_limits, "_limiter", away)
    fields = {
        "csrf_token": token, "organization_name": "Acme", "email": "mara@acme.example", "password": PASSWORD,
    }  # fmt: skip
    answer = visitor.client.post(path, data=fields)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_off_means_off(visitor, settings, master_db):
    assert not settings.rate_limits
    log_ins(visitor, ["mara@acme.example"] * 11)
    assert master_db.limit_counters.count_documents({}) == 0


def test_counters_tell_no_address_and_are_forgotten_by_the_database(limited, master_db):
    limited()
    rate_limits.count_attempt(rate_limits.LOGIN_PER_EMAIL, "mara@acme.example")
    assert "mara" not in str(LimitCounter.objects.get().to_mongo())
    indexes = master_db.limit_counters.index_information().values()
    assert any(index.get("expireAfterSeconds") == 0 for index in indexes)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
def test_of_ipv6_a_network_is_what_one_customer_is_given(one, other, same):
    assert (network_of(one) == network_of(other)) == same


def test_a_sign_up_takes_at_most_18_commands_with_its_limit(visitor, limited, commands):
    limited()
    choose()  # what a process reads of clusters every few seconds
    rate_limits.count_attempt(rate_limits.PREVIEW, "")
    hidden = visitor.hidden("/signup")
    fields = {"organization_name": "Acme Corp", "email": "mara@acme.example", "password": PASSWORD}
    commands.clear()
    assert visitor.client.post("/signup", data={**hidden, **fields}).status_code == 303
    assert len(commands) <= 18, commands
