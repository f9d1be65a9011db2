"""Changes of many documents by API and by command."""

import pytest

from portal.data.rules.rules import set_rules
from portal.documents.rules_versions import RulesVersion
from portal.jobs import runner
from portal.tenants.elements import framed
from portal.web.context import RequestContext
from tests.data.conftest import ACME, DataProgram
from tests.data.history.test_programs import MAY, edits, undo
from tests.factories import a_key, an_access
from tests.program import fault

CHANGE = f"{ACME}/change"
BODY = (
    '{"filter": {"n": {"$lt": 3}}, "set": {"due": {"$date": "2026-11-29T00:00:00Z"}},'
    ' "unset": ["old"], "rename": {"a.name": "title"}%s}'
)
# A document in a document, in which a name comes twice.
CONTACT_TWICE = framed(
    b"\x10_id\0\1\0\0\0\x03contact\0"
    + framed(b"\x10n\0\1\0\0\0\x10n\0\2\0\0\0\x02email\0\5\0\0\x004711\0")
)
STORED = [{"_id": n, "n": n, "old": True, "a": {"name": "x"}} for n in range(4)]


@pytest.fixture
def program(app, acme):
    return DataProgram(app, a_key(acme, None, MAY))


def change(program, more=', "expected": 3', **options):
    return program.send("POST", CHANGE, BODY % more, **options)


def test_a_change_of_many_is_previewed_made_and_undone(program, desk):
    desk.insert(*STORED)
    before = desk.stored()
    told = program.send("POST", f"{CHANGE}/preview", BODY % "").json
    assert (told["count"], told["breaking"], len(told["examples"])) == (3, None, 3)
    assert {each["field"]: (each["before"], each["after"])
            for each in told["examples"][0]["differences"]} == {
        "old": ("true", None),
        "due": (None, '{ "$date" : { "$numberLong" : "1795910400000" } }'),
        "a.name": ('"x"', None),
        "a.title": (None, '"x"'),
    }  # fmt: skip
    assert desk.stored() == before
    started = change(program, ', "expected": 3, "reason": "agreed"')
    assert started.status_code == 202
    runner.run_due_jobs()
    edit = edits(program)[0]
    assert (edit["id"], edit["documents"], edit["reason"], edit["running"]) == (
        started.json["edit"], 3, "agreed", False
    )  # fmt: skip
    undo(program, edit)
    runner.run_due_jobs()
    assert desk.stored() == before


def test_a_change_that_is_sent_again_is_one_edit(program, desk):
    desk.insert(*STORED)
    keyed = {"headers": {"Idempotency-Key": "k" * 20}}
    first = change(program, **keyed)
    runner.run_due_jobs()
    desk.insert({"_id": 9, "n": 0})  # more match now
    second = change(program, **keyed)
    assert (first.json, first.status_code) == (second.json, second.status_code)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert fault(change(program, ', "expected": 4', **keyed))[:2] == (422, "idempotency_key_reused")
    assert [edit["documents"] for edit in edits(program)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (BODY % ', "expected": 2', (409, "more_match")),
        ('{"filter": {}, "expected": 9}', (422, "invalid_change")),
        ('{"filter": {}, "set": {"_id": 1}, "expected": 9}', (422, "invalid_change")),
        ('{"filter": {}, "set": {"$x": 1}, "expected": 9}', (422, "invalid_change")),
        ('{"filter": {}, "unset": ["a"]}', (422, "invalid_input")),
        ('{"filter": {"$where": "1"}, "unset": ["a"], "expected": 9}', (422, "invalid_query")),
    ],
)
def test_what_cant_be_done_is_refused_and_changes_nothing(program, desk, body, answer):
    desk.insert(*STORED)
    before = desk.stored()
    assert fault(program.send("POST", CHANGE, body))[:2] == answer
    runner.run_due_jobs()
    assert desk.stored() == before


def test_masked_fields_are_not_changed(app, program, acme, desk):
    desk.insert(*STORED)
    acme.update(set__masked_fields=["a.name"])
    writer = DataProgram(app, a_key(acme, None, ["documents.read", "documents.write"]))
    for path in (CHANGE, f"{CHANGE}/preview"):
        body = BODY % (', "expected": 3' if path == CHANGE else "")
        assert fault(writer.send("POST", path, body))[:2] == (403, "field_masked")


@pytest.mark.attack("X4")
@pytest.mark.parametrize(
    ("mask", "document", "change"),
    [
        ("parts.price", {"parts": [{"n": 1, "price": 4711}]}, '"parts.0.n": 7'),
        ("contact.email", CONTACT_TWICE, '"contact.name": "x"'),
        ("contact.email", {"contact": {"email": "4711"}}, '"contact.name": "x"'),
    ],
)
def test_a_preview_tells_nothing_masked_beside_what_changes(
    app, acme, desk, mask, document, change
):
    desk.insert(document)
    acme.update(set__masked_fields=[mask])
    writer = DataProgram(app, a_key(acme, None, ["documents.read", "documents.write"]))
    body = f'{{"filter": {{}}, "set": {{{change}}}}}'
    told = writer.send("POST", f"{CHANGE}/preview", body)
    assert told.json["examples"][0]["differences"]
    assert "4711" not in told.text


def test_a_preview_is_for_who_may_read_too(app, acme, desk):
    desk.insert(*STORED)
    writer = DataProgram(app, a_key(acme, None, ["documents.write"]))
    assert fault(writer.send("POST", f"{CHANGE}/preview", BODY % ""))[:2] == (403, "forbidden")
    assert change(writer).status_code == 202


@pytest.mark.parametrize(
    ("level", "action", "breaking"),
    [("moderate", "error", 1), ("strict", "error", 2), ("strict", "warn", None)],
)
def test_a_preview_counts_what_would_break_a_rule(program, acme, desk, level, action, breaking):
    desk.insert(
        {"_id": 1, "n": 1, "old": 1},
        {"_id": 2, "n": 1, "old": "$x", "a.b": 1},
        {"_id": 3, "n": "is no number before", "old": "x"},
        {"_id": 4, "n": 1, "old": "stays", "m": 1},
    )
    numbers = {"bsonType": "int"}
    rules = {"properties": {"n": numbers, "m": numbers}}
    set_rules(an_access(acme), rules, RequestContext(), level=level, action=action)
    body = '{"filter": {}, "rename": {"old": "m"}%s}'
    told = program.send("POST", f"{CHANGE}/preview", body % "").json
    assert (told["count"], told["breaking"]) == (4, breaking)
    program.send("POST", CHANGE, body % ', "expected": 4')
    runner.run_due_jobs()
    assert edits(program)[0]["left_alone"] == 1 + (breaking or 0)
    assert RulesVersion.objects.get().refused == (breaking or 0)  # one by one, however it tries


def test_any_document_is_tried(program, acme, desk):
    inner = b"\x08e\0\1\x10n\0\1\0\0\0\x10n\0\2\0\0\0\x02s\0\2\0\0\0\xff\0"
    twice = b"\x10_id\0\1\0\0\0" + inner + b"\x03d\0" + framed(inner)
    desk.insert(framed(twice), {"_id": 2, "$x": {"$y": {"$literal": "$$ROOT"}}, "e.f": None})
    set_rules(an_access(acme), {"required": ["n"]}, RequestContext(), level="strict")
    told = program.send("POST", f"{CHANGE}/preview", '{"filter": {}, "set": {"k": 1}}').json
    assert (told["breaking"], told["tried"]) == (1, 2)


def test_what_the_caller_may_not_see_is_not_told_by_rules(app, acme, desk):
    desk.insert({"_id": 1, "iban": "x"})
    set_rules(an_access(acme), {"required": ["m", "iban"]}, RequestContext())
    acme.update(set__masked_fields=["iban"])
    writer = DataProgram(app, a_key(acme, None, ["documents.read", "documents.write"]))
    told = writer.send("POST", f"{CHANGE}/preview", '{"filter": {}, "set": {"k": 1}}').json
    assert (told["count"], told["breaking"]) == (1, None)
