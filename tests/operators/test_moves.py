"""The move of one organization in the console: planned, started as planned, watched, gone back on;
or decided on, where its owners have asked for it."""

from datetime import UTC, datetime, timedelta

import pytest

from portal import clock
from portal.documents.accounts import OperatorRole
from portal.documents.mails import Mail
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Placement, Strategy
from portal.organizations.storage import tenant_of
from tests.factories import an_organization
from tests.moving.records import a_move, a_way_back
from tests.program import fault

INTO_ITS_OWN_DATABASE = "/new?strategy=database&cluster=main"


@pytest.fixture
def acme(app):
    organization = an_organization("Acme Corp")
    tenant_of(organization).insert_many([{"n": n} for n in range(3)])
    return organization


def path(organization, part=""):
    return f"/operator/organizations/{organization.id}/move{part}"


def test_before_a_target_is_chosen_the_page_says_where_it_lives(desk, acme):
    page = desk.get(path(acme, "/new"))
    assert "Acme Corp lives in a collection of its own on main." in page.text
    assert "Planning moves nothing." in page.text


def test_it_is_planned_and_starts_as_planned(desk, acme):
    planned = desk.get(path(acme, INTO_ITS_OWN_DATABASE))
    assert "a database of its own" in planned.text
    assert planned.html.select_one(".facts .figure").get_text() == "3"
    assert Move.objects.count() == 0
    started = desk.post(path(acme, INTO_ITS_OWN_DATABASE), {"switch": "verified"})
    assert started.location == path(acme)
    move = Move.objects.get()
    assert (move.state, move.target.strategy) == (MoveState.COPYING, "database")
    assert "Copying" in desk.get(path(acme)).text
    assert "Copying" in desk.get(f"/operator/organizations/{acme.id}").text


def test_what_changed_since_the_plan_is_told_and_nothing_starts(desk, acme):
    hidden = desk.hidden(path(acme, INTO_ITS_OWN_DATABASE))
    tenant_of(acme).create_index("n", name="by_n")
    answer = desk.send(path(acme, INTO_ITS_OWN_DATABASE), {**hidden, "switch": "verified"})
    assert answer.status == 409
    assert "the number of indexes is" in answer.text
    assert Move.objects.count() == 0


def test_no_plan_is_made_of_a_collection_that_somebody_dropped(desk, program_of, acme, tenant_db):
    tenant_db.drop_collection(acme.placement.collection)
    page = desk.get(path(acme, INTO_ITS_OWN_DATABASE))
    assert page.status == 409
    assert "not in the database any more" in page.text
    call, wish = f"/admin/organizations/{acme.id}/move", {"strategy": "database", "cluster": "main"}
    program = program_of()
    for asked in (f"{call}?dry_run=true", call):
        assert fault(program.post(asked, wish))[:2] == (409, "collection_missing")


def test_a_cluster_that_the_portal_does_not_know_is_refused(desk, program_of, acme):
    page = desk.get(path(acme, "/new?strategy=database&cluster=elsewhere"))
    assert page.status == 422
    assert "No cluster is called" in page.text
    call = f"/admin/organizations/{acme.id}/move"
    wish, program = {"strategy": "database", "cluster": "elsewhere"}, program_of()
    for asked in (f"{call}?dry_run=true", call):
        assert fault(program.post(asked, wish))[:2] == (422, "invalid_cluster")


def test_what_speaks_against_it_is_told(desk, acme):
    page = desk.get(path(acme, "/new?strategy=collection&cluster=main"))
    assert "It already has a collection of its own on main" in page.text
    assert page.html.find("button", string="Start the move") is None


@pytest.mark.parametrize(
    ("verb", "field", "value"),
    [
        ("pause", "paused", True),
        ("switch", "switch_wanted", True),
        ("abort", "outcome", Outcome.ABORTED),
    ],
)
def test_it_is_paused_switched_and_aborted(desk, acme, verb, field, value):
    move = a_move(acme)
    assert desk.post(path(acme, f"/{verb}"), form_at=path(acme)).location == path(acme)
    assert Move.objects.get(id=move.id)[field] == value


def test_it_is_gone_back_on(desk, acme):
    way_back = a_way_back(acme)
    desk.post(path(acme, "/back"), form_at=path(acme))
    assert Move.objects.get(id=way_back.id).switch_wanted


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "throttle", "switch", "abort", "back", "extend", "end"]
)
def test_another_move_than_the_one_that_was_shown_is_left_alone(desk, program_of, acme, verb):
    make = a_way_back if verb in ("back", "extend", "end") else a_move
    shown, days = make(acme), {"days": 9} if verb == "extend" else {}
    hidden = desk.hidden(path(acme))
    shown.update(unset__open=True, set__state=MoveState.DONE, set__outcome=Outcome.ABORTED)
    other = now(make(acme))
    page = desk.send(path(acme, f"/{verb}"), hidden | days)
    call = program_of().post(
        f"/admin/organizations/{acme.id}/move/{verb}", {"move": str(shown.id), **days}
    )
    assert (page.status, fault(call)[:2]) == (409, (409, "other_move"))
    for told in (page.text, call.json["error"]["message"]):
        assert f"({shown.id}) is aborted." in told
        assert f"({other.id}) is open: " in told
    assert now(other).to_mongo() == other.to_mongo()


def test_the_end_of_a_way_back_is_told_first_with_what_it_deletes(desk, program_of, acme):
    way_back = a_way_back(acme)
    end = desk.get(path(acme)).html.find("a", string="End the way back…")["href"]
    page = desk.get(end)
    assert "4,000 when they were moved" in page.text
    assert "5.1 MB" in page.text
    told = program_of().post(f"/admin/organizations/{acme.id}/move/end?dry_run=true").json["plan"]
    assert (told["documents"], told["bytes"], told["held"]) == (4000, 5_100_000, False)
    assert told["move"] == str(way_back.id)
    assert now(way_back).state == MoveState.SHADOW
    assert desk.post(end).location == path(acme)
    assert (now(way_back).state, now(way_back).outcome) == (MoveState.ENDING, Outcome.ENDED)
    assert desk.get(end).location == path(acme)


def test_a_way_back_that_ends_soon_is_kept_longer_from_the_need_on(desk, program_of, acme):
    way_back = a_way_back(acme, until=clock.now() + timedelta(hours=30))
    needs = desk.get("/operator")
    assert "Way back of acme-corp ends in a day" in needs.text
    page = desk.get(needs.html.find("a", href=path(acme))["href"])
    extend = page.html.find("a", string="Keep it longer…")["href"]
    for days in ("0", "31", "soon", ""):
        assert desk.post(extend, {"days": days}).status == 422
    assert desk.post(extend, {"days": "9"}).location == path(acme)
    assert days_left(way_back) == 9
    program, call = program_of(), f"/admin/organizations/{acme.id}/move/extend"
    assert fault(program.post(call, {"days": 31})) == (422, "invalid_option", {"days"})
    assert program.post(call, {"days": 12}).json["move"]["way_back"]["state"] == "shadow"
    assert days_left(way_back) == 12


def days_left(way_back):
    return round((now(way_back).until - clock.now()) / timedelta(days=1))


def test_its_speed_is_changed_and_left_to_itself_again(desk, program_of, acme):
    move = a_move(acme)
    slower = desk.get(path(acme)).html.find("a", string="Speed…")["href"]
    refused = desk.post(slower, {"documents_per_second": "0", "neighbours_p99_ms": ""})
    assert (refused.status, now(move).documents_per_second) == (422, None)
    assert refused.fault("documents_per_second")
    limits = {"documents_per_second": "500", "neighbours_p99_ms": "20"}
    assert desk.post(slower, limits).location == path(acme)
    assert (now(move).documents_per_second, now(move).neighbours_p99_ms) == (500, 20)
    assert desk.get(slower).value("documents_per_second") == "500"
    program, call = program_of(), f"/admin/organizations/{acme.id}/move/throttle"
    refused = program.post(call, {"neighbours_p99_ms": 0})
    assert fault(refused) == (422, "invalid_option", {"neighbours_p99_ms"})
    assert program.post(call, {"documents_per_second": 700}).status_code == 200
    assert (now(move).documents_per_second, now(move).neighbours_p99_ms) == (700, None)


@pytest.mark.parametrize(
    ("when", "stored"),
    [
        ({}, (True, None, None)),
        ({"switch": "in hours"}, (None, True, None)),
        ({"switch": "on command"}, (None, None, None)),
        ({"at": "2027-01-31T03:00:00+00:00"}, (None, None, datetime(2027, 1, 31, 3, tzinfo=UTC))),
    ],
    ids=["at once", "in hours", "on command", "at a time"],
)
def test_a_program_says_when_it_switches(program_of, acme, when, stored):
    program, call = program_of(), f"/admin/organizations/{acme.id}/move"
    program.post(call, {"strategy": "database", "cluster": "main", **when})
    move = Move.objects.get()
    assert (move.switch_wanted, move.switch_in_hours, move.switch_at) == stored
    program.post(f"{call}/switch", {"switch": "on command"})
    assert not now(move).switch_wanted
    program.post(f"{call}/switch", when)
    assert (now(move).switch_wanted, now(move).switch_in_hours, now(move).switch_at) == stored
    for body in ({"switch": "at"}, {"switch": "in hours", "at": "2027-01-31T03:00:00+00:00"}):
        assert fault(program.post(f"{call}/switch", body))[:2] == (422, "invalid_option")


def test_a_way_back_ends_by_a_proof_that_is_fresh(desk, acme, time_machine):
    way_back = a_way_back(acme)
    hidden = desk.hidden(path(acme, "/end"))
    time_machine.move_to(clock.now() + timedelta(minutes=16))
    assert desk.send(path(acme, "/end"), hidden).location.startswith("/account/confirm")
    assert now(way_back).state == MoveState.SHADOW


def test_support_looks_on(desk_of, acme):
    a_move(acme)
    support = desk_of(OperatorRole.SUPPORT)
    page = support.get(path(acme))
    assert page.status == 200
    assert page.html.find("button", string="Pause") is None
    assert support.get(path(acme, INTO_ITS_OWN_DATABASE)).status == 403


def test_a_dry_run_tells_what_the_page_tells(program_of, acme):
    program, call = program_of(), f"/admin/organizations/{acme.id}/move"
    wish = {"strategy": "database", "cluster": "main"}
    plan = program.post(f"{call}?dry_run=true", wish).json["plan"]
    assert (plan["documents"], plan["obstacles"]) == (3, [])
    assert Move.objects.count() == 0
    told = program.post(call, {**wish, "plan": plan["plan"]}).json["move"]
    assert told["state"] == "copying"
    assert program.post(f"{call}/pause").json["move"]["paused"]


A_REASON = {"reason": "پیش از مه نمی‌شود: that region takes nobody"}


def a_request(organization):
    """The move to a database of its own for which an owner has asked, in three days."""
    day = clock.now() + timedelta(days=3)
    target = Placement(strategy=Strategy.DATABASE, cluster="main")
    return a_move(organization, MoveState.REQUESTED, target, due_at=None, requested_for=day)


def now(move):
    return Move.objects.get(id=move.id)


def decided(organization):
    """The kind of mail by which its owners were told of a decision."""
    [told] = Mail.objects(ids__organization=organization.id)
    return told.kind


def test_what_an_owner_asks_for_is_approved_from_the_need_on(desk, acme):
    asked = a_request(acme)
    needs = desk.get("/operator")
    need = needs.html.find("a", href=path(acme))
    assert "Move of acme-corp waits for a decision" in needs.text
    page = desk.get(need["href"])
    day = f"{asked.requested_for:%Y-%m-%d}"
    assert page.html.find("time", datetime=day)
    assert page.html.find("a", string="Plan a move…") is None
    approve = page.html.find("a", string="Approve…")["href"]
    assert desk.get(path(acme, INTO_ITS_OWN_DATABASE)).location == approve
    planned = desk.get(approve)
    assert "a database of its own on main" in planned.text
    assert planned.html.find("time", datetime=day)
    assert desk.post(approve).location == path(acme)
    assert (now(asked).state, now(asked).switch_at) == (MoveState.COPYING, asked.requested_for)
    assert now(asked).target.strategy == Strategy.DATABASE
    assert decided(acme) == "move_approved"
    assert desk.get(approve).location == path(acme)


def test_an_operator_chooses_another_time_and_place_than_was_asked_for(desk, acme):
    asked = a_request(acme)
    approve = path(acme, "/approve?strategy=shared&cluster=main")
    desk.post(approve, {"switch": "verified"})
    assert (now(asked).state, now(asked).target.strategy) == (MoveState.COPYING, Strategy.SHARED)
    assert (now(asked).switch_wanted, now(asked).switch_at) == (True, None)


def test_what_an_owner_asks_for_is_declined_with_a_reason(desk, acme):
    asked = a_request(acme)
    decline = desk.get(path(acme)).html.find("a", string="Decline…")["href"]
    for reason in (" ", "x" * 501):
        refused = desk.post(decline, {"reason": reason})
        assert (refused.status, now(asked).open) == (422, True)
        assert refused.fault("reason") == "Say why, in 500 characters at most: the owners read it"
    assert desk.post(decline, A_REASON).location == path(acme)
    assert (now(asked).outcome, now(asked).reason) == (Outcome.DECLINED, A_REASON["reason"])
    assert decided(acme) == "move_declined"
    assert desk.get(decline).location == path(acme)


@pytest.mark.parametrize("verb", ["approve", "decline"])
def test_a_request_that_was_replaced_since_the_page_is_left_alone(desk, acme, verb):
    seen = a_request(acme)
    hidden = desk.hidden(path(acme, f"/{verb}"))
    seen.update(unset__open=True, set__state=MoveState.DONE, set__outcome=Outcome.ABORTED)
    other = a_request(acme)
    answer = desk.send(path(acme, f"/{verb}"), {**hidden, **A_REASON, "switch": "at"})
    assert answer.status == 409
    assert str(other.id) in answer.text
    assert now(other).state == MoveState.REQUESTED


def test_a_request_is_decided_on_by_programs(program_of, acme):
    program, call = program_of(), f"/admin/organizations/{acme.id}/move"
    asked = a_request(acme)
    plan = program.post(f"{call}/approve?dry_run=true").json["plan"]
    assert (plan["documents"], plan["obstacles"]) == (3, [])
    assert now(asked).state == MoveState.REQUESTED
    wish = {"strategy": "database", "cluster": "main"}
    refused = program.post(call, wish)
    assert fault(refused)[:2] == (409, "move_open")
    assert "approved, declined or withdrawn" in refused.json["error"]["message"]
    other = {"move": str(acme.id)}
    for verb, body in (("approve", other), ("decline", other | A_REASON)):
        assert fault(program.post(f"{call}/{verb}", body))[:2] == (409, "other_move")
    body = {"move": str(asked.id), "plan": plan["plan"]}
    told = program.post(f"{call}/approve", body).json["move"]
    assert (told["id"], told["state"]) == (str(asked.id), "copying")
    assert now(asked).switch_at == asked.requested_for
    assert fault(program.post(f"{call}/decline", A_REASON))[:2] == (409, "wrong_move_state")


def test_a_request_is_declined_never_aborted_since_its_owners_are_told(program_of, acme):
    a_request(acme)
    program, call = program_of(), f"/admin/organizations/{acme.id}/move"
    assert fault(program.post(f"{call}/abort"))[:2] == (409, "wrong_move_state")
    assert program.post(f"{call}/decline", A_REASON).json["move"]["outcome"] == "declined"
    assert decided(acme) == "move_declined"
