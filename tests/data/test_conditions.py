"""Conditions: their way into a URL and back, and what they find."""

from datetime import UTC, datetime

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from werkzeug.datastructures import MultiDict

from portal.data.conditions import Condition
from portal.data.errors import InvalidQuery, UnappliedFilter
from portal.data.literal_fields import field_of
from portal.data.selections import Selection, selection_from

OID = "65f0c2d4e8b7a913c0f55e10"
UUID = "00112233-4455-6677-8899-aabbccddeeff"


@pytest.fixture(params=["f", ["f.g"], ["f", "$x", ""]], ids=["path", "literal", "nested"])
def found(stored, request):
    """The ids that conditions find among documents, of which each has an ``f``, or nothing; and
    likewise where its name is one that no path leads to."""
    names = [request.param] if isinstance(request.param, str) else request.param

    def document_with(index, value):
        for name in reversed(names):
            value = {name: value}
        return {"_id": index, **value}

    def find(values, *conditions, field=None):
        if field:
            names[:] = ["f"]  # a path through lists
        documents = [
            {"_id": index} if value is ... else document_with(index, value)
            for index, value in enumerate(values)
        ]
        stored.insert_many(documents)
        named = field or field_of(names)
        groups = tuple((Condition(named, *condition),) for condition in conditions)
        query = Selection(groups).filter
        ids = [each["_id"] for each in stored.find(query, {"_id": 1}).sort("_id", 1)]
        stored.delete_many({})
        return ids

    return find


def is_(kinds, *values):
    return "is", tuple(kinds.split("+")), values


def test_a_selection_survives_its_url():
    selection = Selection(
        (
            (Condition("status", "is_not", ("text",), ("plan\"ned, 1 + 1 = 2 & 'more'",)),),
            (Condition("a.b", "null"), Condition("c", "one_of", ("number",), ("1", "2.5"))),
            (Condition('["a.b","$x",""]', "null"),),
        ),
        '{"x": {"$numberLong": "5"}}',
        {"due": -1, "_id": 1},
        ("status", "a.b", "naïve, with , comma"),
    )
    assert selection_from(MultiDict(selection.query_args())) == selection


def test_a_dotted_name_is_not_the_path_of_the_same_text(stored):
    stored.insert_many([{"_id": 1, "a.b": 1}, {"_id": 2, "a": {"b": 1}}, {"_id": 3, "a": 1}])
    for field, ids in (('["a.b"]', [1]), ("a.b", [2]), ('["a","b.c"]', [])):
        query = Selection(((Condition(field, *is_("number", "1")),),))
        assert [each["_id"] for each in stored.find(query.filter)] == ids
    assert Condition('["a.b"]', "null").words == "“a.b” is null"


def test_missing_null_empty_text_and_empty_list_are_four_things(found):
    values = [..., None, "", [], [None], [""], 0, "x"]
    assert found(values, ("missing",)) == [0]
    assert found(values, ("null",)) == [1]
    assert found(values, ("empty_text",)) == [2]
    assert found(values, ("empty_list",)) == [3]
    assert found(values, ("missing_or_null",)) == [0, 1]
    assert found(values, ("present",)) == [1, 2, 3, 4, 5, 6, 7]


def test_is_not_says_that_missing_counts_and_can_leave_it_out(found):
    values = ["planned", "done", ..., None, ["planned", "done"]]
    assert found(values, ("is_not", ("text",), ("planned",))) == [1, 2, 3]
    assert found(values, ("is_not_present", ("text",), ("planned",))) == [1, 3]
    assert "missing counts" in Condition("f", "is_not", ("text",), ("planned",)).words


def test_contains_is_literal(found):
    values = ["+LR", "LR", "Price (+10 %)", "a.b", "aXb", "[x]", "line\nfeed", "PRICE (+10 %)"]
    contains = "contains", ("text",)
    assert found(values, (*contains, ("+LR",))) == [0]
    assert found(values, (*contains, ("(+10 %)",))) == [2, 7]
    assert found(values, (*contains, ("a.b",))) == [3]
    assert found(values, (*contains, ("[x]",))) == [5]
    assert found(values, (*contains, ("line\nfeed",))) == [6]
    assert found(values, ("contains_any_case", ("text",), ("price",))) == [2, 7]
    assert found(values, ("begins_with", ("text",), ("Price (",))) == [2]


@pytest.mark.parametrize(
    "text",
    [
        r"\d",
        r"\1",
        "+",
        "+++",
        "[",
        "a/b+c-d",
        r"\E",
        "^$",
        "(?i)",
        "#c",
        "a\\",
        "é",
        "\N{OLD ITALIC LETTER A}",
        "-&~ ",
    ],
)
def test_any_text_is_found_by_itself(found, text):
    assert found([text, "other"], ("contains", ("text",), (text,))) == [0]


def test_between_means_one_element(found):
    values = [17, [21, 14], [1, 17], 14, 21, [15, 20], 20.0, "17"]
    between = "between", ("number",), ("15", "20")
    assert found(values, between) == [0, 2, 5, 6]


def test_between_means_one_element_on_the_way_too(found):
    def parts(*counts):
        return [{"count": count} for count in counts]

    values = [
        parts(1, 9),
        parts(1, 5),
        {"count": 5},
        {"count": [1, 9]},
        {"count": [5]},
        parts([1, 9]),
    ]
    assert found(values, ("between", ("number",), ("2", "8")), field="f.count") == [1, 2, 4]


def test_a_value_that_reads_as_an_objectid_finds_both_forms(found):
    values = [ObjectId(OID), OID, "x"]
    assert found(values, is_("objectid+text", OID)) == [0, 1]
    assert found(values, is_("objectid", OID)) == [0]
    assert found(values, is_("text", OID)) == [1]


def test_a_uuid_is_found_however_a_driver_stored_it(found):
    plain = bytes.fromhex(UUID.replace("-", ""))
    java, csharp = (
        plain[7::-1] + plain[:7:-1],
        plain[3::-1] + plain[5:3:-1] + plain[7:5:-1] + plain[8:],
    )
    values = [
        Binary(plain, 4),
        Binary(plain, 3),
        Binary(java, 3),
        Binary(csharp, 3),
        UUID,
        Binary(plain, 0),
    ]
    assert found(values, is_("uuid+text", UUID)) == [0, 1, 2, 3, 4]


def test_numbers_are_found_in_every_type(found):
    values = [5, Int64(5), 5.0, Decimal128("5.00"), "5", 0.1, Decimal128("0.1"), 2**53 + 1]
    assert found(values, is_("number", "5")) == [0, 1, 2, 3]
    assert found(values, is_("number", "0.1")) == [5, 6]
    assert found(values, is_("number", "9007199254740993")) == [7]
    assert found(values, ("more_than", ("number",), ("0.1",))) == [0, 1, 2, 3, 7]
    assert found(values, ("at_least", ("number",), ("0.1",))) == [0, 1, 2, 3, 5, 6, 7]
    assert found(values, ("less_than", ("number",), ("0.1",))) == []


def test_a_day_is_that_of_the_reader(found):
    values = [
        datetime(2026, 3, 28, 22, 59, tzinfo=UTC),
        datetime(2026, 3, 28, 23, 0, tzinfo=UTC),  # 29 March begins in Berlin, in winter time
        datetime(2026, 3, 29, 21, 59, tzinfo=UTC),  # and ends in summer time
        datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
    ]
    day = "2026-03-29[Europe/Berlin]"
    assert found(values, is_("date", day)) == [1, 2]
    assert found(values, ("less_than", ("date",), (day,))) == [0]
    assert found(values, ("more_than", ("date",), (day,))) == [3]
    assert found(values, ("at_most", ("date",), (day,))) == [0, 1, 2]
    assert found(values, is_("date", "2026-03-29 00:00[Europe/Berlin]")) == [1]
    assert found(values, is_("date", "2026-03")) == [0, 1, 2, 3]


def test_an_hour_that_clocks_show_twice_is_both_and_one_that_they_skip_none(found):
    def at(hour, minute=30):
        return datetime(2026, 10, 25, hour, minute, tzinfo=UTC)

    values = [at(0, 29), at(0), at(0, 31), at(1, 29), at(1), at(1, 31), at(2)]
    twice = "2026-10-25 02:30[Europe/Berlin]"
    assert found(values, is_("date", twice)) == [1, 4]
    assert found(values, is_("date", twice.replace("[", "+01:00["))) == [4]
    assert found(values, ("is_not", ("date",), (twice,))) == [0, 2, 3, 5, 6]
    assert found(values, ("at_least", ("date",), (twice,))) == [1, 2, 3, 4, 5, 6]
    assert found(values, ("more_than", ("date",), (twice,))) == [5, 6]
    assert found(values, ("less_than", ("date",), (twice,))) == [0]
    assert found(values, ("at_most", ("date",), (twice,))) == [0, 1, 2, 3, 4]
    assert found(values, is_("date", "2026-10-25[Europe/Berlin]")) == [0, 1, 2, 3, 4, 5, 6]
    skipped = Condition("f", "at_least", ("date",), ("2026-03-29 02:30[Europe/Berlin]",))
    with pytest.raises(InvalidQuery, match="Europe/Berlin has no such time"):
        _ = skipped.filter


def test_days_at_both_ends_of_the_years_are_those_of_the_reader(found):
    def at(milliseconds):
        return DatetimeMS(milliseconds)

    year_1, year_10000 = -62_135_596_800_000, 253_402_300_800_000
    berlin = (53 * 60 + 28) * 1000  # by the sun, as clocks were then
    values = [at(year_1 - berlin - 1), at(year_1 - berlin), at(year_1 + 86_400_000 - berlin)]
    assert found(values, is_("date", "0001-01-01[Europe/Berlin]")) == [1]
    later = [at(year_10000 + 4 * 3_600_000), at(year_10000 + 5 * 3_600_000)]
    assert found(later, is_("date", "9999-12-31 23:00[America/New_York]")) == [0]
    assert found(later, is_("date", "9999[America/New_York]")) == [0]


@pytest.mark.parametrize("zone", ["Europe", "America", "x" * 1900, "../UTC", "Mars/Base"])
def test_a_zone_that_is_none_is_told(zone):
    with pytest.raises(InvalidQuery):
        _ = Condition("f", "is", ("date",), (f"2026-11-25[{zone}]",)).filter


@pytest.mark.parametrize("text", ["1e9999", "-1e9999", "1e-9999"])
def test_a_number_that_nothing_holds_is_told(text):
    with pytest.raises(InvalidQuery, match="more digits than MongoDB stores"):
        _ = Condition("f", "is", ("number",), (text,)).filter


def test_a_number_of_more_digits_than_a_decimal_has_is_the_nearest_double(found):
    long = "123456789012345678901234567890123456789"
    assert found([float(long), Decimal128(long[:34] + "00000"), 1], is_("number", long)) == [0]
    assert found([0.5], ("less_than", ("number",), (f"0.{'5' * 40}",))) == [0]


def test_a_range_of_days_has_its_last_day(found):
    values = [datetime(2020, 5, 31, 23, 59, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC),
              datetime(2020, 6, 30, 23, 59, 59, 999000, tzinfo=UTC), datetime(2020, 7, 1, tzinfo=UTC)]  # fmt: skip
    assert found(values, ("between", ("date",), ("2020-06-01", "2020-06-30"))) == [1, 2]


def test_dates_of_all_years_are_in_order(found):
    values = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, tzinfo=UTC),
        DatetimeMS(253402300800000),
    ]
    assert found(values, ("less_than", ("date",), ("1970-01-01",))) == [0, 1]
    assert found(values, ("more_than", ("date",), ("9999-12-31",))) == [2]


def test_a_type_is_that_of_the_value_itself(found):
    values = ["x", ["x"], 1, Int64(1), 1.5, None, ...]
    assert found(values, ("of_type", ("type",), ("string",))) == [0]
    assert found(values, ("of_type", ("type",), ("array",))) == [1]
    assert found(values, ("of_type", ("type",), ("int", "long"))) == [2, 3]


def test_any_value_is_compared_as_extended_json(found):
    values = [{"a": 1, "b": 2}, {"b": 2, "a": 1}, bson.Regex("^x", ""), "xyz", [1]]
    assert found(values, is_("json", '{"a": 1, "b": 2}')) == [0]
    assert found(
        values, is_("json", '{"$regularExpression": {"pattern": "^x", "options": ""}}')
    ) == [2]
    assert found(values, is_("json", "[1]")) == [4]


def test_conditions_are_joined_by_and_their_alternatives_by_or(stored):
    stored.insert_many(
        [{"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 2, "b": 1}, {"_id": 3, "a": 1, "b": 2}]
    )
    one, two = (Condition("a", *is_("number", value)) for value in "12")
    b = Condition("b", *is_("number", "1"))
    selection = Selection(((one, two), (b,)))
    assert [each["_id"] for each in stored.find(selection.filter)] == [1, 2]
    assert selection.words() == "(a is 1 or a is 2) and b is 1"


@pytest.mark.parametrize(
    "url",
    [
        [("c", "{")],
        [("c", "5")],
        [("c", '["f"]')],
        [("c", '["f","drop"]')],
        [("c", '["f","is"]')],
        [("c", '["f","is","text"]')],
        [("c", '["f","is","text","a","b"]')],
        [("c", '["f","is","script","a"]')],
        [("c", '["f","is","number","abc"]')],
        [("c", '["f","is","date","2026-02-30"]')],
        [("c", '["f","is","date","2026-02-03[Europe/Nowhere]"]')],
        [("c", '["f","is","objectid","65f0"]')],
        [("c", '["$where","is","text","1"]')],
        [("c", '["a.$b","is","text","1"]')],
        [("c", '["","is","text","1"]')],
        [("c", r'["[\"a\",\"b\"]","is","text","1"]')],
        [("c", r'["[\"a.b\",\"\\u0000\"]","is","text","1"]')],
        [("c", r'["[\"$a\",\"b\",\"c\",\"d\",\"e\",\"f\"]","is","text","1"]')],
        [("sort", '["a.b"]')],
        [("c", '["f","null"]')] * 21,
        [("filter", '{"$where": "1"}')],
        [("sort", "-$f")],
    ],
)  # fmt: skip
def test_a_url_that_says_nothing_is_refused(url):
    with pytest.raises(InvalidQuery):
        selection_from(MultiDict(url))


def test_what_was_begun_but_not_added_stops_what_follows():
    with pytest.raises(UnappliedFilter):
        selection_from(MultiDict([("field", "status"), ("value", "done")]))
    assert not selection_from(MultiDict([("field", "status")]), building=True).filter
