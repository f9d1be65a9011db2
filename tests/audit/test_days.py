"""Days of the activity: those of the reader's time zone, on the page and in its files."""

import json
from datetime import UTC, date, datetime
from urllib.parse import unquote

import pytest

from portal.audit.filters import Filters
from portal.audit.trail import record
from portal.database.transactions import transaction
from portal.documents.audit import Origin
from portal.documents.organizations import Organization
from tests.program import Program

HERE = "/organizations/acme-corp/activity"
UTC_DAY = "?from=2100-03-03&to=2100-03-03"
MIDNIGHTS = [
    ("UTC", date(2026, 11, 25), "2026-11-25T00:00", "2026-11-26T00:00"),
    ("Europe/Berlin", date(2026, 11, 25), "2026-11-24T23:00", "2026-11-25T23:00"),
    ("Asia/Kathmandu", date(2026, 11, 25), "2026-11-24T18:15", "2026-11-25T18:15"),
    # 23 and 25 hours
    ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00", "2026-03-29T22:00"),
    ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00", "2026-10-25T23:00"),
    # clocks that skip midnight, and that have it twice
    ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00", "2018-11-05T02:00"),
    ("Asia/Beirut", date(2022, 3, 27), "2022-03-26T22:00", "2022-03-27T21:00"),
    ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00", "2026-11-02T05:00"),
    ("America/Sao_Paulo", date(2018, 2, 17), "2018-02-17T02:00", "2018-02-18T03:00"),
    # a day that never was
    ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00", "2011-12-30T10:00"),
    ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00", "2011-12-31T10:00"),
    ("Pacific/Kiritimati", date(9998, 12, 31), "9998-12-30T10:00", "9998-12-31T10:00"),
    ("Etc/GMT+12", date(2000, 1, 1), "2000-01-01T12:00", "2000-01-02T12:00"),
]


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(("zone", "day", "begin", "end"), MIDNIGHTS)
def test_a_day_is_from_its_first_moment_to_the_next_days(zone, day, begin, end):
    chain = Organization().id
    bounds = Filters(since=day, until=day, zone=zone).match(chain)["at"]
    told = [f"{bounds[bound]:%Y-%m-%dT%H:%M}" for bound in ("$gte", "$lt")]
    assert told == [begin, end]
    assert bounds["$gte"].tzinfo is UTC


@pytest.mark.parametrize(
    "zone", ["", "Nowhere/At all", "../../etc/passwd", "\0", "x" * 5000, "utc?"]
)
def test_what_is_no_zone_is_utc(visitor, zone):
    visitor.sign_up()
    assert Filters.read({"zone": zone}).zone == "UTC"
    page = visitor.get(HERE, query_string={"from": "2026-01-01", "zone": zone})
    assert page.status == 200


@pytest.fixture
def late(visitor, time_machine):
    """An event of half past eleven at night in UTC, the next day in Berlin."""
    visitor.sign_up()
    time_machine.move_to(datetime(2100, 3, 3, 23, 30, tzinfo=UTC))
    told = {"name_before": "Late", "name": "Later"}
    renamed = "organization.renamed"
    transaction(lambda: record(Organization.objects.get(), renamed, Origin(), **told))
    return visitor


def days_of_rows(page):
    return [row.time.get_text() for row in page.html.select("tbody tr")]


def test_a_readers_day_is_that_of_the_times_they_see(late):
    late.log_in()
    late.post("/account", {"name": "", "theme": "auto", "time_zone": "Europe/Berlin"})
    page = late.get(f"{HERE}?from=2100-03-04&to=2100-03-04&who=the+portal")
    assert days_of_rows(page) == ["4 Mar 2100 00:30:00"]
    assert "From (Europe/Berlin)" in page.text
    assert page.html.find("input", {"name": "zone"}) is None
    assert days_of_rows(late.get(f"{HERE}{UTC_DAY}&who=the+portal")) == []


def test_a_browsers_day_is_its_own_where_the_reader_chose_no_zone(late):
    """The script sends the zone; without it everything is in UTC."""
    late.log_in()
    page = late.get(f"{HERE}{UTC_DAY}")
    assert days_of_rows(page)[0] == "3 Mar 2100 23:30:00"
    assert "From (UTC)" in page.text
    query = "?from=2100-03-04&zone=Asia%2FTokyo"
    page = late.get(f"{HERE}{query}")
    assert days_of_rows(page)[-1].endswith("08:30:00")
    assert "To (Asia/Tokyo)" in page.text
    assert page.html.html["data-time-zone"] == "Asia/Tokyo"
    assert page.html.footer.find(attrs={"data-zone": True}).get_text() == "Asia/Tokyo"
    [csv] = page.html.select("a[href*='.csv']")
    assert "zone=Asia/Tokyo" in unquote(csv["href"])


def test_a_file_says_which_days_it_has(late):
    late.log_in()
    query = "?from=2100-03-04&to=2100-03-05&zone=Asia%2FTokyo"
    csv = late.get(f"/organizations/acme-corp/activity.csv{query}").response
    assert "from-2100-03-04-to-2100-03-05-Asia-Tokyo.csv" in csv.headers["Content-Disposition"]
    assert "at_utc" in csv.get_data(as_text=True)
    lines = late.get(f"/organizations/acme-corp/activity.jsonl{query}").response
    end = json.loads(lines.get_data(as_text=True).splitlines()[-1])
    assert end["filters"] == {"from": "2100-03-04", "to": "2100-03-05", "zone": "Asia/Tokyo"}


def test_every_day_on_a_page_is_of_its_zone(app, visitor):
    """The script finds each that the server wrote in UTC."""
    program = Program(app)
    program.sign_up()
    visitor.log_in()
    page = visitor.get("/organizations/acme-corp/delete")
    assert page.html.select_one("strong time[data-day]")
