"""The console while a cluster is down: each page is there, in time, and says how old its figures
are."""

from datetime import timedelta

import pytest

from portal import clock
from portal.documents.accounts import OperatorRole
from portal.documents.figures import OrganizationFigures
from portal.operators.listing.feeding import feed_marked
from tests.clusters.test_dying import WAYS, killed, timed
from tests.operators.conftest import desk, desk_of, program_of  # noqa: F401
from tests.processes import wait_until
from tests.test_routes import ROUTES

pytestmark = pytest.mark.usefixtures("real_limits")
LONGEST_SECONDS = 4


def pages_of(organization):
    """The console's pages that need no other id."""
    for route in ROUTES:
        if route.startswith("GET /operator") and route != "GET /operator/enter":
            path = route.removeprefix("GET ").replace("<organization_id>", str(organization.id))
            if "<" not in path:
                yield path


@WAYS
def test_each_page_of_the_console_is_there_in_time(dead, desk_of, in_europe, europe):  # noqa: F811
    acme, admin = in_europe("Acme Corp"), desk_of(OperatorRole.ADMIN)
    feed_marked()
    paths = list(pages_of(acme))

    def ask(path):
        for _ in range(5):
            page, seconds = timed(lambda: admin.get(path))
            if seconds <= LONGEST_SECONDS:  # else the machine may have stood still
                return page.status
        return f"{seconds:.0f} s"

    there = {path: ask(path) for path in paths}
    with dead(europe):
        assert {path: ask(path) for path in paths} == there
    assert set(there.values()) <= {200, 303, 409}


def test_what_an_organization_keeps_is_as_old_as_it_was_measured(
    desk,  # noqa: F811
    in_europe,
    europe,
    program_of,  # noqa: F811
):
    acme = in_europe("Acme Corp")
    at = clock.now() - timedelta(hours=30)
    OrganizationFigures(
        id=acme.id, documents=71, bytes=900, indexes=1, measured_at=at, used_at=at
    ).save()
    with killed(europe):
        for page in ("usage", "limits"):
            path = f"/operator/organizations/{acme.id}/{page}"
            wait_until(lambda path=path: desk.get(path).status == 200)
            shown = desk.get(path)
            assert "Documents 71 as of" in shown.text
            assert shown.html.select_one(f"time[datetime^='{at:%Y-%m-%dT%H:%M}']")
        program = program_of(OperatorRole.SUPPORT)
        told = program.get(f"/admin/organizations/{acme.id}/limits").json["limits"]
        assert [each["used"] for each in told[:2]] == [71, 900]
        assert told[0]["measured_at"].startswith(f"{at:%Y-%m-%dT%H:%M}")
