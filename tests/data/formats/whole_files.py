"""Whole files of documents, as the portal writes them in pieces."""

from itertools import islice

from portal.data.formats.writing import Writer


def write(documents, options):
    """The file in pieces."""
    writer, waiting = Writer(options), iter(documents)
    yield writer.begin()
    while batch := list(islice(waiting, 1000)):
        yield writer.encode(batch)
    yield writer.end()
