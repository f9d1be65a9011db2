"""Passkeys in a real browser, made by Chromium's virtual authenticator."""

import re
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from portal.documents.accounts import Account
from portal.documents.second_factors import Challenge, Passkey
from portal.documents.sessions import Session
from tests.factories import an_account
from tests.processes import wait_until
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

    return SimpleNamespace(
        recognizes=lambda owner: session.send(
            "WebAuthn.setUserVerified", {**authenticator, "isUserVerified": owner}
        ),
        passkeys=lambda: session.send("WebAuthn.getCredentials", authenticator)["credentials"],
    )


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
    telephone.recognizes(False)
    page.get_by_role("link", name="Log in with a passkey").click()
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser refused at once")
    page.goto("/organizations")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


def test_a_device_without_a_passkey_says_so_and_can_go_on(page, telephone):
    an_account("mara@acme.example")
    page.goto("/login/passkey")
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser refused at once")
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


WITHOUT_JSON = """
delete PublicKeyCredential.parseCreationOptionsFromJSON;
delete PublicKeyCredential.parseRequestOptionsFromJSON;
PublicKeyCredential.prototype.toJSON = () => { throw new TypeError("Illegal invocation"); };
"""
# As password managers answer in place of the browser: plain objects, views in place of buffers.
PLAIN_OBJECTS = """
for (const kind of ["create", "get"]) {
  const asked = navigator.credentials[kind].bind(navigator.credentials);
  navigator.credentials[kind] = async (options) => {
    const { id, rawId, response } = await asked(options);
    const plain = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) plain[name] = new Uint8Array(response[name]);
    }
    return { id, rawId: new Uint8Array(rawId), type: "public-key", response: plain };
  };
}
"""


@pytest.mark.usefixtures("mara", "telephone")
@pytest.mark.parametrize("script", [WITHOUT_JSON, PLAIN_OBJECTS], ids=["no JSON", "plain objects"])
def test_what_browsers_and_password_managers_leave_out_is_made_by_hand(page, script):
    page.add_init_script(script)
    add_passkey(page)
    log_out(page)
    page.get_by_role("link", name="Log in with a passkey").click()
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page).to_have_url(re.compile("/organizations$"))


@pytest.mark.usefixtures("mara")
def test_a_device_is_not_added_twice_and_the_page_says_why(page, telephone):
    add_passkey(page)
    page.goto("/account/security/passkeys/new")
    page.get_by_label("Name").fill("The same one")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("has a passkey of yours already")
    expect(page.get_by_label("Name")).to_have_value("The same one")
    assert len(telephone.passkeys()) == Passkey.objects.count() == 1


@pytest.mark.usefixtures("mara")
def test_a_device_shows_a_passkey_under_the_address_that_its_account_has_now(page, telephone):
    add_passkey(page)
    Account.objects.update(email="mara@new.example", email_key="mara@new.example")
    page.goto("/account/security")
    shown = ["mara@new.example"] * 2
    wait_until(lambda: names_of(telephone.passkeys()) == shown)


def names_of(passkeys):
    [passkey] = passkeys
    return [passkey["userName"], passkey["userDisplayName"]]


@pytest.mark.usefixtures("mara", "telephone")
def test_a_page_that_stood_open_for_long_asks_anew_at_the_click(page):
    page.goto("/account/security/passkeys/new")
    page.get_by_label("Name").fill("Laptop, work")
    Challenge.objects.delete()
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your recovery codes")


@pytest.mark.usefixtures("mara")
def test_a_page_whose_session_has_ended_makes_no_passkey(page, telephone):
    page.goto("/account/security/passkeys/new")
    page.get_by_label("Name").fill("Laptop, work")
    Session.objects.delete()
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert not telephone.passkeys()


@pytest.mark.usefixtures("mara", "telephone")
def test_a_second_click_asks_the_device_for_nothing_more(page):
    page.add_init_script("""
      const asked = navigator.credentials.create.bind(navigator.credentials);
      window.asked = 0;
      navigator.credentials.create = (options) => { window.asked++; return asked(options); };
      // The page stays, to be looked at.
      HTMLFormElement.prototype.submit = () => { window.sent = (window.sent ?? 0) + 1; };
    """)
    page.goto("/account/security/passkeys/new")
    page.get_by_label("Name").fill("Laptop, work")
    page.get_by_role("button", name="Add the passkey").dblclick()
    wait_until(lambda: page.evaluate("window.sent"))
    page.get_by_role("button", name="Add the passkey").click()
    assert page.evaluate("[window.asked, window.sent]") == [1, 1]


def thrown(name, milliseconds=1000):
    """A browser that asks for this long, and then says so."""
    return f"""
      let later = 0;
      performance.now = () => later; // however long the machine takes
      navigator.credentials.get = async () => {{
        later += {milliseconds};
        throw new DOMException("…", "{name}");
      }};
    """


CAUSES = {
    "cancelled": (thrown("NotAllowedError"), "No passkey was used: you cancelled it"),
    "cancelled by an extension": (thrown("AbortError"), "No passkey was used: you cancelled it"),
    "too late": (thrown("NotAllowedError", 300_000), "waited for you for too long"),
    "not allowed": (thrown("NotAllowedError", 0), "The browser refused at once"),
    "another host": (thrown("SecurityError"), "allows no passkeys at this address"),
    "another request": (thrown("OperationError"), "still waits for another passkey"),
    "no PIN": (thrown("ConstraintError"), "set a PIN or a screen lock"),
    "a device that fails": (thrown("UnknownError"), "returned no passkey that can be read"),
    "nothing": ("navigator.credentials.get = async () => null;", "no passkey that can be read"),
    "no https": (
        "Object.defineProperty(window, 'isSecureContext', { value: false });",
        "only at addresses with https",
    ),
    "an old browser": ("delete window.PublicKeyCredential;", "This browser has no passkeys"),
    "no network": (
        "XMLHttpRequest.prototype.send = function () { this.dispatchEvent(new Event('loadend')); };",
        "The portal did not answer",
    ),
}


# Their sentences stand in a table, of which another row is tried, or are those of others.
ALIKE = {"cancelled by an extension", "another request", "no PIN", "a device that fails"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(*cause, id=name, marks=pytest.mark.full if name in ALIKE else ())
        for name, cause in CAUSES.items()
    ],
)
def test_each_cause_has_its_own_sentence_and_the_button_works_again(page, script, words):
    page.add_init_script(script)
    page.goto("/login/passkey")
    for _ in range(2):
        page.get_by_role("button", name="Choose a passkey").click()
        expect(page.get_by_role("alert")).to_have_count(1)
        expect(page.get_by_role("alert")).to_contain_text(words)


@pytest.mark.usefixtures("mara")
def test_a_device_forgets_the_passkey_that_was_removed(page, telephone):
    add_passkey(page)
    page.goto("/account/security")
    page.get_by_role("link", name="Remove…").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Account")
    expect(page.get_by_text("You have none yet")).to_be_visible()
    page.wait_for_load_state()
    wait_until(lambda: not telephone.passkeys())


@pytest.mark.usefixtures("mara")
def test_a_device_forgets_the_passkey_that_the_portal_does_not_know(page, telephone):
    add_passkey(page)
    log_out(page)
    Passkey.objects.delete()
    page.goto("/login/passkey")
    page.get_by_role("button", name="Choose a passkey").click()
    expect(page.get_by_text("The portal doesn’t know this passkey")).to_be_visible()
    wait_until(lambda: not telephone.passkeys())
