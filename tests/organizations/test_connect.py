"""The page that tells how an application reads and writes an organization's documents."""

import pytest

from portal.documents.memberships import Role
from portal.documents.organizations import Strategy
from tests.factories import a_member, an_organization, the_owner
from tests.visitor import Visitor

HERE = "/organizations/kestrel-freight/connect"


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
        (Strategy.SHARED, "isn’t offered here"),
    ],
)
def test_of_a_mongodb_user_is_said_what_holds_where_it_lives(app, strategy, words):
    owner = Visitor(app)
    owner.log_in(the_owner(an_organization("Kestrel Freight", strategy=strategy)).email)
    page = owner.get(HERE).html
    assert words in page.main.get_text()
    changes = "new collection name" in page.main.get_text()
    assert changes == (strategy == Strategy.COLLECTION)


def test_an_empty_collection_leads_there(teo):
    page = teo.get("/organizations/kestrel-freight").html
    assert page.find("a", string="Connect an application")["href"] == HERE
