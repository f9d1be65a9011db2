"""Somebody who edits the documents of an organization."""

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from portal.documents.memberships import Role
from tests.data.editing.forms import Editor
from tests.factories import a_member, an_organization


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def stored(acme, tenant_db):
    raw = bson.codec_options.CodecOptions(document_class=RawBSONDocument)
    return tenant_db[acme.placement.collection].with_options(codec_options=raw)


@pytest.fixture
def editor(acme, visitor):
    a_member(acme, Role.ADMIN, "teo@acme.example")
    visitor.log_in("teo@acme.example")
    return Editor(visitor)
