"""The whole story of two people and one organization, each in a browser of their own."""

import re

import pyotp
import pytest
from playwright.sync_api import expect

from portal import clock
from tests.accounts.letters import Letters
from tests.browser.conftest import MILLISECONDS
from tests.factories import earlier_code
from tests.visitor import PASSWORD

MARA, IDRIS = "mara@acme.example", "idris@acme.example"


@pytest.fixture
def letters(app, office):
    return Letters(app, office)


class Someone:
    """A person at a browser."""

    def __init__(self, browser, base_url, email):
        context = browser.new_context(base_url=base_url)
        context.set_default_timeout(MILLISECONDS)
        self.page = context.new_page()
        self.email = email
        self.app = None

    def goes_to(self, path):
        self.page.goto(path)

    def types(self, label, text):
        self.page.get_by_label(label, exact=True).fill(text)

    def presses(self, name):
        self.page.get_by_role("button", name=name).click()

    def follows(self, name):
        self.page.get_by_role("link", name=name).click()

    def sees(self, heading):
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    def is_told(self, words):
        expect(self.page.get_by_role("status")).to_contain_text(words)

    def logs_in(self):
        self.goes_to("/login")
        self.types("E-mail address", self.email)
        self.types("Password", PASSWORD)
        self.presses("Log in")

    def sets_up_an_app(self):
        self.goes_to("/account/security/app")
        secret = self.page.locator("code").first.inner_text().replace(" ", "")
        self.app = pyotp.TOTP(secret)
        self.types("Code", earlier_code(self.app, seconds=5))
        self.presses("Set up the app")
        self.is_told("The authenticator app is set up")


def test_from_sign_up_to_another_owner(browser, base_url, letters):
    mara, idris = (Someone(browser, base_url, email) for email in (MARA, IDRIS))
    sign_up(mara)
    verify(mara, letters)
    invite(mara)
    join(idris, letters)
    require_second_factor(mara, idris)
    end_another_session(mara, browser, base_url)
    hand_over(mara, idris, letters)
    leave(mara, idris)


def sign_up(mara):
    mara.goes_to("/signup")
    mara.types("Name of the organization", "Acme Corp")
    mara.types("Your e-mail address", MARA)
    mara.types("Password", PASSWORD)
    mara.presses("Sign up")
    mara.sees("Acme Corp")


def verify(mara, letters):
    mara.goes_to(letters.link(MARA, "Verify your e-mail address"))
    mara.types("Password", PASSWORD)
    mara.presses("Verify address")
    mara.is_told("mara@acme.example is verified")


def invite(mara):
    mara.goes_to("/organizations/acme-corp/members")
    mara.types("E-mail address", IDRIS)
    mara.page.get_by_label("Role").select_option("admin")
    mara.presses("Send invitation")
    expect(mara.page.get_by_role("row", name=IDRIS)).to_be_visible()


def join(idris, letters):
    idris.goes_to(letters.link(IDRIS, "mara@acme.example invites you to Acme Corp"))
    idris.sees("Join Acme Corp")
    idris.types("Choose a password", PASSWORD)
    idris.presses("Create account and join")
    idris.is_told("You belong to Acme Corp now")


def require_second_factor(mara, idris):
    mara.sets_up_an_app()
    mara.goes_to("/organizations/acme-corp/second-factor")
    mara.types("From", clock.now().date().isoformat())
    expect(mara.page.get_by_role("main")).to_contain_text(IDRIS)
    mara.presses("Require a second factor")
    idris.goes_to("/organizations/acme-corp")
    idris.sees("Set up a second factor")
    idris.sets_up_an_app()
    idris.goes_to("/organizations/acme-corp")
    idris.sees("Acme Corp")


def end_another_session(mara, browser, base_url):
    elsewhere = Someone(browser, base_url, MARA)
    elsewhere.logs_in()
    elsewhere.types("Code", mara.app.at(clock.now()))
    elsewhere.presses("Log in")
    elsewhere.sees("Organizations")
    mara.goes_to("/account/sessions")
    mara.presses("End the other session")
    elsewhere.page.reload()
    elsewhere.sees("Log in")


def hand_over(mara, idris, letters):
    mara.goes_to("/organizations/acme-corp/members")
    mara.page.get_by_role("row", name=IDRIS).get_by_role("link", name="Change role").click()
    mara.follows("Offer ownership…")
    mara.page.get_by_label("What you are then").select_option("admin")
    mara.presses("Offer ownership")
    assert "Acme Corp" in letters.text(IDRIS, "mara@acme.example offers you ownership of Acme Corp")
    idris.goes_to("/organizations/acme-corp/ownership")
    idris.presses("Accept ownership")
    idris.goes_to("/organizations/acme-corp")
    expect(idris.page.get_by_role("main")).to_contain_text("You are an owner")


def leave(mara, idris):
    mara.goes_to("/organizations/acme-corp/leave")
    mara.presses("Leave organization")
    mara.goes_to("/organizations/acme-corp")
    mara.sees("Nothing is at this address")
    idris.goes_to("/organizations/acme-corp/activity")
    expect(idris.page.get_by_role("main")).to_contain_text("Left; was admin")
    expect(idris.page).to_have_title(re.compile("Activity"))
