"""Single fields of encoded documents are changed, and nothing else is."""

import bson
import pytest
from bson import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.data.errors import FieldExists, PathNotFound
from portal.data.patching import (
    Append,
    Rename,
    Set,
    Unset,
    differences,
    element_at,
    elements,
    patch,
)
from tests import encoded

ORDER = {"b": 1, "a": {"x.y": Int64(5), "x": {"y": 2}}, "list": [1, {"k": "v"}, 2.0], "": None}
DOCUMENT = bson.encode(ORDER)
TWICE = b"\x13\0\0\0\x10a\0\x01\0\0\0\x10a\0\x02\0\0\0\0"


def value(given):
    return bson.encode({"": given})


def changed(*changes):
    return bson.decode(patch(DOCUMENT, changes))


def test_a_field_is_set_in_its_place():
    done = changed(Set(("b",), value("now")))
    assert [*done.items()] == [*{**ORDER, "b": "now"}.items()]


def test_names_with_dots_are_literal():
    assert changed(Set(("a", "x.y"), value(7)))["a"] == {"x.y": 7, "x": {"y": 2}}
    assert changed(Set(("a", "x", "y"), value(7)))["a"] == {"x.y": 5, "x": {"y": 7}}


def test_what_is_missing_is_added_at_the_end_with_its_parents():
    done = changed(Set(("new", "$in", "it"), value(1)), Set(("new", "__proto__"), value(2)))
    assert [*done] == [*ORDER, "new"]
    assert done["new"] == {"$in": {"it": 1}, "__proto__": 2}


def test_an_element_that_is_removed_lets_later_ones_move_up():
    done = changed(Unset(("list", 0)), Set(("list", 2), value("last")))
    assert done["list"] == [{"k": "v"}, "last"]
    [_, _, parts, _] = elements(patch(DOCUMENT, [Unset(("list", 1))]))
    assert [each.name for each in elements(parts.inner)] == ["0", "1"]


def test_elements_are_appended_and_changed_at_once():
    done = changed(Append(("list",), value(3)), Append(("list",), value(4)))
    assert done["list"] == [*ORDER["list"], 3, 4]
    assert changed(Set(("list", 1, "k"), value("w")))["list"][1] == {"k": "w"}


def test_a_field_is_renamed_in_its_place_also_with_a_change_inside():
    done = changed(Rename(("a",), "$a"), Set(("a", "x.y"), value(1)), Rename(("b",), "c"))
    assert [*done] == ["c", "$a", "list", ""]
    assert done["$a"]["x.y"] == 1


def test_two_fields_swap_their_names():
    assert [*changed(Rename(("a",), "b"), Rename(("b",), "a"))] == ["a", "b", "list", ""]


def test_a_name_that_is_there_is_not_given_again():
    with pytest.raises(FieldExists) as refused:
        changed(Rename(("a", "x"), "x.y"))
    assert "a.“x.y”" in refused.value.api_words
    with pytest.raises(FieldExists):
        changed(Rename(("b",), "new"), Set(("new",), value(1)))


def test_removing_or_renaming_what_is_missing_changes_nothing():
    changes = [Unset(("x",)), Unset(("list", 9)), Rename(("x", "y"), "z"), Unset(("a", "z", "q"))]
    assert patch(DOCUMENT, changes) == DOCUMENT


@pytest.mark.parametrize(
    "change",
    [
        Set(("b", "x"), value(1)),
        Set(("list", 3), value(1)),
        Set(("list", "x"), value(1)),
        Rename(("list", 0), "x"),
        Append(("b",), value(1)),
        Append(("new",), value(1)),
    ],
)
def test_a_path_to_no_place_is_refused(change):
    with pytest.raises(PathNotFound):
        changed(change)


def test_each_of_two_fields_of_one_name_has_its_path():
    assert patch(TWICE, [Unset((1,))]) == bson.encode({"a": 1})
    assert patch(TWICE, [Unset((0,))]) == bson.encode({"a": 2})
    assert patch(TWICE, [Unset(("a",))]) == bson.encode({"a": 2})
    assert patch(TWICE, [Set((1,), value(3))])[14:18] == b"\3\0\0\0"


def test_two_changes_of_one_element_are_a_fault_of_the_caller():
    for second in (Set((0,), value(2)), Unset(("b",))):
        with pytest.raises(ValueError, match="two changes"):
            changed(Set(("b",), value(1)), second)


def test_many_changes_of_a_large_document_take_one_pass():
    many = bson.encode({f"f{number}": number for number in range(10_000)})
    changes = [Set((f"f{number}",), value("x")) for number in range(10_000)]
    assert set(bson.decode(patch(many, changes)).values()) == {"x"}
    long = bson.encode({"list": list(range(100_000))})
    assert bson.decode(patch(long, [Unset(("list", 0))]))["list"] == list(range(1, 100_000))


def test_an_element_is_found_at_its_path():
    assert element_at(DOCUMENT, ("a", "x.y")).value == value(Int64(5))
    assert element_at(DOCUMENT, ("list", 1, "k")).value == value("v")
    assert element_at(DOCUMENT, ("",)).position == 3
    assert element_at(DOCUMENT, ("b", "x")) is None


def test_differences_are_told_field_by_field():
    other = {"a": {"x.y": 5, "x": {"y": 2}}, "list": [1], "": None, "new": 1}
    assert differences(DOCUMENT, bson.encode(other)) == [
        ("b",), ("a", "x.y"), ("list",), ("new",),
    ]  # fmt: skip
    assert differences(TWICE, bson.encode({"a": 1})) == [()]
    assert differences(DOCUMENT, bson.encode(dict(reversed(ORDER.items())))) == []


@settings(max_examples=150, deadline=None, database=None)
@given(encoded.documents, st.data())
def test_any_document_survives_a_change_of_one_other_field(document, data):
    fields = list(elements(document))
    assert patch(document, [Set((each.position,), each.value) for each in fields]) == document
    new = data.draw(encoded.values)
    added = patch(document, [Set(("a new one",), new)])
    assert [*elements(added)][:-1] == fields
    assert patch(added, [Unset(("a new one",))]) == document
    if fields:
        at = data.draw(st.integers(0, len(fields) - 1))
        replaced = [*elements(patch(document, [Set((at,), new)]))]
        assert replaced[at].value == new
        assert replaced[at].name == fields[at].name
        assert replaced[:at] + replaced[at + 1 :] == fields[:at] + fields[at + 1 :]
