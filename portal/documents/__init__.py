"""Shape and indexes of master data, a module per noun; no behaviour."""

from typing import Any, Self

from mongoengine import Document, EmbeddedDocument
from mongoengine.errors import NotUniqueError
from pymongo.errors import DuplicateKeyError


class MasterDocument(Document):
    """A document of master data.

    Unknown fields are ignored, so that this version can run beside a newer one. Indexes are created
    only when the database is prepared.
    """

    meta: dict[str, Any] = {"abstract": True, "auto_create_index": False, "strict": False}

    def insert(self) -> Self:
        """Validate and insert it as a new document; the document itself. Raises NotUniqueError.

        ``save`` does as much, and encodes the document twice.
        """
        self.validate()
        try:
            inserted = self._get_collection().insert_one(self.to_mongo())
        except DuplicateKeyError as error:
            raise NotUniqueError(str(error)) from error
        self.pk = inserted.inserted_id
        self._clear_changed_fields()
        self._created = False
        return self


class MasterPart(EmbeddedDocument):
    """A part of such a document, which ignores unknown fields too."""

    meta: dict[str, Any] = {"abstract": True, "strict": False}


def index_where_set(field: str, *others: str) -> dict[str, Any]:
    """An index on the fields, of only the documents that have ``field``: so it stays small, and
    finding those among a million cheap."""
    return {"fields": [field, *others], "partialFilterExpression": {field: {"$exists": True}}}
