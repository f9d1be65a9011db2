"""Password managers find the account of each password, and the page that changes it."""

import pytest

from portal.documents.accounts import Account
from tests.factories import an_account, an_organization
from tests.visitor import PASSWORD, Visitor

MARA, LENA = "mara@acme.example", "lena@acme.example"


def accounts_named(page):
    """What stands as the account before each password of the page's forms."""
    named = []
    for form in page.html.select("main form:has(input[type=password])"):
        inputs = form.find_all("input")
        first = next(i for i, found in enumerate(inputs) if found["type"] == "password")
        [account] = [found for found in inputs if found.get("autocomplete") == "username"]
        assert account in inputs[:first]
        named.append(account.get("value", ""))
    return named


@pytest.fixture
def mara(visitor):
    """Her browser, logged in."""
    an_account(MARA)
    visitor.log_in(MARA)
    return visitor


@pytest.mark.parametrize(
    "path", ["/account/password", "/account/address", "/account/close", "/account/confirm"]
)
def test_a_password_that_is_asked_for_names_the_account_that_is_logged_in(mara, path):
    assert accounts_named(mara.get(path)) == [MARA]


@pytest.mark.parametrize("path", ["/login", "/signup"])
def test_who_comes_in_types_the_account_where_password_managers_look_for_it(visitor, path):
    assert accounts_named(visitor.get(path)) == [""]


def test_a_new_password_by_a_mailed_link_names_its_account(visitor, letters):
    an_account(MARA)
    visitor.post("/forgot", {"email": MARA})
    link = letters.link(MARA, "Choose a new password")
    assert accounts_named(visitor.get(link)) == [MARA]


def test_verifying_an_address_names_its_account(visitor, letters):
    visitor.sign_up(email=MARA)
    link = letters.link(MARA, "Verify your e-mail address")
    assert accounts_named(visitor.get(link)) == [MARA]


def test_confirming_another_address_names_the_account_as_it_is_now(mara, letters):
    mara.post("/account/address", {"email": LENA, "current_password": PASSWORD})
    link = letters.link(LENA, "Confirm your new e-mail address")
    assert accounts_named(mara.get(link)) == [MARA]


def test_finishing_a_sign_up_names_its_account(visitor, letters, settings_with):
    with settings_with(signup_requires_verification=True):
        assert visitor.sign_up(email=MARA).status == 202
    link = letters.link(MARA, "Finish signing up")
    assert accounts_named(visitor.get(link)) == [MARA]


def test_joining_by_an_invitation_names_its_account(app, mara, letters):
    an_organization("Acme Corp", Account.objects.get(email=MARA))
    mara.post(
        "/organizations/acme-corp/invitations",
        {"email": LENA, "role": "viewer"},
        form_at="/organizations/acme-corp/members",
    )
    link = letters.link(LENA, f"{MARA} invites you to Acme Corp")
    assert accounts_named(Visitor(app).get(link)) == [LENA]
    an_account(LENA, verified=False)
    assert accounts_named(Visitor(app).get(link)) == [LENA]


def test_the_strength_of_a_new_password_knows_its_account(mara):
    hidden = mara.get("/account/password").html.select_one("[autocomplete=username]")
    fields = {hidden["name"]: hidden["value"], "password": "mara@acme.example"}
    answer = mara.post("/signup/password", fields, form_at="/account/password")
    assert "Very weak" in answer.text


def test_the_page_that_changes_a_password_is_where_it_is_looked_for(app, mara):
    """W3C, A Well-Known URL for Changing Passwords."""
    answer = mara.get("/.well-known/change-password", follow_redirects=True)
    assert (answer.status, answer.heading) == (200, "Change your password")
    stranger = Visitor(app).get("/.well-known/change-password", follow_redirects=True)
    assert (stranger.status, stranger.heading) == (200, "Log in")
    fields = {"email": MARA, "password": PASSWORD, "next": "/account/password"}
    assert Visitor(app).post("/login", fields).location == "/account/password"
    nowhere = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"
    assert mara.get(nowhere).status == 404
