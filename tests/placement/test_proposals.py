"""Proposals of moves: by figures that held for a while, and for nobody to and fro."""

from datetime import timedelta

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pymongo import MongoClient

from portal import clock
from portal.clusters import managing as registry
from portal.database.clusters import database_of
from portal.database.connection import tenant_database
from portal.documents.audit import Origin
from portal.documents.figures import OrganizationFigures
from portal.documents.moves import Move
from portal.documents.organizations import Organization, Placement, Strategy
from portal.documents.pools import Pool
from portal.documents.usage import UsageHour, UsageRollup
from portal.organizations.lifecycle import pools
from portal.placement import capacity, measuring, proposals
from portal.placement.measuring import (
    Measured,
    Measurement,
    is_over,
    is_under,
    measure_organizations,
)
from portal.placement.policies import Demotion, Promotion, current_policy
from portal.placement.proposals import BY_POLICY, Reason, propose_moves
from portal.tenants.collections import uuid_of
from tests.factories import a_context, an_organization

POLICY = """
[[place]]
strategy = "collection"

[promote]
documents = 10

[demote]
documents = 3
idle_days = 20

[moves]
settled_days = 7
a_day = 2
"""

IMAGES = {"enabled": True}


@pytest.fixture
def days_later(monkeypatch):
    """Move the clock."""
    begun, passed = clock.now(), [timedelta()]

    def move(days):
        passed[0] += timedelta(days=days)
        monkeypatch.setattr(clock, "now", lambda: begun + passed[0])

    return move


def in_pool(organization, documents):
    """Have an organization live in a pool, with so many documents."""
    if not Pool.objects(id=1):
        tenant_database().create_collection("shared_1_1")
        Pool(id=1, uuid=uuid_of(tenant_database(), "shared_1_1"), generation=1).save()
    name = organization.placement.collection
    tenant_database().drop_collection(name)
    organization.update(
        set__placement__strategy="shared", set__placement__pool=1, unset__placement__collection=1,
        unset__placement__uuid=1,
    )  # fmt: skip
    write_shared(organization, documents)


def write_shared(organization, documents):
    pool = tenant_database()["shared_1_1"]
    pool.delete_many({"_id.o": organization.id})
    stored = [{"_id": {"o": organization.id, "i": number}} for number in range(documents)]
    if stored:
        pool.insert_many(stored)


def proposed():
    return [(one.slug, one.to) for one in propose_moves(current_policy())]


def test_figures_are_those_of_each(app):
    acme, kestrel = an_organization("Acme Corp"), an_organization("Kestrel")
    tenant_database().org_acme_corp.insert_many([{"title": "First"}, {"title": "Second"}])
    tenant_database().org_acme_corp.create_index("title")
    in_pool(kestrel, 3)
    assert measure_organizations().count == 2
    own, shared = (OrganizationFigures.objects.get(id=one.id) for one in (acme, kestrel))
    assert (own.documents, own.bytes, own.indexes) == (2, 79, 2)
    assert own.operations > 0
    assert (shared.documents, shared.indexes, shared.operations) == (3, 1, None)
    assert shared.bytes > 0


def test_what_is_used_is_counted_by_day(app, days_later):
    acme = an_organization("Acme Corp")
    measure_organizations()
    days_later(2)
    for _ in range(20):
        tenant_database().org_acme_corp.find_one()
    measure_organizations()
    figures = OrganizationFigures.objects.get(id=acme.id)
    assert figures.operations_a_day in (9, 10)
    assert figures.used_at == figures.measured_at
    days_later(1)
    measure_organizations()
    assert OrganizationFigures.objects.get(id=acme.id).used_at == figures.used_at


def test_one_that_grew_is_proposed_once_it_stayed_large(in_force, days_later):
    in_force(POLICY)
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)
    measure_organizations()
    assert proposed() == []
    days_later(8)
    measure_organizations()
    assert proposed() == [("acme-corp", "collection")]
    write_shared(acme, 10)
    measure_organizations()
    assert proposed() == []


def test_one_that_deleted_all_its_documents_has_none_and_stays(in_force, days_later):
    in_force(POLICY)
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)
    measure_organizations()
    days_later(8)
    write_shared(acme, 0)
    measure_organizations()
    figures = OrganizationFigures.objects.get(id=acme.id)
    assert (figures.documents, figures.bytes) == (0, 0)
    assert proposed() == []


def test_one_that_goes_up_and_down_is_never_proposed(in_force, days_later):
    in_force(POLICY)
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)
    for documents in (11, 9, 11, 9, 11):
        write_shared(acme, documents)
        measure_organizations()
        days_later(4)
        assert proposed() == []


def test_what_would_grow_out_of_a_pool_again_by_another_figure_stays(in_force, days_later):
    in_force(POLICY.replace("[demote]\ndocuments = 3", "[demote]\nbytes = 1000000"))
    acme = an_organization("Acme Corp")
    stored = tenant_database()[acme.placement.collection]
    stored.insert_many({} for _ in range(11))

    def measured_for_long():
        for _ in range(3):
            measure_organizations()
            days_later(40)

    measured_for_long()
    assert proposed() == []
    stored.delete_many({})
    measured_for_long()
    assert proposed() == [("acme-corp", "shared")]


def test_one_that_is_small_and_idle_may_share_unless_it_has_what_sharing_has_not(
    in_force, days_later
):
    in_force(POLICY)
    for name in ("Acme", "Kestrel", "Juniper", "Sparrow", "Wren"):
        an_organization(name)
    apart = an_organization("Heron", strategy=Strategy.DATABASE)
    tenant_database().org_kestrel.create_index("title")
    tenant_database().command("collMod", "org_wren", validator={"title": {"$exists": True}})
    own = database_of(apart.placement)
    own.command("collMod", apart.placement.collection, changeStreamPreAndPostImages=IMAGES)
    Organization.objects(slug="juniper").update(credentials=1)
    tenant_database().org_sparrow.insert_many([{} for _ in range(3)])
    for _ in range(5):
        measure_organizations()
        days_later(7)
    assert proposed() == [("acme", "shared")]


def test_at_most_so_many_as_the_policy_lets_move_the_longest_over_first(in_force, days_later):
    in_force(POLICY)
    for name in ("Acme", "Kestrel", "Juniper"):
        in_pool(an_organization(name), 11)
        measure_organizations()
        days_later(1)
    days_later(8)
    assert proposed() == [("acme", "collection"), ("kestrel", "collection")]


def begun(slug, **changed):
    """Have a move of the organization be begun now."""
    placement = Placement(strategy="shared")
    move = Move(
        organization=Organization.objects.get(slug=slug).id, slug=slug, source=placement,
        target=placement, state="done", drain=BY_POLICY, created_at=clock.now(),
        switched_at=clock.now(), origin=Origin(), **changed,
    )  # fmt: skip
    return move.save()


def test_of_a_day_all_runs_together_begin_as_many_as_the_policy_allows(in_force, days_later):
    in_force(POLICY)
    names = ("acme", "juniper", "kestrel", "sparrow", "wren")
    for name in names:
        in_pool(an_organization(name), 11)
        measure_organizations()
        days_later(0.1)
    days_later(8)
    assert proposed() == [("acme", "collection"), ("juniper", "collection")]
    begun("acme")
    assert proposed() == [("juniper", "collection")]
    begun("juniper", outcome="aborted")
    assert proposed() == []
    assert proposals.begun_lately() == 2
    days_later(0.99)
    assert proposed() == []
    days_later(0.02)
    assert proposed() == [("kestrel", "collection"), ("sparrow", "collection")]


def test_ways_back_and_moves_by_hand_take_nothing_of_that(in_force, days_later):
    in_force(POLICY)
    for name in ("acme", "kestrel"):
        in_pool(an_organization(name), 11)
    measure_organizations()
    days_later(8)
    begun("acme", way_back_of=ObjectId())
    begun("acme").update(unset__drain=True)
    assert proposals.begun_lately() == 0
    assert proposed() == [("kestrel", "collection")]


def use(organization, operations):
    """Have stores report so many operations of the organization, in each of the last 24 hours."""
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    for hours in range(1, 25):
        at = {"organization": organization.id, "hour": now - timedelta(hours=hours)}
        counts = {"cluster": "main", "total": {"operations": operations}, "minutes": {}}
        UsageHour._get_collection().replace_one(at, {**at, **counts}, upsert=True)
    added_up(clock.now())


def added_up(until):
    UsageRollup.objects.delete()
    UsageRollup(since=clock.now() - timedelta(days=40), until=until).save()


def test_one_that_is_busy_leaves_its_pool_one_that_is_quiet_may_share(in_force, days_later):
    """Also by what stores reported alone: a server counts nothing of one in a pool."""
    busy = "[promote]\noperations_a_day = 1000\n[demote]\noperations_a_day = 480\n"
    in_force('[[place]]\nstrategy = "collection"\n' + busy)
    acme, kestrel = an_organization("Acme"), an_organization("Kestrel")
    juniper, sparrow = an_organization("Juniper"), an_organization("Sparrow")
    in_pool(acme, 1)
    in_pool(kestrel, 1)
    for _ in range(2):
        for organization, an_hour in ((acme, 42), (kestrel, 41), (juniper, 19), (sparrow, 20)):
            use(organization, an_hour)
        measure_organizations()
        days_later(8)
    assert proposed() == [("acme", "collection"), ("juniper", "shared")]
    figures = OrganizationFigures.objects.get(id=acme.id)
    assert figures.operations_a_day == 42 * 24


def test_what_stores_did_not_report_yet_is_no_use_of_nothing(in_force, days_later):
    in_force('[[place]]\nstrategy = "collection"\n[demote]\noperations_a_day = 100\n')
    acme = an_organization("Acme")
    in_pool(acme, 1)
    use(acme, 50)
    added_up(clock.now() - timedelta(hours=2))
    measure_organizations()
    assert OrganizationFigures.objects.get(id=acme.id).operations_a_day is None
    UsageRollup.objects.update(since=clock.now() - timedelta(hours=3), until=clock.now())
    measure_organizations()
    assert OrganizationFigures.objects.get(id=acme.id).operations_a_day is None


def test_of_any_number_each_reason_takes_the_same_reads(in_force, days_later, commands):
    in_force(POLICY)
    for name in ("Acme", "Kestrel", "Juniper"):
        in_pool(an_organization(name), 11)
    measure_organizations()
    days_later(8)
    policy = current_policy()
    commands.clear()
    assert len(propose_moves(policy)) == 2
    # Begun moves; figures, organizations and their moves; none is out of region.
    assert commands == ["aggregate", *["find"] * 4]


def test_one_outside_its_region_is_proposed_first(in_force, main_in, days_later):
    in_force(POLICY)
    in_pool(an_organization("Acme"), 11)
    measure_organizations()
    days_later(8)
    an_organization("Kestrel")
    main_in("us-east")
    Organization.objects(slug="kestrel").update(region="eu-central")
    first, second = propose_moves(current_policy())
    assert (first.slug, first.reason) == ("kestrel", Reason.REGION)
    assert second.slug == "acme"
    Organization.objects(slug="acme").update(region="eu-central")
    assert sorted(proposed()) == [("acme", "shared"), ("kestrel", "collection")]  # each once
    main_in("eu-central")
    assert proposed() == [("acme", "collection")]


def test_of_those_in_their_region_no_document_is_read(in_force, main_in, admin, master_db):
    """So it costs the same among a million organizations."""
    in_force(POLICY)
    main_in("us-east")
    for name in ("Acme", "Kestrel"):
        an_organization(name)
    Organization.objects.update(region="us-east")
    profiled = admin[master_db.name]
    profiled.command("profile", 2)
    try:
        assert proposed() == []
    finally:
        profiled.command("profile", 0)
    read = list(profiled["system.profile"].find({"ns": f"{master_db.name}.organizations"}))
    profiled.drop_collection("system.profile")
    assert [row["docsExamined"] for row in read] == [0]


def test_one_in_the_trash_or_at_work_is_left_alone(in_force, days_later):
    in_force(POLICY)
    for name in ("Acme", "Kestrel"):
        in_pool(an_organization(name), 11)
    measure_organizations()
    days_later(8)
    Organization.objects(slug="acme").update(state="trashed")
    Organization.objects(slug="kestrel").update(set__operation__collection="x")
    assert proposed() == []


def test_a_pool_that_cannot_be_read_leaves_the_last_figures_and_is_told(in_force, command):
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)
    measure_organizations()
    tenant_database().shared_1_1.rename("shared_1_2")
    told = command("placements", "measure")
    assert (told.returncode, told.stdout) == (1, "0 organizations measured.\n")
    assert "Not measured: shared collection 1 on main: OperationFailure" in told.stderr
    assert OrganizationFigures.objects.get(id=acme.id).documents == 11


def test_a_pool_that_is_fenced_meanwhile_is_read_anew(app, monkeypatch):
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)

    def fenced_first(pool):
        if pool.generation < 3:  # each time after its record was read
            pools.fence(1)
        return database_of(pool)

    monkeypatch.setattr(measuring, "database_of", fenced_first)
    assert measure_organizations() == Measurement(1, {})
    assert OrganizationFigures.objects.get(id=acme.id).documents == 11


def test_a_pool_may_be_read_for_longer_than_a_client_waits(
    app, server, bare_client, tenant_db, monkeypatch
):
    acme = an_organization("Acme Corp")
    in_pool(acme, 11)
    slow = {
        "failCommands": ["aggregate"], "blockConnection": True, "blockTimeMS": 600,
        "namespace": f"{tenant_db.name}.shared_1_1",
    }  # fmt: skip
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": slow}
    with MongoClient(server.uri, timeoutMS=300, uuidRepresentation="standard") as impatient:
        monkeypatch.setattr(measuring, "database_of", lambda pool: impatient[tenant_db.name])
        bare_client.admin.command(point)
        assert measure_organizations().missed == {}
    assert OrganizationFigures.objects.get(id=acme.id).documents == 11


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("trouble", ["away", "full"])
def test_a_cluster_that_cannot_be_measured_keeps_no_other_from_it(
    europe, in_europe, command, monkeypatch, trouble
):
    """And one that was given up is left out without a word."""
    there, here, pooled = in_europe("Acme"), an_organization("Globex"), an_organization("Wren")
    in_pool(pooled, 1)
    measure_organizations()
    tenant_database()[here.placement.collection].insert_one({})
    write_shared(pooled, 2)
    if trouble == "away":
        europe.kill()
    else:
        monkeypatch.setattr(capacity, "may_open_more", lambda cluster: cluster != "europe")
        monkeypatch.setattr(measuring, "_PATIENCE_SECONDS", 0)
    told = command("placements", "measure")
    assert (told.returncode, told.stdout) == (1, "2 organizations measured.\n")
    assert told.stderr.count("Not measured: europe: ") == 1
    figures = {one.id: one.documents for one in OrganizationFigures.objects}
    assert figures == {there.id: 1, here.id: 1, pooled.id: 2}
    registry.lose_cluster("europe", a_context())
    assert measure_organizations() == Measurement(2, {})


@given(
    over=st.integers(2, 1000),
    under=st.integers(1, 500),
    documents=st.integers(0, 2000),
    size=st.integers(0, 2000),
    a_day=st.none() | st.integers(0, 2000),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_no_figures_are_over_and_under_at_once(over, under, documents, size, a_day):
    """By a policy that is accepted: what demotes is half of what promotes at most."""
    under = min(under, over // 2)
    measured = Measured(ObjectId(), Strategy.SHARED, documents, size)
    promote, demote = Promotion(over, over, over), Demotion(under, under, under)
    idle = timedelta(days=99)
    assert not (is_over(measured, a_day, promote) and is_under(measured, a_day, idle, demote))


def test_the_commands_measure_and_propose(in_force, command, days_later):
    in_force(POLICY)
    in_pool(an_organization("Acme"), 11)
    assert command("placements", "measure").stdout == "1 organization measured.\n"
    days_later(8)
    told = command("placements", "proposals")
    assert told.stdout.startswith("acme  shared → collection  it is over the thresholds of promote")
    assert told.stderr == "1 organization should move.\n"
    assert '"to": "collection"' in command("placements", "proposals", "--json").stdout


def test_measuring_waits_while_much_of_what_a_cluster_may_open_is_open(app, monkeypatch):
    an_organization("Acme")
    answers = iter([False, False, True])
    monkeypatch.setattr(capacity, "may_open_more", lambda cluster: next(answers))
    monkeypatch.setattr(measuring, "_PAUSE_SECONDS", 0)
    assert measure_organizations().count == 1
    assert list(answers) == []


def test_measuring_gives_up_where_that_does_not_change(app, monkeypatch, command):
    an_organization("Acme")
    monkeypatch.setattr(capacity, "may_open_more", lambda cluster: False)
    monkeypatch.setattr(measuring, "_PATIENCE_SECONDS", 0)
    refused = command("placements", "measure")
    assert refused.returncode == 1
    assert "closes none" in refused.stderr
