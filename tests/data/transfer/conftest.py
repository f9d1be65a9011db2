"""Files of Acme Corp, and who works with them."""

import io
import json

import pytest

from portal.data.access import document_access
from portal.data.transfer.files import put_stream
from portal.data.transfer.imports import begin_upload, decide, finish_upload, start_write
from portal.data.transfer.plans import Plan
from portal.data.transfer.stages import Stage, find_import
from portal.documents.organizations import Organization
from portal.jobs import runner
from tests.factories import a_context, an_access, the_owner
from tests.visitor import Page

IMPORTS = "/organizations/acme-corp/data/imports"


@pytest.fixture
def seen(acme):
    """An owner's access to the documents of Acme Corp."""
    return document_access(an_access(acme), a_context(the_owner(acme)))


def lines(*documents):
    """The documents as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in documents).encode()


def uploaded(seen, content, name="orders.jsonl"):
    """An import of a file that is uploaded."""
    file = begin_upload(seen, name, size_bytes=len(content))
    return finish_upload(seen, file, put_stream(seen, file, [content]))


def checked(seen, content, name="orders.jsonl", **plan):
    """One that is decided and checked."""
    found = uploaded(seen, content, name)
    decided = decide(seen, found, Plan(found.options, **plan))
    runner.run_due_jobs()
    return find_import(seen.organization, decided.file.id)


def imported(seen, content, name="orders.jsonl", **plan):
    """One that is written, as far as it goes."""
    ready = checked(seen, content, name, **plan)
    assert ready.stage == Stage.READY, ready.job.reason
    start_write(seen, ready)
    runner.run_due_jobs()
    return find_import(seen.organization, ready.file.id)


@pytest.fixture
def mara(visitor):
    """An owner at its pages."""
    visitor.sign_up("Acme Corp")
    return visitor


@pytest.fixture
def entries(mara, tenant_db):
    """The documents of the organization that she made."""
    return tenant_db[Organization.objects.get().placement.collection]


def upload(mara, content, name="orders.jsonl"):
    """The answer to the plain form with a file."""
    data = {"csrf_token": mara.token(IMPORTS), "file": (io.BytesIO(content), name)}
    return Page(mara.client.post(IMPORTS, data=data, content_type="multipart/form-data"))
