"""Scripts as files, and organizations to apply them to."""

import subprocess
import textwrap

import pytest
from bson import ObjectId

from portal import clock
from portal.documents.organizations import Organization, Placement, Slug
from portal.tenant_scripts import applying
from portal.tenants import collections


@pytest.fixture
def script(tmp_path):
    """Writes a script; its path."""

    def write(text, name="add_status"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


@pytest.fixture
def apply(app, monkeypatch):
    """Calls ``flask tenants apply`` in this process; its exit status and what it said."""
    monkeypatch.setattr(applying, "GATE_PAUSE_SECONDS", 0)

    def call(*arguments):
        runner = app.test_cli_runner()
        ended = runner.invoke(args=["tenants", "apply", *map(str, arguments)])
        return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)

    return call


@pytest.fixture
def some(tenant_db):
    """Organizations in no time: they have documents and a slug, and nobody who signed them up."""

    def make(number):
        return [a_place(tenant_db, f"Org {n:02}") for n in range(number)]

    return make


def a_place(tenant_db, name):
    slug = name.lower().replace(" ", "-")
    collection = "org_" + slug.replace("-", "_")
    tenant_db.create_collection(collection)
    organization = Organization(
        name=name,
        slug=slug,
        placement=Placement(collection=collection, uuid=collections.uuid_of(tenant_db, collection)),
        created_at=clock.now(),
        created_by=ObjectId(),
    ).save()
    Slug(id=slug, organization=organization.id, state="current").save()
    return organization
