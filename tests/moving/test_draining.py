"""``flask moves run``: a cluster is emptied, or the policy's proposals are carried out."""

import statistics
from datetime import timedelta

import pytest

from portal import clock
from portal.clusters import managing as clusters
from portal.clusters.managing import Changes
from portal.documents.figures import OrganizationFigures
from portal.documents.jobs import Job, JobState
from portal.documents.moves import Move, MoveState, Outcome
from portal.documents.organizations import Organization
from portal.jobs import managing as jobs
from portal.organizations.moving import draining, managing, starting, ways_back
from portal.organizations.moving.errors import NotMovable
from portal.organizations.storage import tenant_of
from portal.placement import policies
from portal.placement.policies import current_policy
from portal.placement.proposals import propose_moves
from portal.web.context import RequestContext
from tests.factories import a_context, an_account, an_organization, fresh
from tests.moving.records import a_move, a_way_back, moved
from tests.processes import wait_until

pytestmark = pytest.mark.slow

MANY, DOCUMENTS = 1000, 10


@pytest.fixture
def closed(europe):
    """A second cluster that takes no new organizations."""
    clusters.change_cluster("europe", Changes(weight=0), RequestContext())


@pytest.fixture
def organizations(in_europe, closed):
    """Three in Europe: the first has most documents."""
    made = []
    for number, name in enumerate(("Acme Corp", "Kestrel", "Verso Books")):
        made.append(in_europe_again(name, 30 - 10 * number))
    return made


def in_europe_again(name, documents):
    clusters.change_cluster("europe", Changes(weight=1), RequestContext())
    organization = an_organization(name, cluster="europe")
    tenant_of(organization).insert_many([{"n": n} for n in range(documents)])
    clusters.change_cluster("europe", Changes(weight=0), RequestContext())
    return organization


def run(command, *arguments):
    return command("moves", "run", "--from", "europe", *arguments)


def where(organization):
    return fresh(organization).placement.cluster


def test_a_cluster_is_emptied_smallest_first_and_held_by_ways_back(organizations, command, movers):
    looked = run(command, "--dry-run")
    assert looked.stdout == "To move: 3 organizations.\n"
    assert not Move.objects
    done = run(command, "--at-once", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [where(one) for one in organizations] == ["main"] * 3
    assert [tenant_of(fresh(one)).count_documents({}) for one in organizations] == [30, 20, 10]
    begun = Move.objects(way_back_of=None).order_by("created_at").scalar("slug")
    assert list(begun) == ["verso-books", "kestrel", "acme-corp"]
    assert "Done after" in done.stdout
    assert "3 moved." in done.stdout
    assert "europe still holds the way back of acme-corp until" in done.stdout
    assert command("clusters", "remove", "europe").returncode == 2
    for way_back in Move.objects(open=True):
        assert command("moves", "end", str(way_back.id), "--yes").returncode == 0
    wait_until(lambda: not Move.objects(open=True))
    again = run(command)
    assert "europe is empty: flask clusters remove europe" in again.stdout
    assert command("clusters", "remove", "europe").returncode == 0


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_cluster_of_a_thousand_small_organizations_is_emptied(europe, command, movers, figure):
    owner = an_account("mara@acme.example")
    for n in range(MANY):
        organization = an_organization(f"Organization {n}", owner, cluster="europe")
        tenant_of(organization).insert_many([{"n": n} for n in range(DOCUMENTS)])
    clusters.change_cluster("europe", Changes(weight=0), RequestContext())
    begun = clock.now()
    told = run(command, "--without-way-back")
    seconds = (clock.now() - begun).total_seconds()
    assert f"{MANY} moved." in told.stdout.replace(",", ""), told.stdout[-500:] + told.stderr[-500:]
    assert Move.objects(outcome=Outcome.MOVED).count() == MANY
    assert Organization.objects(placement__cluster="europe").count() == 0
    for organization in Organization.objects:
        assert tenant_of(organization).count_documents({}) == DOCUMENTS
    each = [(one.ended_at - one.created_at).total_seconds() for one in Move.objects]
    pauses = [one.pause_ms for one in Move.objects]
    figure(
        f"{MANY} organizations in {seconds:.0f} s, each in {statistics.median(each):.1f} s (median); "
        f"pauses {statistics.median(pauses):.0f} ms (median), {max(pauses):.0f} ms at most"
    )


def test_one_that_cannot_move_is_found_before_the_first_does(organizations, command, movers, there):
    there.tenant_test.command("collMod", "org_kestrel", validator={"n": {"$exists": True}})
    refused = run(command, "--strategy", "shared")
    assert refused.returncode == 2
    assert "1 organization can't be moved:\n  kestrel: " in refused.stdout
    assert not Move.objects
    others = run(command, "--strategy", "shared", "--leave-unfit", "--without-way-back")
    assert "2 moved" in others.stdout, others.stdout + others.stderr
    assert [where(one) for one in organizations] == ["main", "europe", "main"]
    assert "europe still holds 1 organization (kestrel)." in others.stdout


def test_where_no_other_cluster_takes_them_it_says_so_before_anything_moves(organizations, command):
    clusters.change_cluster("main", Changes(weight=0), RequestContext())
    refused = run(command)
    assert refused.returncode == 2
    words = "acme-corp: No other cluster than europe takes organizations now"
    assert words in refused.stdout
    assert not Move.objects


def test_one_that_is_in_the_way_at_its_turn_is_left_and_told(
    organizations, command, movers, monkeypatch
):
    """What is found only then: it was fit when all were looked at."""
    acme, kestrel, verso = organizations
    start = starting.start_move

    def start_but_one(organization, *given):
        if organization.id == kestrel.id:
            raise NotMovable(organization.name, "it is being renamed, so try again in a moment")
        return start(organization, *given)

    monkeypatch.setattr(starting, "start_move", start_but_one)
    told = run(command)
    assert told.returncode == 1
    assert "1 organization left where they are:\n  kestrel: " in told.stdout
    assert "it is being renamed" in told.stdout
    assert [where(one) for one in (acme, kestrel, verso)] == ["main", "europe", "main"]


@pytest.mark.full
def test_what_somebody_aborted_stays_aborted_until_it_is_named(organizations, command, movers):
    acme, *_ = organizations
    a_move(acme, MoveState.DONE, fresh(acme).placement, open=None, due_at=None,
           outcome=Outcome.ABORTED, ended_at=clock.now())  # fmt: skip
    done = run(command)
    assert (
        "1 organization left out; --again SLUG moves one all the same:\n  acme-corp: its move was aborted"
        in done.stdout
    )
    assert [where(one) for one in organizations] == ["europe", "main", "main"]
    again = run(command, "--again", "acme-corp")
    assert "1 moved." in again.stdout, again.stdout
    assert where(acme) == "main"


@pytest.mark.full
def test_it_goes_on_with_what_another_call_began(organizations, command, movers):

    command("moves", "start", "acme-corp", "--cluster", "main", "--yes", "--on-command")
    Move.objects.update(drain="from europe")
    wait_until(lambda: Move.objects.get().state == MoveState.READY)
    assert "  1 of them under way already.\n" in run(command, "--dry-run").stdout
    managing.switch_move("acme-corp", a_context())
    assert run(command).returncode == 0
    assert [where(one) for one in organizations] == ["main"] * 3


def test_a_second_failure_stops_it(organizations, command, movers, monkeypatch):
    failing = [one.slug for one in organizations[:2]]
    for one in organizations[:2]:
        a_move(one, MoveState.COPYING, drain="from europe", paused=True, last_error="Full: no room",
               due_at=None, created_at=clock.now() - timedelta(hours=1))  # fmt: skip
    told = run(command)
    assert told.returncode == 1
    job = Job.objects.get()
    assert job.state == JobState.FAILED
    assert job.reason.startswith("2 moves failed. ")
    for slug in failing:
        assert f"{slug}: Full: no room" in told.stdout
    assert where(organizations[2]) == "europe"


def test_neighbours_that_wait_too_long_stop_it(organizations, command, movers, monkeypatch):
    monkeypatch.setattr(draining.Neighbours, "look", lambda self: 300.0)
    told = run(command, "--rate", "2")
    assert told.returncode == 1
    assert "take 300 ms (p99), 250 may. What copies is paused" in told.stdout


def test_outside_of_its_hours_nothing_begins(organizations, command, movers, monkeypatch):
    now = clock.now()
    begin, end = now + timedelta(hours=2), now + timedelta(hours=3)
    waits = []

    def watch_once(self, under_way, waits_for):
        waits.append(waits_for)
        jobs.cancel_job(str(Job.objects.get().id), RequestContext())
        self.run.renew()

    monkeypatch.setattr(draining._Attempt, "_tell", watch_once)
    told = run(command, "--hours", f"{begin:%H:%M}-{end:%H:%M}")
    assert waits == ["its hours"]
    assert "Cancelled" in told.stdout
    assert not Move.objects


def figures_of(organization, since):
    OrganizationFigures(
        id=organization.id,
        documents=10**6,
        bytes=10**9,
        indexes=0,
        used_at=clock.now(),
        over_since=since,
        measured_at=clock.now(),
    ).save()


@pytest.fixture
def large(app):
    """One that shares a collection, and has been too large for that for a while."""
    organization = an_organization("Acme Corp", strategy="shared")
    tenant_of(organization).insert_one({"n": 1})
    long_ago = clock.now() - timedelta(days=30)
    Organization.objects(id=organization.id).update(created_at=long_ago)
    figures_of(organization, long_ago)
    policies.set_policy(
        policies.DEFAULT.replace('hours = "22:00-05:00"', ""), 0, {"main"}, RequestContext()
    )
    return organization


def test_the_policy_sends_nobody_to_and_fro(large, command, movers):
    done = command("moves", "run", "--policy")
    assert "1 moved." in done.stdout, done.stdout + done.stderr
    assert fresh(large).placement.strategy == "collection"
    assert "There is nothing to move." in command("moves", "run", "--policy").stdout
    way_back = ways_back.go_back("acme-corp", a_context())
    wait_until(lambda: not Move.objects(open=True))
    assert fresh(large).placement.strategy == "shared"
    assert propose_moves(current_policy()) == []
    Move.objects.update(
        ended_at=clock.now() - timedelta(days=90), switched_at=clock.now() - timedelta(days=90)
    )
    told = command("moves", "run", "--policy")
    assert "acme-corp: it went back on" in told.stdout
    assert Move.objects.count() == 2
    assert Move.objects.get(id=way_back.id).outcome == Outcome.WENT_BACK


def test_who_has_a_way_back_or_moved_lately_is_not_proposed(large):
    assert [one.slug for one in propose_moves(current_policy())] == ["acme-corp"]
    way_back = a_way_back(large)
    assert propose_moves(current_policy()) == []
    way_back.update(unset__open=True)
    assert propose_moves(current_policy()) == []  # two days ago
    Move.objects.delete()
    moved(large, large.placement, switched_at=clock.now() - timedelta(days=8))
    assert [one.slug for one in propose_moves(current_policy())] == ["acme-corp"]
