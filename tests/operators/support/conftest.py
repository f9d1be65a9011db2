"""An owner and an operator, and what the one lets the other see."""

import pytest

from portal.organizations.support import clients, grants
from tests.factories import a_context, an_access, an_organization, the_owner

CANARY = "canary-7c2e"


def end(organization, grant):
    """Have an owner end it."""
    return grants.end(an_access(organization), grant.id, a_context(the_owner(organization)))


@pytest.fixture(autouse=True)
def no_connection_left():
    """The portal closes connections by a grant's user in a loop that no test runs."""
    yield
    for name in list(clients._connections):
        clients.close(name)


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def planted(acme, tenant_db):
    """Acme Corp with documents that nobody may see unasked."""
    tenant_db[acme.placement.collection].insert_many(
        [{"_id": n, "city": f"{CANARY}-{n}", "iban": f"{CANARY}-iban"} for n in range(3)]
    )
    return acme


@pytest.fixture
def given():
    """Has an owner give support access, to any operator."""

    def give(organization, *, with_documents=True, hours=4):
        context = a_context(the_owner(organization))
        access = an_access(organization)
        return grants.give(
            access, hours, context, with_documents=with_documents, reason="Import stops"
        )

    return give


@pytest.fixture
def looking(desk, given):
    """Has the operator's desk look at an organization."""

    def look(organization, **chosen):
        grant = given(organization, **chosen)
        enter = f"/operator/organizations/{organization.id}/support/{grant.id}/enter"
        entered = desk.post(enter)
        assert entered.location == f"/organizations/{organization.slug}", entered.text
        return grant

    return look
