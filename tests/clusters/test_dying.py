"""A cluster that dies or hangs: its organizations are told so, and nobody else notices."""

import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from itertools import count

import pymongo
import pytest
from pymongo.errors import InvalidOperation, PyMongoError

from portal import clock
from portal.clusters import managing as registry
from portal.clusters.managing import Changes
from portal.data.indexes import builds as index_builds
from portal.data.indexes.listing import IndexSpec
from portal.database import clusters, periodic
from portal.database.clusters import PROBE_SECONDS, client_of
from portal.database.errors import ClusterUnavailable
from portal.documents.accounts import Account
from portal.documents.clusters import Cluster
from portal.documents.jobs import Job, JobState
from portal.documents.organizations import Organization, Strategy
from portal.documents.placement_policy import PlacementPolicy
from portal.documents.pools import Pool
from portal.documents.processes import PeriodicTask
from portal.identity.api_keys import credentials
from portal.jobs import runner as job_runner
from portal.jobs.managing import find_job
from portal.organizations.lifecycle import pools
from portal.organizations.signing_up import sign_up
from portal.organizations.storage import tenant_of
from portal.placement import capacity
from portal.placement.errors import RegionUnavailable
from portal.web.context import RequestContext
from tests.factories import a_context, a_key, an_access, an_organization, the_owner
from tests.operators.conftest import desk, desk_of  # noqa: F401
from tests.processes import at_once, wait_until
from tests.program import Program, fault
from tests.stopwatch import takes_less
from tests.visitor import PASSWORD, Visitor

pytestmark = pytest.mark.usefixtures("real_limits")
UNAFFECTED_SECONDS = 1
"""Ten times what a page takes, on a machine with other work."""


@contextmanager
def killed(server):
    server.kill()
    try:
        yield
    finally:
        server.start_again()


WAYS = pytest.mark.parametrize(
    "dead", [killed, lambda server: server.stopped()], ids=["killed", "stopped"]
)


@pytest.fixture(params=list(Strategy))
def visitors(app, in_europe, request):
    """Owners of an organization there and of one here."""

    def logged_in(organization):
        visitor = Visitor(app)
        visitor.log_in(the_owner(organization).email)
        return visitor

    there, here = in_europe("Acme Corp", request.param), an_organization("Globex")
    return logged_in(there), logged_in(here)


def timed(visit):
    begun = time.monotonic()
    return visit(), time.monotonic() - begun


@WAYS
def test_its_organizations_are_answered_503_with_the_reason_and_others_as_ever(
    dead, visitors, europe, log
):
    there, here = visitors
    assert there.get("/organizations/acme-corp").status == 200
    with dead(europe):
        taken = []
        for _ in range(4):
            page, seconds = timed(lambda: there.get("/organizations/acme-corp"))
            assert page.status == 503
            assert "cluster europe" in page.text
            assert "does not answer" in page.text
            assert "127.0.0.1" not in page.text
            taken.append(seconds)
        assert taken[0] < 5  # the limit of a request, at most
        assert min(taken) < UNAFFECTED_SECONDS  # as soon as it is known
        for path in ("/organizations/globex", "/organizations", "/readyz"):
            assert here.get(path).status == 200
            assert takes_less(UNAFFECTED_SECONDS, partial(here.get, path))
        # What the portal itself knows of the organization stays at hand.
        assert there.get("/organizations/acme-corp/activity").status == 200
    wait_until(lambda: there.get("/organizations/acme-corp").status == 200)
    assert europe.uri not in log.text
    assert len(log.named("cluster.unavailable")) == 1


def test_operators_are_told_of_it_and_what_they_know_is_as_old_as_it_is(
    desk,  # noqa: F811
    europe,
):
    def needs():
        """What the console's first page tells of the cluster, once it was looked at."""
        PeriodicTask.objects.update(set__due_at=clock.now() - timedelta(days=1))
        periodic.run_if_due(capacity.TASK)
        rows = desk.get("/operator").html.select(".needs > ul > li")
        return [row.get_text(" ", strip=True) for row in rows if "europe" in row.text]

    assert needs() == []
    with killed(europe):
        wait_until(needs)
        [told] = needs()
        assert told.startswith("Failed: Cluster europe can’t be reached")
        assert "Its figures are of" in told
        assert "Other clusters go on." in told
        assert "127.0.0.1" not in told
        known = desk.get("/operator/capacity?cluster=europe")
        assert known.status == 200
    wait_until(lambda: not needs())


def test_an_index_waits_until_it_is_back(in_europe, europe):
    organization = in_europe("Acme Corp")
    job = index_builds.begin_build(an_access(organization), IndexSpec({"a": 1}), a_context())

    def turn():
        Job.objects.update(set__due_at=clock.now() - timedelta(days=1))
        job_runner.run_due_jobs()
        return find_job(job.id)

    def waits():
        seen = turn()
        assert seen.state == JobState.RUNNING
        return seen.last_error == "its cluster does not answer"

    with killed(europe):
        wait_until(waits)
    wait_until(lambda: turn().state == JobState.DONE)
    assert "a_1" in tenant_of(organization).index_information()


def ask():
    with pymongo.timeout(4):  # as in a request
        client_of("europe").admin.command("ping")


@WAYS
def test_nobody_waits_for_it_once_it_is_known(dead, europe):
    ask()
    with dead(europe):
        with pytest.raises((ClusterUnavailable, PyMongoError)):
            ask()

        def ask_often():
            for _ in range(200):
                with pytest.raises(ClusterUnavailable):
                    ask()

        # Once in a while one looks whether it is back.
        assert takes_less(PROBE_SECONDS + UNAFFECTED_SECONDS, ask_often)
    wait_until(lambda: clusters.is_available("europe"))


@WAYS
def test_many_who_ask_at_once_for_one_that_is_down_wait_as_long_as_one(dead, europe, monkeypatch):
    def refused():
        with pytest.raises(ClusterUnavailable):
            ask()

    def ask_as_the_first():
        monkeypatch.setattr(clusters, "_registry", clusters._Registry())
        at_once([refused] * 8)

    with dead(europe):
        assert takes_less(PROBE_SECONDS + UNAFFECTED_SECONDS, ask_as_the_first)
    wait_until(lambda: clusters.is_available("europe"))


@WAYS
def test_nobody_waits_for_one_that_died_and_was_removed(dead, europe, monkeypatch):
    """Its client is closed by the next that reads the registry, without its sessions' end."""
    monkeypatch.setattr(clusters, "_RETIRED_SECONDS", -1)

    def seconds_to_read_the_registry(attempt):
        if attempt:
            registry.add_cluster("europe", Changes(europe.uri), RequestContext())
        ask()
        former = client_of("europe")
        with dead(europe):
            registry.remove_cluster("europe", RequestContext())
            _, seconds = timed(clusters.known_clusters)
        with pytest.raises(InvalidOperation):
            former.admin.command("ping")
        return seconds

    assert any(seconds_to_read_the_registry(n) < UNAFFECTED_SECONDS for n in range(3))


def test_one_that_is_registered_again_is_used_at_once(europe):
    """Though it was down before, and this process has not seen it come back."""
    ask()
    with killed(europe):
        with pytest.raises((ClusterUnavailable, PyMongoError)):
            ask()
        with pytest.raises(ClusterUnavailable):
            ask()
        registry.remove_cluster("europe", RequestContext())
    registry.add_cluster("europe", Changes(europe.uri), RequestContext())
    ask()


def test_a_command_that_takes_long_makes_it_no_suspect(europe, there):
    """Others look whether it answers, which takes no time, and go on."""
    slow = {
        "failCommands": ["find"],
        "blockConnection": True,
        "blockTimeMS": 1500,
        "appName": "portal",
    }
    ask()

    def find():
        client_of("europe").tenant_test.nothing.find_one()

    def meanwhile():
        wait_until(lambda: not clusters._registry.link_made("europe").answers)
        return [timed(ask)[1] for _ in range(5)]

    def longest():
        once = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": slow}
        there.admin.command(once)
        return max(at_once([find, meanwhile])[1])

    assert any(longest() < 0.5 for _ in range(3))


def test_what_is_in_europe_there_can_be_told_from_what_is_not_known(europe, in_europe, visitor):
    """A portal without the cluster in its registry refuses, and touches nothing."""
    organization = in_europe("Acme Corp")
    visitor.log_in(the_owner(organization).email)
    Cluster.objects.delete()
    clusters.forget_registry()
    page = visitor.get("/organizations/acme-corp")
    assert page.status == 503
    assert "the cluster europe, which this portal doesn’t know" in page.text
    assert visitor.get("/organizations").status == 200


def test_programs_are_told_so_too(europe, in_europe, app):
    """By the data API and by the organization's own."""
    secret = a_key(in_europe("Acme Corp"), None, ["organization.view", "documents.read"])
    program = app.test_client()
    europe.kill()
    for path in ("/org/acme-corp", "/org/acme-corp/documents"):
        answer = program.get(path, headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 503
        assert answer.json["error"]["code"] == "cluster_unavailable"
        assert "the cluster europe" in answer.json["error"]["message"]
        assert answer.headers["Retry-After"]


def test_sign_ups_go_elsewhere(europe, visitor):
    """Though the policy's weights would have all of them there."""
    registry.change_cluster("europe", Changes(weight=1000), RequestContext())
    registry.change_cluster("main", Changes(weight=1), RequestContext())
    visitor.sign_up("Acme Corp", "mara@acme.example")
    europe.kill()
    clusters.forget_registry()
    for number in range(3):
        visitor.log_out()
        visitor.sign_up(f"Globex {number}", f"teo{number}@globex.example")
    placed = dict(Organization.objects.scalar("slug", "placement"))
    assert placed.pop("acme-corp").cluster == "europe"
    assert {placement.cluster for placement in placed.values()} == {"main"}
    assert not Organization.objects(operation__ne=None)


@pytest.fixture
def sharing_in_europe(europe):
    """The policy has new organizations share a collection there, and no pool is open yet."""
    text = '[[place]]\nstrategy = "shared"\nclusters = ["europe"]\n'
    PlacementPolicy(id=1, text=text, set_at=clock.now()).save()
    registry.change_cluster("europe", Changes(region="eu-central"), RequestContext())
    yield europe
    PlacementPolicy.objects.delete()


@pytest.fixture
def dies_opening(sharing_in_europe, monkeypatch):
    """Has the cluster die just before the first command there, or the second, that opens a pool."""
    found, calls = pools.database_of, count(1)

    def arrange(dead, number):
        def find_and_die(placed):
            database = found(placed)
            if placed.cluster == "europe" and next(calls) == number:
                stack.enter_context(dead(sharing_in_europe))
            return database

        monkeypatch.setattr(pools, "database_of", find_and_die)

    with ExitStack() as stack:
        arrange.bring_back = stack.close
        yield arrange


COMMANDS = pytest.mark.parametrize("number", [1, 2], ids=["created", "renamed"])


def sign_acme_up(**wanted):
    who = "Acme Corp", "mara@acme.example", PASSWORD, a_context()
    return sign_up(*who, **wanted).organization


@WAYS
@COMMANDS
def test_a_sign_up_goes_elsewhere_where_the_cluster_dies_while_a_pool_is_opened(
    dead, number, dies_opening, log
):
    dies_opening(dead, number)
    acme = sign_acme_up()
    assert (acme.placement.strategy, acme.placement.cluster) == (Strategy.SHARED, "main")
    assert acme.operation is None
    tenant_of(acme).insert_one({"_id": 1})
    assert [told["cluster"] for told in log.named("pool.not_opened")] == ["europe"]


@COMMANDS
def test_one_that_is_bound_to_its_region_is_refused_and_the_next_opens_that_pool(
    dies_opening, number
):
    dies_opening(killed, number)
    with pytest.raises(RegionUnavailable):
        sign_acme_up(region="eu-central")
    assert Organization.objects.count() == Account.objects.count() == 0
    half_open = Pool.objects.get()
    dies_opening.bring_back()
    wait_until(lambda: clusters.is_available("europe"))
    acme = sign_acme_up(region="eu-central")
    assert (acme.placement.cluster, acme.placement.pool) == ("europe", half_open.id)
    tenant_of(acme).insert_one({"_id": 1})


def test_a_program_is_told_so_by_503(dies_opening, app):
    dies_opening(killed, 1)
    billing = Program(app, credentials.create_provisioning_key("Billing"))
    refused = billing.post(
        "/org/create",
        {
            "organization_name": "Acme Corp",
            "email": "mara@acme.example",
            "password": PASSWORD,
            "region": "eu-central",
        },
    )
    assert fault(refused)[:2] == (503, "region_unavailable")
    assert refused.headers["Retry-After"]
