"""The doctor finds a listing of organizations that isn't as the truth is, and mends it."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.doctor import listing
from portal.documents.listing import ListedOrganization, ListedWord
from portal.documents.organizations import Organization
from portal.operators.listing import feeding
from portal.operators.listing.filters import OrganizationFilter
from tests.factories import an_organization

UNTRUE, BEHIND = "untrue_listing", "listing_behind"


def listings(outcomes):
    """What of it is about the listing."""
    return [each for each in outcomes if each[0] in (UNTRUE, BEHIND)]


def search(word):
    return list(OrganizationFilter(word).matching_ids())


def lose_row(organization):
    ListedOrganization.objects(id=organization.id).delete()


def lose_words(organization):
    ListedWord._get_collection().delete_many({"_id.o": organization.id})


def rename_row(organization):
    ListedOrganization.objects(id=organization.id).update(set__name="Somebody else")


def add_word(organization):
    ListedWord._get_collection().insert_one({"_id": {"w": "kestrel", "o": organization.id}})


DAMAGE = {
    lose_row: "is not listed",
    lose_words: "isn’t found by acme",
    rename_row: "is listed with another name",
    add_word: "is found by kestrel",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_what_is_listed_otherwise_than_it_is_is_found_and_mended(found, repair, damage):
    organization = an_organization("Acme Corp")
    feeding.feed()
    assert listings(found()) == []
    damage(organization)
    subject = str(organization.id)
    assert DAMAGE[damage] in next(listing.find_untrue()).words
    assert set(listings(found())) == {(UNTRUE, subject)}
    assert all(done for _, _, done in listings(repair()))
    assert listings(found()) == []
    assert search("acme") == [organization.id]
    assert search("kestrel") == []


def test_what_is_listed_and_gone_is_found_and_mended(found, repair):
    organization = an_organization("Acme Corp")
    feeding.feed()
    Organization.objects(id=organization.id).delete()
    assert listings(found()) == [(UNTRUE, str(organization.id))]
    repair()
    assert ListedOrganization.objects.count() == ListedWord.objects.count() == 0


def test_a_listing_that_was_never_filled_is_no_finding(found):
    an_organization("Acme Corp")
    assert listings(found()) == []


def test_a_listing_that_nobody_feeds_is_told_with_its_lag(found, master_db):
    organization = an_organization("Acme Corp")
    feeding.feed()
    long_ago = ObjectId.from_datetime(clock.now() - timedelta(minutes=9))
    change = {"$set": {"unlisted": long_ago, "name": "Kestrel"}}
    master_db.organizations.update_one({"_id": organization.id}, change)
    [finding] = listing.find_behind()
    assert finding.words.startswith("it is 54")
    assert (BEHIND, "the list of organizations") in listings(found())
    # The comparison with the truth has fed it.
    assert listings(found()) == []
    assert search("kestrel") == [organization.id]
