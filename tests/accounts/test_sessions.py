"""The sessions of an account: seen, and ended from elsewhere."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.audit import AuditEvent
from portal.documents.sessions import Session, SessionKind
from portal.identity.sessions.sessions import describe_user_agent
from tests.factories import an_account
from tests.program import Program
from tests.visitor import Visitor

MARA = "mara@acme.example"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def a_browser(app, user_agent=FIREFOX, email=MARA):
    visitor = Visitor(app)
    visitor.client.environ_base["HTTP_USER_AGENT"] = user_agent
    assert visitor.log_in(email).status == 303
    return visitor


@pytest.fixture(autouse=True)
def mara():
    return an_account(MARA)


@pytest.fixture
def here(app):
    return a_browser(app)


@pytest.fixture
def there(app, here):
    return a_browser(app, IPHONE)


def rows(visitor):
    page = visitor.get("/account/sessions")
    return [" ".join(row.get_text(" ").split()) for row in page.html.select("tbody tr")]


def end(visitor, public_id):
    return visitor.post(f"/account/sessions/{public_id}/end", form_at="/account/password")


def test_ending_one_twice_leads_to_the_list_both_times(here, there):
    path = f"/account/sessions/{session_in(IPHONE).public_id}/end"
    sent = here.hidden("/account/sessions")
    for _ in range(2):
        assert here.send(path, sent).location == "/account/sessions"
    flashes = here.get("/account/sessions").html.select(".flash")
    assert [flash.get_text(strip=True) for flash in flashes] == ["The session has ended."]


def session_in(user_agent):
    return Session.objects.get(user_agent=user_agent)


def is_in(visitor):
    return visitor.get("/account").status == 200


def test_each_browser_and_program_is_listed_and_this_one_is_marked(app, here, there):
    Program(app).log_in(MARA)
    first, *others = rows(here)
    assert first.startswith("Firefox on Linux this one 127.0.0.1")
    assert len(others) == 2
    assert sum("Safari on iPhone" in row for row in others) == 1
    assert sum("token" in row for row in others) == 1
    assert rows(there)[0].startswith("Safari on iPhone this one")


@pytest.mark.attack("T2")
def test_ending_one_acts_on_its_next_request(here, there):
    answer = end(here, session_in(IPHONE).public_id)
    assert (answer.status, answer.location) == (303, "/account/sessions")
    assert not is_in(there)
    assert is_in(here)
    assert len(rows(here)) == 1


def test_a_token_can_be_ended(app, here):
    program = Program(app)
    program.log_in(MARA)
    end(here, Session.objects.get(kind=SessionKind.PROGRAM).public_id)
    assert program.get("/auth/check").status_code == 401


def test_all_others_end_at_once(app, here, there):
    program = Program(app)
    program.log_in(MARA)
    button = here.get("/account/sessions").html.select("main form button")[-1]
    assert button.text == "End the 2 other sessions"
    assert here.post("/account/sessions/end-others", form_at="/account/password").status == 303
    assert is_in(here)
    assert not is_in(there)
    assert program.get("/auth/check").status_code == 401
    assert here.post("/account/sessions/end-others", form_at="/account/password").status == 303


@pytest.mark.attack("T1")
def test_a_session_of_somebody_else_is_as_if_it_did_not_exist(app, here):
    an_account("teo@acme.example")
    teo = a_browser(app, IPHONE, "teo@acme.example")
    answers = [
        end(here, public_id)
        for public_id in (session_in(IPHONE).public_id, "6" * 24, "nothing", "%00")
    ]
    assert [answer.status for answer in answers] == [404] * 4
    assert {answer.heading for answer in answers[:3]} == {"There is no such session"}
    assert is_in(teo)


def test_those_that_ran_out_are_not_listed(here, there, time_machine):
    time_machine.move_to(clock.now() + timedelta(hours=11))
    assert is_in(here)
    time_machine.move_to(clock.now() + timedelta(hours=2))
    assert len(rows(here)) == 1


@pytest.mark.attack("L1")
def test_what_a_session_is_known_by_in_the_database_is_on_no_page(here):
    page = here.get("/account/sessions").response.get_data(as_text=True)
    assert Session.objects.get().id not in page


def test_ending_sessions_is_in_the_trail(here, there, app, mara):
    public_id = session_in(IPHONE).public_id
    end(here, public_id)
    a_browser(app, IPHONE)
    here.post("/account/sessions/end-others", form_at="/account/password")
    events = AuditEvent.objects(chain=mara.id, action__startswith="account.session").order_by("seq")
    assert [event.action for event in events] == [
        "account.session_ended",
        "account.sessions_ended",
    ]
    assert events[0].target == public_id
    assert events[1].details == {"count": "1"}


def test_a_session_that_an_earlier_version_wrote_is_listed_and_ended_like_others(
    here, there, master_db
):
    """Of a portal that still runs beside, after the migration."""
    master_db.sessions.update_many({}, {"$unset": {"public_id": 1, "authenticated_at": 1}})
    [listed] = others_in(here)
    assert others_in(here) == [listed]
    assert others_in(there) != [listed]
    there.post("/account", {"name": "Mara", "time_zone": "", "theme": "auto"})
    event = AuditEvent.objects.get(action="account.profile_changed")
    assert str(event.session) == listed
    assert end(here, listed).status == 303
    assert not is_in(there)
    assert is_in(here)


def others_in(visitor):
    """The ids of the other sessions on the page."""
    forms = visitor.get("/account/sessions").html.select("form[action$='/end']")
    return [form["action"].split("/")[-2] for form in forms]


def test_a_log_in_is_in_the_trail_as_the_first_deed_of_its_session(app, here, mara):
    here.post("/account", {"name": "Mara", "time_zone": "", "theme": "auto"})
    program = Program(app)
    program.log_in(MARA)
    program.post("/org/create", {"organization_name": "Acme Corp"})
    browsers, programs = (
        Session.objects.get(kind=kind).public_id
        for kind in (SessionKind.BROWSER, SessionKind.PROGRAM)
    )
    events = AuditEvent.objects(actor=mara.id).order_by("id")
    assert [(event.action, event.session) for event in events] == [
        ("account.logged_in", browsers),
        ("account.profile_changed", browsers),
        ("account.logged_in", programs),
        ("organization.created", programs),
    ]


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36",
            "Chrome on Windows",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        ("curl/8.5.0", "curl"),
        ("", "Unknown"),
        ("<script>alert(1)</script>", "Unknown"),
    ],
)
def test_browsers_are_told_in_words(user_agent, words):
    assert describe_user_agent(user_agent) == words
