"""Programs at the data API."""

from urllib.parse import quote

import pytest

from tests.factories import a_key, an_organization
from tests.program import Program

ACME = "/org/acme-corp/documents"


class DataProgram(Program):
    """Sends Extended JSON as text."""

    def send(self, method, path, text=None, kind="application/json", **options):
        headers = options.pop("headers", {})
        return self.ask(
            method, path, data=text, content_type=kind if text is not None else None,
            headers=headers, **options,
        )  # fmt: skip

    def insert(self, text, **options):
        return self.send("POST", ACME, text, **options)

    def one(self, document_id, **options):
        return self.get(f"{ACME}/{quote(document_id, safe='')}", **options)

    def ids(self, path=ACME, **query):
        """The ids of all documents that match, page by page."""
        found, after = [], {}
        while True:
            answer = self.get(path, query_string={**query, **after})
            assert answer.status_code == 200, answer.text
            found += [document["_id"] for document in answer.json["documents"]]
            if answer.json["next"] is None:
                return found
            after = {"after": answer.json["next"]}


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def writer(app, acme):
    """A program that may do all there is with documents."""
    key = a_key(acme, None, ["documents.read", "documents.write", "indexes.manage"])
    return DataProgram(app, key)


@pytest.fixture
def stored(acme, tenant_db):
    """Acme Corp's collection, as applications reach it."""
    return tenant_db[acme.placement.collection]
