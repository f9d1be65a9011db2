"""An owner of Acme Corp who looks at its documents."""

import pytest
from bson.raw_bson import RawBSONDocument

from tests.factories import an_account, an_organization

DATA = "/organizations/acme-corp/data"


class Onlooker:
    """Reads the page of documents as a person sees it."""

    def __init__(self, visitor):
        self.visitor = visitor

    def page(self, **query):
        return self.visitor.get(DATA, query_string=query, follow_redirects=True)

    def rows(self, **query):
        """The texts of all cells, row by row."""
        return [
            [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])[1:]]
            for row in self.page(**query).html.select(".documents-table tbody tr")
        ]

    def find(self, field, operator, *values, kind=None, **query):
        """The ids that a condition finds, typed into the builder."""
        typed = {"field": field, "operator": operator, "value": list(values), "add": "and"}
        return self.ids(**typed, **({"kind": kind} if kind else {}), **query)

    def chips(self, **query):
        """The conditions, as the page shows them."""
        chips = self.page(**query).html.select(".chip.two > a:first-child")
        return [chip.get_text(strip=True) for chip in chips]

    def json_lines(self, **query):
        """The lines of all documents as JSON, without their indentation."""
        page = self.page(**{"as": "json"}, **query)
        return [line.get_text().strip() for line in page.html.select(".json-lines code")]

    def ids(self, **query):
        return [row[0] for row in self.rows(**query)]


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp", an_account("mara@acme.example"))


@pytest.fixture
def stored(acme, tenant_db):
    """Acme Corp's collection, as applications reach it."""
    return tenant_db[acme.placement.collection]


@pytest.fixture
def insert_encoded(stored):
    """Inserts documents of these bytes."""

    def insert(*documents):
        stored.insert_many([RawBSONDocument(each) for each in documents])

    return insert


@pytest.fixture
def onlooker(visitor, acme):
    visitor.log_in("mara@acme.example")
    return Onlooker(visitor)
