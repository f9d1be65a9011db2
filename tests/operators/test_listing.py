"""The listing of organizations follows the truth, and finds them."""

import csv
import io
import json

from portal.documents.organizations import Strategy
from portal.operators.listing.feeding import feed, feed_marked
from portal.operators.listing.filters import OrganizationFilter
from portal.operators.listing.reading import read_page
from portal.operators.listing.sorting import Order
from tests.factories import an_account, an_organization

LIST = "/operator/organizations"


def a_shared(name, account=None):
    """An organization in a shared collection, which is quickest to make."""
    return an_organization(name, account, strategy=Strategy.SHARED)


def found(search, **filters):
    """The names that a search finds, in the order of the page."""
    feed_marked()
    return [row.name for row in read_page(OrganizationFilter(search, **filters), Order()).rows]


def names_on(page):
    """The names of the organizations on a page, in its order."""
    return [name.get_text(strip=True) for name in page.html.select("tbody .name")]


def test_a_sign_up_is_listed_by_the_next_round(app):
    organization = an_organization("Acme Corp", an_account("mara@acme.example"))
    feed()
    [row] = read_page(OrganizationFilter(), Order()).rows
    assert (row.id, row.name, row.slug) == (organization.id, "Acme Corp", "acme-corp")
    assert row.owners == ["mara@acme.example"]


def test_an_operator_finds_an_organization_from_every_page(desk):
    a_shared("Verdant Grocers")
    a_shared("Acme Corp")
    feed_marked()
    overview = desk.get("/operator")
    assert overview.html.select_one("header form[role=search]")["action"] == LIST
    assert names_on(desk.get(LIST)) == ["Acme Corp", "Verdant Grocers"]
    assert names_on(desk.get(f"{LIST}?search=ver+gro")) == ["Verdant Grocers"]
    assert "No organization found" in desk.get(f"{LIST}?search=nothing").html.get_text()


def test_all_that_match_go_into_a_file(desk):
    for name in ("=HYPERLINK", "Acme Corp"):
        a_shared(name.strip("="))
    feed_marked()
    answer = desk.get("/operator/organizations.csv?sort=-name")
    rows = list(
        csv.DictReader(io.StringIO(answer.response.get_data(as_text=True).lstrip("\ufeff")))
    )
    assert [row["name"] for row in rows] == ["HYPERLINK", "Acme Corp"]


def test_the_list_is_answered_to_programs_and_by_a_command(program_of, flask):
    a_shared("Verdant Grocers", an_account("mara@verdant.example"))
    a_shared("Acme Corp")
    feed_marked()
    answer = program_of().get("/admin/organizations?sort=-name&limit=1").json
    assert [one["name"] for one in answer["organizations"]] == ["Verdant Grocers"]
    further = f"/admin/organizations?sort=-name&limit=1&after={answer['next']}"
    [other] = program_of(email="b@portal.example").get(further).json["organizations"]
    assert other["name"] == "Acme Corp"
    listed = json.loads(flask("organizations", "list", "mara@verdant.example", "--json").stdout)
    assert [one["name"] for one in listed] == ["Verdant Grocers"]
