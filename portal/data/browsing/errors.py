"""Errors of pages of documents, with their words."""

from portal.errors import NotFound


class ValueNotFound(NotFound):
    code = "value_not_found"
    message = "The document has no such value any more."
