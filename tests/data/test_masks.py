"""Masked fields: hidden to the byte, and out of reach of every query and update."""

import bson
import pytest
from bson import DBRef, Decimal128
from hypothesis import given
from hypothesis import strategies as st

from portal.data.masks.errors import FieldMasked, InvalidMask, WholeDocumentMasked
from portal.data.masks.masks import MASKED, NOTHING_MASKED, Mask
from portal.data.masks.paths import parse_path
from portal.tenants.elements import framed

MASK = Mask(frozenset({"iban", "contact.email", "parts.price"}))


def hidden(document, mask=MASK, projection=None):
    return bson.decode(mask.hide(bson.encode(document), projection))


@pytest.mark.parametrize("found", [{"iban": "DE1"}, {"iban": None}, {}, {"iban": {"a": [1]}}])
def test_a_value_null_and_none_look_alike(found):
    shown = hidden({"_id": 1, **found, "city": "Bonn"})
    assert list(shown.items()) == [("_id", 1), ("city", "Bonn"), ("iban", MASKED)]


def test_fields_of_documents_in_lists_are_hidden_at_any_depth():
    shown = hidden({"parts": [{"n": 1, "price": 5}, {"n": 2}, 7, [{"price": 9}]], "iban": 1})
    lists = [{"n": 1, "price": MASKED}, {"n": 2, "price": MASKED}, 7, [{"price": MASKED}]]
    assert shown == {"parts": lists, "iban": MASKED}


def test_a_name_with_dots_in_it_and_a_name_that_is_there_twice_are_hidden():
    both = bson.encode({"iban": "a"})[4:-1] + bson.encode({"iban": "b", "contact.email": "c"})[4:-1]
    assert b"a\0" not in MASK.hide(framed(both))
    assert bson.decode(MASK.hide(framed(both))) == {"iban": MASKED, "contact.email": MASKED}
    odd = Mask(frozenset({"$x", "", "a.b.c"}))
    inside = {"a": {"b.c": 1}, "a.b": {"c": 1, "d": 2}, "a.b.c": 1, "$x": 1, "": 1}
    assert hidden(inside, odd) == {
        "a": {"b.c": MASKED}, "a.b": {"d": 2, "c": MASKED}, "a.b.c": MASKED, "$x": MASKED, "": MASKED,
    }  # fmt: skip


def test_what_is_not_masked_stays_to_the_byte():
    document = bson.encode({"b": 1, "a": {"x": [bson.Int64(5)]}, "contact": 3})
    assert NOTHING_MASKED.hide(document) is document
    iban = bson.encode({"iban": MASKED})[4:-1]
    assert MASK.hide(document) == framed(document[4:-1] + iban)


@pytest.mark.parametrize(
    ("projection", "shown"),
    [
        ({"city": 1}, {}),
        ({"city": 1, "iban": 1}, {"iban": MASKED}),
        ({"contact": {"email": 1}}, {"contact": {"email": MASKED}}),
        ({"contact.name": 1}, {"contact": {}}),
        ({"iban": 0}, {"contact": {"email": MASKED}}),
        ({"contact": Decimal128("0")}, {"iban": MASKED}),
        ({"parts": {"$slice": 1}}, {"contact": {"email": MASKED}, "iban": MASKED}),
    ],
    ids=repr,
)
def test_only_what_a_projection_leaves_is_shown_as_masked(projection, shown):
    document = {name: {} for name in shown if name == "contact"}
    assert hidden(document, projection=projection) == shown


@pytest.mark.parametrize(
    "query",
    [
        {"iban": "DE1"},
        {"iban": {"$type": "string"}},
        {"parts.price": {"$not": {"$type": "string"}}},
        {"iban.country": 1},
        {"contact": {"email": "a@b.example"}},
        {"contact": {"$exists": True}},
        {"parts.0.price": 5},
        {"parts": {"$elemMatch": {"price": {"$gt": 5}}}},
        {"parts": {"$not": {"$elemMatch": {"price": 5}}}},
        {"parts": {"$elemMatch": {"$or": [{"price": 5}]}}},
        {"parts": {"$elemMatch": DBRef("x", 1, None, {"price": 5})}},
        {"parts": {"$all": [{"$elemMatch": {"n": 1}}]}},
        {"$and": [{"city": 1}, {"$nor": [{"iban": {"$gt": "DE"}}]}]},
        {"$expr": {"$gt": ["$iban", "DE"]}},
        {"$expr": {"$eq": ["$$ROOT.iban", 1]}},
        {"$expr": {"$eq": ["$$CURRENT.contact.email", 1]}},
        {"$expr": {"$let": {"vars": {"c": "$contact"}, "in": {"$eq": ["$$c.email", 1]}}}},
        {"$expr": {"$eq": [{"$getField": "iban"}, 1]}},
        {"$expr": {"$eq": [{"$getField": {"$literal": "contact.email"}}, 1]}},
        {"$expr": {"$eq": [{"$getField": {"field": "email", "input": "$contact"}}, 1]}},
        {"$expr": {"$reduce": {"input": "$parts", "initialValue": 0, "in": "$$this.price"}}},
        {"$expr": {"$in": [5, "$parts.price"]}},
    ],
    ids=repr,
)
def test_a_filter_by_a_masked_field_its_parent_or_its_child_is_refused(query):
    with pytest.raises(FieldMasked):
        MASK.check_filter(query)


@pytest.mark.parametrize(
    "query",
    [
        {"$jsonSchema": {"required": ["iban"]}},
        {"$text": {"$search": "DE1"}},
        {"$expr": {"$eq": [{"$objectToArray": "$$ROOT"}, []]}},
        {"$expr": {"$let": {"vars": {"d": "$$CURRENT"}, "in": "$$d.iban"}}},
        {"$expr": {"$eq": [{"$getField": {"$concat": ["ib", "an"]}}, 1]}},
        {"$expr": {"$eq": [{"$getField": "$name"}, 1]}},
        {"$expr": {"$eq": [{"$meta": "indexKey"}, {}]}},
    ],
    ids=repr,
)
def test_a_filter_that_reads_whole_documents_is_refused(query):
    with pytest.raises(WholeDocumentMasked):
        MASK.check_filter(query)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"_id": 1, "city": "Bonn", "contact.name": "Mara", "ibans": 1},
        {"parts": {"$elemMatch": {"n": {"$gte": 2, "$lte": 8}}}},
        {"parts": {"$not": {"$type": "array"}}},
        {"$or": [{"city": {"$literal": "$iban"}}, {"$comment": "x"}]},
        {"$expr": {"$eq": ["$city", {"$literal": "$iban"}]}},
        {"$expr": {"$eq": [{"$getField": "a.b"}, "$contact.name"]}},
    ],
    ids=repr,
)
def test_filters_by_other_fields_are_free(query):
    MASK.check_filter(query)
    NOTHING_MASKED.check_filter({"iban": 1})


def test_text_search_is_free_where_the_text_index_has_nothing_masked():
    MASK.check_filter({"$text": {"$search": "x"}}, lambda: ["title"])
    with pytest.raises(FieldMasked):
        MASK.check_filter({"$text": {"$search": "x"}}, lambda: ["title", "contact.email"])
    with pytest.raises(WholeDocumentMasked):
        MASK.check_filter({"$text": {"$search": "x"}}, lambda: ["$**"])


@pytest.mark.parametrize("path", ["iban", "contact", "contact.email.x", "parts", "parts.3.price"])
def test_sorts_and_indexes_by_masked_fields_are_refused(path):
    for check in (lambda: MASK.check_sort({path: 1}), lambda: MASK.check_keys(["city", path])):
        with pytest.raises(FieldMasked):
            check()
    MASK.check_sort({"city": 1, "contact.name": -1})
    with pytest.raises(WholeDocumentMasked):
        MASK.check_keys(["$**"])


@pytest.mark.parametrize(
    "projection",
    [
        {"x": "$iban"},
        {"x": "$$ROOT"},
        {"x": {"y": "$contact"}},
        {"parts": {"$elemMatch": {"price": 5}}},
        {"parts": {"$elemMatch": DBRef("x", 1, None, {"price": 5})}},
        {"x": {"$meta": "indexKey"}},
        {"x": {"$getField": "iban"}},
        {"x": {"$objectToArray": "$contact"}},
        {"x": ["$parts.price"]},
    ],
    ids=repr,
)
def test_a_projection_computes_nothing_of_masked_fields(projection):
    with pytest.raises(FieldMasked):
        MASK.check_projection(projection)
    MASK.check_projection({"iban": 1, "contact": 1, "parts": {"$slice": 2}, "x": "$city"})
    MASK.check_projection(None)


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"iban": "DE2"}},
        {"$set": {"contact": {"name": "x"}}},
        {"$set": {"parts.$[].price": 5}},
        {"$set": {"parts.0.price": 5}},
        {"$unset": {"contact.email": ""}},
        {"$rename": {"iban": "open"}},
        {"$rename": {"city": "contact.email"}},
        {"$push": {"parts": {"n": 1}}},
        {"$pull": {"parts": {"price": {"$gt": 5}}}},
        {"$inc": {"iban.x": 1}},
        {"$set": DBRef("x", 1, None, {"iban": 5})},
        [{"$set": {"open": "$iban"}}],
        [{"$set": {"open": {"deep": {"$getField": "iban"}}}}],
        [{"$unset": "contact"}],
        [{"$unset": ["city", "iban"]}],
    ],
    ids=repr,
)
def test_an_update_reads_and_writes_no_masked_field(update):
    with pytest.raises(FieldMasked):
        MASK.check_update(update)


@pytest.mark.parametrize(
    "stage", [{"$replaceWith": "$contact"}, {"$project": {"city": 1}}, {"$set": {"x": "$$ROOT"}}]
)
def test_an_update_replaces_no_document_with_masked_fields(stage):
    with pytest.raises(WholeDocumentMasked):
        MASK.check_update([stage])


def test_updates_of_other_fields_are_free():
    MASK.check_update({"$set": {"city": "$iban", "parts.0.n": 1}, "$inc": {"n": 1}})
    MASK.check_update([{"$set": {"city": "$contact.name"}}, {"$unset": ["n"]}])


def test_a_new_document_has_no_masked_field():
    MASK.check_insert(bson.encode({"contact": {"name": "Mara"}, "parts": [{"n": 1}]}))
    for document in ({"iban": None}, {"contact.email": 1}, {"parts": [[{"price": MASKED}]]}):
        with pytest.raises(FieldMasked):
            MASK.check_insert(bson.encode(document))


STORED = {"_id": 1, "iban": "DE1", "city": "Bonn", "contact": {"email": "m@x.example", "n": 1}}


def merged(document, stored=STORED):
    return bson.decode(MASK.merged(bson.encode(document), bson.encode(stored)))


def test_a_replacement_leaves_masked_values_as_they_are():
    shown = MASK.hide(bson.encode(STORED))
    assert MASK.merged(shown, bson.encode(STORED)) == bson.encode(STORED)
    changed = {**bson.decode(shown), "city": "Ulm", "new": 5}
    assert list(merged(changed).items()) == [
        ("_id", 1), ("iban", "DE1"), ("city", "Ulm"), ("contact", STORED["contact"]), ("new", 5),
    ]  # fmt: skip
    assert merged({"iban": MASKED, "city": "Ulm"}, {"city": "Bonn"}) == {"city": "Ulm"}
    new = {"iban": MASKED, "contact": {"n": 1}}
    assert merged(new, {"iban": 5}) == {"iban": 5, "contact": {"n": 1}}


@pytest.mark.parametrize(
    "document",
    [
        {"city": "Ulm", "contact": {"email": MASKED}},
        {"iban": "DE2", "contact": {"email": MASKED}},
        {"iban": MASKED},
        {"iban": MASKED, "contact": "gone"},
        {"iban": MASKED, "contact": {"n": 2}},
        {"iban": MASKED, "contact": {"email": MASKED}, "parts": [{"price": 5}]},
        {"iban": MASKED, "contact": {"email": MASKED}, "contact.email": "x"},
    ],
    ids=repr,
)
def test_a_replacement_that_changes_or_loses_a_masked_value_is_refused(document):
    with pytest.raises(FieldMasked):
        merged(document)


def test_elements_of_a_list_never_come_to_the_values_of_others():
    stored = {"parts": [{"n": 1, "price": 5}, {"n": 2, "price": 9}]}
    one, two = {"n": 1, "price": MASKED}, {"n": 2, "price": MASKED}
    assert merged({"parts": [one, two], "iban": MASKED, "x": 1}, stored) == {**stored, "x": 1}
    for parts in ([two, one], [one], [one, two, two], []):
        with pytest.raises(FieldMasked):
            merged({"parts": parts, "iban": MASKED}, stored)


_TEXTS = st.sampled_from(["iban", "contact", "email", "parts", "price", "contact.email", "n", "$x"])
_VALUES = st.recursive(
    st.none() | st.just("secret") | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(_TEXTS, _VALUES, max_size=5)


@given(DOCUMENTS)
def test_whatever_is_shown_goes_back_unchanged(document):
    encoded = bson.encode(document)
    assert MASK.merged(MASK.hide(encoded), encoded) == encoded
    assert MASK.hide(MASK.hide(encoded)) == MASK.hide(encoded)


@given(DOCUMENTS, DOCUMENTS)
def test_no_replacement_changes_a_masked_value(document, stored):
    stored = bson.encode(stored)
    try:
        written = MASK.merged(MASK.hide(bson.encode(document)), stored)
    except FieldMasked:
        return
    assert masked_values(bson.decode(written)) == masked_values(bson.decode(stored))


def masked_values(document):
    """All that MASK hides, by where it stands."""
    found, unseen = {}, [((), (), document)]
    while unseen:
        place, names, value = unseen.pop()
        if ".".join(names) in MASK.paths:
            found[place] = value
        elif isinstance(value, dict):
            unseen += [((*place, name), (*names, name), each) for name, each in value.items()]
        elif isinstance(value, list):
            unseen += [((*place, index), names, each) for index, each in enumerate(value)]
    return found


@pytest.mark.parametrize(
    "path", ["", "_id", "_id.x", "a.0", "a.12.b", "a.b.c.d.e.f.g", "a\0", "x" * 201]
)
def test_a_path_that_cannot_be_masked_is_refused(path):
    with pytest.raises(InvalidMask):
        parse_path(path)


def test_masked_is_what_is_at_and_below_a_path():
    assert [path for path in ("iban", "iban.x", "contact", "parts.0.price", "parts.n", "city") if MASK.is_masked(path)] == ["iban", "iban.x", "parts.0.price"]  # fmt: skip
