"""Imports and exports for programs."""

import json

import pytest

from portal.data.transfer import files
from portal.jobs import runner
from tests.data.conftest import DataProgram
from tests.data.transfer.conftest import lines
from tests.factories import a_key
from tests.program import fault

IMPORTS, EXPORTS = "/org/acme-corp/imports", "/org/acme-corp/exports"
OCTETS = "application/octet-stream"


def begin(writer, content, name="orders.jsonl"):
    body = {"file_name": name, "size": len(content)}
    answer = writer.send("POST", IMPORTS, json.dumps(body))
    assert answer.status_code == 201, answer.text
    return f"{IMPORTS}/{answer.json['id']}"


def upload(writer, content, name="orders.jsonl"):
    one = begin(writer, content, name)
    answer = writer.send("PUT", f"{one}/content", content, OCTETS)
    assert answer.status_code == 200, answer.text
    return one


def test_a_file_is_imported(writer, stored):
    one = upload(writer, lines({"_id": 1}, {"_id": 2}) + b"[]\n")
    assert writer.get(one).json["import"]["stage"] == "decide"
    asked = json.dumps({"may_fail_per_mille": 1000})
    assert writer.send("POST", f"{one}/check", asked).status_code == 202
    assert writer.get(one).json["import"]["running"] is True
    runner.run_due_jobs()
    ready = writer.get(one).json["import"]
    assert (ready["stage"], ready["counts"]) == ("ready", {"inserted": 2, "errors": 1})
    assert writer.send("POST", f"{one}/write").status_code == 202
    runner.run_due_jobs()
    done = writer.get(one).json["import"]
    assert (done["stage"], done["records"]) == ("done", 3)
    assert done["edit"]
    assert b"$error" in writer.get(f"{one}/errors").data
    assert stored.count_documents({}) == 2
    assert [each["id"] for each in writer.get(IMPORTS).json["imports"]] == [done["id"]]
    assert writer.send("DELETE", one).status_code == 200
    assert fault(writer.get(one))[:2] == (404, "transfer_not_found")


def test_parts_come_in_any_order(writer, stored, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_BYTES", 16)
    content = lines({"_id": 1}, {"_id": 2})
    one = begin(writer, content)
    second = writer.send("PUT", f"{one}/parts/1", content[16:], OCTETS)
    assert second.json["next"] == 0
    assert fault(writer.send("POST", f"{one}/complete"))[1] == "upload_incomplete"
    assert writer.send("PUT", f"{one}/parts/0", content[:16], OCTETS).json["next"] is None
    done = writer.send("POST", f"{one}/complete").json["import"]
    assert done["stage"] == "decide"


def test_questions_are_told_and_answered_by_their_numbers(writer, stored):
    one = upload(writer, b"due;n\n03/04/2026;1\n", "orders.csv")
    runner.run_due_jobs()
    assert writer.get(one).json["import"]["questions"]
    assert fault(writer.send("POST", f"{one}/check", "{}"))[1] == "mapping_refused"
    columns = [{"index": 0, "answers": [0]}, {"index": 1, "field": "order.n", "type": "string"}]
    assert writer.send("POST", f"{one}/check", json.dumps({"columns": columns})).status_code == 202
    runner.run_due_jobs()
    writer.send("POST", f"{one}/write")
    runner.run_due_jobs()
    found = stored.find_one()
    assert (found["due"].day, found["order"]) == (3, {"n": "1"})
    again = upload(writer, b"due;n\n05/06/2026;2\n", "november.csv")
    runner.run_due_jobs()
    named = [{"index": 1, "field": "n"}]
    asked = json.dumps({"earlier": one.rsplit("/", 1)[-1], "columns": named})
    assert writer.send("POST", f"{again}/check", asked).status_code == 202
    runner.run_due_jobs()
    writer.send("POST", f"{again}/write")
    runner.run_due_jobs()
    found = stored.find_one({"n": {"$exists": True}})
    assert (found["due"].day, found["n"]) == (5, "2")


def test_an_export_is_made_and_fetched_by_who_asked_alone(app, acme, writer, stored):
    stored.insert_many([{"_id": 1}, {"_id": 2}])
    asked = json.dumps({"format": "jsonl", "filter": {"_id": 2}})
    answer = writer.send("POST", EXPORTS, asked)
    assert answer.status_code == 202
    one = f"{EXPORTS}/{answer.json['export']['id']}"
    assert fault(writer.get(f"{one}/file"))[1] == "export_not_done"
    runner.run_due_jobs()
    assert writer.get(one).json["export"]["documents"] == 1
    assert writer.get(f"{one}/file").data == b'{ "_id" : { "$numberInt" : "2" } }\n'
    other = DataProgram(app, a_key(acme, None, ["documents.read"], "Other"))
    for path in (one, f"{one}/file"):
        assert fault(other.get(path))[:2] == (403, "not_yours")
    assert writer.send("DELETE", one).status_code == 200
    assert writer.get(one).status_code == 404


def test_an_export_may_be_csv_without_types_or_guard(writer, stored):
    stored.insert_many([{"_id": 1, "text": "=1", "a.b": 2}, {"_id": 2, "text": "x", "note": 1}])

    def exported(**body):
        asked = json.dumps({"format": "csv", **body})
        made = writer.send("POST", EXPORTS, asked).json["export"]
        runner.run_due_jobs()
        one = f"{EXPORTS}/{made['id']}"
        return writer.get(f"{one}/file").text, writer.get(one).json["export"]["left_out"]

    plain = {"typed": False, "guarded": False}
    assert exported(**plain, fields=["text", '["a.b"]']) == (
        "text,a\\.b\r\n=1,2\r\nx,\r\n",
        {"_id": 2, "note": 1},
    )
    assert exported(**plain, spreadsheet=True) == (
        '\ufeff"_id";"text";"note";"a\\.b"\r\n1;=1;;2\r\n2;x;1;\r\n',
        {},
    )
    assert exported(typed=False)[0].startswith("_id,text,note,a\\.b\r\n1,'=1,,2")
    for body in ({"fields": ["a"]}, {"fields": ["a", "a.b"], "typed": False}):
        refused = writer.send("POST", EXPORTS, json.dumps({"format": "csv", **body}))
        assert fault(refused)[:2] == (422, "columns_refused")


@pytest.mark.parametrize(
    ("content", "code"), [(b"%PDF-1", "file_unreadable"), (b"", "file_unreadable")]
)
def test_what_can_not_be_read_is_refused(writer, stored, content, code):
    one = begin(writer, content, "a.pdf")
    assert fault(writer.send("PUT", f"{one}/content", content, OCTETS))[1] == code


def test_sent_again_with_its_key_it_is_begun_once(writer, stored):
    keyed = {"headers": {"Idempotency-Key": "import-1"}}
    for path, body in ((IMPORTS, '{"file_name": "a.jsonl"}'), (EXPORTS, "{}")):
        first, again = (writer.send("POST", path, body, **keyed) for _ in range(2))
        assert first.json == again.json, path
    other = writer.send("POST", IMPORTS, '{"file_name": "b.jsonl"}', **keyed)
    assert fault(other)[:2] == (422, "idempotency_key_reused")
    one = upload(writer, lines({"_id": 1}))
    for step in ("check", "write", "write", "cancel", "cancel"):
        answer = writer.send("POST", f"{one}/{step}", "{}" if step == "check" else None)
        assert answer.status_code < 300, answer.text
        if step == "check":
            runner.run_due_jobs()
