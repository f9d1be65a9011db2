"""A page or call of the console that forgot to ask for a grant reads no document."""

from contextvars import copy_context

import pytest

from portal.api.guard import operator_by_request
from portal.operators.guards import with_operator
from portal.organizations.storage import tenant_of
from portal.organizations.support.errors import DocumentsNotGranted
from tests.factories import an_organization

SECRET = "planted-canary"


@pytest.fixture
def read():
    """Reads all documents of an organization, as a view might that knows of no grants."""
    organization = an_organization()
    tenant_of(organization).insert_one({"note": SECRET})
    return lambda: str(list(tenant_of(organization).find({})))


def test_a_page_that_forgot_to_ask_reads_none(app, desk, read, monkeypatch):
    forgetful = with_operator("console.view")(lambda operator: read())
    monkeypatch.setitem(app.view_functions, "operator_overview.show", forgetful)
    page = desk.get("/operator")
    assert (page.status, SECRET in page.text) == (403, False)


def test_a_call_that_forgot_to_ask_reads_none(app, program_of, read):
    def forgetful():
        app.preprocess_request()
        operator_by_request("console.view")
        return read()

    bearer = {"Authorization": f"Bearer {program_of().token}"}
    environ = {"portal.request_id": "0123456789abcdef"}
    with app.test_request_context("/admin/overview", headers=bearer, environ_overrides=environ):
        with pytest.raises(DocumentsNotGranted):
            copy_context().run(forgetful)
