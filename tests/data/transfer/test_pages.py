"""Pages of imports and exports, without any script."""

import io

import pytest

from portal.data.errors import QueryTooSlow
from portal.data.transfer import exports, files
from portal.data.transfer.views import OCTETS
from portal.documents.organizations import Organization
from portal.jobs import runner
from portal.web.bodies import PART_BYTES
from tests.data.transfer.conftest import IMPORTS, lines, upload
from tests.factories import a_member
from tests.visitor import Visitor

EXPORTS = "/organizations/acme-corp/data/exports"


def test_a_file_is_uploaded_checked_written_and_told(mara, entries):
    page = upload(mara, lines({"_id": 1}, {"_id": 2}) + b"{NaN\n").location
    assert "Nothing is written yet" in mara.get(page).text
    fields = {"existing": "insert", "key": "_id", "stop": "1000"}
    mara.post(f"{page}/decide", fields, form_at=page)
    assert "Checking" in mara.get(page).text
    runner.run_due_jobs()
    assert "Write 2 records" in mara.get(page).text
    mara.post(f"{page}/write", form_at=page)
    runner.run_due_jobs()
    result = mara.get(page)
    assert result.heading == "Imported 2 of 3 records"
    assert "Undo this import" in result.text
    assert "{NaN" in mara.client.get(f"{page}/errors").text
    assert entries.count_documents({}) == 2
    assert "Imported 2 of 3 records" in mara.get(IMPORTS).text


def test_a_large_file_is_uploaded_without_a_script(mara, entries):
    content = lines(*({"_id": n, "text": "x" * 1000} for n in range(300)))
    assert len(content) > 4 * PART_BYTES
    page = upload(mara, content).location
    mara.post(f"{page}/decide", {"existing": "insert"}, form_at=page)
    runner.run_due_jobs()
    assert "Write 300 records" in mara.get(page).text


def test_a_field_before_the_file_is_of_a_field_s_size(mara):
    fields = {"csrf_token": "x" * 5 * PART_BYTES, "file": (io.BytesIO(b"{}"), "a.jsonl")}
    answer = mara.client.post(IMPORTS, data=fields, content_type="multipart/form-data")
    assert answer.status_code == 413


def test_an_export_is_made_and_fetched(mara, entries):
    entries.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    asked = f"{EXPORTS}?filter=%7B%22a%22%3A2%7D"
    assert "Extended JSON" in mara.get(asked).text
    page = mara.post(asked, {"format": "jsonl"}).location
    runner.run_due_jobs()
    assert "1 document exported" in mara.get(page).text
    file = mara.client.get(f"{page}/file")
    assert file.data == b'{ "_id" : { "$numberInt" : "2" }, "a" : { "$numberInt" : "2" } }\n'
    assert file.headers["Content-Disposition"] == "attachment; filename=acme-corp.jsonl"
    mara.post(f"{page}/delete", form_at=page)
    assert mara.client.get(f"{page}/file").status_code == 404


def exported(mara, asked, **fields):
    """The file of an export by the form, and its page."""
    answer = mara.post(asked, {"format": "csv", "fields": "typed", **fields})
    assert answer.status == 303, answer.fault("fields")
    runner.run_due_jobs()
    return mara.client.get(f"{answer.location}/file").text, mara.get(answer.location)


def test_an_export_has_order_and_columns_of_the_page_and_says_what_is_left_out(mara, entries):
    entries.insert_many(
        [
            {"_id": 1, "due": 1, "site": {"x": 1}, "a.b": "=1", "note": "n"},
            {"_id": 2, "due": 2, "site": {"x": 2}, "note": "n", "status": "done"},
        ]
    )
    columns = "column=due&column=site.x&column=%5B%22a.b%22%5D"
    asked = f"{EXPORTS}?sort=-due&{columns}"
    page = mara.get(asked)
    assert "by due descending" in page.text
    assert "All 2 documents" in page.text
    assert "The columns you saw, without types: _id, due, site.x, “a.b”" in page.text
    text, done = exported(mara, asked, fields="chosen", guarded="y")
    assert text == "_id,due,site.x,a\\.b\r\n2,2,2,\r\n1,1,1,'=1\r\n"
    assert "Not in the file: note of 2 documents, status of 1 document." in done.text
    assert "CSV, without types" in done.text
    text, done = exported(mara, asked, fields="untyped")
    assert text.startswith("_id,due,site.x,a\\.b,note,status\r\n2,2,2,,n,done\r\n1,1,1,=1,n,")
    assert "Not in the file" not in done.text
    text, _ = exported(mara, f"{EXPORTS}?{columns}")
    assert text.startswith("_id.int32()")
    refused = mara.post(asked, {"format": "jsonl", "fields": "chosen"})
    assert refused.status == 422
    assert "Only CSV without types" in refused.fault("fields")
    refused = mara.post(f"{asked}&column=site", {"format": "csv", "fields": "chosen"})
    assert "site.x: Another column becomes site" in refused.fault("fields")
    assert mara.post(EXPORTS, {"format": "csv", "fields": "chosen"}).status == 422


def test_an_export_without_a_sort_is_in_the_order_of_the_page(mara, entries):
    entries.insert_many([{"_id": 1}, {"_id": 2}])
    text, _ = exported(mara, EXPORTS, fields="untyped")
    assert text == "_id\r\n2\r\n1\r\n"
    assert "by _id descending" in mara.get(EXPORTS).text


def test_an_export_of_more_than_was_shown_is_asked_for_again(mara, entries):
    entries.insert_many([{"a": 1}, {"a": 1}, {"a": 2}])
    asked = f"{EXPORTS}?filter=%7B%22a%22%3A1%7D"
    shown = mara.hidden(asked)
    assert shown["expected"] == "2"
    entries.insert_one({"a": 1})
    refused = mara.send(asked, {**shown, "format": "jsonl", "fields": "typed"})
    assert refused.status == 409
    assert "3 documents match now, 2 did when you looked" in refused.text
    assert refused.html.find("input", {"name": "expected"})["value"] == "3"
    assert not mara.get(asked).html.find("input", {"name": "growing"})
    growing = {**shown, "format": "jsonl", "fields": "typed", "growing": "y"}
    assert refused.html.find("input", {"name": "growing"})
    assert mara.send(asked, growing).status == 303


def test_what_takes_too_long_to_count_is_exported_uncounted(mara, entries, monkeypatch):
    entries.insert_one({"_id": 1})

    def slow(access, query, comment):
        raise QueryTooSlow

    monkeypatch.setattr(exports, "count_documents", slow)
    assert "Not counted" in mara.get(EXPORTS).text
    text, _ = exported(mara, EXPORTS)
    assert text.startswith("_id.int32()")


def test_a_script_uploads_in_parts_and_goes_on_where_it_broke_off(mara, entries, monkeypatch):
    monkeypatch.setattr(files, "CHUNK_BYTES", 16)
    content, token = lines({"_id": 1}, {"_id": 2}, {"_id": 3}), mara.token(IMPORTS)
    headers = {"X-CSRFToken": token}

    def send(path, **options):
        return mara.client.post(path, headers=headers, **options)

    begun = send(f"{IMPORTS}/uploads", data={"name": "a.jsonl", "size": len(content)}).json
    assert (begun["next"], begun["part_bytes"]) == (0, 16)
    for number in (0, 0):
        sent = send(f"{begun['parts']}/{number}", data=content[:16], content_type=OCTETS)
        assert sent.status_code == 204
    assert mara.client.get(begun["parts"]).json["next"] == 1
    assert send(begun["complete"]).status_code == 409
    assert "goes on where it broke off" in mara.get(begun["parts"].removesuffix("/parts")).text
    for number in (1, 2):
        part = content[16 * number : 16 * (number + 1)]
        send(f"{begun['parts']}/{number}", data=part, content_type=OCTETS)
    done = send(begun["complete"]).json
    assert "Nothing is written yet" in mara.get(done["location"]).text
    refused = mara.client.post(f"{begun['parts']}/3", data=b"x", content_type=OCTETS)
    assert refused.status_code == 400  # without the token


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [(b"", "empty.csv", "not empty"), (b"%PDF-1.7 \0\0", "a.pdf", "")],
)
def test_what_can_not_be_read_is_told_at_the_field(mara, content, name, words):
    answer = upload(mara, content, name)
    assert answer.status == 422
    assert words in answer.fault("file")
    assert "Nothing was imported" in answer.fault("file")


def test_an_upload_without_the_token_of_its_session_stores_nothing(mara, master_db):
    for token in ("", "forged"):
        data = {"csrf_token": token, "file": (io.BytesIO(b"{}"), "a.jsonl")}
        answer = mara.client.post(IMPORTS, data=data, content_type="multipart/form-data")
        assert answer.status_code == 400
    assert files.files_of(Organization.objects.get(), files.Purpose.IMPORT, 9) == []
    broken = mara.client.post(IMPORTS, data=b"--x\r\n", content_type="multipart/form-data")
    assert broken.status_code == 400


def test_cancelling_and_discarding_are_asked_for(mara, entries):
    page = upload(mara, lines({"_id": 1})).location
    mara.post(f"{page}/decide", {"existing": "insert"}, form_at=page)
    asked = mara.get(f"{page}/cancel")
    assert "Nothing was written" in asked.text
    mara.post(f"{page}/cancel")
    assert "The check was cancelled" in mara.get(page).text
    assert "deleted" in mara.get(f"{page}/discard").text
    mara.post(f"{page}/discard")
    assert mara.get(page).status == 404


def test_what_somebody_else_uploaded_is_decided_by_them_alone(app, mara, entries):
    page = upload(mara, lines({"_id": 1, "secret": "canary"})).location
    a_member(Organization.objects.get(), "admin", "teo@acme.example")
    other = Visitor(app)
    other.log_in("teo@acme.example")
    assert "Who uploaded the file decides" in other.get(page).text
    assert other.get(f"{page}/decide").status == 403


def test_viewers_export_and_import_nothing(app, mara, entries):
    organization = Organization.objects.get()
    organization.update(viewers_read_documents=True)
    a_member(organization, "viewer", "teo@acme.example")
    other = Visitor(app)
    other.log_in("teo@acme.example")
    page = other.get(IMPORTS)
    assert "Export all documents" in page.text
    assert "Import a file" not in page.text
    assert upload(other, b"{}").status == 403
