"""Errors of editing, with their words."""

from portal.errors import Invalid


class NotAsText(Invalid):
    """A document that Extended JSON can't stand for."""

    code = "not_as_text"
    title = "Only the form can edit this document"
    message = (
        "As Extended JSON this document would be read as another one: a field is there twice, a "
        "stored object looks like a type, or a text is no UTF-8. The form keeps it to the byte. "
        "Nothing was changed."
    )


class TooLargeForText(Invalid):
    """A document that is too large for a text field."""

    code = "too_large_for_text"
    title = "This document is too large for a text field"
    message = "Use the form, or the data API. Nothing was changed."
