"""Who may create an account is a setting: everybody, the invited, or nobody."""

import pytest

from portal.documents.accounts import Account
from portal.documents.organizations import Organization
from portal.identity.api_keys import credentials
from portal.organizations.members import inviting
from tests.accounts.letters import Letters
from tests.factories import a_context, an_access, an_account, an_organization
from tests.program import Program, fault
from tests.visitor import PASSWORD

MARA, LENA = "mara@acme.example", "lena@acme.example"
SIGN_UP = {"organization_name": "Acme Corp", "email": LENA, "password": PASSWORD}
CLOSED = ["invited", "off"]
ADVICE = {"invited": "by invitation only", "off": "takes no new accounts"}


@pytest.fixture(params=CLOSED)
def closed(request, settings_with):
    """The setting that is on."""
    with settings_with(signup=request.param):
        yield request.param


@pytest.fixture
def letters(app, office):
    return Letters(app, office)


@pytest.fixture
def invited(letters):
    """The path of the link in Lena's invitation to Acme Corp, which Mara owns."""
    mara = an_account(MARA)
    acme = an_organization("Acme Corp", mara)
    inviting.invite(an_access(acme), LENA, "viewer", a_context(mara))
    return letters.link(LENA, f"{MARA} invites you to Acme Corp")


def test_nobody_signs_up_where_sign_up_is_closed_and_the_page_says_why(visitor, closed):
    page = visitor.get("/signup")
    assert (page.status, page.heading) == (403, "Sign-up is closed")
    assert ADVICE[closed] in page.text
    fields = {**SIGN_UP, "csrf_token": visitor.token("/login")}
    assert visitor.send("/signup", fields).status == 403
    assert not Account.objects


def test_programs_are_told_that_it_is_closed(app, closed):
    answer = Program(app).post("/org/create", SIGN_UP)
    assert fault(answer) == (403, "sign_up_closed", set())
    assert not Account.objects


@pytest.mark.parametrize("path", ["/", "/login", "/login/passkey", "/forgot", "/nowhere", "/docs"])
def test_no_page_leads_to_a_sign_up_that_is_closed(visitor, closed, path):
    page = visitor.get(path)
    assert not page.html.select("a[href*=signup]")
    if path in ("/", "/login"):
        assert ADVICE[closed] in page.text


def test_where_it_is_open_pages_lead_there(visitor):
    for path in ("/", "/login", "/login/passkey", "/nowhere"):
        assert visitor.get(path).html.select("a[href$='/signup']")


def test_a_sign_up_that_was_begun_before_is_not_finished(
    app, visitor, letters, settings_with, closed
):
    with settings_with(signup="open", signup_requires_verification=True):
        assert visitor.sign_up(email=LENA).status == 202
    link = letters.link(LENA, "Finish signing up")
    with settings_with(signup_requires_verification=True):
        assert visitor.get(link).heading == "Sign-up is closed"
        answer = visitor.send("/signup/finish", {**SIGN_UP, "csrf_token": visitor.token("/login")})
        assert answer.status == 403
    assert not Account.objects


def test_the_invited_join_where_invitations_are_the_way_in(visitor, invited, settings_with):
    with settings_with(signup="invited"):
        assert visitor.post(invited, {"password": PASSWORD}).location == "/organizations/acme-corp"
    assert Account.objects(email=LENA)


def test_an_invitation_makes_no_account_where_there_is_no_way_in(
    app, visitor, invited, settings_with
):
    token = visitor.token("/login")
    with settings_with(signup="off"):
        assert visitor.get(invited).heading == "Sign-up is closed"
        assert visitor.send(invited, {"password": PASSWORD, "csrf_token": token}).status == 403
        assert not Account.objects(email=LENA)
        an_account(LENA)
        visitor.log_in(LENA)
        assert visitor.post(invited).location == "/organizations/acme-corp"


@pytest.mark.parametrize(("signup", "status"), [("open", 201), ("invited", 201), ("off", 403)])
def test_a_provisioning_key_signs_up_unless_nobody_may(app, settings_with, signup, status):
    sales = Program(app, credentials.create_provisioning_key("Sales"))
    with settings_with(signup=signup):
        assert sales.post("/org/create", SIGN_UP).status_code == status
    assert Account.objects.count() == (status == 201)


def test_who_has_an_account_goes_on(visitor, closed):
    an_account(MARA)
    visitor.log_in(MARA)
    assert visitor.get("/signup").location == "/organizations/new"
    answer = visitor.post("/organizations/new", {"organization_name": "Acme Corp"})
    assert answer.location == "/organizations/acme-corp"
    assert Organization.objects.count() == 1


def test_members_are_told_whom_they_can_invite(app, visitor, settings_with):
    an_organization("Acme Corp", an_account(MARA))
    visitor.log_in(MARA)
    told = "Only who has an account already"
    assert told not in visitor.get("/organizations/acme-corp/members").text
    with settings_with(signup="off"):
        assert told in visitor.get("/organizations/acme-corp/members").text
