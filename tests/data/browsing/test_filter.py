"""The filter builder, as a person uses it."""

from datetime import UTC, datetime

from bson import ObjectId

from portal.documents.accounts import Account
from tests.data.browsing.conftest import DATA

OID = "65f0c2d4e8b7a913c0f55e10"


def test_a_condition_is_added_changed_and_removed(onlooker, stored):
    stored.insert_many([{"_id": n, "status": ("done", "planned")[n % 2]} for n in range(4)])
    page = onlooker.page(field="status")
    assert "In 4 of 4 documents: text." in page.text
    assert onlooker.find("status", "is", "done") == ["2", "0"]
    url = {"c": '["status","is","text","done"]'}
    assert onlooker.chips(**url) == ["status is “done”"]
    change = onlooker.page(**url, edit="0.0")
    assert change.value("value") == "done"
    typed = {"field": "status", "operator": "is_not", "value": "done", "edit": "0.0", "add": "and"}
    assert onlooker.chips(**url, **typed) == ["status is not “done”, missing counts"]
    [remove] = change.html.select(".chip.two > a:last-child")
    assert len(onlooker.visitor.get(remove["href"]).html.select("tbody tr")) == 4


def test_or_makes_an_alternative_of_the_last_condition(onlooker, stored):
    stored.insert_many([{"_id": n, "a": n, "b": 1} for n in range(4)])
    url = {"c": ['["b","is","number","1"]', '["a","is","number","1"]']}
    typed = {"field": "a", "operator": "is", "value": "2", "add": "or"}
    page = onlooker.page(**url, **typed)
    assert [row.th.get_text(strip=True) for row in page.html.select("tbody tr")] == ["2", "1"]
    assert "b is 1" in page.html.select_one(".chips").text
    assert len(page.html.select(".chips .any .chip")) == 2


def test_a_value_is_taken_for_what_the_field_has(onlooker, stored):
    stored.insert_many(
        [{"_id": 1, "zip": "01067", "n": 5, "ok": True, "ref": ObjectId(OID)},
         {"_id": 2, "zip": "1067", "n": "5", "ok": False, "ref": OID}]
    )  # fmt: skip
    assert onlooker.find("zip", "is", "01067") == ["1"]
    assert onlooker.find("n", "is", "5") == ["2", "1"]
    assert onlooker.find("n", "is", "5", kind="number") == ["1"]
    for typed in ("true", "true ", "TRUE", " True"):
        assert onlooker.find("ok", "is", typed) == ["1"], typed
    assert onlooker.find("ok", "is", "FALSE") == ["2"]
    assert onlooker.find("ref", "is", OID) == ["2", "1"]
    assert onlooker.find("ref", "is", f" {OID} ") == ["2", "1"]
    assert onlooker.find("ref", "is", f"{OID} ", kind="text") == []
    assert onlooker.find("ref", "is", OID, kind="objectid") == ["1"]
    assert "This reads as an ObjectId" in onlooker.page(field="ref", value=OID).text


def test_an_id_is_found_as_it_reads(onlooker, stored):
    stored.insert_many([{"_id": ObjectId(OID)}, {"_id": OID}, {"_id": 7}])
    assert len(onlooker.find("_id", "is", OID)) == 2
    assert onlooker.find("_id", "is", "7") == ["7"]


def test_a_day_is_that_of_the_readers_zone_and_stays_it_in_the_url(onlooker, stored):
    Account.objects(email="mara@acme.example").update(time_zone="Europe/Berlin")
    stored.insert_one({"_id": 1, "due": datetime(2026, 11, 24, 23, 30, tzinfo=UTC)})
    assert onlooker.find("due", "is", "2026-11-25") == ["1"]
    assert onlooker.find("due", "is", "2026-11-24") == []
    typed = {"field": "due", "operator": "is", "value": "2026-11-25", "add": "and"}
    page = onlooker.visitor.get("/organizations/acme-corp/data", query_string=typed)
    assert "2026-11-25[Europe/Berlin]" in page.location.replace("%5B", "[").replace("%5D", "]")


def test_a_text_that_reads_as_a_day_is_found_by_itself_in_any_zone(onlooker, stored):
    Account.objects(email="mara@acme.example").update(time_zone="Europe/Berlin")
    midnight = datetime(2026, 11, 24, 23, tzinfo=UTC)
    days = ["2026-11-25", "2026-11-26", "2026-11-25[Europe/Berlin]", midnight]
    stored.insert_many([{"_id": n, "day": day} for n, day in enumerate(days)])
    assert onlooker.find("day", "is", "2026-11-25") == ["3", "0"]
    assert onlooker.find("day", "one_of", "2026-11-25\r\n2026-11-26") == ["3", "1", "0"]
    assert onlooker.find("day", "is_not", "2026-11-25") == ["2", "1"]
    typed = {"field": "day", "operator": "is", "value": "2026-11-25", "add": "and"}
    assert onlooker.chips(**typed) == ["day is 2026-11-25 (date or text)"]


def test_one_of_takes_a_line_for_each_value(onlooker, stored):
    stored.insert_many([{"_id": n, "a": n} for n in range(5)])
    assert onlooker.find("a", "one_of", "1\r\n3\r\n\r\n") == ["3", "1"]


def test_spaces_of_a_value_count(onlooker, stored):
    values = ["test", "test ", " ", "a, b", "a,b", "x\u2028y", "x"]
    stored.insert_many([{"_id": n, "a": value} for n, value in enumerate(values)])
    assert onlooker.find("a", "is", "test ") == ["1"]
    assert onlooker.find("a", "contains", ", ") == ["3"]
    assert onlooker.find("a", "contains", " ") == ["3", "2", "1"]
    assert onlooker.find("a", "one_of", "test \r\nx\u2028y") == ["5", "1"]


def test_fields_that_no_path_leads_to_are_offered_and_found(onlooker, stored):
    stored.insert_many(
        [{"_id": 1, "a.b": "x", "$x": 1, "": None, "c": {"d.e": 5}, " f ": 1},
         {"_id": 2, "a": {"b": "x"}, "x": 1, "c": {"d": {"e": 5}}}]
    )  # fmt: skip
    page = onlooker.page()
    offered = {each["value"] for each in page.html.select("#fields option")}
    assert {'["a.b"]', "a.b", '["$x"]', '[""]', '["c","d.e"]', "c.d.e", " f "} <= offered
    heads = [head.get_text(strip=True) for head in page.html.select("thead th")]
    assert {"a.b", "$x", '""'} <= set(heads)
    assert onlooker.find("a.b", "is", "x") == ["2"]
    assert onlooker.find('["a.b"]', "is", "x") == ["1"]
    assert onlooker.find("$x", "at_least", "1") == ["1"]
    assert onlooker.find('[""]', "null") == ["1"]
    assert onlooker.find('["c","d.e"]', "is", "5") == ["1"]
    assert onlooker.find(" f ", "is", "1") == ["1"]
    assert onlooker.find(" x ", "is", "1") == ["2"]
    url = {"field": '["a.b"]', "operator": "contains", "value": "x", "add": "and"}
    assert onlooker.chips(**url) == ["“a.b” contains “x”"]


def test_a_value_that_can_not_be_is_told_at_its_field_and_kept(onlooker, stored):
    stored.insert_one({"_id": 1, "due": datetime(2026, 11, 24, tzinfo=UTC)})
    page = onlooker.page(
        field="due", operator="less_than", value="tomorrow", kind="date", add="and"
    )
    assert page.status == 422
    assert "is no date" in page.fault("value")
    assert page.value("value") == "tomorrow"
    assert page.html.title.text.startswith("Error: ")
    page = onlooker.page(field="due", operator="between", value="2026-01-01", add="and")
    assert page.fault("value") == "Type both values."


def test_bounds_that_are_the_wrong_way_round_are_told(onlooker, stored):
    stored.insert_one(
        {"_id": ObjectId(OID), "n": 7, "due": datetime(2026, 11, 24, tzinfo=UTC), "name": "Kim"}
    )
    for field, low, high in (
        ("n", "5", "15"), ("n", "7", "7.0"), ("due", "2026-11-24", "2026-11-24"),
        ("due", "2026-10", "2026-11"), ("name", "Jo", "Lu"),
    ):  # fmt: skip
        right = {"field": field, "operator": "between", "add": "and"}
        assert onlooker.page(**right, value=[low, high]).html.select("tbody tr"), low
        if low not in (high, "7"):
            page = onlooker.page(**right, value=[high, low])
            assert "These bounds are the wrong way round" in page.text, low


def test_extended_json_stands_beside_the_conditions(onlooker, stored):
    stored.insert_many([{"_id": n, "a": n} for n in range(5)])
    url = {"c": '["a","more_than","number","1"]', "filter": '{"a": {"$mod": [2, 0]}}'}
    assert onlooker.ids(**url) == ["4", "2"]
    for text, told in (
        ("{", "Not valid JSON"),
        ('{"$where": "1"}', "$where"),
        ("[]", "Not an object"),
    ):
        page = onlooker.page(filter=text)
        assert page.status == 422
        assert told in page.fault("filter")
        assert page.html.select_one("#filter").text == text


def test_a_type_of_the_shell_that_says_no_value_is_named(onlooker, stored):
    page = onlooker.page(filter="{at: {$gt: ISODate('2025')}}")
    assert page.status == 422
    assert "This ISODate(…) is no value that is read." in page.text


def test_many_documents_are_not_read_one_by_one(onlooker, stored, monkeypatch):
    monkeypatch.setattr("portal.data.plans.MOST_SCANNED", 50)
    stored.insert_many([{"_id": n, "a": n, "b": n} for n in range(60)])
    stored.create_index([("a", 1), ("_id", 1)])
    page = onlooker.page(c='["b","is","number","1"]')
    assert page.status == 200
    assert "This would read all 60 documents." in page.text
    assert 'have the index {"b": 1, "_id": -1}' in page.text
    assert not page.html.select("tbody tr")
    page = onlooker.page(sort="b")
    assert "Sorted by _id, not by b. By b this would read all 60 documents" in page.text
    assert len(page.html.select("tbody tr")) == 50
    page = onlooker.page(sort="a")
    assert "with index a_1__id_1" in page.text


def test_a_filter_of_a_list_is_told_where_it_can_not_be_sorted(onlooker, stored):
    stored.insert_many([{"_id": n, "a": [n]} for n in range(60)])
    assert "Sorted by _id, not by a." in onlooker.page(sort="a").text


def test_what_is_ticked_is_led_on_whatever_its_id(onlooker, stored):
    stored.insert_many([{"_id": each} for each in (1, "1", {"a/": [1]}, None, ObjectId(OID))])
    page = onlooker.page()
    ticks = [box["value"] for box in page.html.select('[name="id"]')]
    asked = {"id": ticks[:3], "to": "history.change_many", "filter": "", "applied": ""}
    led = onlooker.visitor.get(f"{DATA}/selected", query_string=asked)
    assert led.location.startswith(f"{DATA}/bulk?c=")
    shown = onlooker.visitor.get(f"{DATA}?{led.location.partition('?')[2]}")
    assert [box["value"] for box in shown.html.select('[name="id"]')] == ticks[:3]
    assert "_id is one of the 3 chosen" in shown.text
    all_of_them = onlooker.visitor.get(
        f"{DATA}/selected", query_string={"c": '["_id","is","number","1"]', "to": "transfer.export"}
    )
    assert all_of_them.location.startswith(f"{DATA}/exports?c=")


def test_a_filter_that_was_typed_but_not_applied_stops_what_follows(onlooker, stored):
    typed = (
        {"field": "status", "value": "done"},
        {"filter": '{"a": 1}', "applied": ""},
        {"filter": "", "applied": '{"a": 1}'},
    )
    for query in typed:
        page = onlooker.visitor.get(f"{DATA}/selected", query_string=query)
        assert page.status == 422
        assert "isn’t part of the filter yet" in page.text
