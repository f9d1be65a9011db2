"""Errors about masked fields, and their words. None has a value in it."""

from dataclasses import dataclass

from portal.errors import Conflict, Invalid, Refused


@dataclass
class FieldMasked(Refused):
    """A request reads or changes the value at ``path``, which is masked; without the value."""

    path: str

    code = "field_masked"
    title = "This field is sensitive"
    message = (
        "“{path}” is sensitive: you may not filter, sort, compute, index or write by it, nor by "
        "what it is in. Nothing was read or changed. Take it away, or ask an admin."
    )
    api_message = (
        "{path} is sensitive: without the permission documents.unmask nothing may filter, sort, "
        "compute, index or write by it, nor by what it is in. Nothing was read or changed."
    )


class WholeDocumentMasked(FieldMasked):
    """A request reads or changes documents as a whole, by what ``path`` says, with masked fields in
    them."""

    title = "Some fields are sensitive"
    message = (
        "{path} reads or changes whole documents, and some of their fields are sensitive. Name the "
        "fields that you need instead. Nothing was read or changed."
    )
    api_message = message


class MaskedText(FieldMasked):
    """A document that has the text at ``path`` which stands for a masked value."""

    status = 422
    code = "masked_text"
    title = "This would replace hidden values"
    message = (
        "“{path}” is “•••” here, which stands for a hidden value: stored, it would replace the "
        "real one. Leave the field out, or export again as somebody who sees it. Nothing was "
        "changed."
    )
    api_message = message


class InvalidMask(Invalid):
    """A path that can't be masked."""

    code = "invalid_mask"
    field = "path"
    title = "This can’t be made sensitive"
    message = "Name another field. Nothing was changed."


@dataclass
class MaskOutOfBounds(InvalidMask):
    """A path that is empty, or too long."""

    most_parts: int
    most_characters: int

    message = (
        "A sensitive field is named by 1 to {most_parts} names with dots between them, of "
        "{most_characters} characters at most. Nothing was changed."
    )


class IdMasked(InvalidMask):
    """A path of the id, which is in URLs."""

    message = "An _id can’t be hidden: it stands in the links to its document. Nothing was changed."


class PositionMasked(InvalidMask):
    """A path with a position in a list."""

    message = "Leave out positions: all elements of a list are hidden alike. Nothing was changed."


@dataclass
class TooManyMasks(Conflict):
    """The organization has as many sensitive fields as it may."""

    limit: int

    code = "too_many_masks"
    field = "path"
    title = "There are too many sensitive fields"
    message = (
        "An organization has {limit} sensitive fields at most. Choose what they are in instead."
    )
