"""Actions on many organizations: exactly those that were shown, each as if it were alone."""

import csv
import io
import itertools
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from bson import ObjectId

from portal import clock
from portal.audit.trail import events_of
from portal.database.errors import ClusterUnavailable
from portal.database.leases import Interrupted
from portal.documents.accounts import Account, OperatorRole
from portal.documents.bulk_actions import BulkAction, BulkItem, BulkOutcome, BulkState
from portal.documents.idempotency import IdempotencyRecord
from portal.documents.jobs import Job, JobState
from portal.documents.memberships import Role
from portal.documents.moves import Move, MoveState
from portal.documents.organization_notes import OrganizationNote
from portal.documents.organizations import Organization, OrganizationState, Restriction
from portal.documents.restrictions import Cause, Suspension
from portal.jobs import runner
from portal.jobs.running import KINDS as JOB_KINDS
from portal.operators.bulk import carrying_out, freezing, kinds, managing
from portal.operators.bulk.errors import (
    BulkNotEnded,
    BulkNotPlanned,
    CountNotConfirmed,
    InvalidBulkArgument,
    InvalidSelection,
)
from portal.operators.bulk.kinds import KINDS
from portal.operators.listing import feeding
from portal.operators.listing.errors import InvalidFilter
from portal.organizations.lifecycle.renaming import rename_organization
from portal.organizations.lifecycle.restricting import lift_suspension
from portal.organizations.lifecycle.trashing import trash_organization
from portal.organizations.planning import set_plan
from portal.organizations.restrictions.reasons import parse_reason
from portal.organizations.storage import tenant_of
from portal.web.context import OPERATOR, AuditActor, RequestContext
from tests.factories import (
    a_context,
    a_key,
    a_member,
    a_suspension,
    an_operator,
    an_organization,
    fresh,
)
from tests.moving.records import a_move

BY_OPERATOR = RequestContext(OPERATOR)
NOTE = {"text": "Told by phone."}
ELSEWHERE = {"strategy": "database", "cluster": "main"}
ARGUMENTS = {
    "plan": {"plan": "large"},
    "limits": {"documents": "10,000", "bytes": "", "operations": "none"},
    "note": NOTE,
    "move": ELSEWHERE,
    "suspend": {
        "kind": "read-only",
        "cause": "abuse",
        "contact": "us@portal.example",
        "message": "",
    },
    "lift": {"cause": "abuse"},
}
"""Arguments of each action that takes any."""


@pytest.fixture
def three(app):
    return [an_organization(name) for name in ("Acme Corp", "Kestrel", "Verdant Grocers")]


def ids(organizations):
    return [str(organization.id) for organization in organizations]


def states(organizations):
    return [fresh(organization).state for organization in organizations]


def run_jobs():
    """All turns of all jobs, without the minutes between them."""
    while Job.objects(state=JobState.RUNNING).update(set__due_at=clock.now() - timedelta(days=1)):
        runner.run_due_jobs()


def start(bulk, context=BY_OPERATOR):
    bulk = managing.find_bulk(bulk.id)
    return managing.start_bulk(bulk.id, bulk.total, context)


def outcomes(bulk):
    found = BulkItem.objects(bulk=bulk.id).order_by("number")
    return [(item.name, item.outcome) for item in found]


def test_these_are_done_and_no_other(three):
    bulk = managing.plan_these("trash", {}, ids(three[:2]), BY_OPERATOR)
    assert (bulk.state, bulk.total) == (BulkState.PLANNED, 2)
    run_jobs()
    assert states(three) == ["active"] * 3  # nothing before it is started
    start(bulk)
    run_jobs()
    assert states(three) == ["trashed", "trashed", "active"]
    assert events_of(three[0].id).rows[0].actor_shown == "the operator"


def test_all_that_match_is_another_choice_and_is_counted_exactly(three):
    trash_organization(three[2], None, a_context())
    bulk = managing.plan_all("trash", {}, {"state": "active"}, BY_OPERATOR)
    assert bulk.state == BulkState.COUNTING
    with pytest.raises(BulkNotPlanned):
        managing.start_bulk(bulk.id, 2, BY_OPERATOR)
    run_jobs()
    assert managing.find_bulk(bulk.id).total == 2
    start(bulk)
    run_jobs()
    assert states(three) == ["trashed"] * 3


def test_one_that_comes_later_is_not_among_them(three):
    bulk = managing.plan_all("note", NOTE, {}, BY_OPERATOR)
    run_jobs()
    late = an_organization("Too late")
    start(bulk)
    run_jobs()
    noted = {note.organization for note in OrganizationNote.objects}
    assert noted == {organization.id for organization in three}
    assert late.id not in noted


@pytest.mark.attack("O6")
@pytest.mark.parametrize("chosen", [[], ["x"], [str(ObjectId())]])
def test_nothing_chosen_does_nothing(three, chosen):
    with pytest.raises(InvalidSelection):
        managing.plan_these("trash", {}, chosen, BY_OPERATOR)
    assert BulkAction.objects.count() == BulkItem.objects.count() == 0


@pytest.mark.attack("O6")
def test_a_mistyped_filter_does_not_become_all(three):
    for args in ({"state": "activ"}, {"status": "active"}, {"created_from": "2026-13-01"}):
        with pytest.raises((InvalidFilter, InvalidSelection)):
            managing.plan_all("trash", {}, args, BY_OPERATOR)


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("explode", {}),
        ("plan", {"plan": "Large!"}),
        ("note", {}),
        ("note", {"text": "x", "plan": "large"}),
        ("suspend", {"kind": "gently", "cause": "payment", "contact": "pay@portal.example"}),
        ("suspend", {"kind": "locked", "cause": "payment"}),
        ("suspend", {"kind": "locked", "cause": "payment", "contact": "x" * 201}),
        ("suspend", {"kind": "locked", "cause": "payment", "contact": "x", "message": "x" * 1001}),
        ("lift", {}),
        ("limits", {}),
        ("limits", {"documents": "0"}),
        ("limits", {"operations": "10 GB"}),
        ("move", {"cluster": "nowhere"}),
        ("move", {"cluster": "main", "strategy": "pile"}),
    ],
)
def test_a_wrong_argument_is_told_before_anything_is_counted(three, action, arguments):
    with pytest.raises(InvalidBulkArgument):
        managing.plan_these(action, arguments, ids(three), BY_OPERATOR)


def test_a_suspension_of_many_says_what_one_of_a_single_one_would(three):
    arguments = {
        "kind": "read-only", "cause": "abuse",
        "contact": "👩‍💻\u202e می‌شود:\nus@portal.example", "message": "Call\u200b us",
    }  # fmt: skip
    start(managing.plan_these("suspend", arguments, ids(three), BY_OPERATOR))
    run_jobs()
    said = {(one.contact, one.message) for one in Suspension.objects(open=True)}
    assert said == {("👩‍💻 می‌شود: us@portal.example", "Call us")}
    alone = parse_reason("abuse", arguments["contact"], arguments["message"], None)
    assert said == {(alone.contact, alone.message)}


@pytest.mark.attack("O6")
def test_the_number_confirms(three):
    bulk = managing.plan_these("trash", {}, ids(three), BY_OPERATOR)
    for count in (None, 2, 4):
        with pytest.raises(CountNotConfirmed):
            managing.start_bulk(bulk.id, count, BY_OPERATOR)


@pytest.mark.attack("O6")
def test_what_was_changed_since_is_left_alone_and_told(three):
    bulk = managing.plan_these("trash", {}, ids(three), BY_OPERATOR)
    rename_organization(three[1], "Kestrel Freight", a_context())
    start(bulk)
    run_jobs()
    assert states(three) == ["trashed", "active", "trashed"]
    refused = BulkItem.objects.get(organization=three[1].id)
    assert refused.outcome == BulkOutcome.FAILED
    assert "the name is Kestrel Freight, and was Kestrel" in refused.reason


def joined_by_a_viewer(organization):
    a_member(organization, Role.VIEWER)


def writes_many(organization):
    tenant_of(organization).insert_many([{"n": n} for n in range(1001)])


@pytest.mark.attack("O6")
@pytest.mark.each_case
@pytest.mark.parametrize(
    ("action", "change", "told"),
    [
        ("purge", joined_by_a_viewer, "the number of members is 2, and was 1"),
        ("trash", a_key, "the number of API keys is 1, and was 0"),
        ("restore", joined_by_a_viewer, "the number of members is 2, and was 1"),
        ("purge", writes_many, "there are 1,001 documents, and were 0"),
        ("purge", lambda one: set_plan(one.id, BY_OPERATOR, plan="large"), "somebody has changed"),
    ],
    ids=["a member", "a key", "a member in the trash", "documents", "the plan"],
)
def test_what_the_single_action_refuses_as_outdated_the_bulk_action_does(
    three, action, change, told
):
    prepare(action, three)
    bulk = managing.plan_these(action, {}, ids(three), BY_OPERATOR)
    change(three[1])
    start(bulk)
    run_jobs()
    assert outcomes(bulk) == [
        ("Acme Corp", "done"),
        ("Kestrel", "failed"),
        ("Verdant Grocers", "done"),
    ]
    assert told in BulkItem.objects.get(organization=three[1].id).reason


def test_organizations_that_are_planned_together_cost_no_reads_each(three, commands):
    """But for their documents, of which a purge tells the number of now."""
    for action, sizes in (("trash", 0), ("purge", 3)):
        managing.plan_these(action, {}, ids(three[:1]), BY_OPERATOR)
        commands.clear()
        managing.plan_these(action, {}, ids(three), BY_OPERATOR)
        assert commands.count("dataSize") == sizes
        assert commands.count("aggregate") == 4  # people twice, API keys, slugs


def test_a_purge_tells_the_documents_of_now(three):
    writes_many(three[0])
    assert managing.plan_these("purge", {}, ids(three), BY_OPERATOR).documents == 1001


def test_what_an_earlier_version_planned_by_less_is_planned_again(three):
    prepare("lift", three)
    for action, arguments in (("purge", {}), ("lift", {"cause": "abuse"})):
        bulk = managing.plan_these(action, arguments, ids(three), BY_OPERATOR)
        less = {"unset__facts": True, "unset__documents": True, "unset__suspensions": True}
        BulkItem.objects(bulk=bulk.id).update(**less)
        start(bulk)
        run_jobs()
        assert "an earlier version planned it" in BulkItem.objects(bulk=bulk.id).first().reason
    assert states(three) == ["active"] * 3
    assert Suspension.objects(open=True).count() == 3


def test_each_refusal_is_told_and_stops_no_other(three):
    trash_organization(three[0], None, a_context())
    bulk = managing.plan_these("trash", {}, ids(three), BY_OPERATOR)
    assert dict(bulk.states) == {"trashed": 1, "active": 2}
    start(bulk)
    run_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["failed", "done", "done"]
    assert Job.objects.get(kind="bulk").result == {"waiting": 0, "done": 2, "failed": 1}


def refused_one(three):
    """An action that was done to all but the last one, which has been changed since."""
    bulk = managing.plan_these("trash", {}, ids(three), BY_OPERATOR)
    rename_organization(three[2], "Verdant", a_context())
    started = start(bulk)
    run_jobs()
    return started


def test_what_was_refused_is_planned_again_alone(three):
    former = refused_one(three)
    late = an_organization("Too late")
    again = managing.plan_again(former.id, BY_OPERATOR)
    run_jobs()
    again = managing.find_bulk(again.id)
    assert (again.state, again.total, again.action) == (BulkState.PLANNED, 1, "trash")
    assert again.words == "those of “Delete: 3 organizations” that were refused"
    assert states([*three, late]) == ["trashed", "trashed", "active", "active"]
    start(again)
    run_jobs()
    assert states([*three, late]) == ["trashed", "trashed", "trashed", "active"]
    assert outcomes(again) == [("Verdant", "done")]


def test_what_was_not_reached_is_planned_again_and_what_was_done_is_not(three):
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR, per_minute=6))
    runner.run_due_jobs()
    with pytest.raises(BulkNotEnded):
        managing.plan_again(bulk.id, BY_OPERATOR)
    managing.cancel_bulk(str(bulk.id), BY_OPERATOR)
    again = managing.plan_again(bulk.id, BY_OPERATOR)
    run_jobs()
    start(again)
    run_jobs()
    assert OrganizationNote.objects.count() == 3
    with pytest.raises(InvalidSelection):
        managing.plan_again(again.id, BY_OPERATOR)


def test_an_older_version_counts_nothing_of_what_is_planned_again(three):
    """It knows filters alone, so it would freeze every organization."""
    again = managing.plan_again(refused_one(three).id, BY_OPERATOR)
    assert Job.objects.get(id=again.counting).kind == "bulk retry count"


def test_what_was_refused_is_planned_again_in_three_ways(desk, program_of, command, three):
    former = refused_one(three)
    here = f"/operator/bulk/{former.id}"
    page = desk.get(here)
    assert page.html.find("button", string="Plan again for the 1 refused")
    planned = desk.post(f"{here}/retry", form_at=here)
    assert planned.status == 303
    answer = program_of().post(f"/admin/bulk/{former.id}/retry")
    assert (answer.status_code, answer.json["bulk"]["retries"]) == (201, str(former.id))
    command("bulk", "retry", str(former.id))
    run_jobs()
    assert [one.total for one in BulkAction.objects(retries=former.id)] == [1, 1, 1]
    assert desk.get(planned.location).html.find("a", href=here)


def test_those_whose_cluster_is_away_wait_behind_the_others_until_it_is_back(three, monkeypatch):
    kestrel, away = three[1], [True]

    def act(organization, *given):
        if away and organization.id == kestrel.id:
            raise ClusterUnavailable("second", "it does not answer")
        return KINDS["note"].act(organization, *given)

    monkeypatch.setattr(carrying_out, "kind_named", lambda name: replace(KINDS[name], act=act))
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR))
    for _ in range(3):
        Job.objects.update(set__due_at=clock.now() - timedelta(days=1))
        runner.run_due_jobs()
        assert [outcome for _, outcome in outcomes(bulk)] == ["done", "waiting", "done"]
    job = Job.objects.get(id=bulk.job)
    assert (job.state, job.progress.done) == (JobState.RUNNING, 2)
    assert "second, it does not answer" in job.last_error
    away.clear()
    run_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done"] * 3
    assert OrganizationNote.objects.count() == 3


@pytest.mark.attack("O6")
def test_a_repeat_finds_the_job(three):
    first = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR))
    assert managing.start_bulk(first.id, 3, BY_OPERATOR).job == first.job
    equal = managing.plan_these("note", NOTE, ids(three), BY_OPERATOR)
    assert start(equal).id == first.id
    run_jobs()
    assert OrganizationNote.objects.count() == 3


def test_so_many_a_minute_and_others_have_their_turn(three):
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR, per_minute=6))
    runner.run_due_jobs()
    assert OrganizationNote.objects.count() == 1
    job = Job.objects.get(id=bulk.job)
    assert job.state == JobState.RUNNING
    assert job.due_at > clock.now() + timedelta(seconds=carrying_out.SLICE_SECONDS - 3)
    run_jobs()
    assert OrganizationNote.objects.count() == 3


@pytest.mark.parametrize("per_minute", [1, 5])
def test_of_few_a_minute_the_next_one_waits_as_long_as_it_has_to(three, per_minute):
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR, per_minute=per_minute))
    begun = clock.now()
    runner.run_due_jobs()
    assert OrganizationNote.objects.count() == 1
    assert Job.objects.get(id=bulk.job).due_at >= begun + timedelta(seconds=60 / per_minute - 1)


def test_it_is_paused_resumed_and_cancelled(three):
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR, per_minute=6))
    runner.run_due_jobs()
    managing.pause_bulk(str(bulk.id), BY_OPERATOR)
    run_jobs()
    assert OrganizationNote.objects.count() == 1
    managing.resume_bulk(str(bulk.id), BY_OPERATOR)
    runner.run_due_jobs()
    assert OrganizationNote.objects.count() == 2
    managing.cancel_bulk(str(bulk.id), BY_OPERATOR)
    run_jobs()
    assert OrganizationNote.objects.count() == 2


class Killed(BaseException):
    """The process is gone."""


def prepare(action, organizations):
    """Have the organizations be what the action is for."""
    for organization in organizations:
        if action == "restore":
            trash_organization(organization, None, a_context())
        if action == "lift":
            a_suspension(organization, Restriction.LOCKED, Cause.ABUSE)


@pytest.mark.attack("O6")
@pytest.mark.parametrize("action", KINDS)
def test_each_action_is_done_to_many_and_where_it_is_killed_not_twice(three, monkeypatch, action):
    """Between the act on the first one and the note that it was done."""
    prepare(action, three)
    bulk = start(managing.plan_these(action, ARGUMENTS.get(action, {}), ids(three), BY_OPERATOR))
    kind = KINDS[action]

    def act(*given):
        kind.act(*given)
        raise Killed

    dying = {"name": action, "words": kind.words, "act": act}
    monkeypatch.setattr(carrying_out, "kind_named", lambda name: type(kind)(**dying))
    with pytest.raises(Killed):
        runner.run_due_jobs()
    monkeypatch.undo()
    before = events_of(three[0].id).rows[0].seq
    run_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done"] * 3
    assert events_of(three[0].id).rows[0].seq == before
    assert IdempotencyRecord.objects.count() >= 3
    expected = {"trash": OrganizationState.TRASHED, "purge": OrganizationState.PURGED}
    wanted = expected.get(action, OrganizationState.ACTIVE)
    assert {one.state for one in Organization.objects} == {wanted}
    assert OrganizationNote.objects.count() == (3 if action == "note" else 0)
    assert Move.objects(open=True).count() == (3 if action == "move" else 0)
    assert Suspension.objects(open=True).count() == (3 if action == "suspend" else 0)


def test_each_action_is_planned_alike_on_the_page_by_the_api_and_by_a_command(
    desk, program_of, command, three
):
    program, query = program_of(), "&".join(f"id={one}" for one in ids(three))
    for action in KINDS:
        arguments = ARGUMENTS.get(action, {})
        fields = {"which": "these", "action": action, "per_minute": "60", **arguments}
        assert desk.post(f"/operator/bulk/new?{query}", fields).status == 303, action
        body = {"action": action, "arguments": arguments, "ids": ids(three)}
        assert program.post("/admin/bulk", body).status_code == 201, action
        given = [f"--with={name}={value}" for name, value in arguments.items()]
        command("bulk", "plan", action, *given, *(f"--id={one}" for one in ids(three)))
        planned = BulkAction.objects(action=action)
        assert planned.count() == 3
        assert len(planned.distinct("digest")) == 1, action


def test_as_many_as_may_be_chosen_fit_into_a_call_with_the_longest_note(program_of, three):
    program, chosen = program_of(), [*ids(three), *(str(ObjectId()) for _ in range(997))]
    body = {"action": "note", "arguments": {"text": "🛰" * 4000}, "ids": chosen}
    refused = program.post("/admin/bulk", body)
    assert (refused.status_code, refused.json["error"]["code"]) == (422, "invalid_selection")
    assert "997 organizations" in refused.json["error"]["message"]
    body["ids"] = ids(three)
    assert program.post("/admin/bulk", body).status_code == 201


def test_limits_are_set_taken_away_and_left_as_they_are(three):
    first = {"documents": "500", "bytes": "20 GB"}
    start(managing.plan_these("limits", first, ids(three), BY_OPERATOR))
    run_jobs()
    then = {"documents": "none", "operations": "40"}
    start(managing.plan_these("limits", then, ids(three), BY_OPERATOR))
    run_jobs()
    for organization in three:
        limits = fresh(organization).limits
        assert (limits.documents, limits.bytes, limits.operations) == (None, 20 * 10**9, 40)


def test_suspensions_are_lifted_for_one_cause_and_others_stay(three):
    acme, kestrel, verdant = three
    for kind in (Restriction.READ_ONLY, Restriction.LOCKED):
        a_suspension(acme, kind, Cause.ABUSE)
    a_suspension(acme, Restriction.READ_ONLY, Cause.PAYMENT)
    a_suspension(kestrel, Restriction.HIDDEN, Cause.ABUSE)
    bulk = start(managing.plan_these("lift", {"cause": "abuse"}, ids(three), BY_OPERATOR))
    run_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done", "done", "failed"]
    assert [fresh(one).restricted for one in three] == ["read-only", None, None]
    refused = BulkItem.objects.get(organization=verdant.id)
    assert "no suspension for this cause (abuse)" in refused.reason


@pytest.mark.attack("O1")
def test_a_suspension_that_comes_after_the_plan_stays(three):
    """Also where the first one has been lifted since."""
    acme, kestrel, _ = three
    for one in (acme, kestrel):
        a_suspension(one, Restriction.READ_ONLY, Cause.ABUSE)
    bulk = managing.plan_these("lift", {"cause": "abuse"}, ids(three[:2]), BY_OPERATOR)
    first = Suspension.objects.get(organization=kestrel.id)
    lift_suspension(fresh(kestrel), first.id, BY_OPERATOR)
    for one in (acme, kestrel):
        a_suspension(one, Restriction.LOCKED, Cause.ABUSE)
    start(bulk)
    run_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done", "failed"]
    assert [fresh(one).restricted for one in (acme, kestrel)] == ["locked", "locked"]


@pytest.mark.attack("O6")
def test_killed_between_two_suspensions_it_lifts_the_other(three, monkeypatch):
    acme = three[0]
    for kind in (Restriction.READ_ONLY, Restriction.LOCKED):
        a_suspension(acme, kind, Cause.ABUSE)
    bulk = start(managing.plan_these("lift", {"cause": "abuse"}, ids([acme]), BY_OPERATOR))
    lift = kinds.lift_suspension

    def dying(*given):
        lift(*given)
        raise Killed

    monkeypatch.setattr(kinds, "lift_suspension", dying)
    with pytest.raises(Killed):
        runner.run_due_jobs()
    monkeypatch.undo()
    assert Suspension.objects(open=True).count() == 1
    run_jobs()
    assert outcomes(bulk) == [("Acme Corp", "done")]
    assert Suspension.objects(open=True).count() == 0


def test_moves_begin_as_others_end(three, monkeypatch):
    """However many there are, no more than a few work at once."""
    monkeypatch.setattr(kinds, "MOVES_AT_ONCE", 2)
    other = an_organization("Other Inc")
    working = a_move(other)
    bulk = start(managing.plan_these("move", ELSEWHERE, ids(three), BY_OPERATOR))
    runner.run_due_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done", "waiting", "waiting"]
    job = Job.objects.get(id=bulk.job)
    assert job.state == JobState.RUNNING
    assert "2 moves at work" in (job.last_error or job.progress.step)
    working.modify(set__state=MoveState.READY)
    job.modify(set__due_at=clock.now() - timedelta(days=1))
    runner.run_due_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done", "done", "waiting"]
    assert {move.target.strategy for move in Move.objects(id__ne=working.id)} == {"database"}


def test_what_speaks_against_a_move_or_was_changed_since_is_told(three):
    acme, kestrel, verdant = three
    a_move(acme)
    bulk = start(managing.plan_these("move", ELSEWHERE, ids(three[:2]), BY_OPERATOR))
    rename_organization(kestrel, "Kestrel Freight", a_context())
    same = start(managing.plan_these("move", {"cluster": "main"}, ids([verdant]), BY_OPERATOR))
    run_jobs()
    reasons = [item.reason for item in BulkItem.objects.order_by("number")]
    assert {outcome for _, outcome in (*outcomes(bulk), *outcomes(same))} == {"failed"}
    assert any("One is open at a time" in reason for reason in reasons)
    assert any("somebody has changed it" in reason for reason in reasons)
    assert any("It already has a collection of its own on main" in reason for reason in reasons)


def test_counted_anew_no_command_deletes_more_than_a_batch_of_what_was_frozen(
    three, monkeypatch, commands
):
    monkeypatch.setattr(freezing, "AT_ONCE", 1)
    bulk = managing.plan_these("note", NOTE, ids(three), BY_OPERATOR)
    commands.clear()
    again = freezing.freeze(bulk, [organization.id for organization in three])
    assert commands.count("delete") == 3
    assert (again["total"], again["digest"]) == (3, bulk.digest)
    assert list(BulkItem.objects(bulk=bulk.id).order_by("number").scalar("number")) == [0, 1, 2]


def test_what_became_of_all_is_told_without_reading_each(three, commands):
    bulk = managing.plan_these("note", NOTE, ids(three), BY_OPERATOR)
    for number, outcome in enumerate((BulkOutcome.DONE, BulkOutcome.FAILED)):
        BulkItem.objects(bulk=bulk.id, number=number).update_one(set__outcome=outcome)
        told = carrying_out.outcomes_of(bulk)
        assert told == {"waiting": 2 - number, "done": 1, "failed": number}
    BulkItem.objects(bulk=bulk.id, number=2).update_one(set__outcome=BulkOutcome.DONE)
    commands.clear()
    assert carrying_out.outcomes_of(bulk) == {"waiting": 0, "done": 2, "failed": 1}
    # The first that was not tried; then those set aside, and the failed ones, counted.
    assert commands == ["find", "aggregate", "aggregate"]


def test_killed_while_counting_it_is_counted_anew(three, monkeypatch):
    bulk = managing.plan_all("note", NOTE, {}, BY_OPERATOR)
    monkeypatch.setattr("portal.operators.bulk.freezing.AT_ONCE", 2)
    counts, check = [], runner.run.__globals__["Run"].check

    def dying(run):
        counts.append(run)
        if len(counts) == 1:
            raise Interrupted
        check(run)

    monkeypatch.setattr("portal.jobs.running.Run.check", dying)
    runner.run_due_jobs()
    assert managing.find_bulk(bulk.id).state == BulkState.COUNTING
    run_jobs()
    planned = managing.find_bulk(bulk.id)
    assert (planned.state, planned.total) == (BulkState.PLANNED, 3)
    assert BulkItem.objects(bulk=bulk.id).count() == 3


@pytest.mark.attack("O6")
@pytest.mark.parametrize(
    "change",
    [{"unset__operator_role": True}, {"set__blocked_at": clock.now()}],
    ids=["no operator", "blocked"],
)
def test_who_may_no_longer_act_acts_no_longer(three, change):
    account = an_operator(OperatorRole.OPERATOR)
    context = RequestContext(AuditActor(kind="operator", id=account.id, name="the operator"))
    bulk = start(managing.plan_these("trash", {}, ids(three), context), context)
    Account.objects(id=account.id).update_one(**change)
    run_jobs()
    assert states(three) == ["active"] * 3
    assert Job.objects.get(id=bulk.job).state == JobState.FAILED


@pytest.mark.attack("O6")
def test_who_loses_the_role_meanwhile_has_done_to_no_further_one(three, monkeypatch):
    account = an_operator(OperatorRole.OPERATOR)
    context = RequestContext(AuditActor(kind="operator", id=account.id, name="the operator"))
    bulk = managing.plan_these("note", NOTE, ids(three), context, per_minute=6000)

    def act(*given):
        KINDS["note"].act(*given)
        if OrganizationNote.objects.count() == 2:
            Account.objects(id=account.id).update_one(unset__operator_role=True)

    monkeypatch.setattr(carrying_out, "kind_named", lambda name: replace(KINDS[name], act=act))
    start(bulk, context)
    runner.run_due_jobs()
    job = Job.objects.get(id=managing.find_bulk(bulk.id).job)
    assert (job.state, job.result) == (JobState.FAILED, {"waiting": 1, "done": 2, "failed": 0})
    assert OrganizationNote.objects.count() == 2


def test_its_turn_ends_in_time_however_much_is_left_of_its_share(three, monkeypatch):
    ticks = itertools.count(0, carrying_out.SLICE_SECONDS * 0.6)
    monkeypatch.setattr(carrying_out, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    bulk = start(managing.plan_these("note", NOTE, ids(three), BY_OPERATOR, per_minute=6000))
    runner.run_due_jobs()
    assert [outcome for _, outcome in outcomes(bulk)] == ["done", "done", "waiting"]
    assert Job.objects.get(id=bulk.job).state == JobState.RUNNING
    run_jobs()
    assert OrganizationNote.objects.count() == 3


def test_a_dead_notice_undoes_nothing(three, monkeypatch):
    """The outcome never depends on mail: it is only put into the outbox."""
    Account.objects.update(set__email="mara+list@acme.example")
    start(managing.plan_these("trash", {}, ids(three), BY_OPERATOR))
    run_jobs()
    assert states(three) == ["trashed"] * 3


def test_it_is_chosen_planned_started_and_told_on_pages(desk, three):
    query = "&".join(f"id={one}" for one in ids(three[:2]))
    new = f"/operator/bulk/new?{query}"
    assert "These 2" in desk.get(new).text
    planned = desk.post(new, {"which": "these", "action": "trash", "per_minute": "6000"})
    page = desk.get(planned.location)
    assert page.heading == "Delete: 2 organizations?"
    wrong = desk.post(f"{planned.location}/start", {"confirm_count": "3"})
    assert wrong.fault("confirm_count") == "Type 2, the number of organizations, to confirm"
    started = desk.post(f"{planned.location}/start", {"confirm_count": "2"})
    assert started.location == planned.location
    run_jobs()
    assert "2 of 2 organizations" in desk.get(planned.location).text
    rows = list(
        csv.DictReader(io.StringIO(desk.get(f"{planned.location}/results.csv").response.text))
    )
    assert [(row["slug"], row["outcome"]) for row in rows] == [
        ("acme-corp", "done"),
        ("kestrel", "done"),
    ]
    assert "Delete: 2 organizations" in desk.get("/operator/bulk").text
    assert desk.get("/operator/operations").html.find("a", href=planned.location)


def test_all_is_chosen_on_a_page_only_when_it_is_said(desk, three):
    new = "/operator/bulk/new?state=active"
    assert desk.post(new, {"action": "trash", "per_minute": "60"}).status == 422
    planned = desk.post(new, {"which": "all", "action": "trash", "per_minute": "60"})
    assert planned.status == 303
    assert "Counting" in desk.get(planned.location).text
    run_jobs()
    assert desk.get(planned.location).heading == "Delete: 3 organizations?"


def test_a_form_sent_twice_plans_once(desk, three):
    new = f"/operator/bulk/new?id={three[0].id}"
    fields = {**desk.hidden(new), "which": "these", "action": "note", "per_minute": "60", **NOTE}
    first, second = (desk.send(new, fields) for _ in range(2))
    assert first.location == second.location
    assert BulkAction.objects.count() == 1


def test_support_sees_and_does_not_plan(desk_of, three):
    support = desk_of(OperatorRole.SUPPORT)
    assert support.get("/operator/bulk").status == 200
    assert support.get(f"/operator/bulk/new?id={three[0].id}").status == 403


def test_every_kind_of_job_is_known(app):
    assert {"bulk", "bulk count"} <= set(JOB_KINDS)


def test_organizations_are_chosen_in_their_list(desk, three):
    feeding.feed_marked()
    page = desk.get("/operator/organizations?state=active")
    boxes = page.html.select("input[form=bulk][name=id]")
    assert {box["value"] for box in boxes} == {str(organization.id) for organization in three}
    form = page.html.find("form", id="bulk")
    assert form["action"] == "/operator/bulk/new"
    assert form.find("input", {"name": "state"})["value"] == "active"
