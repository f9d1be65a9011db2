"""The listing of organizations follows the truth, whatever dies and however late it wakes."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from math import prod

import pytest
from bson import ObjectId

from portal import clock
from portal.audit.trail import record
from portal.database.transactions import transactional
from portal.documents.accounts import Account
from portal.documents.figures import OrganizationFigures
from portal.documents.listing import ListedOrganization, ListedWord, ListingFeed
from portal.documents.memberships import Role
from portal.documents.organizations import Organization, OrganizationState, Strategy
from portal.errors import PortalError
from portal.identity.accounts import changing
from portal.operators.listing import feeding
from portal.operators.listing.checking import find_differences
from portal.operators.listing.classes import MOST_RUNS, VALUES
from portal.operators.listing.feeding import feed, feed_marked
from portal.operators.listing.filters import OrganizationFilter
from portal.organizations.external import set_external
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import purge_organization, trash_organization
from portal.organizations.members.ownership import set_owner
from portal.placement.measuring import measure_organizations
from tests.accounts.letters import Letters, token_of
from tests.factories import a_context, a_member, an_account, an_organization, the_owner
from tests.visitor import PASSWORD


def a_shared(name):
    return an_organization(name, strategy=Strategy.SHARED)


def listed(organization):
    return ListedOrganization.objects.get(id=organization.id)


def found(search):
    feed_marked()
    return list(OrganizationFilter(search).matching_ids())


class Killed(BaseException):
    """The feeder's process is killed."""


@pytest.fixture
def deadly(monkeypatch):
    """Has each step of the feeder kill it by a chance, before or after it is done."""

    def make(chance, share=0.2):
        def wrapped(step):
            def dying(*args, **options):
                if chance.random() < share:
                    raise Killed
                result = step(*args, **options)
                if chance.random() < share:
                    raise Killed
                return result

            return dying

        for name in ("list_organizations", "_unmark", "_marked_of", "_renew", "_build_on"):
            monkeypatch.setattr(feeding, name, wrapped(getattr(feeding, name)))

    return make


def change(organization, chance):
    """Change something that the listing shows, as people do."""
    context, name = a_context(), f"Name {chance.randrange(1000)}"
    kinds = (
        lambda: rename_organization(organization, name, context),
        lambda: trash_organization(organization, None, context),
        lambda: restore_organization(organization, None, context),
        lambda: change_master_data(organization, chance),
        lambda: set_owner(organization.id, an_account(f"{ObjectId()}@new.example").id, context),
        measure_organizations,
    )
    with suppress(PortalError):
        chance.choice(kinds)()


def change_master_data(organization, chance):
    """Change something that the listing shows, in no more than a transaction."""
    plan, region = chance.choice(("free", "team", None)), chance.choice(("eu", None))
    word = chance.choice(("Verdant", "Acme", "Ärzte", "İzmir", "日本"))

    @transactional
    def write():
        current = Organization.objects.get(id=organization.id)
        current.update(
            set__name=f"{word} {chance.randrange(50)}",
            set__plan=plan,
            set__region=region,
            set__state=chance.choice((OrganizationState.ACTIVE, OrganizationState.TRASHED)),
        )
        record(current, "organization.plan_set", a_context().origin)

    write()


def follow(rounds, seed, deadly, change=change, often=0.4):
    chance = random.Random(seed)
    ids = [a_shared(f"Organization {n}").id for n in range(4)]
    deadly(chance)
    for _ in range(rounds):
        change(Organization.objects.get(id=chance.choice(ids)), chance)
        if chance.random() < often:
            with suppress(Killed):
                feed()
            ListingFeed.objects.update(set__due_at=clock.now())  # its lease runs out


@pytest.mark.parametrize("seed", range(3))
def test_a_feeder_that_is_killed_anywhere_misses_nothing(app, deadly, monkeypatch, seed):
    follow(12, seed, deadly)
    monkeypatch.undo()
    feed()
    assert list(find_differences()) == []
    assert ListedOrganization.objects.count() == 4


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_after_ten_thousand_changes_nothing_is_missing(app, deadly, monkeypatch):
    follow(10_000, 7, deadly, change_master_data, often=0.1)
    monkeypatch.undo()
    feed()
    assert list(find_differences()) == []


def test_a_feeder_that_slept_over_a_change_writes_nothing_old(app, monkeypatch):
    organization, reads = a_shared("Acme Corp"), []
    feed_marked()
    read = feeding.true_rows

    def sleepy(ids, now):
        rows = read(ids, now)
        reads.append(rows)
        if len(reads) == 1:
            with ThreadPoolExecutor(1) as other:
                other.submit(rename_and_feed).result()
        return rows

    def rename_and_feed():
        rename_organization(Organization.objects.get(id=organization.id), "Beta", a_context())
        feed_marked()

    monkeypatch.setattr(feeding, "true_rows", sleepy)
    feeding.list_organizations([organization.id])
    assert [rows[0]["name"] for rows in reads] == ["Acme Corp", "Beta", "Beta"]
    assert listed(organization).name == "Beta"
    assert found("beta") == [organization.id]
    assert found("acme corp") == []


def test_feeders_at_one_time_list_what_is_true(app):
    organizations = [a_shared(f"Organization {n}") for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        for n, organization in enumerate(organizations):
            pool.submit(rename_organization, organization, f"Renamed {n}", a_context())
            pool.submit(feed_marked)
            pool.submit(feed_marked)
    feed_marked()
    assert list(find_differences()) == []


def test_a_changed_address_finds_what_its_account_owns(app, office):
    letters, organization = Letters(app, office), a_shared("Acme Corp")
    owner = the_owner(organization)
    feed_marked()
    changing.request_email_change(owner.id, "new@verdant.example", PASSWORD, a_context(owner))
    link = letters.link("new@verdant.example", "Confirm your new e-mail address")
    changing.confirm_email_change(token_of(link), PASSWORD, a_context(owner))
    assert found("verdant.example") == [organization.id]
    assert found(owner.email) == []


def test_measured_figures_are_listed(app):
    organization = a_shared("Acme Corp")
    feed_marked()
    assert listed(organization).documents is None
    now = clock.now()
    OrganizationFigures(
        id=organization.id,
        documents=7,
        bytes=5_000_000,
        indexes=1,
        measured_at=now,
        used_at=now,
        unlisted=ObjectId(),
    ).save()
    feed_marked()
    row = listed(organization)
    assert (row.documents, row.bytes, row.size) == (7, 5_000_000, "small")
    assert OrganizationFigures.objects(unlisted__exists=True).count() == 0


def test_what_wasnt_used_for_long_moves_to_the_class_that_says_so(app, time_machine):
    organization = a_shared("Acme Corp")
    feed()
    for days, use in ((0, "day"), (2, "week"), (8, "month"), (31, "older")):
        time_machine.move_to(organization.created_at + timedelta(days=days))
        feed()
        assert listed(organization).use == use


def test_the_listing_is_filled_anew_while_it_is_fed(app, command):
    organizations = [a_shared(f"Organization {n}") for n in range(5)]
    feed()
    ListedOrganization.objects(id=organizations[0].id).delete()
    ListedWord._get_collection().delete_many({})
    assert "isn’t found by" in command("listing", "check").stdout
    command("listing", "rebuild")
    assert "as the truth is" in command("listing", "check").stdout


def test_classes_of_use_are_kept_during_a_filling(app, monkeypatch, time_machine):
    organizations = [a_shared(f"Organization {n}") for n in range(2)]
    feed()
    monkeypatch.setattr(feeding, "AT_ONCE", 1)
    feeding.begin_building()
    for _ in feeding.steps():
        time_machine.move_to(organizations[0].created_at + timedelta(days=2))
    assert [listed(each).use for each in organizations] == ["week", "week"]


def test_a_filling_ends_although_something_changes_all_the_time(app):
    organization = a_shared("Acme Corp")
    feed()
    feeding.begin_building()
    for step, _ in enumerate(feeding.steps()):
        a_shared(f"Organization {step}")
        Organization.objects(id=organization.id).update(set__unlisted=ObjectId())
        assert step < 5
    assert feeding.is_filled()
    assert list(find_differences()) == []


def test_a_creation_that_an_older_version_began_is_listed_once_it_is_through(app, master_db):
    organization = a_shared("Acme Corp")
    creating = {"$set": {"operation": {"kind": "create"}}, "$unset": {"unlisted": 1}}
    master_db.organizations.update_one({"_id": organization.id}, creating)
    feed()
    assert not ListedOrganization.objects(id=organization.id)
    master_db.organizations.update_one({"_id": organization.id}, {"$unset": {"operation": 1}})
    feed()
    assert listed(organization).name == "Acme Corp"


def test_what_is_listed_and_gone_is_found_and_mended(app):
    organization = a_shared("Acme Corp")
    feed()
    Organization.objects(id=organization.id).delete()
    assert [each.organization for each in find_differences(repair=True)] == [organization.id]
    assert ListedOrganization.objects.count() == ListedWord.objects.count() == 0


def test_a_purged_organization_stays_without_its_owners(app):
    organization = a_shared("Acme Corp")
    purge_organization(organization, None, a_context())
    feed()
    row = listed(organization)
    assert (row.state, row.owners) == (OrganizationState.PURGED, [])
    assert list(OrganizationFilter().matching_ids()) == []
    assert list(OrganizationFilter(state="purged").matching_ids()) == [organization.id]


def test_who_becomes_owner_is_found_and_who_is_none_is_not(app):
    organization = a_shared("Acme Corp")
    a_member(organization, Role.VIEWER, "teo@verdant.example")
    Account.objects.update(set__verified_at=clock.now())
    assert found("verdant.example") == []
    teo = Account.objects.get(email="teo@verdant.example")
    set_owner(organization.id, teo.id, a_context())
    assert found("verdant.example") == [organization.id]


@pytest.mark.parametrize("document", [Account, OrganizationFigures, Organization])
def test_the_lag_is_that_of_any_change_that_is_not_listed(app, document):
    a_shared("Acme Corp")
    feed()
    assert feeding.lag_seconds() == 0
    minute_ago = ObjectId.from_datetime(clock.now() - timedelta(minutes=1))
    organization = Organization.objects.get()
    now = clock.now()
    OrganizationFigures(
        id=organization.id, documents=0, bytes=0, indexes=1, measured_at=now, used_at=now
    ).save()
    chosen = the_owner(organization).id if document is Account else organization.id
    document.objects(id=chosen).update_one(set__unlisted=minute_ago)
    assert 60 <= feeding.lag_seconds() < 600
    feed()
    assert feeding.lag_seconds() == 0


def test_a_change_each_second_does_not_hide_that_nobody_feeds(app):
    organization = a_shared("Acme Corp")
    feed()
    ListingFeed.objects.update(set__passed_at=clock.now() - timedelta(minutes=5))
    assert feeding.lag_seconds() == 0  # nothing is left
    set_external(organization.id, a_context(), external_id="cus_1")
    assert feeding.lag_seconds() >= 300
    feed()
    set_external(organization.id, a_context(), external_id="cus_2")
    assert feeding.lag_seconds() < 300


def test_where_nothing_happens_the_feeder_says_now_and_then_that_it_is_there(app, commands):
    a_shared("Acme Corp")
    feed()
    later = clock.now() + timedelta(hours=1)
    ListingFeed.objects.update(set__passed_at=later, set__aged_at=later)
    commands.clear()
    feed()
    assert {"update", "findAndModify"}.isdisjoint(commands)
    ListingFeed.objects.update(set__passed_at=clock.now() - timedelta(seconds=10))
    feed()
    assert clock.now() - ListingFeed.objects.get().passed_at < timedelta(seconds=10)


def test_ids_elsewhere_and_metadata_find_it_until_they_are_others(app):
    organization, context = a_shared("Acme Corp"), a_context()
    known = {"crm": "A-4711/x", "rep": "Jörg Åse", "site": "北京 🛰"}
    set_external(organization.id, context, external_id="cus_NffrFeUfNV2Hib", metadata=known)
    for typed in ("cus_nffr", "CUS_NffrFeUfNV2Hib", "a-4711", "4711", "jorg ase", "北京", "🛰"):
        assert found(typed) == [organization.id], typed
    assert listed(organization).external_id == "cus_NffrFeUfNV2Hib"
    changed = {"crm": None, "rep": "Mara", "site": None}
    set_external(organization.id, context, external_id=None, metadata=changed)
    assert found("mara") == [organization.id]
    for typed in ("cus_nffr", "a-4711", "jorg", "北京", "🛰"):
        assert found(typed) == [], typed
    assert listed(organization).external_id is None
    assert list(find_differences()) == []


def test_no_query_merges_more_runs_than_the_server_does(app):
    assert prod(len(values) for values in VALUES.values()) <= MOST_RUNS


def test_an_organization_that_somebody_damaged_by_hand_holds_up_no_other(app):
    damaged, other = a_shared("Acme Corp"), a_shared("Beta Corp")
    Organization._get_collection().update_one({"_id": damaged.id}, {"$set": {"name": 7}})
    feed()
    assert [row.name for row in ListedOrganization.objects] == [other.name]
    assert feeding.lag_seconds() == 0
