"""Documents are inserted, edited, deleted and changed by command, as edits that can be undone."""

import json

import bson
import pytest

from portal.documents.audit import AuditEvent
from portal.jobs import runner


@pytest.fixture
def run(app, acme):
    def invoke(verb, *args, **options):
        return app.test_cli_runner().invoke(args=["data", verb, "acme-corp", *args], **options)

    return invoke


def test_documents_are_inserted_from_a_file(run, desk):
    one = run("insert", "-", input='{"_id": 1, "n": {"$numberLong": "5"}}')
    assert one.output.startswith("Inserted 1 at ~")
    assert run("insert", "-", "--reason", "asked", input='[{"_id": 2}, {"_id": 3}]').exit_code == 0
    assert desk.stored()[1] == bson.encode({"_id": 1, "n": bson.Int64(5)})
    assert (desk.latest().reason, desk.latest().actor) == ("asked", "the operator")
    refused = run("insert", "-", input='[{"_id": 4}, {"_id": 1}]')
    assert (refused.exit_code, set(desk.stored())) == (2, {1, 2, 3})
    assert run("insert", "-", input="{").exit_code == 2


def test_a_document_is_edited_in_the_editor_or_from_a_file(run, desk, monkeypatch):
    desk.insert({"_id": 1, "n": bson.Int64(1), "s": "ü\x7f"})
    before = desk.stored()
    monkeypatch.setattr("click.edit", lambda text, extension: None)  # closed without saving
    assert "Nothing was changed" in run("edit", "1").output
    monkeypatch.setattr("click.edit", lambda text, extension: text)
    assert "as it was" in run("edit", "1").output
    assert (desk.stored(), len(desk.edits())) == (before, 1)
    monkeypatch.setattr("click.edit", lambda text, extension: text.replace('"1"', '"2"', 2))
    assert run("edit", "1").exit_code == 2  # its _id stays
    assert "changed" in run("edit", "1", "-", input='{"n": 7}').output
    assert bson.decode(desk.stored()[1]) == {"_id": 1, "n": 7}
    desk.undo(desk.latest())
    assert desk.stored() == before
    assert run("edit", "9").exit_code == 2


def test_what_somebody_changed_meanwhile_stays(run, desk, monkeypatch):
    desk.insert({"_id": 1, "n": 1})

    def edits_while_somebody_does(text, extension):
        desk.replace({"_id": 1, "n": 2})
        return text.replace('"n"', '"m"')

    monkeypatch.setattr("click.edit", edits_while_somebody_does)
    assert run("edit", "1").exit_code == 2
    assert bson.decode(desk.stored()[1]) == {"_id": 1, "n": 2}


def test_what_text_cant_carry_is_not_opened_as_text(run, desk, monkeypatch):
    twice = bson.encode({"_id": 1, "a": 1})[:-1] + b"\x10a\0\2\0\0\0\0"
    desk.insert((len(twice)).to_bytes(4, "little") + twice[4:])
    monkeypatch.setattr("click.edit", lambda text, extension: text)
    assert "edit it on its page" in run("edit", "1").output


def test_a_document_is_deleted_once_that_was_confirmed(run, desk):
    desk.insert({"_id": 1})
    assert run("delete", "1", input="n\n").exit_code != 0
    assert set(desk.stored()) == {1}
    assert "It is deleted" in run("delete", "1", "--yes", "--reason", "asked").output
    assert (desk.stored(), desk.latest().reason) == ({}, "asked")
    assert run("delete", "1", "--yes").exit_code == 2
    told = AuditEvent.objects(action="document.deleted").get()
    assert (told.actor_name, told.details) == (
        "the operator",
        {"document": '{ "$numberInt" : "1" }'},
    )


CHANGE = ("--filter", '{"n": {"$lt": 3}}', "--set", 'status="expired"', "--rename", "a.name=title")


def test_many_are_changed_once_three_of_them_were_shown(run, desk):
    desk.insert(*({"_id": n, "n": n, "a": {"name": "x\x1b[2J"}} for n in range(5)))
    before = desk.stored()
    refused = run("change", *CHANGE, input="n\n")
    assert refused.exit_code == 1
    assert "3 documents match." in refused.output
    assert "  status: missing → expired" in refused.output
    assert "\x1b" not in refused.output
    runner.run_due_jobs()
    assert desk.stored() == before
    assert "goes on with it" in run("change", *CHANGE, "--yes", "--reason", "agreed").output
    runner.run_due_jobs()
    assert (desk.latest().documents, desk.latest().reason) == (3, "agreed")
    desk.undo(desk.latest())
    assert desk.stored() == before


def test_many_are_deleted_once_three_of_them_were_shown(run, desk):
    desk.insert(*({"_id": n, "n": n % 2} for n in range(5)))
    before = desk.stored()
    odd = ("--filter", '{"n": 1}')
    refused = run("delete-many", *odd, input="n\n")
    assert (refused.exit_code, set(desk.stored())) == (1, set(before))
    assert "2 documents match." in refused.output
    assert "Delete 2 documents?" in refused.output
    run("delete-many", *odd, "--yes")
    runner.run_due_jobs()
    assert set(desk.stored()) == {0, 2, 4}
    desk.undo(desk.latest())
    assert desk.stored() == before


@pytest.mark.parametrize(
    "args",
    [
        ("--filter", "{}"),
        ("--filter", "{}", "--set", "status"),
        ("--filter", "{}", "--set", "status=expired"),  # is no JSON
        ("--filter", "{", "--unset", "a"),
        ("--filter", "{}", "--unset", "_id"),
        ("--unset", "a"),
    ],
)
def test_what_cant_be_changed_is_told(run, desk, args):
    desk.insert({"_id": 1, "a": 1})
    assert run("change", *args, "--yes").exit_code == 2
    runner.run_due_jobs()
    assert json.dumps(bson.decode(desk.stored()[1])) == '{"_id": 1, "a": 1}'
