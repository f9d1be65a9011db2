"""Applications that have an earlier version of the library, beside this portal: they go on where they
know what they need, and stop where they don't.

The wheel is what ``make wheel`` built at 74d38c4: before organizations shared collections, had a
database of their own, were suspended or had limits.
"""

import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.applications import managing
from portal.documents.organizations import Strategy
from portal.documents.restrictions import Restriction
from portal.organizations.lifecycle.renaming import rename_organization, restore_organization
from portal.organizations.lifecycle.trashing import trash_organization
from portal.web.context import RequestContext
from tests.environments import make_environment
from tests.factories import a_context, a_suspension, an_organization, fresh

WHEEL = Path(__file__).parent / "portal_tenants-74d38c4.whl"
# Inserts a document for each line, and tells what came of it.
APPLICATION = """
import sys
import pymongo
from portal_tenants import Tenants

tenants, known = Tenants(sys.argv[1]), {}
for line in sys.stdin:
    slug, number = line.split()
    try:
        with pymongo.timeout(10):
            known.setdefault(slug, tenants[slug]).insert_one({"_id": number})
        print("written", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.fixture(scope="module")
def older_python(tmp_path_factory):
    """Python in an environment with the earlier library."""
    return make_environment(tmp_path_factory.mktemp("older"), WHEEL, "pymongo")


@pytest.fixture
def insert(older_python, app, admin):
    """Has the application insert a document; what it is told."""
    administrators = {"main": admin}
    uri = managing.add_application("shop", administrators, RequestContext()).uri
    with an_application(older_python, uri) as insert:
        yield insert
    managing.remove_application("shop", administrators, RequestContext())


@contextmanager
def an_application(python, uri):
    command = [python, "-I", "-c", APPLICATION, uri]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:

        def insert(slug, number):
            print(slug, number, file=process.stdin, flush=True)
            return process.stdout.readline().rstrip()

        yield insert
        process.stdin.close()


@pytest.mark.processes
def test_an_earlier_library_goes_on_as_far_as_it_knows_what_there_is(insert, tenant_db):
    acme = an_organization("Acme Corp")
    assert insert("acme-corp", 1) == "written"
    rename_organization(acme, "Other", a_context())
    assert insert("acme-corp", 2) == "written"
    trash_organization(fresh(acme), None, a_context())
    assert insert("acme-corp", 3).startswith("Trashed ")
    restore_organization(fresh(acme), "Acme Corp", a_context())
    assert insert("acme-corp", 4) == "written"
    a_suspension(fresh(acme), Restriction.READ_ONLY)
    assert insert("acme-corp", 5).startswith("UnknownState ")
    for strategy in (Strategy.SHARED, Strategy.DATABASE):
        an_organization(f"By {strategy}", strategy=strategy)
        told = insert(f"by-{strategy}", 6)
        assert told.startswith("UnknownStrategy "), told
        assert "update portal-tenants" in told
    collection = tenant_db[fresh(acme).placement.collection]
    assert [each["_id"] for each in collection.find(sort={"_id": 1})] == ["1", "2", "4"]
