"""Streams of documents: whole or told, inserted once, in bounded memory and threads."""

import json

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.data import importing, reading
from portal.data.document_ids import address_of
from portal.organizations.lifecycle.renaming import rename_organization
from portal.web import streaming
from tests.data.conftest import ACME
from tests.data.test_extended_json import keys, values
from tests.factories import a_context
from tests.program import fault

NDJSON = "application/x-ndjson"
AS_STREAM = {"Accept": NDJSON}
KEY = {"Idempotency-Key": "import-1"}


def export(writer, **query):
    answer = writer.get(ACME, query_string=query, headers=AS_STREAM)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == NDJSON
    return answer.text


def send(writer, text, **options):
    return writer.insert(text, kind=NDJSON, **options)


def test_an_export_is_imported_again_as_it_was(writer, stored, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 7)
    monkeypatch.setattr(reading, "_EXPORTED_AT_ONCE", 10)
    stored.insert_many({"_id": n, "a": {"$x": 1} if n % 5 == 0 else float(n)} for n in range(30))
    before = list(stored.find())
    text = export(writer)
    assert json.loads(text.splitlines()[-1]) == {"$end": {"documents": 30, "inexact": 0}}
    stored.delete_many({})
    assert send(writer, text).json == {"status": "success", "inserted": 30, "repeated": 0}
    assert list(stored.find()) == before


def test_an_export_has_what_was_asked_for_and_tells_what_is_inexact(writer, stored):
    stored.insert_many(
        [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}, {"_id": 3, "a": {"$oid": "1" * 24}}]
    )
    query = {"filter": '{"_id": {"$gt": 1}}', "sort": '{"_id": -1}', "projection": '{"a": 1}'}
    first, second, end = export(writer, **query).splitlines()
    assert [json.loads(line)["_id"]["$numberInt"] for line in (first, second)] == ["3", "2"]
    assert json.loads(end) == {"$end": {"documents": 2, "inexact": 1}}
    assert export(writer, filter='{"_id": 0}').splitlines() == [
        '{"$end": {"documents": 0, "inexact": 0}}'
    ]
    listed = writer.get(ACME).json
    assert listed["inexact"] == [address_of(bson.encode({"": 3}))]


def test_an_export_of_large_documents_has_few_in_memory_and_comes_to_its_end(
    writer, stored, monkeypatch
):
    monkeypatch.setattr(reading, "PAGE_BYTES", 1000)
    stored.insert_many({"_id": n, "text": "x" * 400} for n in range(20))
    answer = writer.get(ACME, headers=AS_STREAM, buffered=False)
    parts = [part.decode() for part in answer.iter_encoded() if part]
    answer.close()
    assert max(map(len, parts)) < 2000
    lines = [json.loads(line) for line in "".join(parts).splitlines()]
    assert [line["_id"]["$numberInt"] for line in lines[:-1]] == [str(n) for n in range(20)]
    assert lines[-1] == {"$end": {"documents": 20, "inexact": 0}}


def test_text_that_is_no_utf_8_inside_spoils_no_page(writer, stored):
    bad = b"\x1b\0\0\0\x10_id\0\x01\0\0\0\x02a\0\x02\0\0\0\xff\0\0"
    bad = (len(bad)).to_bytes(4, "little") + bad[4:]
    stored.insert_one(bson.raw_bson.RawBSONDocument(bad))
    stored.insert_one({"_id": 2})
    listed = writer.get(ACME).json
    assert [document["_id"]["$numberInt"] for document in listed["documents"]] == ["1", "2"]
    assert len(listed["inexact"]) == 1


@pytest.mark.attack("D4")
def test_a_stream_stops_at_its_first_fault_and_goes_on_where_it_stopped(
    writer, stored, monkeypatch
):
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 3)
    lines = [json.dumps({"_id": n}) for n in range(10)]
    refused = send(writer, "\n".join([*lines[:7], '{"a": NaN}', *lines[7:]]), headers=KEY)
    assert fault(refused) == (422, "import_stopped", {"line 8/a"})
    assert "6 documents are inserted" in refused.text
    assert stored.count_documents({}) == 6
    answer = send(writer, "\n".join(lines), headers=KEY)
    assert answer.json == {"status": "success", "inserted": 10, "repeated": 6}
    assert stored.count_documents({}) == 10
    assert send(writer, "\n".join(lines), headers=KEY).json["repeated"] == 10
    other = "\n".join(lines).replace("1", "11")
    assert fault(send(writer, other, headers=KEY))[1] == "import_stopped"


def test_a_document_that_is_there_stops_the_stream_without_its_value(writer, stored, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_DOCUMENTS", 2)
    stored.insert_one({"_id": "secret"})
    refused = send(writer, '{"_id": 1}\n\n{"_id": 2}\r\n{"_id": "secret"}')
    assert fault(refused) == (422, "import_stopped", {"line 4"})
    assert "secret" not in refused.text
    assert stored.count_documents({}) == 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"_id": 1}\n{"$end": {"documents": 2, "inexact": 0}}', "line 2"),
        ('{"_id": 1}\n{"$end": {"documents": 1, "inexact": 0}}\n{"_id": 2}', "line 3"),
        ('{"_id": 1}\n{"_id": 2', "line 2, column 10"),
        ('{"_id": 1}\n[]', "line 2"),
        ('{"_id": 1}\n{"_id": 1, "_id": 2}', "line 2/_id"),
    ],
)
def test_a_stream_that_is_not_whole_is_told(writer, stored, text, place):
    refused = send(writer, text)
    assert fault(refused) == (422, "import_stopped", {place})


def test_only_these_endpoints_take_streams_and_large_bodies(writer, stored):
    large = json.dumps([{"a": "x" * 1000} for _ in range(100)])
    assert writer.insert(large).status_code == 201
    assert writer.send("POST", f"{ACME}/count", "{}", kind=NDJSON).status_code == 415
    assert writer.send("PUT", "/org/update", large).status_code == 413
    assert writer.send("PUT", "/org/update", "{}", kind=NDJSON).status_code == 415
    assert fault(writer.insert("x" * (17 * 1024 * 1024)))[0] == 413


@pytest.mark.attack("D4")
def test_streams_leave_threads_for_others(writer, stored):
    stored.insert_many({"a": n} for n in range(10))
    held = [
        writer.client.get(
            ACME, headers={**AS_STREAM, "Authorization": f"Bearer {writer.token}"}, buffered=False
        )
        for _ in range(streaming.AT_ONCE)
    ]
    assert fault(send(writer, "{}")) == (503, "overloaded", set())
    assert fault(writer.get(ACME, headers=AS_STREAM)) == (503, "overloaded", set())
    assert writer.get(ACME).status_code == 200
    for answer in held:
        answer.close()
    assert send(writer, "{}").status_code == 200


def test_a_rename_in_between_is_not_noticed(writer, stored, acme, monkeypatch):
    monkeypatch.setattr(reading, "_EXPORTED_AT_ONCE", 10)
    stored.insert_many({"_id": n} for n in range(30))
    headers = {**AS_STREAM, "Authorization": f"Bearer {writer.token}"}
    answer = writer.client.get(ACME, headers=headers, buffered=False)
    parts = answer.iter_encoded()
    text = next(parts) + next(parts)
    rename_organization(acme, "Other", a_context())
    text += b"".join(parts)
    ids = [json.loads(line)["_id"]["$numberInt"] for line in text.splitlines()[:-1]]
    assert ids == [str(n) for n in range(30)]
    assert json.loads(text.splitlines()[-1])["$end"]["documents"] == 30


documents = st.lists(
    st.dictionaries(keys.filter(lambda key: key not in ("_id", "$end")), values, max_size=3),
    max_size=4,
)


@pytest.mark.slow
def test_any_documents_go_out_and_in_again(writer, stored):
    @settings(
        max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(documents)
    def comes_back(drawn):
        stored.delete_many({})
        if drawn:
            stored.insert_many([{"_id": n, **document} for n, document in enumerate(drawn)])
        raw = stored.with_options(bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument))
        before = [bytes(found.raw) for found in raw.find()]
        text = export(writer)
        if json.loads(text.splitlines()[-1])["$end"]["inexact"]:
            return
        stored.delete_many({})
        assert send(writer, text).json["inserted"] == len(drawn)
        assert [bytes(found.raw) for found in raw.find()] == before

    comes_back()
