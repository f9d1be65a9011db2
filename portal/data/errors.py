"""Errors of the data API, with their words."""

from typing import Self

from portal.errors import Invalid
from portal.web.errors import InvalidInput

_LONGEST_PLACE = 200


class InvalidExtendedJson(InvalidInput):
    """A text that is no Extended JSON, or stands for no document; ``fields`` names the place."""

    code = "invalid_extended_json"
    title = "This is no Extended JSON"
    message = "Correct the JSON at {names}. Nothing was changed."

    @classmethod
    def at(cls, where: str, reason: str) -> Self:
        """The fault at a JSON pointer; empty for the whole."""
        place = where if len(where) <= _LONGEST_PLACE else f"…{where[-_LONGEST_PLACE:]}"
        return cls({place or "/": reason[:1].upper() + reason[1:] + "."})


class InvalidDocumentId(Invalid):
    """A document's id in a URL that stands for no value."""

    code = "invalid_document_id"
    title = "This is no document’s id"
    message = (
        "Send the id in the path as 24 hexadecimal digits, as a bare word, as URL-encoded Extended "
        "JSON, or as ~ and base64url. Nothing was changed."
    )
