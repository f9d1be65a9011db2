"""The documents of records with the ``_id`` that they are written by."""

from portal.tenants.elements import end_of_value, framed, with_id, with_id_in_front


def identified(document: bytes) -> bytes:
    """The document with its ``_id`` in front, a new one where it has none."""
    if document[5:9] == b"_id\0":
        return document
    return with_id_in_front(with_id(document)[0])


def identified_as(document: bytes, document_id: bytes) -> bytes:
    """The document with this ``_id``, the BSON of ``{"": _id}``, in place of its own."""
    document = with_id_in_front(document)
    start = 4
    if document[5:9] == b"_id\0":
        start = end_of_value(document, document[4], 9)
    return framed(document_id[4:5] + b"_id\0" + document_id[6:-1] + document[start:-1])
