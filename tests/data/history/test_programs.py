"""The history by API and by command."""

import pytest

from portal.documents.organizations import Organization
from portal.jobs import runner
from tests.data.conftest import ACME, DataProgram
from tests.factories import a_key, fresh
from tests.program import fault

HISTORY = "/org/acme-corp/history"
MAY = ["documents.read", "documents.write", "documents.unmask"]


@pytest.fixture
def program(app, acme):
    return DataProgram(app, a_key(acme, None, MAY))


@pytest.fixture
def recorded(acme):
    """Acme Corp wants to have recorded what programs write."""
    Organization.objects(id=acme.id).update_one(set__records_programs=True)


def edits(program, **query):
    return program.get(HISTORY, query_string=query).json["edits"]


def undo(program, edit, **body):
    return program.post(f"{HISTORY}/{edit['id']}/undo", body)


def test_what_programs_write_is_recorded_where_the_organization_wants_it(program, desk):
    program.insert('{"_id": 1}')
    assert edits(program) == []
    Organization.objects(id=desk.organization.id).update_one(set__records_programs=True)
    program.insert('[{"_id": 2}, {"_id": 3}]')
    program.send("PUT", f"{ACME}/2", '{"n": 1}')
    program.send("PATCH", f"{ACME}/2", '{"$set": {"n": 2}}')
    program.delete(f"{ACME}/3")
    program.send("POST", f"{ACME}/update", '{"filter": {}, "update": {"$inc": {"n": 1}}}')
    program.send("POST", f"{ACME}/delete", '{"filter": {"_id": 1}}')
    program.insert('{"_id": 4}\n{"_id": 5}\n', kind="application/x-ndjson")
    told = [(edit["title"], edit["documents"], edit["by"]) for edit in edits(program)]
    assert told == [
        (title, number, "key “Nightly export”")
        for title, number in (
            ("Inserted a stream of documents", 2),
            ("Deleted all that match a filter", 1),
            ("Changed all that match a filter", 2),
            ("Deleted", 1),
            ("Changed n", 1),
            ("Changed n", 1),
            ("Inserted", 2),
        )
    ]
    for edit in edits(program):
        assert undo(program, edit).status_code in (200, 202)
        runner.run_due_jobs()
    assert set(desk.stored()) == {1}


def test_a_write_of_many_that_is_sent_again_is_one_edit(program, recorded, monkeypatch):
    monkeypatch.setattr("portal.data.writing.BATCH_DOCUMENTS", 2)
    program.insert("[" + ",".join(f'{{"_id": {n}}}' for n in range(5)) + "]")
    once = {"headers": {"Idempotency-Key": "k" * 20}}
    for _ in range(2):
        program.send(
            "POST", f"{ACME}/update", '{"filter": {}, "update": {"$set": {"n": 1}}}', **once
        )
    latest = edits(program)[0]
    assert (latest["documents"], latest["fields"], len(edits(program))) == (5, ["n"], 2)


def test_an_undo_by_a_program_tells_what_it_left(program, recorded):
    program.insert('[{"_id": 1}, {"_id": 2}]')
    program.send("POST", f"{ACME}/update", '{"filter": {}, "update": {"$set": {"n": 1}}}')
    program.send("PATCH", f"{ACME}/2", '{"$set": {"n": 2}}')
    bulk = edits(program)[1]
    begun = undo(program, bulk, reason="wrong")
    assert (begun.status_code, begun.json["edit"]["running"]) == (202, True)
    runner.run_due_jobs()
    answer = program.get(f"{HISTORY}/{begun.json['edit']['id']}").json
    assert (answer["edit"]["documents"], answer["edit"]["reason"]) == (1, "wrong")
    [left] = answer["left_alone"]
    assert (left["code"], left["address"]) == ("changed later", edits(program)[1]["address"])
    assert [edit["title"] for edit in edits(program, document=left["address"])] == [
        bulk["title"], "Changed n", bulk["title"], "Inserted"
    ]  # fmt: skip


def test_what_a_program_may_not_is_refused(app, program, acme, recorded):
    program.insert('{"_id": 1, "iban": "1"}')
    program.send("PATCH", f"{ACME}/1", '{"$set": {"iban": "2"}}')
    changed = edits(program)[0]
    reader = DataProgram(app, a_key(acme, None, ["documents.read"]))
    assert fault(undo(reader, changed))[:2] == (403, "forbidden")
    Organization.objects(id=acme.id).update_one(set__masked_fields=["iban"])
    writer = DataProgram(app, a_key(fresh(acme), None, ["documents.read", "documents.write"]))
    assert fault(undo(writer, changed))[:2] == (403, "field_masked")
    assert undo(program, changed).status_code == 200
    assert fault(undo(program, changed))[:2] == (409, "already_undone")
    assert fault(program.get(f"{HISTORY}/{acme.id}"))[:2] == (404, "edit_not_found")
    assert fault(program.get(f"{HISTORY}?document=~x"))[:2] == (422, "invalid_document_id")


def test_an_operator_undoes_and_erases_by_command(app, desk):
    run = app.test_cli_runner().invoke
    assert "Nothing was edited" in run(args=["data", "history", "acme-corp"]).output
    desk.insert({"_id": "a"}, {"_id": "b"})
    deleted = desk.delete("a")
    listed = run(args=["data", "history", "acme-corp"]).output
    assert str(deleted.id) in listed
    told = run(args=["data", "undo", "acme-corp", str(deleted.id), "--reason", "asked"]).output
    assert told.startswith("1 put back, 0 left alone")
    assert desk.latest().actor == "the operator"
    again = run(args=["data", "undo", "acme-corp", str(deleted.id)])
    assert (again.exit_code, "undone already" in again.output) == (2, True)
    erased = run(args=["data", "erase", "acme-corp", "a", "--yes"]).output
    assert "It is deleted" in erased
    runner.run_due_jobs()
    assert set(desk.stored()) == {"b"}
    inserted = str(desk.edits()[-1].id)
    assert "goes on with it" in run(args=["data", "undo", "acme-corp", inserted]).output
    runner.run_due_jobs()
    assert desk.stored() == {}


def test_an_undo_that_is_sent_again_is_answered_again(program, recorded):
    program.insert('{"_id": 1}')
    [edit] = edits(program)
    path, keyed = f"{HISTORY}/{edit['id']}/undo", {"headers": {"Idempotency-Key": "k" * 20}}
    first, second = (program.ask("POST", path, {"reason": "wrong"}, **keyed) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json == second.json
    assert second.headers["Idempotency-Replayed"] == "true"
    other = program.ask("POST", path, {"reason": "another"}, **keyed)
    assert fault(other)[:2] == (422, "idempotency_key_reused")
