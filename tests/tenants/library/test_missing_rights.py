"""An application's user without one of its rights: what needs that says which it is."""

from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from pymongo.errors import OperationFailure

from portal.applications import rights
from portal.tenants.placements.database import DOCUMENTS
from tests.tenants.library.conftest import library

errors = library("errors")
# What needs an action on documents, and the command by which MongoDB names it.
NEEDS = {
    "find": (lambda store: store.find_one(), "find"),
    "insert": (lambda store: store.insert_one({}), "insert"),
    "update": (lambda store: store.update_one({"_id": 1}, {"$set": {"a": 1}}), "update"),
    "remove": (lambda store: store.delete_one({"_id": 1}), "delete"),
    "createIndex": (lambda store: store.create_index("b"), "createIndexes"),
    "dropIndex": (lambda store: store.drop_index("a_1"), "dropIndexes"),
    "listIndexes": (lambda store: store.list_indexes(), "listIndexes"),
    "changeStream": (lambda store: store.watch().close(), "aggregate"),
    "collStats": (lambda store: store.insert_one({}), "aggregate"),
}
VIEWS = {"directory_organizations", "directory_slugs", "directory_pools"}


@pytest.fixture
def without(fake, bare):
    """Takes an action from the application's role for a while."""
    role = urlsplit(fake.uri).username

    @contextmanager
    def without(database, collection, action):
        resource = {"db": database, "collection": collection}
        taken = [{"resource": resource, "actions": [action]}]
        bare.admin.command("revokePrivilegesFromRole", role, privileges=taken)
        try:
            yield
        finally:
            bare.admin.command("grantPrivilegesToRole", role, privileges=taken)

    return without


@pytest.mark.parametrize("strategy", ["collection", "database"])
def test_each_right_on_documents_that_is_missing_is_told_with_the_command(
    store, connect, fake, acme, strategy, without
):
    fake.limit("acme", documents=1_000)  # which is counted before anything is added
    store.create_index("a")
    store.insert_one({"_id": 1})
    resource = (fake.data.name, "") if strategy == "collection" else ("", DOCUMENTS)
    [granted] = {
        one.actions
        for one in rights.privileges(fake.master.name, fake.data.name)
        if (one.database, one.collection) == resource
    }
    assert granted == NEEDS.keys()
    told = {}
    for action, (use, _) in NEEDS.items():
        # How much there is is known of others for a while.
        asked = connect(fake.uris).by_id(acme) if action == "collStats" else store
        with without(*resource, action):
            try:
                use(asked)
            except OperationFailure as error:
                told[action] = error.code, error.details["errmsg"].split("{ ")[1].split(":")[0]
    assert told == {action: (13, command) for action, (_, command) in NEEDS.items()}


def test_each_view_of_the_directory_that_may_not_be_read_is_told_with_what_to_do(
    connect, fake, without
):
    fake.create("acme")
    fake.create("zwei", "shared")
    granted = {
        one.collection
        for one in rights.privileges(fake.master.name, fake.data.name)
        if one.database == fake.master.name
    }
    assert granted == VIEWS
    for view in VIEWS:
        with without(fake.master.name, view, "find"):
            with pytest.raises(errors.DirectoryMissing, match="flask doctor --repair"):
                connect(fake.uri)["zwei"].find_one()


def test_without_the_right_to_report_everything_else_goes_on(connect, fake, acme, without):
    tenants = connect(fake.uri)
    with without(f"{fake.data.name}_reports", "", "insert"):
        tenants.by_id(acme).insert_one({"_id": 1})
        tenants._directory.reporting.reporter.flush()
        assert tenants.by_id(acme).find_one() == {"_id": 1}
