"""Before its address is verified an account mails no strangers, and adds no second factor."""

import pyotp
import pytest

from portal import clock
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Invitation, Role
from portal.documents.second_factors import AuthenticatorApp, Passkey, RecoveryCodes
from portal.documents.sessions import Session
from portal.identity.second_factors import passkeys, recovery_codes, totp
from portal.identity.sessions import sessions
from portal.identity.sessions.errors import AddressNotVerified
from portal.mail import sender
from portal.organizations.members import inviting
from portal.organizations.members.mails import token_of
from portal.organizations.second_factors import requiring
from tests.factories import (
    a_context,
    a_member,
    an_access,
    an_account,
    an_app,
    an_invitation,
    an_organization,
    verify,
)
from tests.program import Program, fault
from tests.second_factors.authenticator import Authenticator
from tests.visitor import PASSWORD, Visitor

TEO, LENA = "teo@acme.example", "lena@acme.example"
ACME = "/organizations/acme-corp"
NOT_VERIFIED = (403, "Your address is not verified yet")


@pytest.fixture
def acme():
    return an_organization("Acme Corp", an_account("mara@acme.example"))


@pytest.fixture
def teo(acme):
    """An admin of Acme Corp who has not verified the address."""
    account = a_member(acme, Role.ADMIN, TEO)
    account.update(unset__verified_at=True)
    return account.reload()


@pytest.fixture
def browser(app, teo):
    """Teo's, logged in."""
    visitor = Visitor(app)
    assert visitor.log_in(TEO).status == 303
    return visitor


@pytest.fixture
def program(app, teo):
    """Teo's, logged in."""
    program = Program(app)
    program.log_in(TEO)
    return program


@pytest.fixture
def invited(acme):
    """Lena's invitation, by the owner."""
    return an_invitation(acme, Account.objects.get(id=acme.created_by), LENA)


def refused(page):
    """Whether the page refuses, and leads to where the link is sent again."""
    way = page.html.main.find("a", string="Verify your address")
    return (page.status, page.heading) == NOT_VERIFIED and way["href"] == "/account"


def nothing_was_sent():
    return not Mail.objects(kind="invitation") and not AuditEvent.objects(
        action__startswith="invitation."
    )


# Inviting


def test_the_page_of_members_says_what_to_do_and_has_no_form(browser, invited):
    page = browser.get(f"{ACME}/members")
    assert "Verify your address to invite somebody." in page.text
    assert page.html.main.find("a", href="/account")
    assert not page.html.main.find(id="email")
    for list_of in (page, browser.get(f"{ACME}/invitations")):
        assert "Send again" not in list_of.text
        assert "Withdraw" in list_of.text


def test_who_verifies_the_address_invites(app, browser, letters):
    browser.post("/account/verification", form_at="/account")
    link = letters.link(TEO, "Verify your e-mail address")
    browser.post("/verify", {"password": PASSWORD}, form_at=link)
    fields = {"email": LENA, "role": Role.VIEWER}
    answer = browser.post(f"{ACME}/invitations", fields, form_at=f"{ACME}/members")
    assert answer.location == f"{ACME}/members"
    assert letters.to(LENA) == [f"{TEO} invites you to Acme Corp"]


def test_an_invitation_that_is_sent_all_the_same_is_refused(browser):
    fields = {"email": LENA, "role": Role.VIEWER}
    assert refused(browser.post(f"{ACME}/invitations", fields, form_at="/organizations/new"))
    assert not Invitation.objects
    assert nothing_was_sent()


def test_sending_again_is_refused_too(browser, invited):
    path = f"{ACME}/invitations/{invited.id}/resend"
    assert refused(browser.post(path, form_at="/organizations/new"))
    assert Invitation.objects.get().to_mongo() == invited.to_mongo()
    assert nothing_was_sent()


def test_taking_an_invitation_back_mails_nobody_and_is_allowed(browser, invited):
    path = f"{ACME}/invitations/{invited.id}/withdraw"
    assert browser.post(path, form_at="/organizations/new").status == 303
    assert Invitation.objects.get().state == "withdrawn"


def test_programs_are_told_where_the_link_is_sent_again(program, invited):
    body = {"email": "ida@acme.example", "role": Role.VIEWER}
    for answer in (
        program.post("/org/acme-corp/invitations", body),
        program.post(f"/org/acme-corp/invitations/{invited.id}/resend", {"role": Role.ADMIN}),
    ):
        assert fault(answer) == (403, "address_not_verified", set())
        assert "http://localhost/account sends it again" in answer.json["error"]["message"]
    assert Invitation.objects.get().to_mongo() == invited.to_mongo()
    assert nothing_was_sent()


def test_a_refused_call_may_be_sent_again_once_the_address_is_verified(program):
    """It is decided in the transaction that writes, so its key is free again."""
    keyed = {"headers": {"Idempotency-Key": "one"}}
    body = {"email": LENA, "role": Role.VIEWER}
    assert program.post("/org/acme-corp/invitations", body, **keyed).status_code == 403
    verify(TEO)
    assert program.post("/org/acme-corp/invitations", body, **keyed).status_code == 201


def test_the_account_is_judged_as_it_is_when_the_invitation_is_written(acme, invited):
    """Whoever asks was read before, when all was well."""
    ida = a_member(acme, Role.ADMIN, "ida@acme.example")
    access, there = an_access(acme, Role.ADMIN), a_context(ida)
    Account.objects(id=ida.id).update_one(unset__verified_at=True)
    with pytest.raises(AddressNotVerified):
        inviting.invite(access, "x@acme.example", Role.VIEWER, there)
    with pytest.raises(AddressNotVerified):
        inviting.resend_invitation(access, invited.id, there)
    assert Invitation.objects.get().to_mongo() == invited.to_mongo()
    assert nothing_was_sent()


@pytest.mark.attack("A4")
def test_an_invitation_that_an_earlier_version_let_somebody_send_is_dead(app, acme, teo):
    path = f"/invitations/{token_of(an_invitation(acme, teo, LENA))}"
    page = Visitor(app).get(path)
    assert (page.status, page.heading) == (410, "This invitation no longer works")
    an_account(LENA)
    lena, mara = Visitor(app), Visitor(app)
    lena.log_in(LENA)
    mara.log_in()
    assert "No invitations" in lena.get("/account/invitations").text
    assert "its sender may no longer invite" in mara.get(f"{ACME}/invitations").text
    answer = lena.post(f"/account/invitations/{Invitation.objects.get().id}", form_at="/account")
    assert answer.status == 410


def test_a_mail_that_an_earlier_version_left_in_the_outbox_is_not_sent(app, acme, office):
    ida = a_member(acme, Role.ADMIN, "ida@acme.example")
    inviting.invite(an_access(acme, Role.ADMIN), LENA, Role.VIEWER, a_context(ida))
    ida.update(unset__verified_at=True)
    sender.send_due_mails(app)
    assert not office.to(LENA)


# Second factors


def test_the_page_of_security_says_what_to_do_first(browser):
    page = browser.get("/account/security")
    assert "Verify your address to add a second factor." in page.text
    assert page.html.select_one('main .flash a[href="/account"]')
    for path in ("app", "passkeys/new", "codes/new"):
        assert not page.html.find("a", href=f"/account/security/{path}")


@pytest.mark.parametrize("path", ["app", "passkeys/new", "codes/new"])
def test_the_pages_that_add_one_are_shut(browser, path):
    there = f"/account/security/{path}"
    assert refused(browser.get(there))
    fields = {"code": "123456", "passkey_name": "Laptop", "credential": "{}"}
    assert refused(browser.post(there, fields, form_at="/account"))
    assert Session.objects.get().offered_secret is None


def test_no_app_is_added_whoever_offered_its_secret(teo):
    there = a_context(teo)
    principal = a_principal(teo)
    code = pyotp.TOTP(totp.begin_enrollment(principal.session_id)).at(clock.now())
    with pytest.raises(AddressNotVerified):
        totp.finish_enrollment(principal, code, there)
    assert nothing_was_added(teo)


def test_no_passkey_is_added_whatever_the_browser_was_asked_to_make(teo):
    principal = a_principal(teo)
    holder = str(principal.public_session_id)
    made = Authenticator().make(passkeys.options_to_add(teo, holder))
    with pytest.raises(AddressNotVerified):
        passkeys.enroll(principal, "Laptop", made, a_context(teo))
    assert nothing_was_added(teo)


def a_principal(account):
    return transactional(sessions.open_session)(account, a_context(account), "")


def nothing_was_added(account):
    stored = [d.objects.first() for d in (AuthenticatorApp, Passkey, RecoveryCodes)]
    return stored == [None] * 3 and not account.reload().has_second_factor


@pytest.fixture
def early():
    """An account to which a version before let an app be added all the same, and its app."""
    account = an_account("early@acme.example")
    app, _ = an_app(account)
    account.update(unset__verified_at=True)
    return account.reload(), app


def test_codes_are_not_made_anew_for_factors_that_a_version_before_let_in(early):
    account, _ = early
    before = RecoveryCodes.objects.get().to_mongo()
    with pytest.raises(AddressNotVerified):
        recovery_codes.regenerate(account.id, a_context(account))
    assert RecoveryCodes.objects.get().to_mongo() == before


@pytest.mark.attack("A7")
def test_such_factors_are_asked_for_can_be_removed_and_go_with_the_first_proof(app, early, letters):
    account, its_app = early
    visitor = Visitor(app)
    assert visitor.log_in(account.email).location == "/login/second"
    visitor.post("/login/second", {"code": its_app.at(clock.now())})
    page = visitor.get("/account/security")
    assert "Verifying it removes those that you see here." in page.text
    assert page.html.find("a", href="/account/security/app/remove")
    visitor.post("/account/verification", form_at="/account")
    link = letters.link(account.email, "Verify your e-mail address")
    assert "the account’s second factors are removed" in visitor.get(link).text
    visitor.post("/verify", {"password": PASSWORD}, form_at=link)
    assert nothing_was_added(account)


@pytest.mark.attack("A7")
def test_a_mailed_new_password_removes_them_too(app, early, letters):
    """Whoever waits keeps no way in."""
    account, _ = early
    Visitor(app).post("/forgot", {"email": account.email})
    link = letters.link(account.email, "Choose a new password")
    answer = Visitor(app).post("/recover", {"password": "another battery of horses"}, form_at=link)
    assert answer.status == 303
    assert account.reload().verified
    assert nothing_was_added(account)


def test_a_member_of_whom_a_factor_is_required_finds_the_way(app, acme, browser, letters):
    """From the page that is shut, by the links that each page has, until it opens."""
    owner = Account.objects.get(id=acme.created_by)
    an_app(owner)
    requiring.require_second_factor(acme, clock.now().date(), owner.id, a_context(owner))
    shut = browser.get(ACME)
    assert (shut.status, shut.heading) == (403, "Set up a second factor")
    security = browser.get(shut.html.main.find("a", string="Set up a second factor")["href"])
    account = security.html.select_one("main .flash a")["href"]
    again = browser.get(account).html.find("button", string="Send it again").parent["action"]
    browser.post(again, form_at=account)
    link = letters.link(TEO, "Verify your e-mail address")
    browser.post("/verify", {"password": PASSWORD}, form_at=link)
    page = browser.get("/account/security")
    there = page.html.find("a", string="Set up")["href"]
    secret = browser.get(there).html.select_one(".secret").get_text().replace(" ", "")
    browser.post(there, {"code": pyotp.TOTP(secret).at(clock.now())})
    assert browser.get(ACME).status == 200
