"""The page that tells how an application reads and writes an organization's documents."""

import pytest

from portal.documents.memberships import Role
from tests.factories import a_member, an_organization
from tests.visitor import Visitor

HERE = "/organizations/kestrel-freight/connect"


@pytest.fixture
def teo(app):
    organization = an_organization("Kestrel Freight")
    visitor = Visitor(app)
    visitor.log_in(a_member(organization, Role.ADMIN).email)
    return visitor


@pytest.mark.parametrize(
    ("query", "typed"),
    [
        ("", 'tenants["kestrel-freight"]'),
        ("?python=sync", "import Tenants"),
        ("?python=async", "import AsyncTenants"),
        ("?python=cobol", "import Tenants"),
        ("?curl=list", "http://localhost/org/kestrel-freight/documents"),
        ("?curl=insert", '--data \'{"title": "First"}\''),
        ("?curl=stream", "Accept: application/x-ndjson"),
        ("", "db.org_kestrel_freight.countDocuments"),
    ],
)
def test_what_is_typed_has_the_organizations_own_names_in_it(teo, query, typed):
    snippets = [pre.get_text() for pre in teo.get(HERE + query).html.find_all("pre")]
    assert len(snippets) == 3
    assert any(typed in snippet for snippet in snippets)


def test_an_empty_collection_leads_there(teo):
    page = teo.get("/organizations/kestrel-freight").html
    assert page.find("a", string="Connect an application")["href"] == HERE
