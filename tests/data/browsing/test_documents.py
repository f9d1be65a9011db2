"""The page of documents, as a person sees it."""

import itertools
from datetime import UTC, datetime
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS

from portal.data import cutting
from portal.data.errors import QueryTooSlow
from portal.data.queries import beyond, cursor_of
from portal.data.uuid_readings import LEGACY_UUIDS
from portal.documents.accounts import Account
from portal.tenants.elements import framed
from tests.data.browsing.conftest import DATA
from tests.factories import a_key

TWICE = framed(b"\x10_id\0\x01\0\0\0\x02status\0\x02\0\0\0a\0\x02status\0\x02\0\0\0b\0")
NO_UTF8 = framed(b"\x10_id\0\x02\0\0\0\x02note\0\xd1\x07\0\0" + b"\xff\xfe" * 1000 + b"\0")
OLD_TYPES = framed(
    b"\x10_id\0\x03\0\0\0\x06u\0\x0es\0\x02\0\0\0x\0\x0cp\0\x02\0\0\0c\0" + bytes(12)
)


def test_documents_stand_newest_first_and_each_comes_once(onlooker, stored):
    stored.insert_many([{"_id": number} for number in range(120)])
    seen, page = [], onlooker.page()
    while True:
        seen += [cell.get_text(strip=True) for cell in page.html.select("tbody th")]
        older = page.html.find("a", string="Older")
        if not older:
            break
        page = onlooker.visitor.get(older["href"])
    assert seen == [str(number) for number in reversed(range(120))]
    newer = onlooker.visitor.get(page.html.find("a", string="Newer")["href"])
    assert newer.html.select_one("tbody th").get_text(strip=True) == "69"


def test_pages_sorted_by_equal_values_repeat_and_miss_nothing(onlooker, stored):
    values = [1, None, "x", 2.5, Int64(1), Decimal128("1")]
    stored.insert_many(
        [{"_id": n, "f": values[n % 6]} if n % 7 else {"_id": n} for n in range(130)]
    )
    for sort in ("f", "-f"):
        seen, page = [], onlooker.page(sort=sort)
        while page:
            seen += [cell.get_text(strip=True) for cell in page.html.select("tbody th")]
            after = page.html.find("a", string="After")
            page = onlooker.visitor.get(after["href"]) if after else None
        assert len(seen) == 130
        assert len(set(seen)) == 130


def test_a_search_for_words_is_paged_in_its_order(onlooker, stored):
    stored.insert_many({"_id": n, "s": "red", "n": n % 3} for n in range(60))
    stored.create_index([("s", "text")])
    first = onlooker.page(filter='{"$text": {"$search": "red"}}', sort="n")
    second = onlooker.visitor.get(first.html.find("a", string="After")["href"])
    seen = [cell.get_text(strip=True) for cell in second.html.select("tbody th")]
    assert seen == [str(each["_id"]) for each in stored.find(sort=[("n", 1), ("_id", 1)])][50:]
    before = onlooker.visitor.get(second.html.find("a", string="Before")["href"])
    assert next(cell.get_text(strip=True) for cell in before.html.select("tbody th")) == "0"


def test_a_page_far_behind_reads_no_more_than_it_shows(stored):
    stored.insert_many([{"_id": n, "n": n % 10, "s": "ab"[n % 7 == 0]} for n in range(3000)])
    stored.create_index([("n", 1), ("_id", 1)])
    stored.create_index([("s", 1), ("n", 1), ("_id", 1)])
    stored.create_index([("s", 1), ("_id", 1)])
    sorts = {"n": -1, "_id": -1}, {"n": 1, "_id": 1}, {"_id": -1}
    for query, sort in itertools.product(({}, {"s": "a"}), sorts):
        behind = cursor_of(bson.encode({"_id": 1500, "n": 5}), sort)
        wanted = {"filter": beyond(query, sort, behind), "sort": sort, "limit": 51}
        find = {"find": stored.name, **wanted}
        plan = stored.database.command({"explain": find, "verbosity": "executionStats"})
        assert plan["executionStats"]["nReturned"] == 51, (query, sort)
        assert plan["executionStats"]["totalKeysExamined"] < 60, (query, sort)


def test_values_are_shown_by_their_type(onlooker, stored):
    oid = ObjectId("65f0c2d4e8b7a913c0f55e10")
    stored.insert_one(
        {"_id": oid, "no": None, "nil": "", "due": datetime(2026, 11, 25, 7, 0, tzinfo=UTC),
         "far": DatetimeMS(253402300800000 + 86400000 * 365 * 187), "hours": 3.5, "parts": [1, 2],
         "who": {"team": "x", "shift": "y"}, "many": Int64(2**63 - 1)}
    )  # fmt: skip
    stored.insert_one({"_id": "20402", "hours": "0.5", "parts": []})
    [first, text] = onlooker.rows()
    assert first[0] == "65f0…5e10"
    assert first[1:] == ["null", "empty text", "25 Nov 2026 07:00", "in the year 10186", "3.5",
                         "[ 2 ]", "{ team, shift }", str(2**63 - 1)]  # fmt: skip
    assert text[0] == '"20402" text'
    assert text[1:] == ["missing", "missing", "missing", "missing", '"0.5" text', "[ ]", "missing",
                        "missing"]  # fmt: skip


def test_dates_are_in_the_zone_of_the_reader_with_the_offset_of_their_day(onlooker, stored):
    Account.objects(email="mara@acme.example").update(time_zone="Europe/Berlin")
    stored.insert_many(
        [{"_id": 1, "d": datetime(2026, 7, 1, 12, tzinfo=UTC)},
         {"_id": 2, "d": datetime(2026, 12, 1, 12, tzinfo=UTC)},
         {"_id": 3, "d": datetime(1955, 3, 1, 12, tzinfo=UTC)},
         {"_id": 4, "d": datetime(1, 1, 1, tzinfo=UTC)}]
    )  # fmt: skip
    assert [row[1] for row in onlooker.rows()] == [
        "1 Jan 0001 00:53:28", "1 Mar 1955 13:00", "1 Dec 2026 13:00", "1 Jul 2026 14:00"
    ]  # fmt: skip
    [time] = onlooker.page(sort="_id").html.select("td time")[:1]
    assert time["title"] == "2026-07-01T12:00:00Z"


@pytest.mark.parametrize(("slow", "row"), [((100,), ["2", "2"]), ((100, 5), ["2"])])
def test_documents_are_shown_where_a_sample_takes_too_long(
    onlooker, stored, monkeypatch, slow, row
):
    def list_cut(*args, limit, **options):
        if limit in slow:
            raise QueryTooSlow
        return cutting.list_cut(*args, limit=limit, **options)

    stored.insert_many([{"_id": n, "a": n} for n in range(3)])
    monkeypatch.setattr("portal.data.browsing.browsing.list_cut", list_cut)
    assert onlooker.rows()[0] == row


def test_what_no_table_can_show_is_one_row_with_the_reason(onlooker, insert_encoded, stored):
    insert_encoded(TWICE, NO_UTF8, OLD_TYPES)
    stored.insert_one({"_id": 4, "note": "fine"})
    fine, old, bad, twice = onlooker.rows()
    assert fine[0] == "4"
    assert "undefined" in old
    assert bad == ["2", "Holds a text that is no UTF-8. Open"]
    assert twice[1].startswith("Holds the field status twice.")
    assert onlooker.page(**{"as": "json"}).status == 200


def test_a_long_value_never_leaves_the_server(onlooker, stored):
    stored.insert_one(
        {"_id": 1, "text": "ä" * 1_000_000, "vector": list(range(100_000)),
         "blob": b"\x01" * 5_000_000, "deep": {"k": [{"x": "y" * 1_000_000}]}}
    )  # fmt: skip
    for form in ("table", "json"):
        page = onlooker.page(**{"as": form})
        assert page.status == 200
        assert len(page.response.data) < 40_000
    shown = page.text
    assert "2 MB" in shown
    assert "binary 5 MB" in shown
    assert "99,997 more" in shown
    whole = page.html.find("a", string="2 MB")
    assert onlooker.visitor.get(whole["href"]).response.data.decode() == "ä" * 1_000_000


def test_a_document_of_10_000_fields_is_a_page(onlooker, stored):
    stored.insert_one({"_id": 1, **{f"field{n}": n for n in range(10_000)}})
    assert onlooker.page().status == 200
    assert "9,701 more" in onlooker.page(**{"as": "json"}).text


def test_odd_names_are_fields_like_others(onlooker, stored):
    stored.insert_one({"_id": {"a/..": ""}, "__proto__": 1, "a.b": 2, "$x": 3, "": 4, "<i>": 5})
    told = "".join(onlooker.json_lines())
    for name in ("__proto__", "a.b", "$x", "", "<i>"):
        assert f'"{name}": ' in told
    assert onlooker.page(column="a.b").html.select("tbody td")[1].get_text() == "2"


def test_json_says_each_type(onlooker, stored):
    stored.insert_one({"_id": 1, "i": 1, "l": Int64(1), "d": 1.0, "n": Decimal128("1.0"),
                       "u": Binary(bytes(16), 4), "o": Binary(bytes(16), 3)})  # fmt: skip
    assert onlooker.json_lines()[2:-1] == [
        '"i": 1,', '"l": Long("1"),', '"d": 1.0,', '"n": Decimal128("1.0"),',
        '"u": UUID("00000000-0000-0000-0000-000000000000"),',
        '"o": Binary.3(00000000000000000000000000000000, 16 bytes)',
    ]  # fmt: skip
    assert '"o": UUID("00000000' in onlooker.json_lines(uuid="java")[-2]


def test_the_first_bytes_of_a_large_binary_are_told_not_of_a_very_large_one(onlooker, stored):
    photo, film = b"\xff\xd8\xff\xe0" * 5000, b"\x00" * 100_000
    stored.insert_one(
        {"_id": 1, "photo": photo, "old": Binary(photo, 5), "film": film, "a.b": photo,
         "inner": {"$x": photo}, "list": [photo]}
    )  # fmt: skip
    lines = onlooker.json_lines()
    assert f'"photo": Binary({"ffd8ffe0" * 4}…) 20 kB,' in lines
    assert f'"old": Binary.5({"ffd8ffe0" * 4}…) 20 kB,' in lines
    assert '"film": binary 100 kB,' in lines
    assert f'"a.b": Binary({"ffd8ffe0" * 4}…) 20 kB,' in lines
    assert any(
        line.startswith('"$x": Binary(ffd8') or '"$x": Binary(ffd8' in line for line in lines
    )


def test_a_page_of_many_binaries_reads_a_part_of_them(onlooker, stored):
    stored.insert_many([{"_id": n, "blob": bytes(60_000)} for n in range(50)])
    told = [line for line in onlooker.json_lines(sort="_id") if line.startswith('"blob"')]
    assert [line.startswith('"blob": Binary(') for line in told] == [True] * 17 + [False] * 3


def test_old_uuids_are_read_by_the_driver_that_wrote_each_field(onlooker, stored):
    one = UUID("00112233-4455-6677-8899-aabbccddeeff")
    written = {
        name: Binary.from_uuid(one, representation) for name, representation in LEGACY_UUIDS.items()
    }
    stored.insert_one({"_id": written["java"], "a": written["csharp"],
                       "deep": {"list": [written["python"]]}, "c": written["java"]})  # fmt: skip
    query = {"uuid": ["java", "csharp:a", "python:deep.list", "raw:c"]}
    told = " ".join(onlooker.json_lines(**query))
    assert told.count(str(one)) == 3
    assert '"c": Binary.3(' in told
    page = onlooker.page(column=["a", "c"], **query)
    assert page.html.select(".documents-table tbody td")[1].get_text() == f'UUID("{one}")'
    fields = page.html.find("summary", string="Old UUIDs by field").parent
    chosen = [each["value"] for each in fields.select("option[selected]")]
    assert sorted(chosen) == sorted(query["uuid"][1:])
    kept = page.html.find("a", string="Save as a view…")["href"]
    assert all(
        f"uuid={each.replace(':', '%3A')}" in kept.replace(":", "%3A") for each in query["uuid"]
    )


def test_a_wide_column_shows_more_and_a_view_remembers_it(onlooker, stored):
    stored.insert_one({"_id": 1, "note": "n" * 150, "other": "o" * 150})
    query = {"column": ["note", "other"], "wide": ["note"]}
    assert [len(cell) for cell in onlooker.rows(**query)[0][1:]] == [150, 61]
    page = onlooker.page(**query)
    ticked = page.html.select('.wide-ones input[name="wide"]')
    assert [(each["value"], each.has_attr("checked")) for each in ticked] == [
        ("note", True), ("other", False)
    ]  # fmt: skip
    assert "wide=note" in page.html.find("a", string="Save as a view…")["href"]


def test_extreme_numbers_are_shown_as_they_are(onlooker, stored):
    values = [1.234e56, -0.0, float("inf"), float("nan"), 5e-324, -(2**63), Decimal128("1E+6144")]
    stored.insert_many([{"_id": n, "n": value} for n, value in enumerate(values)])
    assert [row[1].removesuffix(" double") for row in onlooker.rows(sort="_id")] == [
        "1.234e+56", "-0.0", "Infinity", "NaN", "5e-324", "-9223372036854775808 int64",
        "1.000000000000000000000000000000000E+6144 decimal128",
    ]  # fmt: skip


def test_columns_stand_as_chosen_on_all_pages(onlooker, stored):
    stored.insert_many([{"_id": n, "a": 1, "b": {"c": n}} for n in range(60)])
    page = onlooker.page(columns="b.c\n\na\n", apply="1")
    assert [head.get_text(strip=True) for head in page.html.select("thead th")[1:]] == [
        "_id",
        "b.c",
        "a",
    ]
    older = onlooker.visitor.get(page.html.find("a", string="Older")["href"])
    assert [head.get_text(strip=True) for head in older.html.select("thead th")[1:]] == [
        "_id",
        "b.c",
        "a",
    ]


def test_the_page_comes_without_a_count_of_what_matches(onlooker, stored):
    stored.insert_many([{"_id": n, "a": n % 2} for n in range(60)])
    assert "60 documents." in onlooker.page().html.select_one("#count").text
    url = {"c": '["a","is","number","1"]'}
    page = onlooker.page(**url)
    [ask] = page.html.select("#count a")
    assert "30 documents." in onlooker.visitor.get(ask["href"]).html.select_one("#count").text
    part = onlooker.visitor.get(page.html.select_one("#count")["data-later"])
    assert part.html.select_one("#count").get_text(strip=True) == "30 documents."


def test_a_count_is_bounded_until_somebody_asks_for_all(onlooker, stored, monkeypatch):
    monkeypatch.setattr("portal.data.reading.MOST_COUNTED", 20)
    stored.insert_many([{"_id": n, "a": 1} for n in range(60)])
    page = onlooker.page(c='["a","is","number","1"]', count="1")
    assert "More than 20 documents." in page.html.select_one("#count").text
    [everything] = page.html.select("#count a")
    assert (
        "60 documents." in onlooker.visitor.get(everything["href"]).html.select_one("#count").text
    )


def test_an_empty_collection_leads_to_its_first_document(onlooker, stored):
    page = onlooker.page()
    assert page.html.find("h2", string="There are no documents yet")
    ways = {way.get_text(strip=True): way["href"] for way in page.html.select(".empty .actions a")}
    assert list(ways) == ["Connect an application", "Import a file", "Type one in"]
    assert all(onlooker.visitor.get(way).status == 200 for way in ways.values())
    assert "/org/acme-corp/documents" in page.html.select_one(".snippet pre").get_text()
    assert page.html.select_one("#browse[data-refresh]")
    stored.insert_one({"_id": 1})
    assert onlooker.ids() == ["1"]
    assert not onlooker.page().html.select_one("#browse[data-refresh]")


def test_first_steps_are_ticked_as_they_are_done(onlooker, acme):
    def done():
        steps = onlooker.page().html.select(".first-steps li")
        return ["done" in step.get("class", []) for step in steps]

    assert done() == [True, False, False, False]
    a_key(acme, None, ["documents.write"])
    acme.update(set__viewers_read_documents=True)
    assert done() == [True, True, False, True]


def test_where_nothing_matches_nothing_is_said_of_first_steps(onlooker, stored):
    page = onlooker.page(c='["a","is","number","1"]')
    assert "No document matches" in page.text
    assert not page.html.select(".first-steps")


@pytest.mark.parametrize("query", [{"after": "x"}, {"c": "{"}, {"sort": "$x"}, {"before": "~~"}])
def test_a_url_made_by_hand_is_refused_with_words(onlooker, stored, query):
    stored.insert_one({"_id": 1})
    assert onlooker.page(**query).status in (200, 422)


def test_the_value_link_of_another_shape_is_not_found(onlooker, stored):
    stored.insert_one({"_id": 1, "a": "x"})
    for path in ("", "[]", "5", '["b"]', '["a","b"]', "[" * 5000):
        url = f"{DATA}/documents/1/value"
        assert onlooker.visitor.get(url, query_string={"path": path}).status == 404
