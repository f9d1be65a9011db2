"""Logging in to an account that has a second factor."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal import clock, settings
from portal.documents.accounts import Account
from portal.documents.audit import AuditEvent
from portal.documents.second_factors import AuthenticatorApp, RecoveryCodes
from portal.documents.sessions import Browser, Session, SessionKind
from portal.identity.authentication import logging_in
from portal.identity.second_factors.errors import WrongCode
from portal.identity.second_factors.typed_codes import parse_code_of_app
from portal.identity.sessions import sessions
from tests.accounts.letters import Letters
from tests.factories import a_context, an_account, an_app
from tests.processes import at_once
from tests.program import Program, fault
from tests.visitor import PASSWORD, Visitor


def is_logged_in(visitor):
    return visitor.get("/organizations").status == 200


def give(visitor, code, **fields):
    return visitor.post("/login/second", {"code": code, **fields})


@pytest.fixture
def limited(app):
    """The limits as everybody has them."""
    active = settings.current()
    settings.activate(replace(active, rate_limits=True))
    yield
    settings.activate(active)


def test_the_password_alone_leads_to_the_second_factor(visitor, mara):
    answer = visitor.log_in()
    assert answer.status == 303
    assert answer.location == "/login/second"
    assert visitor.get("/login/second").heading == "Second factor"


@pytest.mark.attack("A5")
def test_no_page_can_be_reached_without_the_whole_log_in(visitor, mara):
    visitor.log_in()
    for path in (
        "/organizations",
        "/organizations/new",
        "/account",
        "/account/security",
        "/trash",
        "/account/confirm",
    ):
        assert visitor.get(path).location.startswith("/login?next="), path


@pytest.mark.attack("A5")
def test_the_waiting_session_is_neither_a_browsers_nor_a_programs(mara):
    waiting = logging_in.log_in("mara@acme.example", PASSWORD, a_context(), "A browser")
    assert sessions.find_principal(waiting.session_id) is None
    assert sessions.find_principal(waiting.session_id, "program") is None


def test_a_code_of_the_app_finishes_the_log_in(visitor, mara):
    visitor.log_in()
    answer = give(visitor, mara.code())
    assert answer.status == 303
    assert answer.location == "/organizations"
    assert is_logged_in(visitor)


def test_the_log_in_ends_where_it_was_going(visitor, mara):
    wanted = visitor.get("/account/security").location
    answer = visitor.post(
        "/login", {"email": "mara@acme.example", "password": PASSWORD}, form_at=wanted
    )
    answer = visitor.post(answer.location, {"code": mara.code()})
    assert answer.location == "/account/security"


@pytest.mark.attack("C2")
@pytest.mark.parametrize(
    "target", ["//evil.example", "https:evil", "/\\evil.example", "javascript:alert(1)"]
)
def test_next_stays_on_the_site(visitor, mara, target):
    visitor.log_in()
    answer = visitor.send(
        "/login/second",
        {"csrf_token": visitor.token("/login/second"), "code": mara.code()},
        query_string={"next": target},
    )
    assert answer.location == "/organizations"


NO_CODES = [
    "", "12345", "1234567", "000000x", "x" * 1000, "1" * 6 + " " * 1000, "\0", "{'$ne': 1}",
    "one two three",
]  # fmt: skip


def in_digits_from(zero):
    return lambda code: "".join(chr(ord(zero) + int(digit)) for digit in code)


def grouped_by(between):
    return lambda code: code[:3] + between + code[3:]


TYPED = {
    "a space": grouped_by(" "),
    "a narrow space that doesn't break": grouped_by("\u202f"),
    "a dash": grouped_by("-"),
    "an en dash": grouped_by("–"),
    "a minus": grouped_by("−"),
    "a soft hyphen": grouped_by("\u00ad"),
    "a middle dot": grouped_by("·"),
    "a space of no width": grouped_by("\u200b"),
    "a Hangul filler": grouped_by("\u3164"),
    "a line": lambda code: f"{code}\r\n",
    "a byte order mark before it": lambda code: f"\ufeff{code}",
    "marks of direction around it": lambda code: f"\u2066{code}\u2069",
    "quotes and a full stop": lambda code: f"“{code}”.",
    "full-width digits": in_digits_from("０"),
    "Arabic digits": in_digits_from("٠"),
    "Persian digits": in_digits_from("۰"),
    "Devanagari digits": in_digits_from("०"),
    "bold digits": in_digits_from("𝟎"),
    "keycaps": lambda code: "".join(f"{digit}\ufe0f\u20e3" for digit in code),
}


def test_each_way_to_type_a_code_is_read():
    read = {name: parse_code_of_app(typed("123456")) for name, typed in TYPED.items()}
    assert read == dict.fromkeys(TYPED, "123456")


# By the same reader, at forms and by programs.
SENT = ("a line", "quotes and a full stop", "Arabic digits")
each_typed = pytest.mark.parametrize(
    "typed",
    [
        pytest.param(typed, id=name, marks=() if name in SENT else pytest.mark.full)
        for name, typed in TYPED.items()
    ],
)


@each_typed
def test_a_code_is_read_by_what_is_seen_of_it(visitor, mara, typed):
    visitor.log_in()
    assert give(visitor, typed(mara.code())).status == 303


@each_typed
def test_programs_send_codes_as_people_do(app, mara, typed):
    body = {"email": "mara@acme.example", "password": PASSWORD, "code": typed(mara.code())}
    assert Program(app).post("/admin/login", body).status_code == 200


@pytest.mark.parametrize(
    "typed",
    [
        str.upper,
        lambda code: code.replace("-", " "),
        lambda code: code.replace("-", "—"),
        lambda code: f"\u200e{code}.",
        lambda code: "".join(chr(ord(c) + 0xFEE0) for c in code),
    ],
    ids=["capitals", "spaces", "dashes", "what is pasted along", "full width"],
)
def test_a_recovery_code_is_read_by_what_is_seen_of_it(visitor, mara, typed):
    visitor.log_in()
    assert give(visitor, typed(mara.codes[0])).status == 303


@pytest.mark.attack("A5", "Q1")
def test_what_is_no_code_is_refused_at_the_field(visitor, mara):
    visitor.log_in()
    for code in NO_CODES:
        answer = give(visitor, code)
        assert answer.status == 422, code
        assert answer.fault("code").startswith("A code of the app has 6 digits")
        assert not is_logged_in(visitor)


@pytest.mark.attack("A5")
def test_what_is_no_code_counts_as_no_try(visitor, mara, limited):
    visitor.log_in()
    token = visitor.token("/login/second")
    sent = [{"csrf_token": token, "code": code} for code in NO_CODES * 2]
    answers = [visitor.send("/login/second", fields).status for fields in sent]
    assert set(answers) == {422}
    assert give(visitor, mara.code()).status == 303


def test_what_is_no_code_is_told_to_programs_after_the_right_password_only(app, mara, limited):
    body = {"email": "mara@acme.example", "password": PASSWORD, "code": "12345"}
    for _ in range(6):
        assert fault(Program(app).post("/admin/login", body)) == (422, "malformed_code", {"code"})
    wrong = Program(app).post("/admin/login", {**body, "password": "another one entirely"})
    assert fault(wrong) == (401, "wrong_credentials", {"email"})
    assert Program(app).post("/admin/login", {**body, "code": mara.code()}).status_code == 200


@pytest.mark.attack("S1")
def test_the_new_session_shares_nothing_with_the_one_that_waited(visitor, mara, app):
    visitor.log_in()
    before = visitor.client.get_cookie("portal_session_test").value
    [waiting] = Session.objects(kind=SessionKind.PENDING)
    give(visitor, mara.code())
    assert not Session.objects(kind=SessionKind.PENDING)
    assert not Session.objects(id=waiting.id)
    copy = Visitor(app)
    copy.client.set_cookie("portal_session_test", before)
    assert copy.get("/organizations").status == 303
    assert copy.get("/login/second").status == 401
    assert Session.objects.order_by("-created_at").first().factors == [
        "password",
        "authenticator app",
    ]


@pytest.mark.attack("A5")
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_clock_may_be_half_a_minute_off(visitor, master_db, mara, offset):
    AuthenticatorApp.objects.update(set__last_step=0)
    visitor.log_in()
    assert give(visitor, mara.code(offset)).status == 303


@pytest.mark.attack("A5")
@pytest.mark.parametrize("offset", [-3, -2, 2, 3])
def test_a_clock_may_not_be_further_off(visitor, mara, offset):
    AuthenticatorApp.objects.update(set__last_step=0)
    visitor.log_in()
    assert give(visitor, mara.code(offset)).status == 401


@pytest.mark.attack("A5")
def test_a_code_works_once(visitor, mara, app):
    code = mara.code()
    visitor.log_in()
    give(visitor, code)
    thief = Visitor(app)
    thief.log_in()
    assert give(thief, code).status == 401
    assert not is_logged_in(thief)


@pytest.mark.attack("A5")
def test_a_code_of_an_earlier_step_is_worth_nothing_after_a_later_one(visitor, mara, app):
    earlier = mara.code()
    visitor.log_in()
    give(visitor, mara.code(1))
    thief = Visitor(app)
    thief.log_in()
    assert give(thief, earlier).status == 401


@pytest.mark.attack("A5")
def test_of_two_log_ins_with_one_code_at_once_one_succeeds(mara):
    waiting = [logging_in.log_in("mara@acme.example", PASSWORD, a_context(), "") for _ in range(4)]
    code = mara.code()

    def finish(held):
        try:
            return logging_in.finish_with_code(held.session_id, code, a_context(), "", trust=False)
        except WrongCode:
            return None

    answers = at_once([lambda held=held: finish(held) for held in waiting])
    assert len([answer for answer in answers if answer]) == 1


def test_a_log_in_waits_for_ten_minutes(visitor, mara, time_machine):
    visitor.log_in()
    time_machine.move_to(clock.now() + timedelta(minutes=11))
    page = visitor.get("/login/second")
    assert page.status == 401
    assert page.heading == "This log-in is over"


@pytest.mark.attack("A5")
def test_a_log_in_is_over_after_ten_wrong_codes(visitor, mara):
    visitor.log_in()
    token = visitor.token("/login/second")
    answers = [
        visitor.send("/login/second", {"csrf_token": token, "code": "000000"}).status
        for _ in range(10)
    ]
    assert set(answers) == {401}
    assert (
        visitor.send("/login/second", {"csrf_token": token, "code": mara.code()}).heading
        == "This log-in is over"
    )
    assert not is_logged_in(visitor)


@pytest.mark.attack("A5")
def test_codes_are_limited_for_an_account_over_all_log_ins(app, mara, limited):
    statuses = []
    for _ in range(3):
        visitor = Visitor(app)
        visitor.log_in()
        token = visitor.token("/login/second")
        statuses += [
            visitor.send("/login/second", {"csrf_token": token, "code": "000000"}).status
            for _ in range(4)
        ]
    assert statuses == [401] * 5 + [429] * 7


@pytest.mark.attack("A5")
def test_a_recovery_code_works_once(visitor, mara, app):
    visitor.log_in()
    assert give(visitor, mara.codes[0].upper()).status == 303
    thief = Visitor(app)
    thief.log_in()
    assert give(thief, mara.codes[0]).status == 401
    assert len(RecoveryCodes.objects.get().hashes) == 9


@pytest.mark.attack("A5")
def test_of_two_log_ins_with_one_recovery_code_at_once_one_succeeds(mara):
    waiting = [logging_in.log_in("mara@acme.example", PASSWORD, a_context(), "") for _ in range(4)]

    def finish(held):
        try:
            return logging_in.finish_with_code(
                held.session_id, mara.codes[3], a_context(), "", trust=False
            )
        except WrongCode:
            return None

    answers = at_once([lambda held=held: finish(held) for held in waiting])
    assert len([answer for answer in answers if answer]) == 1
    assert len(RecoveryCodes.objects.get().hashes) == 9


@pytest.mark.attack("A5")
def test_recovery_codes_of_another_account_open_nothing(visitor, mara):
    _, others = an_app(an_account("teo@acme.example"))
    visitor.log_in()
    assert give(visitor, others[0]).status == 401


def test_a_remembered_browser_is_not_asked_again_for_30_days(visitor, mara, app, time_machine):
    visitor.log_in()
    give(visitor, mara.code(), trust="y")
    visitor.log_out()
    assert visitor.log_in().location == "/organizations"
    assert Visitor(app).log_in().location == "/login/second"
    visitor.log_out()
    time_machine.move_to(clock.now() + timedelta(days=31))
    assert visitor.log_in().location == "/login/second"


def remembered(visitor, mara):
    """The browser in which the second factor was given, and need not be given again."""
    Session.objects.delete()  # the one in which the app was set up
    visitor.log_in()
    give(visitor, mara.code(), trust="y")
    visitor.log_out()
    assert visitor.log_in().location == "/organizations"
    return visitor


DANGEROUS = [
    "/account/security/app/remove",
    "/account/security/codes/new",
    "/account/password",
    "/account/address",
    "/account/close",
    "/account/export",
]


@pytest.mark.attack("A5")
@pytest.mark.parametrize("path", DANGEROUS)
def test_the_password_alone_does_nothing_dangerous_in_a_remembered_browser(visitor, mara, path):
    """Whoever sits down there and knows the password removes no factor."""
    remembered(visitor, mara)
    assert visitor.get(path).location.startswith("/account/confirm")
    fields = {"csrf_token": visitor.token("/organizations/new"), "current_password": PASSWORD}
    if path != "/account/export":
        assert visitor.send(path, fields).location.startswith("/account/confirm")
    assert AuthenticatorApp.objects
    assert visitor.post("/account/confirm", {"current_password": PASSWORD}).status == 422


def test_the_second_factor_opens_it_in_a_remembered_browser(visitor, mara):
    remembered(visitor, mara)
    page = "/account/security/app/remove"
    asked = visitor.get(page).location
    assert visitor.post(asked, {"code": mara.code(1)}).location == page
    assert visitor.post(page).location == "/account/security"


def elsewhere(app, code):
    """Another browser of hers, logged in by both factors."""
    other = Visitor(app)
    other.log_in()
    give(other, code)
    return other


@pytest.mark.attack("T2")
def test_a_session_that_is_ended_leaves_no_trusted_browser(visitor, mara, app):
    lost = remembered(visitor, mara)
    [session] = Session.objects
    other = elsewhere(app, mara.codes[0])
    path = f"/account/sessions/{session.public_id}/end"
    assert other.post(path, form_at="/organizations/new").status == 303
    assert lost.log_in().location == "/login/second"


@pytest.mark.attack("T2")
def test_sessions_that_are_ended_together_leave_no_trusted_browser(visitor, mara, app):
    lost = remembered(visitor, mara)
    other = Visitor(app)
    other.log_in()
    give(other, mara.codes[0], trust="y")
    other.post("/account/sessions/end-others", form_at="/organizations/new")
    assert lost.log_in().location == "/login/second"
    other.log_out()
    assert other.log_in().location == "/organizations"


@pytest.mark.attack("T2")
def test_where_nobody_knows_the_browser_of_an_ended_session_none_is_trusted(visitor, mara, app):
    """One that an earlier version opened."""
    lost = remembered(visitor, mara)
    Session.objects.update(unset__browser=True)
    elsewhere(app, mara.codes[0]).post("/account/sessions/end-others", form_at="/organizations/new")
    assert lost.log_in().location == "/login/second"


def test_a_token_that_is_ended_leaves_browsers_as_they_are(visitor, mara, app):
    remembered(visitor, mara)
    body = {"email": "mara@acme.example", "password": PASSWORD, "code": mara.codes[0]}
    Program(app).post("/admin/login", body)
    visitor.post("/account/sessions/end-others", form_at="/organizations/new")
    assert not Session.objects(kind="program")
    visitor.log_out()
    assert visitor.log_in().location == "/organizations"


def test_logging_in_anew_in_a_remembered_browser_leaves_it_so(visitor, mara):
    remembered(visitor, mara)
    fields = {"email": "mara@acme.example", "password": PASSWORD}
    assert visitor.post("/login", fields, form_at="/trash").location == "/organizations"
    visitor.log_out()
    assert visitor.log_in().location == "/organizations"


@pytest.mark.attack("T2")
@pytest.mark.parametrize("deed", ["change", "recover"])
def test_no_browser_is_trusted_after_the_password_changed(visitor, mara, app, office, deed):
    lost, other = remembered(visitor, mara), "another battery of horses"
    if deed == "change":
        elsewhere(app, mara.codes[0]).post(
            "/account/password", {"current_password": PASSWORD, "password": other}
        )
    else:
        Visitor(app).post("/forgot", {"email": "mara@acme.example"})
        link = Letters(app, office).link("mara@acme.example", "Choose a new password")
        Account.objects.update(set__verified_at=clock.now())  # so that the factor stays
        Visitor(app).post("/recover", {"password": other}, form_at=link)
    assert lost.log_in(password=other).location == "/login/second"


def test_a_browser_that_was_not_to_be_remembered_is_asked_again(visitor, mara):
    visitor.log_in()
    give(visitor, mara.code())
    visitor.log_out()
    assert visitor.log_in().location == "/login/second"


def test_who_waits_is_not_a_known_browser_yet(visitor, mara):
    visitor.log_in()
    assert not Browser.objects
    assert visitor.client.get_cookie("portal_browser_test") is None


def test_a_password_that_was_proved_to_be_anothers_ends_log_ins_that_wait(visitor, mara):
    visitor.log_in()
    Session.objects(account=mara.id).delete()
    assert visitor.get("/login/second").status == 401


@pytest.mark.attack("A5")
def test_the_log_in_by_json_needs_the_code(app, mara):
    program = Program(app)
    assert fault(program.log_in()) == (401, "second_factor_required", {"code"})
    assert program.get("/auth/check").status_code == 401


@pytest.mark.attack("A5")
def test_the_log_in_by_json_takes_a_code_or_a_recovery_code_once(app, mara):
    program = Program(app)
    body = {"email": "mara@acme.example", "password": PASSWORD}
    for code in (mara.code(), mara.codes[0]):
        answer = program.post("/admin/login", {**body, "code": code})
        assert answer.status_code == 200
        program.token = answer.json["token"]
        assert program.get("/auth/check").status_code == 200
        program.token = None
        again = program.post("/admin/login", {**body, "code": code})
        assert fault(again) == (401, "wrong_code", {"code"})


@pytest.mark.attack("A5")
@pytest.mark.parametrize("code", [{}, {"code": "000000"}, {"code": "x" * 16}])
def test_a_password_without_its_code_by_json_is_in_the_trail_once(app, mara, code):
    """The owner sees that somebody knows the password."""
    body = {"email": "mara@acme.example", "password": PASSWORD, **code}
    assert Program(app).post("/admin/login", body).status_code == 401
    [event] = AuditEvent.objects(chain=mara.id, action__ne="account.app_added")
    assert (event.action, event.actor) == ("account.second_factor_asked", mara.id)
    assert event.personal["address"]["value"] == "127.0.0.1"


@pytest.mark.attack("D1")
def test_wrong_passwords_by_json_are_not_in_the_trail(app, mara):
    """Nobody fills the trail of an account whose password they don't know."""
    Program(app).log_in("mara@acme.example", "wrong password wrong")
    assert AuditEvent.objects(chain=mara.id).count() == 1


@pytest.mark.attack("A2")
@pytest.mark.parametrize("password", ["wrong password wrong", ""])
def test_the_log_in_by_json_tells_nothing_of_codes_without_the_password(app, mara, password):
    answer = Program(app).post(
        "/admin/login", {"email": "mara@acme.example", "password": password, "code": mara.code()}
    )
    assert fault(answer) == (401, "wrong_credentials", {"email"})


def test_a_code_that_is_not_needed_is_no_error(app):
    an_account("mara@acme.example")
    body = {"email": "mara@acme.example", "password": PASSWORD, "code": "123456"}
    assert Program(app).post("/admin/login", body).status_code == 200


def test_what_was_given_is_in_the_accounts_trail(visitor, mara):
    visitor.log_in()
    give(visitor, mara.codes[0])
    events = AuditEvent.objects(chain=mara.id).order_by("seq")
    assert [event.action for event in events] == [
        "account.app_added",
        "account.second_factor_asked",
        "account.recovery_code_used",
        "account.logged_in",
    ]
    assert events[3].details == {"factors": "password, recovery code"}
    assert (
        events[3].session
        == Session.objects.get(kind=SessionKind.BROWSER, factors="recovery code").public_id
    )


@pytest.mark.attack("L1")
def test_no_code_is_in_any_log_or_event(visitor, mara, log):
    visitor.log_in()
    give(visitor, mara.codes[0])
    everything = log.text + str([event.to_mongo() for event in AuditEvent.objects])
    assert mara.codes[0] not in everything
    assert mara.app.secret not in everything
