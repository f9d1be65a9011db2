"""The people of the installation: found, seen, and helped without anybody getting in as them."""

from datetime import timedelta
from functools import partial

import pytest

from portal import clock
from portal.database.transactions import transaction, transactional
from portal.documents.accounts import Account, OperatorRole
from portal.documents.audit import AuditEvent
from portal.documents.mails import Mail
from portal.documents.memberships import Role
from portal.documents.second_factors import AuthenticatorApp
from portal.documents.sessions import Browser, Session
from portal.errors import PortalError
from portal.identity.authentication import logging_in
from portal.identity.second_factors import resetting, totp
from portal.identity.second_factors.mails import KEEP_FACTORS
from portal.identity.sessions import sessions
from portal.identity.sessions.errors import AccountBlocked
from portal.mail.links import sign_token
from portal.operators.errors import LastOperatorAdmin
from portal.operators.people import changing, finding
from portal.operators.people.finding import Way, find_people
from portal.organizations.lifecycle import runner
from portal.web.context import OPERATOR, RequestContext
from tests.factories import (
    a_context,
    a_member,
    a_session,
    an_account,
    an_app,
    an_operator,
    an_organization,
)
from tests.processes import at_once
from tests.program import Program, fault
from tests.visitor import PASSWORD, Visitor

PEOPLE = "/operator/people"
BY_COMMAND = RequestContext(OPERATOR)


def emails(found):
    return [person.email for person in found.page.rows]


def now_of(account):
    return Account.objects.get(id=account.id)


# Found


TYPED = [
    ("mara@acme.example", ["mara@acme.example", "mara@acme.example.org"]),
    ("MARA@Acme.example", ["mara@acme.example", "mara@acme.example.org"]),
    ("Mara <mara@acme.example>", ["mara@acme.example", "mara@acme.example.org"]),
    ("mar", ["mara+shop@acme.example", "mara@acme.example", "mara@acme.example.org"]),
    ("mara+", ["mara+shop@acme.example"]),
    ("mara shop@acme.example", ["mara+shop@acme.example"]),  # by programs that don't encode it
    ("m_r", ["m_r@acme.example"]),
    ("m%", []),
    ("m.r", ["m.r@kestrel.example"]),
    (".*", []),
    ("@acme.example", ["m_r@acme.example", "mara@acme.example", "mara+shop@acme.example"]),
    ("acme.example", ["m_r@acme.example", "mara@acme.example", "mara+shop@acme.example"]),
    ("@kes", ["m.r@kestrel.example"]),
    ("*@kestrel.example", ["m.r@kestrel.example"]),
    ("%@kestrel.example", ["m.r@kestrel.example"]),
    ("@münchen.example", ["lena@münchen.example"]),
]


def test_people_are_found_by_what_is_typed_of_their_address_literally(app):
    """Elsewhere a whole address drowns among others, a domain finds nobody, and % and _ are
    patterns."""
    for email in (
        "mara@acme.example", "mara@acme.example.org", "mara+shop@acme.example",
        "m_r@acme.example", "m.r@kestrel.example",
    ):  # fmt: skip
        an_account(email)
    lena = an_account("lena@münchen.example")
    lena.modify(
        set__email_key="lena@xn--mnchen-3ya.example",
        set__email_by_domain="xn--mnchen-3ya.example@lena",
    )
    for typed, found in TYPED:
        assert emails(find_people(typed)) == found, typed


def test_a_person_is_found_by_id_and_the_newest_are_first_without_anything_typed(app):
    first, second = an_account("a@acme.example"), an_account("b@acme.example")
    assert emails(find_people(str(first.id))) == [first.email]
    assert emails(find_people("")) == [second.email, first.email]
    transaction(partial(changing.blocking.block, first.id, "x", BY_COMMAND))
    assert emails(find_people("", blocked=True)) == [first.email]
    an_account("d@else.example")
    for typed in ("a@", "@acme", "acme.example", str(first.id)):
        assert emails(find_people(typed, blocked=True)) == [first.email], typed
    for typed in ("b@", "@else", "else.example", str(second.id)):
        assert emails(find_people(typed, blocked=True)) == [], typed


def test_long_lists_have_pages_that_neither_repeat_nor_skip_anybody(app, monkeypatch):
    monkeypatch.setattr(finding, "PEOPLE_PER_PAGE", 2)
    for n in range(5):
        an_account(f"p{n}@acme.example")
    for typed in ("p", "@acme.example", ""):
        seen, after = [], None
        while True:
            found = find_people(typed, after=after and str(after))
            seen += emails(found)
            after = found.page.after
            if after is None:
                break
        assert sorted(seen) == [f"p{n}@acme.example" for n in range(5)]
        back = find_people(typed, before=str(found.page.before))
        assert emails(back) == seen[2:4]


def test_searches_read_no_more_than_they_show(app, master_db):
    """At 1,200,000 accounts the same plan takes the same time."""
    for n in range(30):
        an_account(f"p{n:02}@acme{n % 3}.example")
    for match, key in (
        ({"email_key": {"$gte": "p1", "$lt": "p1\U0010ffff"}}, "email_key"),
        ({"email_by_domain": {"$gte": "acme1", "$lt": "acme1\U0010ffff"}}, "email_by_domain"),
    ):
        explained = master_db.command(
            "explain",
            {
                "find": "accounts",
                "filter": {**match, "closed_at": None},
                "sort": {key: 1},
                "limit": 5,
            },
            verbosity="executionStats",
        )
        assert explained["executionStats"]["totalDocsExamined"] <= 5


def test_what_is_typed_is_shown_as_text_and_an_empty_list_says_so(desk):
    page = desk.get(PEOPLE + "?q=<script>alert(1)</script>")
    assert page.html.find("script", string="alert(1)") is None
    assert "Nobody has an address that begins with" in page.text


# Seen


def test_a_person_is_seen_with_all_they_belong_to_and_no_credential(desk, program_of):
    account = an_account("teo@acme.example")
    an_app(account)
    a_session(account.email)
    organization = an_organization("Acme Corp", account)
    text = desk.get(f"{PEOPLE}/{account.id}").text
    for shown in ("Acme Corp", "owner", "authenticator app", "10 recovery codes left", "192.0.2.7"):
        assert shown in text
    answer = program_of(OperatorRole.SUPPORT).get(f"/admin/people/{account.id}")
    assert answer.json["person"]["organizations"][0]["id"] == str(organization.id)
    for place in (text, answer.text):
        assert now_of(account).password_hash not in place
        assert str(Session.objects(account=account.id).first().id) not in place


def test_a_closed_account_is_nobody(desk):
    assert desk.get(f"{PEOPLE}/{OperatorRole.SUPPORT}").status == 404
    assert desk.get(f"{PEOPLE}/6b0caab05c8afde087574ae5").status == 404


# Sessions


def test_sessions_are_ended_and_the_trail_of_the_person_says_by_whom(desk, visitor):
    account = an_account("teo@acme.example")
    visitor.log_in(account.email)
    assert desk.post(f"{PEOPLE}/{account.id}/sessions/end").status == 303
    assert visitor.get("/account").response.location.startswith("/login")
    assert "All sessions ended: 1" in desk.get(f"{PEOPLE}/{account.id}").text


# Second factors


@pytest.mark.attack("O5")
def test_a_reset_waits_a_day_in_which_the_person_is_told_everywhere(desk, desk_of, time_machine):
    teo = desk_of(OperatorRole.SUPPORT, "teo@acme.example")
    account = Account.objects.get(email="teo@acme.example")
    an_app(account)
    changing.request_reset(account.id, BY_COMMAND)
    assert Mail.objects(to=account.email, kind="factors_reset_requested").count() == 1
    assert "Your second factors are to be reset" in teo.get("/organizations").text
    time_machine.move_to(clock.now() + timedelta(hours=23, minutes=59))
    runner.run_once()
    assert AuthenticatorApp.objects(id=account.id).count() == 1
    time_machine.move_to(clock.now() + timedelta(minutes=2))
    assert resetting.carry_out_due() == 1
    assert resetting.carry_out_due() == 0
    assert not now_of(account).has_second_factor
    assert Session.objects(account=account.id).count() == 0
    assert Mail.objects(to=account.email, kind="factors_reset").count() == 1


@pytest.mark.parametrize("way", ["link", "logged in", "operator"])
def test_a_reset_is_stopped(app, desk_of, visitor, way):
    teo = desk_of(OperatorRole.SUPPORT, "teo@acme.example")
    account = changing.request_reset(Account.objects.get().id, BY_COMMAND)
    token = sign_token(
        KEEP_FACTORS, {"account": str(account.id), "request": str(now_of(account).factors_reset)}
    )
    ways = {
        "link": lambda: visitor.post("/keep-factors", form_at=f"/keep-factors?token={token}"),
        "logged in": lambda: teo.post("/account/security/keep", form_at="/account/security"),
        "operator": lambda: changing.stop_reset(account.id, BY_COMMAND),
    }
    ways[way]()
    assert now_of(account).factors_reset_at is None
    assert visitor.get(f"/keep-factors?token={token}").status == 410


@pytest.mark.parametrize("way", ["link", "logged in"])
def test_a_double_click_that_stops_a_reset_leads_to_one_place(desk_of, visitor, way):
    teo = desk_of(OperatorRole.SUPPORT, "teo@acme.example")
    account = changing.request_reset(Account.objects.get().id, BY_COMMAND)
    request = str(now_of(account).factors_reset)
    token = sign_token(KEEP_FACTORS, {"account": str(account.id), "request": request})
    browser, page, path, place = {
        "link": (visitor, f"/keep-factors?token={token}", "/keep-factors", "/"),
        "logged in": (teo, "/account/security", "/account/security/keep", "/account/security"),
    }[way]
    sent = browser.hidden(page)
    for _ in range(2):
        assert browser.send(path, sent).location == place
    flashes = [
        flash.get_text(strip=True) for flash in browser.get(place).html.select(".flash[role]")
    ]
    assert flashes[0].startswith("Your second factors stay as they are.")
    assert all("Nothing was changed" in words for words in flashes[1:])
    assert AuditEvent.objects(action="account.factors_kept").count() == 1


def test_looking_at_the_link_stops_nothing(app, visitor):
    """Mail scanners follow links."""
    account = an_account("teo@acme.example")
    an_app(account)
    changing.request_reset(account.id, BY_COMMAND)
    request = str(now_of(account).factors_reset)
    token = sign_token(KEEP_FACTORS, {"account": str(account.id), "request": request})
    assert visitor.get(f"/keep-factors?token={token}").status == 200
    assert now_of(account).factors_reset_at is not None


def test_whoever_adds_a_factor_meanwhile_keeps_it(app, time_machine):
    account = an_account("teo@acme.example")
    an_app(account)
    changing.request_reset(account.id, BY_COMMAND)
    principal = transactional(sessions.open_session)(now_of(account), a_context(account), "")
    secret = totp.begin_enrollment(principal.session_id)
    time_machine.move_to(clock.now() + timedelta(minutes=1))
    code = totp.pyotp.TOTP(secret).at(clock.now())
    totp.finish_enrollment(principal, code, a_context(account))
    time_machine.move_to(clock.now() + timedelta(days=2))
    assert resetting.carry_out_due() == 0
    assert now_of(account).has_second_factor


# Blocked


@pytest.mark.attack("O5")
def test_nobody_logs_in_to_a_blocked_account_by_any_way(desk, visitor, app):
    account = an_account("teo@acme.example")
    program = Program(app)
    program.log_in(account.email)
    visitor.log_in(account.email)
    assert desk.post(f"{PEOPLE}/{account.id}/block", {"reason": "Phishing"}).status == 303
    assert program.get("/auth/check").status_code == 401
    assert visitor.get("/account").response.location.startswith("/login")
    assert "has blocked this account" in visitor.log_in(account.email).text
    program.token = None
    assert fault(program.log_in(account.email))[:2] == (403, "account_blocked")
    assert fault(program.log_in(account.email, "wrong"))[:2] == (401, "wrong_credentials")
    with pytest.raises(AccountBlocked):
        transactional(sessions.log_in)(now_of(account), a_context(account), "")
    assert Session.objects(account=account.id).count() == 0


def test_a_log_in_that_waits_for_its_second_factor_ends_with_a_block(app, visitor):
    """Also if the account is unblocked before: its password was right at another time."""
    account = an_account("teo@acme.example")
    an_app(account)
    visitor.log_in(account.email)
    changing.block(account.id, "x", BY_COMMAND)
    changing.unblock(account.id, BY_COMMAND)
    assert "This log-in is over" in visitor.get("/login/second").text
    assert Session.objects(account=account.id).count() == 0


def test_memberships_outlast_a_block_and_its_reason_is_for_operators(desk, visitor):
    account = an_account("teo@acme.example")
    an_organization("Acme Corp", account)
    desk.post(f"{PEOPLE}/{account.id}/block", {"reason": "Ticket 4711"})
    assert "Ticket 4711" in desk.get(f"{PEOPLE}/{account.id}").text
    desk.post(f"{PEOPLE}/{account.id}/unblock")
    assert visitor.log_in(account.email).status == 303
    assert visitor.get("/organizations/acme-corp").status == 200
    told = Mail.objects(to=account.email)
    assert {mail.kind for mail in told} >= {"account_blocked", "account_unblocked"}
    assert "4711" not in str([mail.to_mongo() for mail in told])


def test_a_block_tells_what_nobody_manages_meanwhile(desk, command):
    account = an_account("teo@acme.example")
    an_organization("Acme Corp", account)
    a_member(an_organization("Kestrel", account), Role.OWNER, "idris@kestrel.example")
    alone = "Nobody else who can log in owns Acme Corp"
    page = desk.get(f"{PEOPLE}/{account.id}/block")
    assert alone in page.text
    assert "Kestrel" not in page.text
    desk.post(f"{PEOPLE}/{account.id}/block", {"reason": "Phishing"})
    assert alone in desk.get(f"{PEOPLE}/{account.id}").text
    assert "owns: Acme Corp.\n" in command("people", "show", account.email).stdout


@pytest.mark.attack("O5")
def test_a_log_in_at_the_moment_of_a_block_leaves_no_session(app):
    account = an_account("teo@acme.example")

    def log_in():
        try:
            logging_in.log_in(account.email, PASSWORD, a_context(), "")
        except PortalError:
            return

    at_once([log_in, lambda: changing.block(account.id, "x", BY_COMMAND), log_in])
    assert Session.objects(account=account.id).count() == 0


def test_the_last_operator_admin_is_not_blocked_also_by_each_other(app):
    first, second = (an_operator(OperatorRole.ADMIN, f"{n}@portal.example") for n in "ab")

    def block(account):
        try:
            changing.block(account.id, "x", BY_COMMAND)
        except LastOperatorAdmin:
            return

    at_once([partial(block, first), partial(block, second)])
    assert Account.objects(operator_role=OperatorRole.ADMIN, blocked_at=None).count() == 1


# Whose account


@pytest.mark.attack("O5")
@pytest.mark.parametrize("way", ["block", "factors/reset", "sessions/end"])
def test_an_operator_acts_neither_on_operators_nor_on_themselves(desk, way):
    admin = an_operator(OperatorRole.ADMIN, "admin@portal.example")
    own = Account.objects.get(email="ops@portal.example")
    for account in (admin, own):
        assert desk.get(f"{PEOPLE}/{account.id}/{way}").status == 403
    assert Account.objects(blocked_at=None, factors_reset_at=None).count() == 2


def test_a_command_ends_the_sessions_of_all(app, command):
    visitors = [Visitor(app), Visitor(app)]
    for n, visitor in enumerate(visitors):
        visitor.sign_up(f"Acme {n}", f"mara{n}@acme.example")
    Browser.objects.update(trusted_until=clock.now() + timedelta(days=1))
    assert command("people", "end-sessions").returncode == 2
    assert command("people", "end-sessions", "mara0@acme.example", "--all").returncode == 2
    told = command("people", "end-sessions", "--all")
    assert told.stdout == "2 sessions ended.\n"
    assert all("/login" in visitor.get("/organizations").location for visitor in visitors)
    assert [browser.trusted_until for browser in Browser.objects] == [None, None]
    assert "All sessions of all accounts ended: 2" in command("audit", "list").stdout


def test_people_are_found_and_helped_by_commands(app, command):
    account = an_account("teo@acme.example")
    an_app(account)
    assert account.email in command("people", "search", "teo").stdout
    for arguments in (
        ("end-sessions",),
        ("reset-factors",),
        ("keep-factors",),
        ("block", "--reason", "Phishing"),
        ("unblock",),
        ("show", "--json"),
    ):
        told = command("people", arguments[0], account.email, *arguments[1:])
        assert told.returncode == 0, told
    assert find_people("teo").way == Way.PREFIX
