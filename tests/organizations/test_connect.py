"""The page that tells how an application reads and writes an organization's documents."""

from pathlib import Path

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Organization, Strategy
from portal.tenants import queries
from portal.tenants.unsupported import (
    INSTEAD,
    INSTEAD_OF_OPTION,
    INSTEAD_OF_RESULT,
    INSTEAD_OF_STREAM_OPTION,
)
from tests.factories import a_key, a_member, an_organization, the_owner
from tests.visitor import Visitor

HERE = "/organizations/kestrel-freight/connect"
SHOP = Path(__file__).parents[2] / "docs" / "shop.py"


@pytest.fixture
def teo(app):
    organization = an_organization("Kestrel Freight")
    visitor = Visitor(app)
    visitor.log_in(a_member(organization, Role.ADMIN).email)
    return visitor


def test_what_is_typed_has_the_organizations_own_names_in_it(teo):
    for query, typed in (
        ("", 'tenants["kestrel-freight"]'),
        ("?python=sync", "import Tenants"),
        ("?python=async", "import AsyncTenants"),
        ("?python=cobol", "import Tenants"),
        ("?curl=list", "http://localhost/org/kestrel-freight/documents"),
        ("?curl=insert", '--data \'{"title": "First"}\''),
        ("?curl=stream", "Accept: application/x-ndjson"),
        ("", "db.org_kestrel_freight.countDocuments"),
    ):
        snippets = [pre.get_text() for pre in teo.get(HERE + query).html.find_all("pre")]
        assert len(snippets) == 3, query
        assert any(typed in snippet for snippet in snippets), query


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Strategy.COLLECTION, "The collection’s name follows a rename"),
        (Strategy.DATABASE, "The collection’s name stays as it is"),
        (Strategy.SHARED, "a user would reach all of them"),
    ],
)
def test_of_a_mongodb_user_is_said_what_holds_where_it_lives(app, strategy, words):
    owner = Visitor(app)
    owner.log_in(the_owner(an_organization("Kestrel Freight", strategy=strategy)).email)
    page = owner.get(HERE).html
    assert words in page.main.get_text()
    changes = "new collection name" in page.main.get_text()
    assert changes == (strategy == Strategy.COLLECTION)


def test_each_way_in_is_told_with_what_it_costs(teo):
    rows = teo.get(HERE).html.select("main section:first-of-type tbody tr")
    assert [row.th.get_text(strip=True) for row in rows] == ["Library", "Data API", "MongoDB user"]
    costs = [row.select("td")[-1].get_text(strip=True) for row in rows]
    assert costs == ["a few percent over PyMongo", "one HTTP request each", "nothing"]


def told_of(door, visitor):
    """The promises of a way in."""
    return visitor.get(HERE).html.select_one(f"#{door} .promises").get_text(" ", strip=True)


def test_who_manages_keys_reads_how_many_of_them_may_read_documents(app, teo):
    organization = Organization.objects.get()
    assert told_of("data-api", teo).endswith("what it was given")
    a_key(organization, Role.ADMIN)
    assert "your one key may not read documents" in told_of("data-api", teo)
    a_key(organization, None, ["documents.read"])
    assert "1 of your 2 keys may read documents" in told_of("data-api", teo)
    viewer = Visitor(app)
    viewer.log_in(a_member(organization, Role.VIEWER, "vic@acme.example").email)
    assert told_of("data-api", viewer).endswith("what it was given")


def test_a_mongodb_user_is_told_to_see_sensitive_fields(teo):
    assert "sensitive" not in told_of("mongodb-user", teo)
    Organization.objects.update(set__masked_fields=["iban", "born"])
    assert "Sees the 2 sensitive fields in clear" in told_of("mongodb-user", teo)


def test_where_there_is_no_application_yet_it_is_said(teo, master_db):
    words = "No application is registered on this portal yet"
    assert words in teo.get(HERE).text
    master_db.applications.insert_one({"_id": "shop", "user": "app1", "user_state": "proven"})
    assert words not in teo.get(HERE).text


def test_all_that_it_lists_is_read_by_one_command(teo, commands):
    """And one looks what the portal may; the first finds session, organization and member."""
    a_key(Organization.objects.get(), Role.ADMIN)
    teo.get(HERE)
    commands.clear()
    assert teo.get(HERE).status == 200
    assert commands == ["aggregate", "connectionStatus", "aggregate"]


def test_the_page_leads_to_an_application_and_to_what_the_library_has_not(app, teo):
    page = teo.get(HERE).html
    there = page.find("a", string="A complete small application")["href"]
    shown = teo.get(there)
    assert shown.html.pre.get_text().strip() == SHOP.read_text().strip()
    file = shown.html.find("a", string="Download")["href"]
    assert app.test_client().get(file).text == SHOP.read_text()
    page = teo.get(page.find("a", string="what instead")["href"]).html
    names = {code.get_text() for code in page.select("th code")}
    methods = INSTEAD.keys() | INSTEAD_OF_RESULT.keys()
    options = INSTEAD_OF_OPTION.keys() | INSTEAD_OF_STREAM_OPTION.keys()
    assert queries._REFUSED | methods | options <= names


def test_an_empty_collection_leads_there(teo):
    page = teo.get("/organizations/kestrel-freight").html
    assert page.find("a", string="Connect an application")["href"] == HERE
