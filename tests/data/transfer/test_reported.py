"""What people reported about other imports and exports."""

import json

import pytest

from portal.jobs import runner
from tests.data.transfer.test_api import EXPORTS, upload


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('id,tags\n1,"[""desktop"",""mobile""]"\n', "All read as JSON. Nothing was written."),
        ("a,,c\n1,2,3\n", "Give it a field, or leave it out. Nothing was written."),
    ],
    ids=["lists", "no heading"],
)
def test_what_a_file_does_not_tell_is_asked_in_a_sentence(writer, stored, content, words):
    one = upload(writer, content.encode(), "a.csv")
    runner.run_due_jobs()
    refused = writer.send("POST", f"{one}/check", "{}")
    assert refused.json["error"]["message"].endswith(words)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("csv", b"$bson.document(guard)\r\n"), ("json", b"[\n]\n")],
)
def test_an_export_of_no_document_says_so(writer, stored, kind, content):
    stored.insert_one({"_id": 1, "a": 1})
    begun = writer.send("POST", EXPORTS, json.dumps({"format": kind, "filter": {"a": 2}})).json
    runner.run_due_jobs()
    one = f"{EXPORTS}/{begun['export']['id']}"
    assert writer.get(one).json["export"]["documents"] == 0
    assert writer.get(f"{one}/file").data == content
