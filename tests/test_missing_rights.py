"""The portal's MongoDB user without one right after the other: what needs it is answered in words,
and never as a bug of the portal; the log says which right it is."""

import pytest

from portal.database.portal_role import (
    OWN_COLLECTION,
    Rights,
    internal_database,
    reports_database,
    rights,
)
from portal.database.users import ADMINISTRATION
from portal.documents.organizations import Strategy
from portal.settings import current
from tests.factories import an_organization, the_owner
from tests.program import Program
from tests.visitor import Visitor

ACME, PAGE = "/org/acme-corp", "/organizations/acme-corp"
KEY = {"headers": {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}}
# What needs an action on documents, and the command that is refused.
DOCUMENTS = {
    "find": (lambda p, v: p.get(f"{ACME}/documents"), "find"),
    "insert": (lambda p, v: p.post(f"{ACME}/documents", {"_id": 9}), "insert"),
    "update": (lambda p, v: p.ask("PATCH", f"{ACME}/documents/1", {"$set": {"a": 1}}), "update"),
    "remove": (lambda p, v: p.delete(f"{ACME}/documents/1"), "delete"),
    "listIndexes": (lambda p, v: p.get(f"{ACME}/indexes"), "listIndexes"),
    "dropIndex": (lambda p, v: p.delete(f"{ACME}/indexes/a_1"), "dropIndexes"),
    "collMod": (lambda p, v: p.put(f"{ACME}/rules", {"schema": {}}), "collMod"),
    "collStats": (lambda p, v: v.get(PAGE).response, "aggregate"),
}
# What goes on without it, and what is left out then.
OPTIONAL = {
    "createIndex": (lambda p, v: p.post(f"{ACME}/indexes", {"keys": {"b": 1}}), 202),
    "indexStats": (lambda p, v: v.get(f"{PAGE}/data/indexes").response, 200),
    "listCollections": (lambda p, v: v.get(f"{PAGE}/placement").response, 200),
}
# Beside documents, in the database where no application has a right.
INTERNAL = {
    "find": (lambda p, v: p.post(f"{ACME}/documents", {"_id": 9}, **KEY), "find"),
    "insert": (lambda p, v: p.post(f"{ACME}/documents", {"_id": 9}, **KEY), "update"),
}


@pytest.fixture
def needing(app, tenant_db):
    """The owner of an organization with an index and a document, as a program and at a browser."""
    organization = an_organization("Acme Corp")
    tenant_db.org_acme_corp.create_index("a")
    tenant_db.org_acme_corp.insert_one({"_id": 1})
    program, visitor = Program(app), Visitor(app)
    for each in (program, visitor):
        each.log_in(the_owner(organization).email)
    return program, visitor


def test_each_right_on_documents_that_is_missing_is_told(needing, portal_lacking, log):
    for action, (use, command) in DOCUMENTS.items():
        with portal_lacking(Rights(current().tenant_db, (action,))):
            answer = use(*needing)
        assert answer.status_code == 503, action
        assert refusal(command, f"{action} on {current().tenant_db}") in words(answer), action
        told = log.named("database.unavailable")[-1]["error"]
        assert f"the user of MONGO_URI {command} in {current().tenant_db}" in told, action


def test_what_a_right_only_adds_to_is_left_out_without_it(needing, portal_lacking):
    for action, (use, status) in OPTIONAL.items():
        with portal_lacking(Rights(current().tenant_db, (action,))):
            assert use(*needing).status_code == status, action


def test_users_can_not_be_made_without_each_right_to_it(needing, portal_lacking):
    program, visitor = needing
    for action in ADMINISTRATION:
        with portal_lacking(Rights(current().tenant_db, (action,))):
            made = program.post(f"{ACME}/credentials", {"name": "BI", "reach": "read"})
            page = visitor.get(f"{PAGE}/connect")
        assert made.status_code == 503
        assert f"doesn’t allow the portal {action} on the database" in words(made), action
        assert f"It lacks {action} on the database {current().tenant_db}" in page.text


def test_each_right_beside_documents_that_is_missing_is_told(needing, portal_lacking):
    for action, (use, command) in INTERNAL.items():
        with portal_lacking(Rights(internal_database(current().tenant_db), (action,))):
            answer = use(*needing)
        assert answer.status_code == 503, action
        lacking = f"{action} on {internal_database(current().tenant_db)}"
        assert refusal(command, lacking) in words(answer), action


def test_each_right_on_a_database_of_its_own_that_is_missing_is_told(app, portal_lacking):
    organization = an_organization("Acme Corp", strategy=Strategy.DATABASE)
    program, visitor = Program(app), Visitor(app)
    program.log_in(the_owner(organization).email)
    assert program.post(f"{ACME}/documents", {"_id": 1}).status_code == 201
    for action in ("find", "insert", "update"):
        use, command = DOCUMENTS[action]
        with portal_lacking(Rights("", (action,), OWN_COLLECTION)):
            answer = use(program, visitor)
        assert answer.status_code == 503, action
        lacking = f"{action} on {OWN_COLLECTION} in every database"
        assert refusal(command, lacking) in words(answer), action


def test_a_stranger_is_told_the_command_and_no_name(app, portal_lacking):
    with portal_lacking(Rights(current().master_db, ("find",))):
        page = Visitor(app).log_in("mara@acme.example")
    assert page.status == 503
    assert "doesn’t allow the portal find, which this needs. Trying again" in page.text
    assert current().master_db not in page.text


def test_pages_go_on_without_the_rights_on_the_cluster_and_on_reports(needing, portal_without):
    """Less is told of connections, of a server's limits and of applications, and nothing else."""
    _, visitor = needing
    groups = rights(current().master_db, current().tenant_db)
    reports = reports_database(current().tenant_db)
    for group in groups:
        if group.database in (None, reports, "local"):
            portal_without(group)
    for page in ("", "/connect", "/placement", "/usage", "/settings", "/data"):
        assert visitor.get(f"{PAGE}{page}").status == 200, page
    assert an_organization("Globex").state == "active"


def refusal(command, lacking):
    return f"MongoDB doesn’t allow the portal {command}, which this needs: it lacks {lacking}."


def words(answer):
    return answer.json["error"]["message"] if answer.is_json else answer.get_data(as_text=True)
