"""Any document is shown: whole, and as the server cut it."""

import pytest
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings

from portal.data import cells, nodes, shown
from portal.data.access import operator_access
from portal.data.cutting import list_cut
from portal.data.shown import Reader
from portal.data.texts import visible
from portal.tenants.elements import framed
from tests.encoded import documents

JOINERS = {0x200C: None, 0x200D: None}


def tell(node):
    """All that a page says of a document."""
    for _, inner in node.members:
        cells.cell(inner, Reader(), None)
        cells.cell(inner, Reader(uuids={"": "java"}), nodes.TEXT)
    return "\n".join("".join(token.text for token in line) for line in shown.lines(node, Reader()))


@settings(deadline=None)
@given(documents)
def test_any_document_is_shown_in_characters_that_can_be_seen(document):
    told = tell(nodes.node_of(nodes.framed(bytes((nodes.OBJECT, 0)) + document)))
    assert all(line.translate(JOINERS).isprintable() for line in told.split("\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u200db", "a\\u200db"),
        ("ab\u200d", "ab\\u200d"),
        ("\u202eevil\xa0", "\\u202eevil\\u00a0"),
    ],
)
def test_joiners_stay_where_writing_has_them(text, told):
    assert visible(text) == told


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=documents)
def test_any_document_comes_from_the_server_as_it_is(acme, stored, document):
    stored.delete_many({})
    outer = framed(b"\x10_id\0\x01\0\0\0\x03d\0" + document)
    stored.insert_one(RawBSONDocument(outer))
    [found] = list_cut(operator_access(acme), {}, {"_id": 1}, limit=1).documents
    tell(found.node)
    assert found.node.value[6:-1] == outer or len(document) > 1000
