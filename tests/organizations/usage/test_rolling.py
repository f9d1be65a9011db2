"""What processes report is added up once, and what is missing is told."""

from datetime import timedelta

import pytest
from bson import ObjectId

from portal import clock
from portal.database.together import read
from portal.documents.usage import UsageDay, UsageGap, UsageHour, UsageReporter
from portal.organizations.storage import tenant_of
from portal.organizations.usage import metering, reading, rolling
from portal.organizations.usage.counts import Counts
from portal.organizations.usage.reading import Span
from tests.factories import an_organization
from tests.organizations.usage.conftest import Reporting, roll_up, row


@pytest.fixture
def acme():
    return an_organization("Acme Corp")


def used(organization, span=Span.HOUR):
    return reading.usage_of(organization, span).total


def test_what_is_done_with_documents_is_counted_without_anybody_s_doing(acme):
    tenant_of(acme).insert_many([{"a": n} for n in range(7)])
    tenant_of(acme).find_one()
    roll_up()
    counted = used(acme)
    assert counted.operations == 8
    assert counted.bytes_in > 7 * 20
    assert counted.bytes_out > 20
    assert used(acme, Span.DAY) == counted
    assert used(acme, Span.MONTH) == counted


def test_processes_and_batches_add_up(acme, reporting):
    reporting(row(acme, operations=5, slow=1), row(acme, operations=2))
    reporting(row(acme, operations=3, bytes_in=10))
    Reporting("web-2")(row(acme, operations=4))
    roll_up()
    assert used(acme) == Counts(operations=14, slow=1, bytes_in=10)
    assert metering.reports().count_documents({}) == 0


def test_a_batch_that_arrives_twice_counts_once(acme, reporting):
    batch = reporting(row(acme, operations=5))
    roll_up()
    metering.reports().insert_one(dict(batch))
    roll_up()
    assert used(acme).operations == 5
    for span in Span:
        by_step = read(reading.reading_operations_of("main", span))
        assert sum(operations for _, operations in by_step if operations) == 5


def test_rolling_up_that_is_interrupted_begins_anew(acme, reporting):
    for _ in range(45):
        reporting(row(acme, operations=1), seconds=0.1)

    class Interrupted(Exception):
        pass

    def interrupt():
        raise Interrupted

    with pytest.raises(Interrupted):
        rolling.roll_up(interrupt)
    roll_up()
    assert used(acme).operations == 45


def test_a_number_that_is_passed_over_is_a_gap(acme, reporting):
    reporting(row(acme, operations=1))
    before = reporting.until
    reporting.until += timedelta(seconds=10)
    reporting(row(acme, operations=1), skipped=2)
    roll_up()
    gap = UsageGap.objects.get()
    assert gap.since == before
    assert gap.until == before + timedelta(seconds=10)


def test_a_process_that_says_no_more_is_missed_one_that_ended_is_not(acme, reporting):
    reporting(row(acme, operations=1))
    Reporting("web-2")(row(acme, operations=1), last=True)
    roll_up()
    UsageReporter.objects.update(heard_at=clock.now() - timedelta(minutes=10))
    roll_up()
    roll_up()
    assert UsageGap.objects.count() == 1
    gap = UsageGap.objects.get()
    assert gap.reporter == "web-1"
    assert reading.usage_of(acme, Span.HOUR).gaps == (reading.Gap(gap.since, gap.until),)


def test_what_nobody_measured_is_no_use_of_nothing(acme, reporting):
    usage = reading.usage_of(acme, Span.HOUR)
    assert usage.known_until is None
    assert {value for _, value in usage.points} == {None}
    reporting(row(acme, operations=1))
    roll_up()
    usage = reading.usage_of(acme, Span.HOUR)
    assert usage.known_until is not None
    assert usage.points[0][1] is None
    assert any(value == Counts(operations=1) for _, value in usage.points)


@pytest.mark.parametrize(
    "strange",
    [
        {"rows": "none"},
        {"rows": [{"organization": "x", "cluster": "main", "operations": 5}]},
        {"rows": [{"organization": ObjectId(), "cluster": "main", "operations": 5}]},
        {"since": "yesterday"},
        {"until": clock.now() + timedelta(days=400)},
        {"number": "1"},
        {"process": None},
        {"rows": [None, 5, {}]},
    ],
)
def test_a_batch_that_is_none_is_passed_over(acme, reporting, strange):
    reporting(**strange)
    reporting.process = "web-9"
    reporting(row(acme, operations=1), seconds=1)
    roll_up()
    assert used(acme).operations == 1
    assert metering.reports().count_documents({}) == 0


@pytest.mark.parametrize("value", [-5, 2**60, "5", 1.5, None, {"$inc": 1}])
def test_a_count_that_is_none_counts_nothing(acme, reporting, value):
    reporting(row(acme, operations=value, commands=2))
    roll_up()
    assert used(acme) == Counts(commands=2)


def test_hours_that_are_over_stand_in_their_days(acme, reporting):
    reporting.until -= timedelta(hours=2)
    reporting(row(acme, operations=5))
    roll_up()
    hour = UsageHour.objects.get()
    assert not hour.unfolded
    assert UsageDay.objects.get().hours[str(hour.hour.hour)]["operations"] == 5
    Reporting("late")(row(acme, operations=1))
    late = Reporting("later")
    late.until -= timedelta(hours=2)
    late(row(acme, operations=2))
    roll_up()
    assert used(acme, Span.MONTH).operations == 8


def test_the_loudest_come_first_with_their_share(acme, reporting):
    verso = an_organization("Verso Books")
    reporting(row(acme, operations=30, bytes_in=7), row(verso, operations=70))
    roll_up()
    found = reading.loudest()
    assert [(one.name, one.share) for one in found.organizations] == [
        ("Verso Books", 0.7),
        ("Acme Corp", 0.3),
    ]
    assert found.known_until is not None
    assert sum(value or 0 for value in found.organizations[0].day) == 70
    assert reading.loudest(1).organizations == found.organizations[:1]
    assert reading.loudest(cluster="berlin").organizations == ()
