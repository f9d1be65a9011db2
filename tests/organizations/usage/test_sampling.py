"""What an organization's own MongoDB users do, which nobody counts, is estimated."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.installation import INSTALLATION
from portal.documents.usage import DirectReading, UsageRollup
from portal.organizations.storage import tenant_of
from portal.organizations.usage import reading, sampling
from portal.organizations.usage.reading import Span
from tests.factories import a_credential, an_organization
from tests.organizations.usage.conftest import roll_up


@pytest.fixture
def acme():
    organization = an_organization("Acme Corp")
    a_credential(organization)
    return organization


def sample():
    assert sampling.sample(lambda: None) == {}


def all_is_rolled_up():
    roll_up()
    UsageRollup.objects(id=INSTALLATION).update_one(set__until=clock.now() + timedelta(minutes=1))


def direct(organization):
    return reading.usage_of(organization, Span.HOUR).total.direct


def test_what_the_store_did_not_count_is_told(acme, tenant_db):
    sample()
    for _ in range(300):
        tenant_db[acme.placement.collection].find_one()
    sample()
    all_is_rolled_up()
    sample()
    assert 290 <= direct(acme) <= 310


def test_what_the_store_counted_is_none_of_theirs(acme):
    sample()
    for _ in range(200):
        tenant_of(acme).find_one()
    # All of it is within the time between the readings.
    DirectReading.objects(id=acme.id).update_one(set__read_at=clock.now() - timedelta(minutes=3))
    sample()
    all_is_rolled_up()
    DirectReading.objects(id=acme.id).update_one(set__waits_for=clock.now() + timedelta(minutes=1))
    UsageRollup.objects(id=INSTALLATION).update_one(set__until=clock.now() + timedelta(minutes=2))
    sample()
    assert direct(acme) == 0


def test_nothing_is_told_before_all_that_was_reported_is_added_up(acme, tenant_db):
    roll_up()
    sample()
    for _ in range(50):
        tenant_db[acme.placement.collection].find_one()
    sample()
    sample()
    assert direct(acme) == 0


def test_a_counter_that_began_anew_tells_nothing(acme):
    sample()
    DirectReading.objects(id=acme.id).update_one(set__operations=10**9)
    sample()
    all_is_rolled_up()
    sample()
    assert direct(acme) == 0


def test_organizations_without_such_users_are_not_asked(acme):
    other = an_organization("Verso Books")
    sample()
    assert DirectReading.objects(id=other.id).first() is None
