"""``flask moves``: what is told of moves, and of the clusters that they hold."""

import json
from datetime import timedelta

import pytest

from portal import clock
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization, Placement, Strategy
from portal.organizations.storage import tenant_of
from tests.factories import an_organization
from tests.moving.records import a_move, a_way_back, moved
from tests.organizations.moving.carrying import run_due_movers, run_movers

IN_EUROPE = Placement(cluster="europe", collection="org_acme_corp")


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


def test_open_ones_are_listed_and_all_on_request(acme, command):
    assert command("moves", "list").stderr == "There are none.\n"
    ended = moved(an_organization("Kestrel"), IN_EUROPE)
    move = a_move(acme)
    heads, row = command("moves", "list").stdout.splitlines()
    assert heads.split() == ["id", "organization", "from", "to", "how", "far"]
    assert row.startswith(
        f"{move.id}  acme-corp     collection on main  collection on europe  copying"
    )
    told = [
        json.loads(line) for line in command("moves", "list", "--all", "--json").stdout.splitlines()
    ]
    assert [one["id"] for one in told] == [str(move.id), str(ended.id)]
    assert told[0]["state"] == "copying"


def test_one_is_shown_by_its_id_and_by_its_organization(acme, command):
    move = a_move(acme)
    told = command("moves", "show", "acme-corp").stdout
    assert told == command("moves", "show", str(move.id)).stdout
    assert "2,440 of about 4,000 documents, 600 a second" in told
    assert command("moves", "show", "kestrel").returncode == 2


@pytest.mark.parametrize(
    ("state", "fields", "told"),
    [
        (MoveState.REQUESTED, {}, ("a person’s decision", "flask moves approve, flask moves decline")),
        (MoveState.COPYING, {}, ("nobody", "all is compared", "flask moves pause, flask moves throttle")),
        (MoveState.COPYING, {"paused": True}, ("somebody who resumes it", "flask moves resume")),
        (MoveState.READY, {}, ("somebody who switches it", "writers wait for a moment")),
        (MoveState.READY, {"waits_for": "opid 7, mongodump, 40 s"}, ("opid 7, mongodump, 40 s",)),
        (MoveState.READY, {"switch_in_hours": True}, ("the hours of the placement policy",)),
        (MoveState.READY, {"last_error": "AutoReconnect: closed"}, ("tried again, after AutoReconnect",)),
        (MoveState.SHADOW, {}, ("the old copy follows", "flask moves back, flask moves extend")),
    ],
)  # fmt: skip
def test_it_says_what_is_waited_for_and_what_will_happen(acme, command, state, fields, told):
    a_move(acme, state, **fields)
    explained = command("moves", "explain", "acme-corp").stdout
    for words in told:
        assert words in explained


def test_it_explains_to_programs(acme, command):
    move = a_move(acme, MoveState.SHADOW)
    told = json.loads(command("moves", "explain", "acme-corp", "--json").stdout)
    assert told["move"] == str(move.id)
    assert {"back", "extend"} <= set(told["possible"])
    assert told["happens_next"]


def test_that_no_portal_works_on_it_is_told(acme, command):
    a_move(acme, due_at=clock.now() - timedelta(minutes=3))
    told = command("moves", "explain", "acme-corp").stdout
    assert "no portal has worked on it for 3 minutes" in told


def test_a_copy_that_does_not_grow_is_told(acme, command):
    long_ago = clock.now() - timedelta(minutes=2)
    a_move(acme, progress={"moved_at": long_ago, "note": "range 3"})
    assert (
        "no movement for 2 minutes, at range 3" in command("moves", "explain", "acme-corp").stdout
    )


def test_a_stream_that_nobody_reads_is_told(acme, command):
    a_way_back(acme, progress={"last_event_at": clock.now() - timedelta(minutes=5)})
    told = command("moves", "explain", "acme-corp").stdout
    assert "the stream of changes was last read 5 minutes ago" in told


def test_options_that_say_nothing_or_two_things_are_refused(acme, command):
    for arguments in (
        ("plan", "acme-corp"),
        ("start", "acme-corp", "--to", "shared", "--in-hours", "--on-command"),
        ("start", "acme-corp", "--to", "shared", "--at", "tonight"),
        ("throttle", "acme-corp"),
        ("throttle", "acme-corp", "--none", "--rate", "7"),
        ("switch", "acme-corp", "--now", "--at", "2030-01-01T03:00"),
        ("run",),
        ("run", "--from", "europe", "--policy"),
        ("run", "--policy", "--to", "europe"),
        ("run", "--from", "europe", "--hours", "night"),
        ("run", "--from", "europe", "--hours", "22:00Z-05:00Z"),
    ):
        assert command("moves", *arguments).returncode == 2, arguments


def test_no_plan_is_made_of_a_collection_that_somebody_dropped(acme, command, tenant_db):
    tenant_db.drop_collection(acme.placement.collection)
    refused = command("moves", "plan", "acme-corp", "--to", "shared")
    assert refused.returncode == 2
    assert "not in the database any more" in refused.stderr


def test_a_move_is_paused_throttled_and_aborted_twice_by_commands(acme, command):
    told = command("moves", "start", "acme-corp", "--to", "shared", "--yes", "--on-command")
    assert "Started: Move of acme-corp from a collection of its own on main" in told.stdout
    assert command("moves", "pause", "acme-corp").returncode == 0
    assert "copying, paused" in command("moves", "show", "acme-corp").stdout
    assert command("moves", "throttle", "acme-corp", "--rate", "70").returncode == 0
    assert command("moves", "resume", "acme-corp").returncode == 0
    run_movers()
    assert (
        "waits for    somebody who switches it" in command("moves", "explain", "acme-corp").stdout
    )
    for _ in range(2):
        aborted = command("moves", "abort", "acme-corp", "--reason", "Not today.")
        assert aborted.stdout == "acme-corp stays where it is. The portals remove the copy.\n"
    run_due_movers()
    assert "aborted, Not today." in command("moves", "list", "--all").stdout
    assert command("moves", "back", "acme-corp").returncode == 2


def test_a_move_is_switched_kept_and_gone_back_on_by_commands(acme, command):
    tenant_of(acme).insert_one({"_id": 1})
    command("moves", "start", "acme-corp", "--to", "shared", "--yes", "--on-command")
    run_movers()
    assert command("moves", "switch", "acme-corp", "--now").returncode == 0
    run_movers()
    kept = command("moves", "extend", "acme-corp", "--days", "5", "--json")
    assert json.loads(kept.stdout)["state"] == "shadow"
    extended = command("moves", "extend", "acme-corp", "--days", "9")
    day = clock.now() + timedelta(days=9)
    assert f"The way back of acme-corp is open until {day:%Y-%m-%d}" in extended.stdout
    assert Organization.objects.get(id=acme.id).placement.strategy == Strategy.SHARED
    back = command("moves", "back", "acme-corp")
    assert back.stdout == (
        "acme-corp goes back to a collection of its own on main as soon as that has all that was "
        "written.\n"
    )
    run_movers()
    back_again = Organization.objects.get(id=acme.id)
    assert back_again.placement.uuid == acme.placement.uuid
    assert tenant_of(back_again).find_one() == {"_id": 1}


def test_a_request_is_approved_by_a_command_and_switches_on_its_day(acme, command):
    tomorrow = clock.now() + timedelta(days=1)
    shared = Placement(strategy=Strategy.SHARED)
    a_move(acme, MoveState.REQUESTED, shared, due_at=None, requested_for=tomorrow)
    approved = command("moves", "approve", "acme-corp", "--yes", "--rate", "500", "--json")
    told, move = json.loads(approved.stdout), Move.objects.get()
    assert (told["id"], told["state"]) == (str(move.id), "copying")
    assert "Nothing has begun" in approved.stderr
    assert move.state == MoveState.COPYING
    assert abs(move.switch_at - tomorrow) < timedelta(seconds=1)
    run_movers()
    assert Move.objects.get(id=move.id).state == MoveState.READY


def test_the_end_of_a_way_back_is_told_first_by_a_command(acme, command):
    way_back = a_way_back(acme)
    told = json.loads(command("moves", "end", "acme-corp", "--dry-run", "--json").stdout)
    assert (told["move"], told["documents"], told["bytes"]) == (str(way_back.id), 4000, 5_100_000)
    assert "4,000 when they were moved" in command("moves", "end", "acme-corp").stdout
    assert Move.objects.get(id=way_back.id).state == MoveState.SHADOW
    ended = command("moves", "end", "acme-corp", "--yes", "--json")
    assert json.loads(ended.stdout)["outcome"] == Outcome.ENDED


def test_a_request_is_declined_by_a_command_with_a_reason(acme, command):
    a_move(acme, MoveState.REQUESTED, due_at=None)
    assert command("moves", "decline", "acme-corp", "--reason", " ").returncode == 2
    assert "decline it" in command("moves", "abort", "acme-corp").stderr
    declined = command("moves", "decline", "acme-corp", "--reason", "Not this year", "--json")
    told = json.loads(declined.stdout)
    assert (told["outcome"], told["reason"]) == ("declined", "Not this year")


def test_a_plan_is_applied_as_shown_or_refused_with_the_difference(acme, command):
    planned = command("moves", "plan", "acme-corp", "--to", "shared")
    assert planned.returncode == 0, planned.stdout
    text = planned.stdout.rsplit(" ", 1)[1].strip()
    tenant_of(acme).create_index("n")
    refused = command("moves", "start", "acme-corp", "--plan", text)
    assert refused.returncode == 2
    assert "the number of indexes is 1, and was 0" in refused.stderr
    unfit = command("moves", "plan", "acme-corp", "--to", "shared")
    assert unfit.returncode == 1
    assert "  NO  " in unfit.stdout
    assert not Move.objects


def test_a_cluster_is_not_removed_while_moves_and_ways_back_hold_it(europe, acme, command):
    way_back = a_way_back(acme, IN_EUROPE)
    move = a_move(an_organization("Kestrel"), target=IN_EUROPE)
    refused = command("clusters", "remove", "europe")
    assert refused.returncode == 2
    until = f"{way_back.until:%Y-%m-%d}"
    assert (
        f"It holds the way back of acme-corp until {until}, the move of kestrel." in refused.stderr
    )
    move.update(unset__open=True)
    way_back.update(unset__open=True, set__outcome=Outcome.ENDED)
    assert command("clusters", "remove", "europe").returncode == 0


def test_only_a_cluster_that_takes_no_organizations_is_emptied(europe, command):
    refused = command("moves", "run", "--from", "europe")
    assert refused.returncode == 2
    assert "flask clusters change europe --weight 0" in refused.stderr
    assert command("clusters", "change", "europe", "--weight", "0").returncode == 0
    done = command("moves", "run", "--from", "europe")
    assert done.returncode == 0, done.stderr
    assert (
        "There is nothing to move.\neurope is empty: flask clusters remove europe\n" in done.stdout
    )


def test_the_organization_that_is_meant_has_to_be_there(app, command):
    told = command("moves", "plan", "nobody", "--to", "shared")
    assert (told.returncode, told.stderr) == (2, "Error: There is no organization nobody.\n")
    assert not Organization.objects
