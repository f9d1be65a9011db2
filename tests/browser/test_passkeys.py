"""Passkeys in a real browser, made by Chromium's virtual authenticator."""

import re

import pytest
from playwright.sync_api import expect

from tests.factories import an_account
from tests.visitor import PASSWORD


@pytest.fixture
def telephone(page):
    """A device that keeps passkeys and knows its owner's finger."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    authenticator = {"authenticatorId": made["authenticatorId"]}

    def recognizes(owner):
        session.send("WebAuthn.setUserVerified", {**authenticator, "isUserVerified": owner})

    return recognizes


def add_passkey(page, name="Laptop, work"):
    page.goto("/account/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")


def log_out(page):
    page.goto("/account/security")
    page.locator("summary").click()
    page.get_by_role("button", name="Log out").click()


def give_password(page):
    page.goto("/login")
    page.get_by_label("E-mail address").fill("mara@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.usefixtures("mara", "telephone")
def test_a_passkey_is_added_and_logs_in_alone(page):
    add_passkey(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("row", name="Laptop, work")).to_contain_text("This key only")
    log_out(page)

    page.get_by_role("link", name="Log in with a passkey").click()
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page).to_have_url(re.compile("/organizations$"))
    page.goto("/account/security")
    expect(page.get_by_role("row", name="Laptop, work")).not_to_contain_text("never")


@pytest.mark.usefixtures("mara", "telephone")
def test_a_passkey_is_the_second_factor_after_the_password(page):
    add_passkey(page)
    log_out(page)
    give_password(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Second factor")
    page.get_by_label("Remember this browser").check()
    page.get_by_role("button", name="Use the passkey").click()
    expect(page).to_have_url(re.compile("/organizations$"))
    log_out(page)
    give_password(page)
    expect(page).to_have_url(re.compile("/organizations$"))


@pytest.mark.attack("A5")
@pytest.mark.usefixtures("mara")
def test_a_device_that_does_not_know_its_owner_logs_nobody_in(page, telephone):
    add_passkey(page)
    log_out(page)
    telephone(False)
    page.get_by_role("link", name="Log in with a passkey").click()
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("That did not work")
    page.goto("/organizations")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_device_without_a_passkey_says_so_and_can_go_on(page, telephone):
    an_account("mara@acme.example")
    page.goto("/login/passkey")
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("That did not work")
    page.get_by_role("link", name="Log in with a password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


@pytest.mark.usefixtures("mara", "telephone")
def test_a_name_that_is_missing_is_asked_for_before_the_device_is(page):
    page.goto("/account/security/passkeys/new")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page).to_have_url(re.compile("/passkeys/new$"))


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_without_javascript_passkeys_say_what_they_need(page):
    page.goto("/login/passkey")
    expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_text("The passkey was not accepted")).to_be_visible()
