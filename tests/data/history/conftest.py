"""Edits of documents, and what is kept of them."""

import bson
import pytest

from portal.data import writing
from portal.data.access import DocumentAccess
from portal.data.document_ids import decoded
from portal.data.handles import documents_of
from portal.data.history.entries import entry_of, list_edits
from portal.data.history.undoing import undo_edit
from portal.data.masks.masks import NOTHING_MASKED
from portal.database.kept_beside import rows_of
from portal.jobs import runner
from portal.tenants.elements import id_of
from tests.factories import a_context, an_organization, fresh, the_owner


class Desk:
    """A person at the documents of an organization."""

    def __init__(self, organization):
        self.organization = organization
        owner = the_owner(organization)
        self.access = DocumentAccess(organization, NOTHING_MASKED, a_context(owner), recorded=True)

    def insert(self, *documents, **options):
        given = [each if isinstance(each, bytes) else bson.encode(each) for each in documents]
        writing.insert_documents(self.access, given, None, **options)
        return self.latest()

    def replace(self, document, **options):
        encoded = document if isinstance(document, bytes) else bson.encode(document)
        document_id = id_of(encoded)
        writing.replace_document(self.access, document_id, encoded, None, None, **options)
        return self.latest()

    def delete(self, value, **options):
        writing.delete_document(self.access, bson.encode({"": value}), None, None, **options)
        return self.latest()

    def update_many(self, query, update):
        writing.update_many(self.access, query, update, None)
        return self.latest()

    def delete_many(self, query):
        writing.delete_many(self.access, query, None)
        return self.latest()

    def undo(self, entry, **options):
        """Undo to the end; how the undo stands then."""
        undo = undo_edit(self.access, str(entry.id), **options)
        runner.run_due_jobs()
        return self.entry(undo)

    def entry(self, edit):
        return entry_of(fresh(self.organization), edit.id)

    def edits(self):
        return list_edits(self.organization).rows

    def latest(self):
        return next(iter(self.edits()), None)

    def stored(self):
        """All documents by their ids."""
        found = (bytes(each.raw) for each in documents_of(self.organization).find())
        return {decoded(id_of(document)): document for document in found}

    def rows(self, name):
        """What is kept beside the documents."""
        return list(self.beside(name).find({"_id.o": self.organization.id}).sort("_id", 1))

    def beside(self, name):
        """The collection of that."""
        return rows_of(fresh(self.organization).placement.cluster, name)


@pytest.fixture
def acme(app):
    return an_organization("Acme Corp")


@pytest.fixture
def desk(acme):
    return Desk(acme)
